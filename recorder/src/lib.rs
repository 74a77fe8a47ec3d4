//! recorder
pub mod clock;
pub mod encoder;
pub mod events;
pub mod frames;
pub mod precision;
pub mod procfile;
pub mod rows;
pub mod sample;
pub mod sources;
pub mod sys;
pub mod place;
pub mod holder;
pub mod facts;
pub mod units;
pub mod config;
