//! The list of boots, one line each, newest last.

use crate::boots::zone_of;
use crate::units;
use crate::views::header::{BootSummary, clock};
use crate::zone::Zone;

/// The list.
#[must_use]
pub fn lines(summaries: &[BootSummary], asked: Option<Zone>) -> Vec<String> {
    let mut lines = vec![format!("{:>5}  {:<25}  {:>11}  end", "boot", "first sample", "recorded")];
    for summary in summaries {
        let zone = zone_of(asked, Some(summary));
        let first = match &summary.bounds {
            None => "only events are left".to_owned(),
            Some((first, _)) => match first.time_ms().and_then(|time| zone.show(time)) {
                Some(time) => {
                    let sure =
                        if first.dated.clock == crate::date::Clock::Unsynced { "~" } else { "" };
                    format!("{sure}{}", time.format("%a %Y-%m-%d %H:%M %:z"))
                }
                None => clock(&first.dated, first.sample.time_ns, zone) + " after boot",
            },
        };
        lines.push(format!(
            "{:>5}  {first:<25}  {:>11}  {}",
            summary.ordinal,
            units::duration(summary.recorded_ns()),
            short_ending(summary, zone)
        ));
    }
    lines.push(String::new());
    lines.push("flightrec dump --boot N shows one of them.".to_owned());
    lines
}

/// How a boot ended, in few words.
fn short_ending(summary: &BootSummary, zone: Zone) -> String {
    use crate::timeline::End;
    let at = summary.bounds.as_ref().map_or_else(String::new, |(_, last)| {
        let shown = last.time_ms().and_then(|time| zone.show(time));
        let time = shown.map(|time| time.format("%a %H:%M:%S").to_string());
        time.unwrap_or_else(|| units::since_boot(last.sample.time_ns))
    });
    match summary.end {
        End::Running if summary.in_snapshot => "went on after this snapshot".to_owned(),
        End::Running => "being recorded".to_owned(),
        End::Shutdown => format!("shut down {at}"),
        End::Stopped => format!("recorder stopped {at}"),
        End::Cut if summary.current => format!("recorder gone {at}"),
        End::Cut => format!("! power lost {at}"),
    }
}
