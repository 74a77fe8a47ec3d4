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

/// The fields of memory, which every kernel has, and of the time waited for disks.
const MEMORY_FIELD: u32 = 24;
const BLKIO_FIELD: u32 = 42;

/// Fields that must be numbers, a bit each: parent, major faults, times, threads, start, and those.
const WANTED: u64 =
    1 << 4 | 1 << 12 | 1 << 14 | 1 << 15 | 1 << 20 | 1 << 22 | 1 << MEMORY_FIELD | 1 << BLKIO_FIELD;

/// Fewer digits than this always fit into a number.
const DIGITS_SAFE: u32 = 20;

impl<'a> Stat<'a> {
    /// Reads the text.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        Self::parse_up_to(BLKIO_FIELD, text)
    }

    /// The same without the time waited for disks: less than half of the text is looked at.
    #[must_use]
    pub fn parse_brief(text: &'a [u8]) -> Option<Self> {
        Self::parse_up_to(MEMORY_FIELD, text)
    }

    /// A name may hold brackets, blanks and line ends: it ends at the last bracket.
    fn parse_up_to(end: u32, text: &'a [u8]) -> Option<Self> {
        let open = memchr::memchr(b'(', text)?;
        let close = memchr::memrchr(b')', text)?;
        let pid = number(text.get(..open)?.trim_ascii())?;
        let mut stat = Self {
            pid: u32::try_from(pid).ok()?,
            comm: text.get(open + 1..close)?,
            state: 0,
            parent: 0,
            major_faults: 0,
            user_ticks: 0,
            system_ticks: 0,
            threads: 0,
            start_ticks: 0,
            rss_pages: 0,
            blkio_ticks: 0,
        };
        let rest = text.get(close + 1..)?.trim_ascii_start();
        stat.state = *rest.first()?;
        let behind = rest.iter().position(u8::is_ascii_whitespace)?;
        let (mut field, mut value, mut digits, mut is_odd) = (4, 0_u64, 0_u32, false);
        // Byte by byte, for this is most of what the census costs outside of the kernel. A number
        // that no blank ends was cut.
        for &byte in rest.get(behind..)? {
            let digit = byte.wrapping_sub(b'0');
            if digit <= 9 {
                value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
                digits += 1;
            } else if byte > b' ' {
                is_odd = true;
            } else if digits > 0 || is_odd {
                if WANTED >> field & 1 == 1 {
                    let fits = if digits < DIGITS_SAFE { value } else { u64::MAX };
                    stat.put(field, Some(fits).filter(|_| !is_odd)?)?;
                }
                if field == end {
                    return Some(stat);
                }
                (field, value, digits, is_odd) = (field + 1, 0, 0, false);
            }
        }
        (field > MEMORY_FIELD).then_some(stat)
    }

    fn put(&mut self, field: u32, value: u64) -> Option<()> {
        let place = match field {
            12 => &mut self.major_faults,
            14 => &mut self.user_ticks,
            15 => &mut self.system_ticks,
            20 => &mut self.threads,
            22 => &mut self.start_ticks,
            MEMORY_FIELD => &mut self.rss_pages,
            BLKIO_FIELD => &mut self.blkio_ticks,
            _ => {
                self.parent = u32::try_from(value).ok()?;
                return Some(());
            }
        };
        *place = value;
        Some(())
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

/// `read_bytes` and `write_bytes` of `/proc/PID/io`: what went to and came from disks.
#[must_use]
pub fn parse_io(text: &[u8]) -> Option<(u64, u64)> {
    let of = |name: &[u8]| {
        let line = lines(text).find_map(|line| line.strip_prefix(name))?;
        number(line.trim_ascii())
    };
    Some((of(b"read_bytes:")?, of(b"write_bytes:")?))
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
