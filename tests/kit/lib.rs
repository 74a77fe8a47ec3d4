//! The small world that tests run the real programs in.

pub mod example;
pub mod programs;
