//! Tests that span the rooms.
