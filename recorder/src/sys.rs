//! The wall: every `unsafe` block of this crate stands here, each with its reason.
//!
//! These are thin coats over system calls and over zstd's C interface. They allocate nothing
//! unless they say so, touch no global state of ours, and give errors as `io::Error`. Who wants
//! the time asks [`crate::clock`], not this room.
//!
//! | room | what it wraps |
//! |------|---------------|
//! | [`time`] | clocks and their synchronisation |
//! | [`signal`] | waiting for a moment or a signal, whichever comes first |
//! | [`exec`] | becoming another program |
//! | [`process`] | locked memory, priority, page faults, random bytes |
//! | [`mod@file`] | locks, allocation, extents, file systems |
//! | [`dir`] | listing directories that are held open, opening files in them |
//! | [`watch`] | waiting for a file, or for a name in a folder |
//! | [`compressor`], [`decompressor`] | zstd in memory that we own |

#![allow(unsafe_code, reason = "the one place where it is allowed")]

pub mod compressor;
pub mod decompressor;
pub mod dir;
pub mod exec;
pub mod file;
pub mod process;
pub mod signal;
pub mod time;
pub mod watch;

pub use compressor::StaticCompressor;
pub use decompressor::StaticDecompressor;
pub use dir::{list_dir, list_dir_from, open_at};
pub use exec::{adopt, become_program, keep_open, memory_file, set_name};
pub use file::{
    FileSystem, O_DIRECT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, fallocate, fiemap_unwritten, file_system,
    file_system_room, ignore_file_size_signal, lock_exclusive, rename_new, set_nocow,
    shrink_receive_buffer,
};
pub use process::{
    core_count, faults, lock_memory, lock_used_memory, page_size, random_bytes, set_io_flusher,
    set_nice,
};
pub use signal::{Signal, block_signals, wait_signal_until};
pub use time::{
    boottime_ns, clock_synced, local_offset_s, monotonic_ns, process_cpu_ns, realtime_ns,
};
pub use watch::{FolderWatch, wait_readable};

use std::io;

/// The result of a call that answers -1 and sets errno.
fn checked(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

#[cfg(test)]
mod tests;
