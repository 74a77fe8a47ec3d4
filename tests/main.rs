//! Tests that span the rooms.
#![cfg(test)]

mod bad_recordings;
mod beacon;
mod canary;
mod carve;
mod create;
mod dead_card;
mod doctor;
mod fixtures;
mod flight;
mod founding;
mod full_disk;
mod guarantees;
mod handover;
mod journal;
mod logs;
mod long_life;
mod manager;
mod mark;
mod mirror;
mod packaging;
mod power_cut;
mod raw_partition;
mod recording;
mod resize;
mod slow_sources;
mod snapshot;
mod spec;
mod stall;
mod status;
mod threads;
mod tidy;
mod trees;
mod trouble;
mod who;
