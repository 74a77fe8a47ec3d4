//! The small world that tests run the real programs in: [`sim_disk`], [`sim_clock`], and the
//! narrator of [`world`].
#![allow(
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a test that breaks its own world shall say so"
)]

pub mod example;
pub mod programs;
pub mod recovered;
pub mod sim_clock;
pub mod sim_disk;
pub mod world;
