//! Tests that span the rooms.
#![cfg(test)]

mod spec;
mod tidy;
mod packaging;
mod create;
mod full_disk;
