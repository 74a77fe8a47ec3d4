use procfs::FromBufRead;

use super::*;
use crate::sources::testing::{entity_reading, layout, put, read, seated, survives_noise, tree};

const HEAD: &str = "Inter-|   Receive                            |  Transmit\n \
    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";
const LO: &str = "    lo:   10  1    0    0    0     0          0         0  10  1    0    0    0     0       0          0\n";
const ETH0: &str = "  eth0: 20480  22   23   24   25    26         27        28 30720  32   33   34   35    36      37         38\n";
/// Some drivers' long names leave no blank behind the colon.
const WLAN: &str = "wlx00c0caabcdef:2048 3 4 5 6 7 8 9 4096 11 12 13 14 15 16 17\n";

fn source(tree: &tempfile::TempDir) -> Net {
    Net::new(&layout(), tree.path())
}

#[test]
fn bytes_are_in_kib_and_packets_exact() {
    let sample = read(&mut source(&tree(&[("net/dev", &[HEAD, LO, ETH0, WLAN].concat())])));
    assert_eq!(seated(&sample), ["eth0", "wlx00c0caabcdef"]);
    let of = |name| {
        SERIES.iter().map(|&s| entity_reading(&sample, name, s).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(of("eth0"), [20, 22, 23, 24, 30, 32, 33, 34]);
    assert_eq!(of("wlx00c0caabcdef"), [2, 3, 4, 5, 4, 11, 12, 13]);
}

/// The name ends at the last colon, with or without a blank behind it.
#[test]
fn a_name_may_hold_a_colon() {
    let aliases = [ETH0.replace("eth0", "eth0:1"), WLAN.replace("wlx00c0caabcdef", "br0:12:a")];
    let sample =
        read(&mut source(&tree(&[("net/dev", &[HEAD, LO, ETH0, &aliases.concat()].concat())])));
    assert_eq!(seated(&sample), ["eth0", "eth0:1", "br0:12:a"]);
    let packets = ["eth0:1", "br0:12:a"].map(|name| entity_reading(&sample, name, 161));
    assert_eq!(packets, [Some(22), Some(3)]);
}

/// An interface keeps its seat while others come and go; a free seat is taken again.
#[test]
fn seats_are_stable() {
    let tree = tree(&[("net/dev", &[HEAD, ETH0, WLAN].concat())]);
    let mut source = source(&tree);
    let mut sample = Sample::new(&layout());
    source.read(&mut sample).unwrap();
    for (text, expected) in [
        ([HEAD, LO, WLAN].concat(), vec!["wlx00c0caabcdef"]),
        (
            [HEAD, &WLAN.replace("wlx00c0caabcdef", "usb0"), WLAN].concat(),
            vec!["usb0", "wlx00c0caabcdef"],
        ),
        (String::new(), vec![]),
    ] {
        put(tree.path(), "net/dev", text.as_bytes());
        sample.clear();
        source.read(&mut sample).unwrap();
        assert_eq!(seated(&sample), expected);
    }
}

/// More interfaces than seats: the first ones sit, the rest is left out.
#[test]
fn a_crowd_is_no_trouble() {
    let crowd: String = (0..40).map(|n| ETH0.replace("eth0", &format!("veth{n}"))).collect();
    let sample = read(&mut source(&tree(&[("net/dev", &[HEAD, &crowd].concat())])));
    assert_eq!(seated(&sample), (0..8).map(|n| format!("veth{n}")).collect::<Vec<_>>());
}

/// procfs reads the same out of this machine's file.
#[test]
fn procfs_agrees() {
    let text = std::fs::read_to_string("/proc/net/dev").unwrap();
    let oracle = procfs::net::InterfaceDeviceStatus::from_buf_read(text.as_bytes()).unwrap();
    let sample = read(&mut source(&tree(&[("net/dev", &text)])));
    for name in seated(&sample) {
        let status = &oracle.0[&name];
        for (series, value) in [
            (160, status.recv_bytes / 1024),
            (161, status.recv_packets),
            (162, status.recv_errs),
            (163, status.recv_drop),
            (164, status.sent_bytes / 1024),
            (165, status.sent_packets),
            (166, status.sent_errs),
            (167, status.sent_drop),
        ] {
            assert_eq!(entity_reading(&sample, &name, series), Some(value), "{name} {series}");
        }
    }
}

#[test]
fn noise_does_no_harm() {
    let text = [HEAD, LO, ETH0, WLAN].concat();
    survives_noise(&text, "net/dev", |root| Box::new(Net::new(&layout(), root)));
}
