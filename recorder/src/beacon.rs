//! The beacon: the newest frame, sent away from a disk that may be dying. One datagram to a host,
//! and a write into the part of memory that the kernel keeps over a reset (`/dev/pmsg0`).
//!
//! Fire and forget. It has a thread of its own, for even a send that never waits for the network may
//! wait for memory, and what is behind `/dev/pmsg0` is for the kernel to know. The sampler gives it
//! a frame if it is idle, and nothing if it is not.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flightrec_format::frame::{HEADER_SIZE, Header};
use flightrec_format::limits::SLOT_SIZE;

use crate::sys;

/// One slot, on its way.
type Slot = Box<[u8; SLOT_SIZE]>;

/// Bytes of its stack: it calls nothing but the kernel.
const STACK_SIZE: usize = 64 << 10;

/// The ways that a frame goes.
#[derive(Debug, Default)]
pub struct Ways {
    udp: Option<(UdpSocket, SocketAddr)>,
    pmsg: Option<File>,
}

impl Ways {
    /// Adds a host. Whether it can be reached shows with each datagram anew: at an early boot there
    /// is no network yet.
    pub fn to_host(&mut self, address: SocketAddr) -> io::Result<()> {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        // Nobody reads what strangers send to it.
        sys::shrink_receive_buffer(&socket)?;
        self.udp = Some((socket, address));
        Ok(())
    }

    /// Adds the kernel's memory for messages of programs.
    pub fn to_pmsg(&mut self, path: &Path) -> io::Result<()> {
        self.pmsg = Some(OpenOptions::new().write(true).open(path)?);
        Ok(())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.udp.is_none() && self.pmsg.is_none()
    }

    /// A frame that does not arrive is repeated by the next one, for the most part.
    fn send(&mut self, slot: &[u8; SLOT_SIZE]) {
        if let Some((socket, address)) = &self.udp {
            socket.send_to(slot, *address).ok();
        }
        if let Some(pmsg) = &mut self.pmsg {
            // The least that it can have is 4 KiB less a header: zeros would cost a frame its begin.
            let len = Header::read(slot).map_or(0, |header| header.payload_len);
            let len = HEADER_SIZE + usize::try_from(len).unwrap_or(0);
            pmsg.write_all(slot.get(..len).unwrap_or(slot)).ok();
        }
    }
}

/// The sampler's end.
#[derive(Debug)]
pub struct Beacon {
    out: SyncSender<Slot>,
    back: Receiver<Slot>,
    idle: Option<Slot>,
}

impl Beacon {
    /// Starts the thread.
    pub fn start(mut ways: Ways) -> io::Result<Self> {
        let (out, inbox) = sync_channel::<Slot>(1);
        let (outbox, back) = sync_channel(1);
        let thread = std::thread::Builder::new().name("beacon".into()).stack_size(STACK_SIZE);
        thread.spawn(move || {
            while let Ok(slot) = inbox.recv() {
                ways.send(&slot);
                if outbox.send(slot).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { out, back, idle: Some(Box::new([0; SLOT_SIZE])) })
    }

    /// Whether it can take a frame now.
    pub fn is_idle(&mut self) -> bool {
        self.idle = self.idle.take().or_else(|| self.back.try_recv().ok());
        self.idle.is_some()
    }

    /// Sends a frame that `fill` makes, unless it makes none or the last one is still under way.
    pub fn send(&mut self, fill: impl FnOnce(&mut [u8]) -> bool) {
        if !self.is_idle() {
            return;
        }
        let Some(mut slot) = self.idle.take() else { return };
        if fill(&mut slot[..]) {
            // It is idle, so there is room; if its thread is gone, so is the beacon.
            self.out.try_send(slot).ok();
        } else {
            self.idle = Some(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_who_listens_is_no_reason_to_wait() {
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut ways = Ways::default();
        ways.to_host(nobody).unwrap();
        let mut beacon = Beacon::start(ways).unwrap();
        for _ in 0..1000 {
            beacon.send(|slot| {
                slot.fill(7);
                true
            });
        }
    }

    /// What stands behind a frame in its slot is not written: rings of 4 KiB have no room for it.
    #[test]
    fn pmsg_gets_header_and_payload_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pmsg0");
        std::fs::write(&path, "").unwrap();
        let mut ways = Ways::default();
        ways.to_pmsg(&path).unwrap();
        let mut slot = [9; SLOT_SIZE];
        let mut header = crate::returning::tests::header();
        (header.payload_len, header.body_len) = (300, 300);
        header.seal(&mut slot);
        ways.send(&slot);
        ways.send(&slot);
        let written = std::fs::read(&path).unwrap();
        assert_eq!(written.len(), 2 * (HEADER_SIZE + 300));
        assert_eq!(written[..444], slot[..444]);
        assert!(Ways::default().to_pmsg(&folder.path().join("none")).is_err());
    }
}
