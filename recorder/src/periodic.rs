//! A thread that looks at something again and again, for as long as somebody keeps it.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Such a thread. It ends when this is dropped, and nobody waits for that: it may hang.
#[derive(Debug)]
pub struct Periodic {
    _alive: SyncSender<()>,
}

impl Periodic {
    /// Starts it: it looks at once, and then when a `period` has passed since it had looked.
    pub fn start(
        name: &str,
        stack_size: usize,
        period: Duration,
        mut look: impl FnMut() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (alive, ended) = sync_channel(1);
        std::thread::Builder::new().name(name.into()).stack_size(stack_size).spawn(move || {
            look();
            while ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                look();
            }
        })?;
        Ok(Self { _alive: alive })
    }
}
