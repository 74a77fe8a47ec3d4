//! The small world that tests run the real programs in: a [disk](sim_disk), a [clock](sim_clock)
//! and a [kernel] in memory, the narrator of [`world`], the [`physics`] of what a cut leaves, and
//! the [`judge`].
#![allow(
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a test that breaks its own world shall say so"
)]

pub mod apart;
pub mod appetite;
pub mod bad_file;
pub mod broken;
pub mod cut;
pub mod dead_fs;
pub mod example;
pub mod explore;
pub mod fake_proc;
pub mod image;
pub mod journald;
pub mod judge;
pub mod kernel;
pub mod ledger;
pub mod loop_device;
pub mod manager;
pub mod mount;
pub mod noise;
pub mod observed;
pub mod physics;
pub mod programs;
pub mod recovered;
pub mod script;
pub mod sections;
pub mod sim_clock;
pub mod sim_disk;
pub mod trace;
pub mod world;
