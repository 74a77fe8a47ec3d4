//! Tests that span the rooms.
#![cfg(test)]

mod create;
mod fixtures;
mod flight;
mod full_disk;
mod packaging;
mod recording;
mod spec;
mod stall;
mod tidy;
