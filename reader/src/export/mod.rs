//! Text for machines.

pub mod csv;
pub mod json;
