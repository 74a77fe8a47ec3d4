//! The writer's thread: the only one that waits for the disk.
//!
//! It takes one [`Job`] at a time and gives it back with its outcome. The sampler never waits for
//! it: while a job is out, samples collect in memory, and the job's age is a reading.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::JoinHandle;

use flightrec_format::frame::Header;
use flightrec_format::limits::SLOT_SIZE;
use flightrec_format::salvage::Mark;
use flightrec_format::superblock::Superblock;

use crate::clock::Clock;
use crate::disk::{Disk, PageBuffer};
use crate::resume::{Resume, Starter, survey};
use crate::sys;

/// One copy of a tail frame to be made.
#[derive(Clone, Copy, Debug)]
pub struct Copy {
    /// Where it lies.
    pub from: u64,
    /// Where it goes.
    pub to: u64,
    /// Bytes 4 .. 8 of the frame that was seen there.
    pub header_crc: [u8; 4],
    /// What its copy says of its place.
    pub mark: Mark,
}

/// What the disk is to do, with the memory for it. It travels between the threads.
#[derive(Debug)]
pub struct Job {
    /// One slot, and where it goes.
    pub tail: PageBuffer,
    /// Offset of the tail frame.
    pub tail_at: Option<u64>,
    /// Sixteen slots.
    pub history: PageBuffer,
    /// Offset and bytes of the history frame.
    pub history_at: Option<(u64, usize)>,
    /// One slot.
    pub archive: PageBuffer,
    /// Offset of the archive frame.
    pub archive_at: Option<u64>,
    /// Tail frames to copy.
    pub copies: Vec<Copy>,
    /// Ticks that this commit makes durable for the first time, for the acknowledgement log.
    pub acked: Vec<u64>,
    /// What came of it: `Err` holds an errno.
    pub outcome: Result<(), i32>,
    /// Boot time at which it was done.
    pub done_ns: u64,
    /// Bytes given to the disk.
    pub written_bytes: u64,
}

/// Most copies in one job: so many that a commit never waits long behind them.
pub const COPIES_MAX: usize = 16;

impl Job {
    fn new() -> io::Result<Self> {
        Ok(Self {
            tail: PageBuffer::new(SLOT_SIZE)?,
            tail_at: None,
            history: PageBuffer::new(16 * SLOT_SIZE)?,
            history_at: None,
            archive: PageBuffer::new(SLOT_SIZE)?,
            archive_at: None,
            copies: Vec::with_capacity(COPIES_MAX),
            acked: Vec::with_capacity(8192),
            outcome: Ok(()),
            done_ns: 0,
            written_bytes: 0,
        })
    }

    /// Empties the job for the next use.
    pub fn clear(&mut self) {
        self.tail_at = None;
        self.history_at = None;
        self.archive_at = None;
        self.copies.clear();
        self.acked.clear();
        self.outcome = Ok(());
        self.written_bytes = 0;
    }

    fn run(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        let mut written = 0;
        let mut write = |bytes: &[u8], offset: u64| {
            written += u64::try_from(bytes.len()).unwrap_or(0);
            disk.write_at(bytes, offset)
        };
        if let Some((offset, len)) = self.history_at {
            write(self.history.get(..len).unwrap_or_default(), offset)?;
        }
        if let Some(offset) = self.archive_at {
            write(&self.archive, offset)?;
        }
        if let Some(offset) = self.tail_at {
            write(&self.tail, offset)?;
        }
        for copy in &self.copies {
            // The archive buffer is free: copies travel alone.
            disk.read_at(&mut self.archive, copy.from)?;
            let same = self.archive.get(4..8) == Some(&copy.header_crc[..]);
            let whole = Header::read(&self.archive)
                .is_ok_and(|header| header.payload(&self.archive).is_some());
            if same && whole {
                copy.mark.write(&mut self.archive);
                disk.write_at(&self.archive, copy.to)?;
                written += 4096;
            }
        }
        self.written_bytes = written;
        disk.sync()
    }
}

/// What the thread needs to begin: a disk that may take its time to open, and who starts.
pub type Opener = Box<dyn FnOnce() -> io::Result<(Box<dyn Disk>, Superblock)> + Send>;

/// Takes the ticks that became durable.
pub type AckLog = Box<dyn FnMut(&[u64]) + Send>;

/// The sampler's end of the writer.
pub struct Writer {
    hands: Hands,
    idle: Option<Box<Job>>,
    has_begun: bool,
}

/// Who does the jobs.
enum Hands {
    /// A thread of its own.
    Thread {
        jobs: SyncSender<Box<Job>>,
        done: Receiver<Box<Job>>,
        started: Receiver<io::Result<Begun>>,
        thread: JoinHandle<()>,
    },
    /// The caller: for a simulated disk on a simulated clock. The desk's clock is the disk's, and
    /// runs ahead while the disk is busy; what was done comes back when `now` has caught up.
    Here {
        now: Arc<dyn Clock>,
        disk: Box<dyn Disk>,
        desk: Desk,
        begun: Due<Begun>,
        done: Due<Box<Job>>,
    },
}

/// Something that will be there at a boot time.
type Due<T> = Option<(u64, T)>;

/// What the start found.
pub type Begun = Box<(Superblock, Resume)>;

/// What a job is done with, beside the disk.
struct Desk {
    clock: Arc<dyn Clock>,
    ack_log: Option<AckLog>,
}

impl Desk {
    fn work(&mut self, job: &mut Job, disk: &mut dyn Disk) {
        job.outcome = job.run(disk).map_err(|error| error.raw_os_error().unwrap_or(5));
        job.done_ns = self.clock.boottime_ns();
        if let (Ok(()), Some(log)) = (job.outcome, &mut self.ack_log) {
            log(&job.acked);
        }
    }
}

/// Bytes of the writer's stack: it calls little, and locked memory holds all of it.
const STACK_SIZE: usize = 128 << 10;

impl Writer {
    /// Starts the thread; it opens the disk and looks at every slot first.
    pub fn start(
        open: Opener,
        starter: Starter,
        clock: Arc<dyn Clock>,
        ack_log: Option<AckLog>,
    ) -> io::Result<Self> {
        let (jobs, job_inbox) = sync_channel::<Box<Job>>(1);
        let (done_outbox, done) = sync_channel(1);
        let (survey_outbox, started) = sync_channel(1);
        let mut desk = Desk { clock, ack_log };
        let body = move || {
            // Refused without a capability, and unknown before Linux 5.6; told at the start.
            sys::set_io_flusher().ok();
            let (mut disk, begun) = match begin(open, starter) {
                Ok(begun) => begun,
                Err(error) => {
                    survey_outbox.send(Err(error)).ok();
                    return;
                }
            };
            survey_outbox.send(Ok(begun)).ok();
            while let Ok(mut job) = job_inbox.recv() {
                desk.work(&mut job, &mut *disk);
                if done_outbox.send(job).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("writer".into()).stack_size(STACK_SIZE);
        let thread = thread.spawn(body)?;
        let hands = Hands::Thread { jobs, done, started, thread };
        Ok(Self { hands, idle: Some(Box::new(Job::new()?)), has_begun: false })
    }

    /// Does the jobs in the caller's thread, as if in one of its own: each is back when the clock
    /// `now` reaches the time that the clock of the disk showed at its end.
    pub fn here(
        open: Opener,
        starter: Starter,
        (now, of_disk): (Arc<dyn Clock>, Arc<dyn Clock>),
        ack_log: Option<AckLog>,
    ) -> io::Result<Self> {
        let (disk, begun) = begin(open, starter)?;
        let begun = Some((of_disk.boottime_ns(), begun));
        let desk = Desk { clock: of_disk, ack_log };
        let hands = Hands::Here { now, disk, desk, begun, done: None };
        Ok(Self { hands, idle: Some(Box::new(Job::new()?)), has_begun: false })
    }

    /// The outcome of the start, once.
    #[must_use]
    pub fn started(&mut self) -> Option<io::Result<Begun>> {
        let started = match &mut self.hands {
            Hands::Here { now, begun, .. } => take_due(begun, &**now).map(Ok),
            Hands::Thread { started, .. } => match started.try_recv() {
                Ok(started) => Some(started),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => Some(Err(io::ErrorKind::BrokenPipe.into())),
            },
        };
        self.has_begun |= started.is_some();
        started
    }

    /// The job, if it is not out.
    pub fn take(&mut self) -> Option<Box<Job>> {
        self.idle.take()
    }

    /// Puts the job back unused.
    pub fn put_back(&mut self, job: Box<Job>) {
        self.idle = Some(job);
    }

    /// Sends the job to the disk.
    pub fn submit(&mut self, mut job: Box<Job>) {
        match &mut self.hands {
            Hands::Here { disk, desk, done, .. } => {
                desk.work(&mut job, &mut **disk);
                *done = Some((job.done_ns, job));
            }
            Hands::Thread { jobs, .. } => {
                if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) =
                    jobs.try_send(job)
                {
                    self.idle = Some(job);
                }
            }
        }
    }

    /// The job that came back since the last call, for a look; it is idle then.
    pub fn finished(&mut self) -> Option<&Job> {
        let job = match &mut self.hands {
            Hands::Here { now, done, .. } => take_due(done, &**now)?,
            Hands::Thread { done, .. } => done.try_recv().ok()?,
        };
        self.idle = Some(job);
        self.idle.as_deref()
    }

    /// Whether a job is out.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.idle.is_none()
    }

    /// Ends the thread. Waits for it only if it has begun and no job is out: one that hangs in the
    /// disk, or looks for it, may never come back.
    pub fn end(self) {
        let busy = self.is_busy() || !self.has_begun;
        if let Hands::Thread { jobs, thread, .. } = self.hands {
            drop(jobs);
            if !busy {
                // A panic there has been told already.
                thread.join().ok();
            }
        }
    }
}

fn take_due<T>(due: &mut Due<T>, now: &dyn Clock) -> Option<T> {
    due.take_if(|(at_ns, _)| *at_ns <= now.boottime_ns()).map(|(_, thing)| thing)
}

fn begin(open: Opener, starter: Starter) -> io::Result<(Box<dyn Disk>, Begun)> {
    let (mut disk, superblock) = open()?;
    let resume = survey(&mut *disk, &superblock, starter)?;
    Ok((disk, Box::new((superblock, resume))))
}
