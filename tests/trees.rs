//! Captured kernels: `/proc` and `/sys` of real machines, and trees that differ from them in a
//! stated way. Our sources, which hold files open and parse without allocating, must read out of
//! each what the procfs crate reads.

mod oracle;
mod tree;

use oracle::Oracle;
use tree::Tree;

/// Every captured tree; `fixtures/README.md` says how each was made.
const CAPTURED: [&str; 4] =
    ["debian12-arm64", "debian12-arm64-psi0", "debian12-armhf", "x86-64"];

/// Holds our readings of a tree against those of procfs, both ways.
fn assert_agreed(tree: &Tree) {
    let folder = tree.unpack();
    let oracle = Oracle::of(folder.path());
    assert_eq!(oracle.refused, [""; 0], "procfs refuses a file: nothing to compare with");
    let read = tree.read();
    assert_eq!(read.values, oracle.values);
}

#[test]
fn procfs_agrees_on_every_captured_kernel() {
    for name in CAPTURED {
        let tree = Tree::captured(name);
        println!("{name}: {}", tree.text("proc/sys/kernel/osrelease").trim());
        assert_agreed(&tree);
    }
}
