//! `flightrec carve`: recordings out of an image whose file system is broken, or gone.
//!
//! [`find`] sweeps the image for frames, [`rebuild`] puts those of one recording in their places,
//! and from there on it is a recording like any other: shown as `dump` shows it, or written out.

use std::path::Path;
use std::rc::Rc;

use crate::Output;
use crate::args::{Carve, Format};
use crate::carve::find::{FRAMES_MAX, Finding, Finds, RECORDINGS_MAX};
use crate::carve::rebuild::Rebuilt;
use crate::medium::{self, Medium};
use crate::outcome::{Outcome, Trouble};
use crate::progress::{Progress, nobody};
use crate::recording::offset_of;
use crate::scan::Depth;
use crate::units;
use crate::views::text::escape;
use crate::zone::Zone;

pub mod find;
pub mod out;
pub mod rebuild;
pub mod rejoin;

/// Recordings that an error lists; the command without options lists all.
const LISTED_MAX: usize = 20;

/// Finds recordings; lists them, or shows or writes one.
pub fn run(wish: &Carve, output: &mut Output<'_>) -> Result<Outcome, Trouble> {
    let format = if wish.json { Some(Format::Json) } else { wish.format };
    let names = crate::dump::names(&wish.show)?;
    let prefix = wish.recording.as_deref().map(prefix).transpose()?;
    if let Some(out) = &wish.output {
        out::check(out, &wish.image, wish.force)?;
    }
    let (file, len) = medium::open(&wish.image)?;
    let image: Rc<dyn Medium> = Rc::new(file);
    let mut progress = Progress::new("searching", len);
    let mut finds = Finds::sweep(&*image, len, |done| progress.at(done, output));
    progress.done(output);
    warn(&finds, output);
    if finds.recordings.is_empty() {
        return Err(nothing(&wish.image, len, &finds));
    }
    finds.recordings.sort_by_key(|finding| std::cmp::Reverse(finding.frames.len()));
    let zone = wish.show.zone.asked().unwrap_or(Zone::UTC);
    if let Some(prefix) = &prefix {
        let all = finds.recordings.iter().take(LISTED_MAX).flat_map(|own| lines(own, zone));
        let all: Vec<String> = all.collect();
        finds.recordings.retain(|finding| finding.name().starts_with(prefix));
        if finds.recordings.is_empty() {
            return Err(Trouble::usage(format!(
                "no recording whose id begins with {prefix} was found; these were:\n{}",
                all.join("\n")
            )));
        }
    }
    if format.is_none() && wish.output.is_none() {
        for line in finds.recordings.iter().flat_map(|finding| lines(finding, zone)) {
            writeln!(output.data, "{line}")?;
        }
        return Ok(Outcome::Whole);
    }
    let finding = the_one(&finds.recordings, zone)?;
    let slots = finding.frames.iter().map(|found| u64::from(found.slots)).sum();
    let mut progress = Progress::new("checking", offset_of(slots));
    let told = |slots| progress.at(offset_of(slots), output);
    let rebuilt = Rebuilt::of(image, len, finding, told);
    progress.done(output);
    if let Some(out) = &wish.output {
        out::write(&rebuilt, out, wish.force, output)?;
        tell(&rebuilt, finding, out, output);
    }
    let Some(format) = format else { return Ok(Outcome::Whole) };
    let mut show = wish.show.clone();
    if show.window.is_none() {
        // Whoever carves wants what is left, all of it.
        show.window.boot = Some("all".to_owned());
    }
    let (scan, timeline) =
        crate::order(rebuilt.recording(&wish.image)?, Depth::Headers, &mut nobody)?;
    crate::dump::show(&show, format, names, (&scan, timeline), output)
}

/// The beginning of an id as it was typed, dashes or not.
fn prefix(typed: &str) -> Result<String, Trouble> {
    let digits: String = typed.chars().filter(|letter| *letter != '-').collect();
    let plain = (1..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if plain {
        return Ok(digits.to_ascii_lowercase());
    }
    Err(Trouble::usage(
        "--recording takes the id of a recording, or its first hexadecimal digits.\n\
         `flightrec carve IMAGE` lists the ids that are there.",
    ))
}

/// The only one that holds frames.
fn the_one(found: &[Finding], zone: Zone) -> Result<&Finding, Trouble> {
    let mut with_frames = found.iter().filter(|finding| !finding.frames.is_empty());
    match (with_frames.next(), with_frames.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Trouble::new(
            Outcome::Nothing,
            "a superblock was found, and no frame with it: nothing is left of this recording.",
        )),
        (Some(_), Some(_)) => {
            let listed: Vec<String> =
                found.iter().take(LISTED_MAX).flat_map(|finding| lines(finding, zone)).collect();
            Err(Trouble::usage(format!(
                "{} recordings were found; name one with --recording and the first digits of its \
                 id.\n{}",
                found.len(),
                listed.join("\n")
            )))
        }
    }
}

/// A recording for people, in two lines.
fn lines(finding: &Finding, zone: Zone) -> [String; 2] {
    let size = finding.size().map_or_else(
        || "size unknown (no superblock found)".to_owned(),
        |size| format!("{size} bytes"),
    );
    let show = |time_ms: i128| {
        let time = zone.show(time_ms);
        time.map_or_else(|| "?".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
    };
    let times = match finding.times_ms {
        None => String::new(),
        Some((from, to)) => {
            let offset = zone.show(to).map(|time| time.format("%:z").to_string());
            let doubt = if finding.synced { "" } else { ", clock not set" };
            let offset = offset.unwrap_or_default();
            format!(", {} to {} {offset}{doubt}", show(from), show(to))
        }
    };
    let frames = finding.frames.len();
    [
        format!("recording {}: {size}", finding.name()),
        format!("  {}, {}{times}", some(frames, "frame"), some(finding.boots.len(), "boot")),
    ]
}

fn some(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What the sweep could not look at.
fn warn(finds: &Finds, output: &mut Output<'_>) {
    if finds.unreadable > 0 {
        let bytes = finds.unreadable;
        writeln!(output.remarks, "flightrec: {bytes} bytes cannot be read from the medium")
            .unwrap_or_default();
    }
    if finds.left_out > 0 {
        writeln!(
            output.remarks,
            "flightrec: {} frames are left out: at most {FRAMES_MAX} frames and {RECORDINGS_MAX} \
             recordings are kept.\nCut the image in parts, and carve each.",
            finds.left_out
        )
        .unwrap_or_default();
    }
}

fn nothing(image: &Path, len: u64, finds: &Finds) -> Trouble {
    if len > 0 && finds.unreadable == len {
        return Trouble::unreadable(image, len);
    }
    let shown = escape(&image.to_string_lossy());
    let message = if finds.newer {
        format!(
            "what is in {shown} was written by a newer flightrec (this program knows format \
             version {}).\nUpdate flightrec and try again.",
            flightrec_format::VERSION
        )
    } else {
        format!(
            "no recording is in {shown}: {len} bytes were searched.\n\
             If the card is encrypted or compressed, unpack it first."
        )
    };
    Trouble::new(Outcome::NoRecording, message)
}

/// What became of it, after it was written out.
fn tell(rebuilt: &Rebuilt, finding: &Finding, out: &Path, output: &mut Output<'_>) {
    let shown = escape(&out.to_string_lossy());
    let mut told = format!(
        "flightrec: recording {} is in {shown}: {} frames, {}\n",
        finding.name(),
        rebuilt.placed,
        units::bytes(figure(offset_of(rebuilt.own_slots)))
    );
    if rebuilt.superblock.is_none() {
        put!(&mut told, "No superblock was found: it is read by its frames alone.\n");
    }
    if rebuilt.joined > 0 {
        put!(&mut told, "{} of them were cut in two, and are joined.\n", rebuilt.joined);
    }
    if rebuilt.beside > 0 {
        put!(
            &mut told,
            "{} older frames have no place in it; `flightrec carve --format jsonl` prints them \
             too.\n",
            rebuilt.beside
        );
    }
    write!(output.remarks, "{told}").unwrap_or_default();
}

#[expect(clippy::as_conversions, reason = "figures for people")]
fn figure(bytes: u64) -> f64 {
    bytes as f64
}
