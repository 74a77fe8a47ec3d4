//! Is a recorder at work on this recording right now? Asked of the kernel, not of the recorder.
//!
//! Only Linux can be asked; no recorder runs elsewhere.

#[cfg(target_os = "linux")]
pub use linux::{current_boot_id, is_held, pid_of_holder};

/// No recorder runs on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn current_boot_id() -> Option<[u8; 16]> {
    None
}

/// No recorder runs on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn is_held(_: &crate::recording::Recording) -> bool {
    false
}

/// No recorder runs on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn pid_of_holder(_: &crate::recording::Recording) -> Option<u32> {
    None
}

#[cfg(target_os = "linux")]
mod linux;
pub mod process;
