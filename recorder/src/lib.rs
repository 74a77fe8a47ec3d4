//! `flightrecd`: samples a machine, and makes what it saw durable.
//!
//! The way of a reading: [`clock`] - [`sources`] - [`sampler`] - [`rows`] - [`encoder`] - [`frames`] -
//! [`committer`] - [`writer`] - [`disk`]; [`recorder`] tells it as one story.

pub mod alert;
pub mod args;
pub mod beacon;
pub mod budget;
pub mod cadence;
pub mod census;
pub mod clock;
pub mod committer;
pub mod config;
pub mod create;
pub mod device;
pub mod disk;
pub mod encoder;
pub mod error;
pub mod events;
pub mod facts;
pub mod frames;
pub mod holder;
pub mod journal;
pub mod kmsg;
pub mod limits;
pub mod logs;
pub mod mailbox;
pub mod marks;
pub mod mirror;
pub mod periodic;
pub mod place;
pub mod precision;
pub mod process;
pub mod procfile;
pub mod pstore;
pub mod recorder;
pub mod report;
pub mod restart;
pub mod resume;
pub mod returning;
pub mod rings;
pub mod rows;
pub mod run;
pub mod sample;
pub mod sampler;
pub mod signatures;
pub mod slow;
pub mod sources;
pub mod sys;
pub mod textlogs;
pub mod trends;
pub mod units;
pub mod words;
pub mod writer;
pub mod writers;
