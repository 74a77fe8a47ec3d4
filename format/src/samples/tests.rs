use super::*;
use crate::column::{Costs, Pen};

/// Writes groups of (entity, span, series, columns) as a recorder would.
fn section(ticks: &[u64], groups: &[Group]) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 16];
    let mut out = Writer::new(&mut bytes);
    out.number(u64::try_from(ticks.len()).unwrap());
    write_ticks(&mut out, &ticks.iter().copied());
    out.number(u64::try_from(groups.len()).unwrap());
    for group in groups {
        let spans = group.spans.iter().cloned();
        write_group(&mut out, group.entity, &spans, ticks.len(), &group.series.iter().copied());
    }
    let columns = || groups.iter().flat_map(|group| &group.columns);
    let steps = |column: &[u64]| -> Vec<i64> {
        column.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]).cast_signed()).collect()
    };
    let mut modes = Vec::new();
    for column in columns() {
        let mut costs = Costs::start(column[0]);
        for step in steps(column) {
            costs.step(step);
        }
        modes.push(costs.cheapest().0);
        out.byte(costs.cheapest().0.number());
    }
    let mut at = out.finish().unwrap();
    for (column, mode) in columns().zip(modes) {
        let mut pen = Pen::start(mode, at, column[0], &mut bytes);
        for step in steps(column) {
            pen.step(step, &mut bytes);
        }
        at = pen.finish(&mut bytes);
    }
    bytes.truncate(at);
    bytes
}

fn example() -> (Vec<u64>, Vec<Group>) {
    let group = |entity, spans: &[(usize, usize)], series: Vec<u16>, base: u64| {
        let spans: Vec<_> = spans.iter().map(|&(start, end)| start..end).collect();
        let columns = series
            .iter()
            .map(|&series| {
                spans
                    .iter()
                    .cloned()
                    .flatten()
                    .map(|i| base.wrapping_add(u64::from(series) * i as u64))
                    .collect()
            })
            .collect();
        Group { entity, spans, series, columns }
    };
    let ticks = vec![10, 11, 12, 20, 21, 30];
    let groups = vec![
        group(0, &[(0, 6)], vec![1, 2, 3, 20, 21, 100], 1000),
        group(2, &[(0, 1), (2, 4), (5, 6)], vec![140, 141], 5),
        group(0, &[(2, 3)], vec![65535], u64::MAX - 10),
    ];
    (ticks, groups)
}

#[test]
fn samples_come_back_as_they_were_written() {
    let (ticks, groups) = example();
    let bytes = section(&ticks, &groups);
    assert_eq!(Samples::read(&bytes, 10, 30, 2), Ok(Samples { ticks, groups }));
}

/// R3: whatever a frame claims, reading ends, within bounds, and without a panic.
#[test]
fn broken_samples_are_malformed_and_never_a_panic() {
    let (ticks, groups) = example();
    let good = section(&ticks, &groups);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut broken = 0;
    for round in 0..20_000_usize {
        let mut bytes = good.clone();
        for _ in 0..=round % 3 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = usize::try_from(state % good.len() as u64).unwrap();
            bytes[at] = state.to_le_bytes()[7];
        }
        bytes.truncate(good.len() - round % good.len());
        broken += usize::from(Samples::read(&bytes, 10, 30, 2).is_err());
    }
    assert!(broken > 10_000);
}

#[test]
fn claims_beyond_the_limits_are_refused_before_memory_is_taken() {
    let mut bytes = vec![0; 64];
    let mut out = Writer::new(&mut bytes);
    for number in [8192, 1, 0, 8191, 1, 0, 0, 1, 0, 60_000] {
        out.number(number);
    }
    let used = out.finish().unwrap();
    assert_eq!(
        Samples::read(&bytes[..used], 0, 1 << 20, 0),
        Err(Malformed("more readings than allowed"))
    );
}

/// The first sample of a frame may come after its first event.
#[test]
fn ticks_may_be_skipped_before_the_first() {
    let bytes = [1, 1, 3, 0, 0];
    let samples = Samples::read(&bytes, 10, 13, 0).unwrap();
    assert_eq!(samples.ticks, [13]);
    assert!(Samples::read(&bytes, 10, 12, 0).is_err());
}

/// R3: skips of 0 and runs of zeros that could be longer are no damage.
#[test]
fn what_could_be_written_shorter_is_read_all_the_same() {
    // 6 ticks in two runs; one group in two spans and two lists that touch; lone zeros.
    let head = [6, 2, 0, 2, 0, 2, 1, 0, 2, 0, 2, 0, 2, 2, 1, 0, 0, 0];
    let columns = [3, 0, 10, 0, 1, 0, 2, 8];
    let bytes: Vec<u8> = head.into_iter().chain(columns).collect();
    let samples = Samples::read(&bytes, 0, 5, 0).unwrap();
    assert_eq!(samples.groups[0].series, [1, 2]);
    assert_eq!(samples.groups[0].columns, [[5; 6], [4; 6]]);
}

#[test]
fn a_tick_beyond_the_header_is_malformed() {
    let (ticks, groups) = example();
    assert!(Samples::read(&section(&ticks, &groups), 10, 29, 2).is_err());
}
