//! Names this build by its sources: `flightrecd` hands a run over to `flightrecd-core`, and the two must be of one build.

use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    // FNV-1a, 64 bits.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut files = Vec::new();
    for place in ["src", "../format/src", "../Cargo.lock"] {
        println!("cargo:rerun-if-changed={place}");
        collect(Path::new(place), &mut files);
    }
    files.sort();
    for byte in files.iter().flat_map(|path| fs::read(path).unwrap_or_default()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    println!("cargo:rustc-env=FLIGHTREC_BUILD={hash:016x}");
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().for_each(|entry| collect(&entry.path(), files)),
        Err(_) => files.push(path.to_owned()),
    }
}
