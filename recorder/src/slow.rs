//! The slow thread: whatever may hang or allocate, and is not the disk of the recording.
//!
//! It looks for disks that come and go, reads drivers and file systems, and takes the owner's marks.
//! Nobody waits for it.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::marks::Inbox;
use crate::sources::Lookout;

/// How often it looks for marks.
pub const PERIOD: Duration = Duration::from_secs(1);

/// It looks at everything else once in so many periods.
const LOOK_EVERY: u32 = 5;

/// Bytes of its stack.
const STACK_SIZE: usize = 128 << 10;

/// The slow thread; it ends when this is dropped, and nobody waits for that.
#[derive(Debug)]
pub struct Slow {
    _alive: SyncSender<()>,
}

impl Slow {
    /// Starts the thread, which looks at once, and for marks in each `period` if there is a place
    /// for them.
    pub fn start(
        mut lookout: Lookout,
        mut marks: Option<Inbox>,
        period: Duration,
    ) -> std::io::Result<Self> {
        let (alive, ended) = sync_channel(1);
        let mut turn = 0;
        std::thread::Builder::new().name("slow".into()).stack_size(STACK_SIZE).spawn(
            move || {
                lookout.look();
                while ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                    if let Some(marks) = &mut marks {
                        marks.look();
                    }
                    turn = (turn + 1) % LOOK_EVERY;
                    if turn == 0 {
                        lookout.look();
                    }
                }
            },
        )?;
        Ok(Self { _alive: alive })
    }
}
