//! The slow thread: whatever may hang or allocate, and is not the disk of the recording.
//!
//! It looks for disks that come and go, and reads drivers and file systems. Nobody waits for it.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::sources::Lookout;

/// How often it looks, in a service.
pub const PERIOD: Duration = Duration::from_secs(5);

/// Bytes of its stack.
const STACK_SIZE: usize = 128 << 10;

/// The slow thread; it ends when this is dropped, and nobody waits for that.
#[derive(Debug)]
pub struct Slow {
    _alive: SyncSender<()>,
}

impl Slow {
    /// Starts the thread, which looks at once, and once in each `period`.
    pub fn start(mut lookout: Lookout, period: Duration) -> std::io::Result<Self> {
        let (alive, ended) = sync_channel(1);
        std::thread::Builder::new().name("slow".into()).stack_size(STACK_SIZE).spawn(
            move || {
                lookout.look();
                while ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                    lookout.look();
                }
            },
        )?;
        Ok(Self { _alive: alive })
    }
}
