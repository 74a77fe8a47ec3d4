//! Links, Wi-Fi signal, and whether the default gateway answers: is the machine reachable?
//!
//! Reading a carrier takes the lock of all network configuration, which a driver may hold.

use std::path::{Path, PathBuf};

use flightrec_format::entity::EntityKind;

use super::{Folder, hexadecimal, open, signed, value, word};
use crate::procfile::{ProcFile, fields, lines};
use crate::sample::{Layout, SeriesNumber};
use crate::sources::sheet::{Look, Page, Posted, page};

/// State, carrier, changes of the carrier, signal.
pub(in super::super) const SERIES: &[SeriesNumber] = &[283, 284, 285, 286];
const GATEWAY: &[SeriesNumber] = &[287];

/// Values of `net.{}.state`, as RFC 2863 numbers them in the kernel.
const STATES: [&[u8]; 7] =
    [b"unknown", b"notpresent", b"down", b"lowerlayerdown", b"testing", b"dormant", b"up"];

/// Series 283 to 287.
#[derive(Debug)]
pub(in super::super) struct Links {
    folder: Folder,
    seen: Vec<Link>,
    proc_root: PathBuf,
    wireless: Option<ProcFile>,
    route: ProcFile,
    arp: ProcFile,
    pages: [Page; 2],
}

#[derive(Debug)]
struct Link {
    name: String,
    state: Option<ProcFile>,
    carrier: Option<ProcFile>,
    changes: Option<ProcFile>,
}

impl Links {
    pub(in super::super) fn new(
        layout: &Layout,
        proc_root: &Path,
        sys: &Path,
        stale: u32,
    ) -> (Self, [Posted; 2]) {
        let (links, links_posted) = page("links", layout, EntityKind::NET, SERIES, stale);
        let (gateway, gateway_posted) =
            page("gateway", layout, EntityKind::MACHINE, GATEWAY, stale);
        let own = Self {
            folder: Folder::new(sys.join("class/net")),
            seen: Vec::new(),
            proc_root: proc_root.to_owned(),
            wireless: None,
            route: ProcFile::open(&proc_root.join("net/route")),
            arp: ProcFile::open(&proc_root.join("net/arp")),
            pages: [links, gateway],
        };
        (own, [links_posted, gateway_posted])
    }

    fn find(&mut self) {
        let folder = self.folder.path();
        let names = self.folder.names().into_iter().filter(|name| name != "lo");
        let links = names.map(|name| {
            let file = |file: &str| open(&folder.join(&name).join(file));
            let (state, carrier) = (file("operstate"), file("carrier"));
            Link { state, carrier, changes: file("carrier_changes"), name }
        });
        self.seen = links.collect();
        self.wireless = open(&self.proc_root.join("net/wireless"));
    }
}

impl Look for Links {
    fn look(&mut self) {
        if self.folder.has_changed() {
            self.find();
        }
        let [page, gateway_page] = &mut self.pages;
        page.begin();
        for link in &mut self.seen {
            let name = link.name.as_bytes();
            let state = link.state.as_mut().and_then(word);
            let state = state.and_then(|word| STATES.iter().position(|state| *state == word));
            page.put(name, 0, state.and_then(|state| u64::try_from(state).ok()));
            // A link that is down answers EINVAL: it has no carrier to speak of.
            page.put(name, 1, link.carrier.as_mut().and_then(value));
            page.put(name, 2, link.changes.as_mut().and_then(value));
        }
        if let Some(text) = self.wireless.as_mut().and_then(|file| file.read().ok()) {
            for (name, level) in lines(text).filter_map(signal) {
                if self.seen.iter().any(|link| link.name.as_bytes() == name) {
                    page.put(name, 3, Some(level.cast_unsigned()));
                }
            }
        }
        page.post();
        gateway_page.begin();
        let state = self.route.read().ok().and_then(|text| lines(text).find_map(gateway));
        let state = state.zip(self.arp.read().ok()).map(|(ip, arp)| neighbour(arp, ip));
        gateway_page.put(b"", 0, state);
        gateway_page.post();
    }
}

/// Interface and level in dBm of a line of `/proc/net/wireless`.
fn signal(line: &[u8]) -> Option<(&[u8], i64)> {
    let mut halves = line.splitn(2, |&byte| byte == b':');
    let name = halves.next()?.trim_ascii();
    let level = fields(halves.next()?).nth(2)?;
    let level = signed(level.strip_suffix(b".").unwrap_or(level))?;
    // Some drivers count from 0 to 255 where others have dBm.
    (!name.is_empty() && (-200..=0).contains(&level)).then_some((name, level))
}

/// The gateway of a line of `/proc/net/route`, if it is the default route.
fn gateway(line: &[u8]) -> Option<[u8; 4]> {
    const RTF_GATEWAY: u64 = 2;
    let mut words = fields(line).skip(1);
    let destination = hexadecimal(words.next()?)?;
    let gateway = u32::try_from(hexadecimal(words.next()?)?).ok()?;
    let flags = hexadecimal(words.next()?)?;
    #[allow(clippy::host_endian_bytes, reason = "from the kernel, not from a disk")]
    (destination == 0 && flags & RTF_GATEWAY != 0).then(|| gateway.to_ne_bytes())
}

/// What `/proc/net/arp` knows of an address: 0 nothing, 1 it does not answer, 2 it has answered.
fn neighbour(text: &[u8], ip: [u8; 4]) -> u64 {
    const ATF_COM: u64 = 2;
    let is_it = |word: &[u8]| {
        let mut parts = word.split(|&byte| byte == b'.');
        ip.iter()
            .all(|byte| parts.next().and_then(crate::procfile::number) == Some(u64::from(*byte)))
            && parts.next().is_none()
    };
    let flags = lines(text).skip(1).find_map(|line| {
        let mut words = fields(line);
        words.next().filter(|word| is_it(word))?;
        hexadecimal(words.nth(1)?)
    });
    flags.map_or(0, |flags| if flags & ATF_COM == 0 { 1 } else { 2 })
}
