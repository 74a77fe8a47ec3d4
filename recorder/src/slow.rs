//! The slow thread: whatever may hang or allocate, and is not the disk of the recording.
//!
//! It looks for disks that come and go, reads drivers and file systems, and takes the owner's marks.
//! Nobody waits for it.

use std::time::Duration;

use crate::marks::Inbox;
use crate::periodic::Periodic;
use crate::sources::Lookout;

/// How often it looks for marks.
pub const PERIOD: Duration = Duration::from_secs(1);

/// It looks at everything else once in so many periods.
const LOOK_EVERY: u32 = 5;

/// Bytes of its stack.
const STACK_SIZE: usize = 128 << 10;

/// Starts the thread, which looks at everything at once, and for marks in each `period` if there is
/// a place for them.
pub fn start(
    mut lookout: Lookout,
    mut marks: Option<Inbox>,
    period: Duration,
) -> std::io::Result<Periodic> {
    let mut turn = 0;
    Periodic::start("slow", STACK_SIZE, period, move || {
        if let Some(marks) = &mut marks {
            marks.look();
        }
        if turn == 0 {
            lookout.look();
        }
        turn = (turn + 1) % LOOK_EVERY;
    })
}
