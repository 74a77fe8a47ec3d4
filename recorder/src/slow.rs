//! The slow thread: whatever may hang or allocate, and is not the disk of the recording.
//!
//! Today it looks for disks that come and go. Nobody waits for it.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::sources::Discovery;

/// How often it looks, in a service.
pub const PERIOD: Duration = Duration::from_secs(10);

/// Bytes of its stack.
const STACK_SIZE: usize = 128 << 10;

/// The slow thread; it ends when this is dropped, and nobody waits for that.
#[derive(Debug)]
pub struct Slow {
    _alive: SyncSender<()>,
}

impl Slow {
    /// Starts the thread, which looks once in each `period`.
    pub fn start(mut discovery: Discovery, period: Duration) -> std::io::Result<Self> {
        let (alive, ended) = sync_channel(1);
        std::thread::Builder::new().name("slow".into()).stack_size(STACK_SIZE).spawn(
            move || {
                while ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                    discovery.look();
                }
            },
        )?;
        Ok(Self { _alive: alive })
    }
}
