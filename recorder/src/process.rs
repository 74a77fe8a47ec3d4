//! The files of one process: `/proc/PID/stat`, `io`, `status`, and what stands in them (proc(5)).
//!
//! All three answer without taking a lock of the process's memory and without paging anything in,
//! unlike `cmdline`, `environ` and `smaps`, which can wait for hours in a machine that thrashes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::procfile::{fields, lines, number};

/// Room for each of the three texts; a longer one is cut, behind all that we look for.
pub const TEXT_LEN: usize = 2048;

/// What `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stat<'a> {
    /// Process id.
    pub pid: u32,
    /// Name of the program, as the process likes to be called: any bytes.
    pub comm: &'a [u8],
    /// State, a letter: `R`, `S`, `D` and so on.
    pub state: u8,
    /// Process id of the parent.
    pub parent: u32,
    /// Major page faults.
    pub major_faults: u64,
    /// Time in user mode, 10 ms.
    pub user_ticks: u64,
    /// Time in the kernel, 10 ms.
    pub system_ticks: u64,
    /// Threads.
    pub threads: u64,
    /// Start after boot, 10 ms.
    pub start_ticks: u64,
    /// Resident memory, pages.
    pub rss_pages: u64,
    /// Time waited for disks, 10 ms; 0 where the kernel does not count it.
    pub blkio_ticks: u64,
}

/// Fewer digits than this always fit into a number.
const DIGITS_SAFE: usize = 20;

impl<'a> Stat<'a> {
    /// Reads the text. What stands behind the memory (field 24, counted from 1) may be absent.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (mut stat, mut behind) = Self::walk(text)?;
        stat.blkio_ticks = behind.nth(42 - 25).unwrap_or(0);
        Some(stat)
    }

    /// The same without the time waited for disks: less than half of the text is looked at.
    #[must_use]
    pub fn parse_brief(text: &'a [u8]) -> Option<Self> {
        Self::walk(text).map(|(stat, _)| stat)
    }

    /// A name may hold brackets, blanks and line ends: it ends at the last bracket.
    fn walk(text: &'a [u8]) -> Option<(Self, Fields<'a>)> {
        let open = memchr::memchr(b'(', text)?;
        let close = memchr::memrchr(b')', text)?;
        let pid = number(text.get(..open)?.trim_ascii())?;
        let state = *text.get(close + 2)?;
        let mut rest = Fields(text.get(close + 4..)?);
        let parent = u32::try_from(rest.nth(0)?).ok()?;
        let stat = Self {
            pid: u32::try_from(pid).ok()?,
            comm: text.get(open + 1..close)?,
            state,
            parent,
            major_faults: rest.nth(12 - 5)?,
            user_ticks: rest.nth(14 - 13)?,
            system_ticks: rest.nth(0)?,
            threads: rest.nth(20 - 16)?,
            start_ticks: rest.nth(22 - 21)?,
            rss_pages: rest.nth(24 - 23)?,
            blkio_ticks: 0,
        };
        Some((stat, rest))
    }

    /// Whether it is a thread of the kernel: `kthreadd` is process 2, and the parent of the others.
    #[must_use]
    pub fn is_kernel_thread(&self) -> bool {
        self.pid == 2 || self.parent == 2
    }

    /// Time in all, 10 ms.
    #[must_use]
    pub fn cpu_ticks(&self) -> u64 {
        self.user_ticks.saturating_add(self.system_ticks)
    }
}

/// The fields of `stat` behind the state, with one blank between two.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    /// Passes over `skipped` fields, and reads the next, if it is a number and the text goes on
    /// behind it: else it was cut.
    fn nth(&mut self, skipped: usize) -> Option<u64> {
        let mut left = skipped;
        // This is most of what a process costs outside of the kernel: blanks are counted in many
        // bytes at once where that many can be passed over.
        while let Some((chunk, rest)) = self.0.split_first_chunk::<16>() {
            let is_blank = |byte: &u8| u8::from(*byte == b' ');
            let blanks = chunk.iter().map(is_blank).fold(0_u8, u8::wrapping_add);
            if usize::from(blanks) >= left {
                break;
            }
            left -= usize::from(blanks);
            self.0 = rest;
        }
        let mut bytes = self.0.iter();
        while left > 0 {
            left -= usize::from(*bytes.next()? == b' ');
        }
        let rest = bytes.as_slice();
        let (mut value, mut len) = (0_u64, 0);
        for byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            len += 1;
        }
        let is_number = len > 0 && *rest.get(len)? <= b' ';
        self.0 = rest.get(len + 1..)?;
        let value = if len < DIGITS_SAFE { value } else { u64::MAX };
        is_number.then_some(value)
    }
}

/// `read_bytes` and `write_bytes` of `/proc/PID/io`: what went to and came from disks.
#[must_use]
pub fn parse_io(text: &[u8]) -> Option<(u64, u64)> {
    let mut rest = lines(text);
    let mut next = |name: &[u8]| {
        let value = rest.find_map(|line| line.strip_prefix(name))?;
        number(value.trim_ascii())
    };
    // In this order since there is such a file (2.6.20).
    Some((next(b"read_bytes:")?, next(b"write_bytes:")?))
}

/// `VmSwap` of `/proc/PID/status`, KiB; a thread of the kernel has none.
#[must_use]
pub fn parse_swap_kib(text: &[u8]) -> Option<u64> {
    let line = lines(text).find_map(|line| line.strip_prefix(b"VmSwap:"))?;
    number(fields(line).next()?)
}

/// Reads a small kernel file from its beginning, in one call. ESRCH: its process is gone; one that
/// has ended and was not waited for yet may answer nothing.
pub fn read<'a>(file: &File, buf: &'a mut [u8]) -> Result<&'a [u8], i32> {
    let len = file.read_at(buf, 0).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
    Ok(buf.get(..len).unwrap_or_default())
}

/// Reads a file for the first time; whether it may be read. That is when the kernel takes a page for
/// the text, which it keeps while the file is open. In a machine that thrashes it may search seconds
/// for one, so the sampler must not be the first.
#[must_use]
pub fn read_first(file: &File) -> bool {
    read(file, &mut [0; 256]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"4242 (a) b\n(c) S 1 4242 4242 0 -1 4194560 100 0 7 0 11 22 0 0 20 0 3 0 \
          158057 9000000 2048 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 5 0 0 0\n";

    #[test]
    fn a_name_with_brackets_blanks_and_line_ends_is_read_whole() {
        let stat = Stat::parse(TEXT).unwrap();
        assert_eq!(stat.comm, b"a) b\n(c");
        assert_eq!((stat.pid, stat.state, stat.parent), (4242, b'S', 1));
        assert_eq!((stat.major_faults, stat.user_ticks, stat.system_ticks), (7, 11, 22));
        assert_eq!((stat.threads, stat.start_ticks, stat.rss_pages), (3, 158_057, 2048));
        assert_eq!(stat.blkio_ticks, 5);
        assert_eq!(Stat::parse_brief(TEXT), Some(Stat { blkio_ticks: 0, ..stat }));
    }

    /// The crate reads the same text by itself, for a process that is there: this one.
    #[test]
    fn the_procfs_crate_reads_the_same() {
        let text = std::fs::read("/proc/self/stat").unwrap();
        let own = Stat::parse(&text).unwrap();
        let oracle: procfs::process::Stat =
            procfs::FromRead::from_read(std::io::Cursor::new(&text)).unwrap();
        assert_eq!(u64::from(own.pid), u64::try_from(oracle.pid).unwrap());
        assert_eq!(own.comm, oracle.comm.as_bytes());
        assert_eq!(char::from(own.state), oracle.state);
        assert_eq!(own.major_faults, oracle.majflt);
        assert_eq!((own.user_ticks, own.system_ticks), (oracle.utime, oracle.stime));
        assert_eq!(own.threads, u64::try_from(oracle.num_threads).unwrap());
        assert_eq!((own.start_ticks, own.rss_pages), (oracle.starttime, oracle.rss));
        assert_eq!(Some(own.blkio_ticks), oracle.delayacct_blkio_ticks);
    }

    #[test]
    fn what_is_no_such_text_is_nothing() {
        for text in
            [&b""[..], b"1", b"1 (", b"1 )x(", b"1 (x) S", b"x (y) S 1 1", b"\xff(\xff)\xff"]
        {
            assert_eq!(Stat::parse(text), None);
        }
        for len in 0..TEXT.len() {
            let cut = Stat::parse(TEXT.get(..len).unwrap());
            assert!(cut.is_none_or(|cut| cut.pid == 4242));
        }
        assert_eq!(parse_io(b"rchar: 1\nread_bytes: 8192\nwrite_bytes: x\n"), None);
    }

    #[test]
    fn bytes_of_disks_and_swapped_memory_are_found() {
        let io = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 8192\nwrite_bytes: 4096\n";
        assert_eq!(parse_io(io), Some((8192, 4096)));
        assert_eq!(parse_swap_kib(b"Name:\tx\nVmSwap:\t     124 kB\n"), Some(124));
        assert_eq!(parse_swap_kib(b"Name:\tkthreadd\n"), None);
    }
}
