//! Open files and sockets: what a leak fills.
//!
//! | file | series |
//! |------|--------|
//! | `/proc/sys/fs/file-nr` | 263, 288 |
//! | `/proc/net/sockstat` | 264 – 269 |
//! | `/proc/net/snmp` | 270 |

use std::path::Path;

use super::{Source, column};
use crate::procfile::{ProcFile, fields, lines, number};
use crate::sample::{Layout, Sample};

/// Series 263 and 288.
#[derive(Debug)]
pub struct Files {
    file: ProcFile,
    open: usize,
    max: usize,
}

impl Files {
    /// Reads below `proc_root`.
    #[must_use]
    pub fn new(layout: &Layout, proc_root: &Path) -> Self {
        let file = ProcFile::open(&proc_root.join("sys/fs/file-nr"));
        Self { file, open: column(layout, 263), max: column(layout, 288) }
    }
}

impl Source for Files {
    fn name(&self) -> &'static str {
        "/proc/sys/fs/file-nr"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        let mut words = fields(self.file.read()?);
        if let Some(open) = words.next().and_then(number) {
            sample.set(self.open, open);
        }
        if let Some(max) = words.nth(1).and_then(number) {
            sample.set(self.max, max);
        }
        Ok(())
    }
}

/// Series 264 to 269.
#[derive(Debug)]
pub struct Sockets {
    file: ProcFile,
    columns: [usize; 6],
}

/// Line, key and place among the columns.
const SOCKETS: [(&[u8], &[u8], usize); 6] = [
    (b"sockets:", b"used", 0),
    (b"TCP:", b"inuse", 1),
    (b"TCP:", b"orphan", 2),
    (b"TCP:", b"tw", 3),
    (b"TCP:", b"mem", 4),
    (b"UDP:", b"inuse", 5),
];

impl Sockets {
    /// Reads below `proc_root`.
    #[must_use]
    pub fn new(layout: &Layout, proc_root: &Path) -> Self {
        let file = ProcFile::open(&proc_root.join("net/sockstat"));
        let columns = [264, 265, 266, 267, 268, 269].map(|series| column(layout, series));
        Self { file, columns }
    }
}

impl Source for Sockets {
    fn name(&self) -> &'static str {
        "/proc/net/sockstat"
    }

    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        for line in lines(self.file.read()?) {
            let mut words = fields(line);
            let Some(head) = words.next() else { continue };
            while let (Some(key), Some(value)) = (words.next(), words.next()) {
                let place = SOCKETS.iter().find(|(line, own, _)| *line == head && *own == key);
                let column = place.and_then(|(_, _, place)| self.columns.get(*place));
                if let (Some(&column), Some(value)) = (column, number(value)) {
                    sample.set(column, value);
                }
            }
        }
        Ok(())
    }
}

/// Series 270.
#[derive(Debug)]
pub struct Retransmits {
    file: ProcFile,
    column: usize,
}

impl Retransmits {
    /// Reads below `proc_root`.
    #[must_use]
    pub fn new(layout: &Layout, proc_root: &Path) -> Self {
        Self { file: ProcFile::open(&proc_root.join("net/snmp")), column: column(layout, 270) }
    }
}

impl Source for Retransmits {
    fn name(&self) -> &'static str {
        "/proc/net/snmp"
    }

    /// A line of names, then one of values.
    fn read(&mut self, sample: &mut Sample) -> Result<(), i32> {
        let mut tcp = lines(self.file.read()?).filter(|line| line.starts_with(b"Tcp:"));
        if let (Some(names), Some(values)) = (tcp.next(), tcp.next())
            && let Some(at) = fields(names).position(|name| name == b"RetransSegs")
            && let Some(value) = fields(values).nth(at).and_then(number)
        {
            sample.set(self.column, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{layout, read, reading, survives_noise, tree};
    use super::*;

    const SOCKSTAT: &str = "sockets: used 612\nTCP: inuse 41 orphan 3 tw 17 alloc 60 mem 22\n\
        UDP: inuse 9 mem 5\nUDPLITE: inuse 8\nRAW: inuse 7\nFRAG: inuse 6 memory 5\n";
    const SNMP: &str = "Ip: Forwarding DefaultTTL\nIp: 1 64\n\
        Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets \
        CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n\
        Tcp: 1 200 120000 -1 1043 57 12 30 4 91234 83012 433 0 77 0\n";

    #[test]
    fn files_and_sockets_are_counted() {
        let tree = tree(&[
            ("sys/fs/file-nr", "1312\t0\t9223372036854775807\n"),
            ("net/sockstat", SOCKSTAT),
            ("net/snmp", SNMP),
        ]);
        let sample = read(&mut Files::new(&layout(), tree.path()));
        assert_eq!(
            [263, 288].map(|s| reading(&sample, s)),
            [Some(1312), Some(9_223_372_036_854_775_807)]
        );
        let sample = read(&mut Sockets::new(&layout(), tree.path()));
        let read_back = [264, 265, 266, 267, 268, 269].map(|series| reading(&sample, series));
        assert_eq!(read_back, [612, 41, 3, 17, 22, 9].map(Some));
        let sample = read(&mut Retransmits::new(&layout(), tree.path()));
        assert_eq!(reading(&sample, 270), Some(433));
    }

    #[test]
    fn noise_is_survived() {
        survives_noise(SOCKSTAT, "net/sockstat", |root| Box::new(Sockets::new(&layout(), root)));
        survives_noise(SNMP, "net/snmp", |root| Box::new(Retransmits::new(&layout(), root)));
    }
}
