//! Tests that span the rooms.
#![cfg(test)]

mod bad_recordings;
mod canary;
mod carve;
mod create;
mod fixtures;
mod flight;
mod full_disk;
mod guarantees;
mod journal;
mod long_life;
mod mark;
mod packaging;
mod power_cut;
mod raw_partition;
mod recording;
mod resize;
mod spec;
mod status;
mod threads;
mod tidy;
