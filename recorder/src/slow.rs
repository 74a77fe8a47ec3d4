//! The slow thread: whatever may hang or allocate, and is not the disk of the recording.
//!
//! It looks for disks that come and go, reads drivers and file systems, and takes the owner's marks.
//! Nobody waits for it.

use std::time::Duration;

use crate::marks::Inbox;
use crate::periodic::Periodic;
use crate::sources::Lookout;

/// It looks for marks no more often than this.
pub const PERIOD: Duration = Duration::from_secs(1);

/// It looks at everything else once in so many periods; at most three times as rarely while marks
/// come.
const LOOK_EVERY: u32 = 5;

/// Bytes of its stack.
const STACK_SIZE: usize = 128 << 10;

/// Starts the thread, which looks at everything at once and then in each fifth `period`, and for marks
/// as soon as one is left, if there is a place for them.
pub fn start(
    mut lookout: Lookout,
    mut marks: Option<Inbox>,
    period: Duration,
) -> std::io::Result<Periodic> {
    // Periods until everything is looked at again; waiting for a mark that comes takes up one.
    let mut left = 0;
    Periodic::start("slow", STACK_SIZE, period, move || {
        let is_quiet = marks.as_mut().is_some_and(|marks| !marks.wait(left * period));
        if let Some(marks) = &mut marks {
            marks.look();
        }
        if is_quiet || left == 0 {
            lookout.look();
            left = LOOK_EVERY;
        }
        left -= 1;
    })
}
