//! The slow thread: whatever may hang or allocate, and is not the disk of the recording.
//!
//! It looks for disks that come and go, and for the owner's marks. Nobody waits for it.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::marks::Inbox;
use crate::sources::Discovery;

/// How often it looks for marks.
pub const PERIOD: Duration = Duration::from_secs(1);

/// It looks for disks once in so many periods.
const DISKS_EVERY: u32 = 10;

/// Bytes of its stack.
const STACK_SIZE: usize = 128 << 10;

/// The slow thread; it ends when this is dropped, and nobody waits for that.
#[derive(Debug)]
pub struct Slow {
    _alive: SyncSender<()>,
}

impl Slow {
    /// Starts the thread, which looks for marks in each `period`, if there is a place for them.
    pub fn start(
        mut discovery: Discovery,
        mut marks: Option<Inbox>,
        period: Duration,
    ) -> std::io::Result<Self> {
        let (alive, ended) = sync_channel(1);
        let mut turn = 0;
        std::thread::Builder::new().name("slow".into()).stack_size(STACK_SIZE).spawn(
            move || {
                while ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                    if let Some(marks) = &mut marks {
                        marks.look();
                    }
                    turn = (turn + 1) % DISKS_EVERY;
                    if turn == 0 {
                        discovery.look();
                    }
                }
            },
        )?;
        Ok(Self { _alive: alive })
    }
}
