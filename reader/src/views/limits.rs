//! What the recorder uses, beside what it may: one line for each limit, and what follows from one that
//! is reached.

use crate::status::limits::Limits;
use crate::status::mb;
use crate::views::text::{WIDTH, wrap};

/// What follows while a limit is reached, and what would help.
const REACHED: [(&str, &str); 5] = [
    ("write_budget", "commits slow down, never below calm, until some of it has come back"),
    ("cpu_max", "looks at processes, logs and drivers wait for their turn; samples never do"),
    ("memory_max", "text logs and the journal are let go: systemctl restart flightrec"),
    ("threads_max", "what has no thread is not recorded: see what is missing, below"),
    ("log_lines_max", "`flightrec events` has what was not said"),
];

/// Columns before the text: a head and a name.
const INDENT: usize = 25;

/// The lines of the block. `size_bytes` is that of the recording.
#[must_use]
pub fn lines(limits: &Limits, size_bytes: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, text) in rows(limits, size_bytes) {
        let head = if lines.is_empty() { "limits" } else { "" };
        let reached = REACHED.iter().find(|(own, _)| *own == name && limits.is_reached(own));
        let reached = reached.map(|(_, follows)| format!("; reached: {follows}"));
        let text = format!("{text}{}", reached.unwrap_or_default());
        for (number, line) in wrap(&text, WIDTH - INDENT, 0).into_iter().enumerate() {
            let (head, name) = if number == 0 { (head, name) } else { ("", "") };
            lines.push(format!("{head:<10} {name:<13} {line}"));
        }
    }
    lines
}

fn rows(limits: &Limits, size_bytes: u64) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let Some(left) = limits.budget_left_bytes {
        let daily = limits.budget_daily_bytes.unwrap_or(10_000_000);
        let reserve = limits.budget_reserve_percent.unwrap_or(33);
        let text = format!(
            "{} of {} MB left ({reserve} % for dying), {} MB/day back",
            left / 1_000_000,
            mb(limits.budget_bytes),
            mb(daily)
        );
        rows.push(("write_budget", text));
    }
    let unknown = || "?".to_owned();
    if let Some(most) = limits.cpu_max {
        let used = limits.cpu_used.map_or_else(unknown, |used| hundredths(used, true));
        let put_off = match limits.looks_put_off.unwrap_or(0) {
            0 => String::new(),
            count => format!(", {count} looks put off"),
        };
        let text = format!("{used} of {} % of a core{put_off}", hundredths(most, false));
        rows.push(("cpu_max", text));
    }
    if let Some(most) = limits.memory_max_bytes {
        let used = limits.resident_bytes.map_or_else(unknown, mib);
        let locked = limits.locked_bytes.map_or_else(unknown, mib);
        // What is reserved counts as locked, too, though nothing is there.
        let all = limits.locked_bytes.is_some() && limits.locked_bytes >= limits.resident_bytes;
        let locked = if all { "all of it".to_owned() } else { locked };
        let text = format!("{used} of {} MiB resident, {locked} locked", mib(most));
        rows.push(("memory_max", text));
    }
    if let Some(most) = limits.threads_max {
        let used = limits.threads.map_or_else(unknown, |used| used.to_string());
        rows.push(("threads_max", format!("{used} of {most}")));
    }
    if let Some(most) = limits.log_lines_max {
        let said = limits.log_lines.unwrap_or(0);
        let unsaid = match limits.log_lines_unsaid.unwrap_or(0) {
            0 => String::new(),
            count => format!(", {count} not said"),
        };
        rows.push(("log_lines_max", format!("{most} an hour; {said} since its start{unsaid}")));
    }
    let text = format!("{} MiB, all of it there from the start: it never grows", size_bytes >> 20);
    rows.push(("size", text));
    rows
}

/// `0.31`; short `2`, `2.5`.
fn hundredths(value: u64, whole: bool) -> String {
    let text = format!("{}.{:02}", value / 100, value % 100);
    if whole {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// MiB, with a tenth where it is not whole.
fn mib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    if bytes.is_multiple_of(1 << 20) {
        return (bytes >> 20).to_string();
    }
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Limits {
        Limits {
            budget_bytes: 350_000_000,
            budget_left_bytes: Some(350_000_000),
            budget_daily_bytes: Some(10_000_000),
            budget_reserve_percent: Some(33),
            cpu_max: Some(200),
            cpu_used: Some(31),
            looks_put_off: Some(0),
            memory_max_bytes: Some(16 << 20),
            resident_bytes: Some(4_613_734),
            locked_bytes: Some(5 << 20),
            threads_max: Some(8),
            threads: Some(6),
            log_lines_max: Some(60),
            log_lines: Some(2),
            log_lines_unsaid: Some(0),
            reached: 0,
        }
    }

    #[test]
    fn each_limit_is_one_short_line_beside_what_is_used() {
        let shown = lines(&full(), 64 << 20).join("\n");
        assert_eq!(
            shown,
            "\
limits     write_budget  350 of 350 MB left (33 % for dying), 10 MB/day back
           cpu_max       0.31 of 2 % of a core
           memory_max    4.3 of 16 MiB resident, all of it locked
           threads_max   6 of 8
           log_lines_max 60 an hour; 2 since its start
           size          64 MiB, all of it there from the start: it never grows"
        );
    }

    #[test]
    fn what_follows_from_a_limit_that_is_reached_is_said_in_eighty_columns() {
        let limits = Limits {
            reached: 31,
            budget_left_bytes: Some(0),
            looks_put_off: Some(12_345),
            log_lines_unsaid: Some(17),
            ..full()
        };
        let shown = lines(&limits, u64::MAX);
        assert!(shown.iter().all(|line| line.len() <= WIDTH), "{shown:#?}");
        let shown = shown.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(shown.matches("; reached: ").count(), 5, "{shown}");
        assert!(shown.contains("0 of 350 MB"), "{shown}");
        assert!(shown.contains("12345 looks put off"), "{shown}");
    }

    /// A recording of before has no facts of this kind.
    #[test]
    fn what_was_not_recorded_is_not_invented() {
        let limits = Limits { budget_left_bytes: None, ..Limits::default() };
        let shown = lines(&limits, 1 << 20);
        let size = "limits     size          1 MiB, all of it there from the start: it never grows";
        assert_eq!(shown, [size]);
        let some = Limits { memory_max_bytes: Some(1), cpu_max: Some(u64::MAX), ..limits };
        assert!(lines(&some, 0).len() >= 3);
    }
}
