//! The command line: what can be typed, and nothing of what it means.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::moment::{Moment, parse_duration};
use crate::zone::Zone;

/// Where the recorder writes if nobody says otherwise.
pub const DEFAULT_RECORDING: &str = "/var/lib/flightrec/recording.frec";

/// Where snapshots of it go if nobody says otherwise.
pub const DEFAULT_SNAPSHOTS: &str = "/var/lib/flightrec/snapshots";

/// Reads recordings of flightrec: what a machine did in the minutes before it died.
///
/// FILE may be a recording, a copy of one, a snapshot, or the partition a recording lies on.
/// Recordings are only ever read.
#[derive(Debug, Parser)]
#[command(name = "flightrec", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Colour: always, never, or when a terminal shows it.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

const EXAMPLES: &str = "\
Examples:
  flightrec dump                       the last 30 minutes before the machine died
  flightrec dump --last 12h CARD.frec  half a day, from a card of another machine
  sudo flightrec snapshot --at 07:38   kept, whatever is recorded after it
  sudo flightrec mark upgraded vector  a line of your own among the events
  flightrec carve card.img -o R.frec   out of a card whose file system is broken

Exit: 0 shown whole, 1 permission or I/O, 2 usage, 3 samples once durable are gone,
      4 no recording or newer than this program, 5 nothing in range";

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows samples.
    Dump(Dump),
    /// Shows which processes and units used the machine at one moment.
    Top(Top),
    /// Shows what logs said last, and how much each of them said.
    Log(Log),
    /// Lists what happened: stops, alerts, kills, blocked processes, units that began and ended.
    Events(Events),
    /// Lists boots, and how each ended.
    Boots(Boots),
    /// Counts damage and says where it lies; repairs nothing.
    Verify(Verify),
    /// Says whether the recorder works, what it costs, and what would be lost if power went now.
    Status(Status),
    /// Checks this machine, a line each: would the last minutes survive, and at what cost?
    #[cfg(target_os = "linux")]
    Doctor(Doctor),
    /// Puts your words into the recording that is being made on this machine.
    #[cfg(target_os = "linux")]
    Mark(Mark),
    /// Keeps a window as a file of its own, before newer samples overwrite it.
    ///
    /// Without -o and --to it goes to the folder /var/lib/flightrec/snapshots of this machine. A
    /// snapshot is read like a recording: flightrec dump FILE.
    Snapshot(Snapshot),
    /// Finds recordings in a card's image, a partition or a disk, whatever became of its file system.
    ///
    /// Lists what it finds. With --format or -o, prints or writes the recording that was found.
    Carve(Carve),
}

/// When to use colour.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ColorChoice {
    /// If a terminal shows it and nothing forbids it.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How times are shown and read.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ZoneChoice {
    /// Times in UTC.
    #[arg(long)]
    pub utc: bool,
    /// Times in this zone, as Europe/Berlin, +01:00 or local [default: that of the board].
    #[arg(long, value_name = "ZONE", value_parser = Zone::parse, allow_hyphen_values = true,
          conflicts_with = "utc")]
    pub tz: Option<Zone>,
}

/// `flightrec dump`.
#[derive(Args, Debug)]
pub struct Dump {
    /// Recording to read.
    #[arg(default_value = DEFAULT_RECORDING, value_name = "FILE")]
    pub file: PathBuf,
    /// Which samples, and what of them.
    #[command(flatten)]
    pub show: Show,
    /// Form of the output.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// Which samples.
#[derive(Args, Clone, Debug, Default)]
pub struct WindowChoice {
    /// So much recorded time, back from the last durable sample [default: 30m].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "since")]
    pub last: Option<Duration>,
    /// From here on: "2026-11-22 07:30", 07:30, -30m, yesterday, @1795333440.
    #[arg(short = 'S', long, value_name = "TIME", value_parser = Moment::parse,
          allow_hyphen_values = true)]
    pub since: Option<Moment>,
    /// Up to here.
    #[arg(short = 'U', long, value_name = "TIME", value_parser = Moment::parse,
          allow_hyphen_values = true)]
    pub until: Option<Moment>,
    /// Two minutes before and after this moment.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse, allow_hyphen_values = true,
          conflicts_with_all = ["last", "since", "until"])]
    pub at: Option<Moment>,
    /// Of this boot: its number, its id, -1 for the one before the newest, or all.
    #[arg(short = 'b', long, value_name = "N|ID|-1|all", allow_hyphen_values = true)]
    pub boot: Option<String>,
}

/// Which samples are shown, and what of them.
#[derive(Args, Clone, Debug)]
pub struct Show {
    /// Which samples.
    #[command(flatten)]
    pub window: WindowChoice,
    /// One row for so much time.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub every: Option<Duration>,
    /// Only series with names like this; may repeat, `*` and `?` stand for anything.
    #[arg(long, value_name = "GLOB")]
    pub series: Vec<String>,
    /// Counters as growth per second.
    #[arg(long)]
    pub rates: bool,
    /// Also what processes were called with, which JSON leaves out unasked.
    #[arg(long)]
    pub command_lines: bool,
    /// So many processes, units and logs that used or said most are named below the table; 0: none.
    #[arg(long, value_name = "N", default_value = "5")]
    pub top: usize,
    /// Zone.
    #[command(flatten)]
    pub zone: ZoneChoice,
}

/// Forms of `dump`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// A table for people.
    Text,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values, one row a sample.
    Csv,
}

/// Forms of the shorter commands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ShortFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Forms of lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ListFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
}

/// `flightrec top`.
#[derive(Args, Debug)]
pub struct Top {
    /// Recording to read.
    #[arg(default_value = DEFAULT_RECORDING, value_name = "FILE")]
    pub file: PathBuf,
    /// At this moment [default: the end of the boot].
    #[arg(long, value_name = "TIME", value_parser = Moment::parse, allow_hyphen_values = true)]
    pub at: Option<Moment>,
    /// Of this boot: its number, its id, or -1 for the one before the newest.
    #[arg(short = 'b', long, value_name = "N|ID|-1", allow_hyphen_values = true)]
    pub boot: Option<String>,
    /// So many of each.
    #[arg(short = 'n', long, value_name = "N", default_value = "12")]
    pub count: usize,
    /// Form of the output.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ShortFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Zone.
    #[command(flatten)]
    pub zone: ZoneChoice,
}

/// `flightrec log`.
#[derive(Args, Debug)]
pub struct Log {
    /// Recording to read.
    #[arg(default_value = DEFAULT_RECORDING, value_name = "FILE")]
    pub file: PathBuf,
    /// Which part.
    #[command(flatten)]
    pub window: WindowChoice,
    /// Only sources with names like this; may repeat, `*` and `?` stand for anything.
    #[arg(short = 'k', long, value_name = "GLOB")]
    pub source: Vec<String>,
    /// Only messages of this severity or worse: emerg, alert, crit, err, warning, notice, info,
    /// debug, or 0 to 7.
    #[arg(short = 'p', long, value_name = "SEVERITY", value_parser = parse_severity)]
    pub priority: Option<u8>,
    /// Form of the output.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ListFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Zone.
    #[command(flatten)]
    pub zone: ZoneChoice,
}

/// Names of severities, as syslog numbers them.
pub const SEVERITIES: [&str; 8] =
    ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

fn parse_severity(text: &str) -> Result<u8, String> {
    let named = (0_u8..).zip(SEVERITIES).find(|(_, name)| *name == text).map(|(number, _)| number);
    let number = named.or_else(|| text.parse().ok().filter(|number| *number < 8));
    number.ok_or_else(|| format!("a severity is one of {}, or 0 to 7", SEVERITIES.join(", ")))
}

/// `flightrec events`.
#[derive(Args, Debug)]
pub struct Events {
    /// Recording to read.
    #[arg(default_value = DEFAULT_RECORDING, value_name = "FILE")]
    pub file: PathBuf,
    /// Which part; the whole boot if nothing is asked for.
    #[command(flatten)]
    pub window: WindowChoice,
    /// Only events of kinds like this; may repeat, `*` and `?` stand for anything.
    #[arg(short = 'k', long, value_name = "GLOB")]
    pub kind: Vec<String>,
    /// Only bad news.
    #[arg(short = 'g', long)]
    pub grave: bool,
    /// Form of the output.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ListFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Also what processes were called with, which JSON leaves out unasked.
    #[arg(long)]
    pub command_lines: bool,
    /// Zone.
    #[command(flatten)]
    pub zone: ZoneChoice,
}

/// `flightrec boots`.
#[derive(Args, Debug)]
pub struct Boots {
    /// Recording to read.
    #[arg(default_value = DEFAULT_RECORDING, value_name = "FILE")]
    pub file: PathBuf,
    /// Form of the output.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ShortFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Zone.
    #[command(flatten)]
    pub zone: ZoneChoice,
}

/// `flightrec snapshot`.
#[derive(Args, Debug)]
pub struct Snapshot {
    /// Recording to take it from.
    #[arg(default_value = DEFAULT_RECORDING, value_name = "FILE")]
    pub file: PathBuf,
    /// Which samples it shall hold.
    #[command(flatten)]
    pub window: WindowChoice,
    /// Writes it into this new file.
    #[arg(short = 'o', long, value_name = "OUT", conflicts_with = "to")]
    pub output: Option<PathBuf>,
    /// Writes it into this folder, named by its time and boot.
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Lets OUT replace a file.
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Zone.
    #[command(flatten)]
    pub zone: ZoneChoice,
}

/// `flightrec carve`.
#[derive(Args, Debug)]
pub struct Carve {
    /// Image, card or partition to search.
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,
    /// Of several recordings the one whose id begins like this.
    #[arg(long, value_name = "ID")]
    pub recording: Option<String>,
    /// Prints its samples: all of them, or those of the window asked for.
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Writes it into a new file.
    #[arg(short = 'o', long, value_name = "OUT")]
    pub output: Option<PathBuf>,
    /// Lets OUT replace a file.
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Which samples, and what of them.
    #[command(flatten)]
    pub show: Show,
}

/// `flightrec verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// Recording to read.
    #[arg(default_value = DEFAULT_RECORDING, value_name = "FILE")]
    pub file: PathBuf,
    /// Form of the output.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ShortFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// `flightrec status`.
#[derive(Args, Debug)]
pub struct Status {
    /// Recording to read.
    #[arg(default_value = DEFAULT_RECORDING, value_name = "FILE")]
    pub file: PathBuf,
    /// Form of the output.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ShortFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// `flightrec doctor`.
#[cfg(target_os = "linux")]
#[derive(Args, Debug)]
pub struct Doctor {
    /// Recording to look at.
    #[arg(default_value = DEFAULT_RECORDING, value_name = "FILE")]
    pub file: PathBuf,
    /// Also measure how long the disk takes for writes like ours: 5 MB into a file of its own.
    #[arg(long)]
    pub card_test: bool,
    /// Form of the output.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ShortFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// `flightrec mark`.
#[cfg(target_os = "linux")]
#[derive(Args, Debug)]
pub struct Mark {
    /// What to remember, as "upgraded vector": one line, at most 512 bytes.
    #[arg(value_name = "TEXT", required = true)]
    pub words: Vec<String>,
}

impl ZoneChoice {
    /// What was asked for; `None`: the board's own.
    #[must_use]
    pub fn asked(&self) -> Option<Zone> {
        if self.utc { Some(Zone::UTC) } else { self.tz }
    }
}

impl WindowChoice {
    /// Whether nothing was asked for.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let Self { last, since, until, at, boot } = self;
        let moments = [since, until, at].iter().any(|moment| moment.is_some());
        last.is_none() && !moments && boot.is_none()
    }
}
