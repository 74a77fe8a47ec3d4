//! Text for people: 80 columns, plain ASCII of our own, every figure with its unit.

pub mod boots;
pub mod events;
pub mod header;
pub mod limits;
pub mod series;
pub mod status;
pub mod stress;
pub mod text;
pub mod thin;
pub mod usage;
