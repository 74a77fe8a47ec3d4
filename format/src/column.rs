//! Columns: the values of one series, sample after sample, in the cheapest of seven forms
//! (spec section 6.2).
//!
//! [`Costs`] walks the values once and knows then what each form would take; [`Pen`] walks them
//! again and writes one. Neither needs the values at once, so a writer can keep them in any form
//! and feed many columns side by side.

use crate::varint::{self, Malformed, Reader, unzigzag, zigzag};

/// Forms of a column; the numbers are those of the spec.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Every value is the first.
    Constant = 0,
    /// Differences.
    Delta = 1,
    /// Differences of differences.
    Delta2 = 2,
    /// Differences, zeros as runs.
    DeltaRuns = 3,
    /// Differences of differences, zeros as runs.
    Delta2Runs = 4,
    /// Unsigned differences.
    Up = 5,
    /// Unsigned differences, zeros as runs.
    UpRuns = 6,
}

impl Mode {
    /// Every form, in the order in which equals are preferred.
    pub const ALL: [Self; 7] = [
        Self::Constant,
        Self::Up,
        Self::Delta,
        Self::UpRuns,
        Self::DeltaRuns,
        Self::Delta2,
        Self::Delta2Runs,
    ];

    /// Its byte.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Constant => 0,
            Self::Delta => 1,
            Self::Delta2 => 2,
            Self::DeltaRuns => 3,
            Self::Delta2Runs => 4,
            Self::Up => 5,
            Self::UpRuns => 6,
        }
    }

    /// The form with this byte.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.number() == number)
    }

    const fn runs(self) -> bool {
        matches!(self, Self::DeltaRuns | Self::Delta2Runs | Self::UpRuns)
    }

    /// The number that stands for a step, given the step before it (`None` for the first).
    const fn token(self, step: i64, before: Option<i64>) -> u64 {
        match (self, before) {
            (Self::Up | Self::UpRuns, _) => step.cast_unsigned(),
            (Self::Delta2 | Self::Delta2Runs, Some(before)) => zigzag(step.wrapping_sub(before)),
            _ => zigzag(step),
        }
    }
}

/// A run of zeros in the making: bytes so far, and zeros not yet paid for.
#[derive(Clone, Copy, Debug, Default)]
struct RunCost {
    bytes: u32,
    zeros: u32,
}

impl RunCost {
    /// Takes a token; returns its length outside of a run.
    fn add(&mut self, token: u64) -> u32 {
        let len = len_of(token);
        if token == 0 {
            self.zeros += 1;
        } else {
            self.bytes = self.total() + len;
            self.zeros = 0;
        }
        len
    }

    fn total(self) -> u32 {
        self.bytes + if self.zeros == 0 { 0 } else { 1 + len_of(u64::from(self.zeros - 1)) }
    }
}

/// What each form of a column would take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Costs {
    first: u64,
    count: u32,
    last_step: i64,
    delta: u32,
    delta2: u32,
    up: u32,
    delta_runs: RunCost,
    delta2_runs: RunCost,
    up_runs: RunCost,
}

impl Costs {
    /// Takes the first value (`step` is then its distance from nothing) or the step to the next.
    #[must_use]
    pub fn start(value: u64) -> Self {
        Self { first: value, count: 1, ..Self::default() }
    }

    /// The first value.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Takes the step from the last value to the next.
    pub fn step(&mut self, step: i64) {
        let before = (self.count > 1).then_some(self.last_step);
        let delta = Mode::Delta.token(step, before);
        let delta2 = Mode::Delta2.token(step, before);
        let up = Mode::Up.token(step, before);
        self.delta += self.delta_runs.add(delta);
        self.delta2 += self.delta2_runs.add(delta2);
        self.up += self.up_runs.add(up);
        self.last_step = step;
        self.count += 1;
    }

    /// The cheapest form, and the bytes of the column in it.
    #[must_use]
    pub fn cheapest(&self) -> (Mode, u32) {
        let first = len_of(zigzag(self.first.cast_signed()));
        let constant = if self.delta_runs.bytes == 0 { 0 } else { u32::MAX - 10 };
        let mut best = (Mode::Constant, constant);
        for mode in Mode::ALL {
            let bytes = match mode {
                Mode::Constant => constant,
                Mode::Delta => self.delta,
                Mode::Delta2 => self.delta2,
                Mode::Up => self.up,
                Mode::DeltaRuns => self.delta_runs.total(),
                Mode::Delta2Runs => self.delta2_runs.total(),
                Mode::UpRuns => self.up_runs.total(),
            };
            if bytes < best.1 {
                best = (mode, bytes);
            }
        }
        (best.0, first + best.1)
    }
}

/// Writes one column, step by step, at its own place in the body.
#[derive(Clone, Copy, Debug)]
pub struct Pen {
    mode: Mode,
    at: usize,
    last_step: Option<i64>,
    zeros: u64,
}

impl Pen {
    /// Begins a column in `body` at `at` with its first value.
    pub fn start(mode: Mode, at: usize, value: u64, body: &mut [u8]) -> Self {
        let mut pen = Self { mode, at, last_step: None, zeros: 0 };
        pen.put(zigzag(value.cast_signed()), body);
        pen
    }

    /// Writes the step from the last value to the next.
    pub fn step(&mut self, step: i64, body: &mut [u8]) {
        if self.mode == Mode::Constant {
            return;
        }
        let token = self.mode.token(step, self.last_step);
        self.last_step = Some(step);
        if token == 0 && self.mode.runs() {
            self.zeros += 1;
            return;
        }
        self.flush(body);
        self.put(token, body);
    }

    /// Ends the column; returns where the next byte would go.
    pub fn finish(mut self, body: &mut [u8]) -> usize {
        self.flush(body);
        self.at
    }

    fn flush(&mut self, body: &mut [u8]) {
        if self.zeros > 0 {
            self.put(0, body);
            self.put(self.zeros - 1, body);
            self.zeros = 0;
        }
    }

    fn put(&mut self, mut value: u64, body: &mut [u8]) {
        loop {
            let low = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            if let Some(place) = body.get_mut(self.at) {
                *place = if value == 0 { low } else { low | 0x80 };
            }
            self.at += 1;
            if value == 0 {
                return;
            }
        }
    }
}

/// Reads a column of `count` values (at least one) in the form `mode`.
pub fn read(input: &mut Reader<'_>, mode: Mode, count: usize) -> Result<Vec<u64>, Malformed> {
    let mut value = unzigzag(input.number()?).cast_unsigned();
    let mut values = Vec::with_capacity(count);
    values.push(value);
    if mode == Mode::Constant {
        values.resize(count, value);
        return Ok(values);
    }
    let mut before: Option<i64> = None;
    let mut zeros = 0_u64;
    while values.len() < count {
        let token = if zeros > 0 {
            zeros -= 1;
            0
        } else {
            let token = input.number()?;
            if token == 0 && mode.runs() {
                zeros = input.number()?;
                let left = count - values.len() - 1;
                if usize::try_from(zeros).map_or(true, |zeros| zeros > left) {
                    return Err(Malformed("a run of zeros beyond its column"));
                }
            }
            token
        };
        let step = match (mode, before) {
            (Mode::Up | Mode::UpRuns, _) => token.cast_signed(),
            (Mode::Delta2 | Mode::Delta2Runs, Some(before)) => before.wrapping_add(unzigzag(token)),
            _ => unzigzag(token),
        };
        before = Some(step);
        value = value.wrapping_add_signed(step);
        values.push(value);
    }
    Ok(values)
}

fn len_of(value: u64) -> u32 {
    u32::try_from(varint::len(value)).unwrap_or(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(values: &[u64], mode: Mode) -> Vec<u8> {
        let mut body = vec![0; values.len() * 11 + 16];
        let mut pen = Pen::start(mode, 0, values[0], &mut body);
        for pair in values.windows(2) {
            pen.step(pair[1].wrapping_sub(pair[0]).cast_signed(), &mut body);
        }
        let end = pen.finish(&mut body);
        body.truncate(end);
        body
    }

    fn cheapest(values: &[u64]) -> (Mode, u32) {
        let mut costs = Costs::start(values[0]);
        for pair in values.windows(2) {
            costs.step(pair[1].wrapping_sub(pair[0]).cast_signed());
        }
        costs.cheapest()
    }

    fn columns() -> Vec<Vec<u64>> {
        vec![
            vec![5],
            vec![u64::MAX; 9],
            vec![0, 0, 0, 7, 7, 7, 9],
            (0..40).map(|i| i * 1000).collect(),
            (0..40).map(|i| i * i).collect(),
            vec![0, u64::MAX, 1 << 63, 3, 0],
            vec![9, 8, 7, 7, 7, 6],
        ]
    }

    #[test]
    fn every_form_brings_every_column_back() {
        for values in columns() {
            for mode in Mode::ALL {
                if mode == Mode::Constant && values.windows(2).any(|pair| pair[0] != pair[1]) {
                    continue;
                }
                let body = write(&values, mode);
                let mut input = Reader::new(&body);
                assert_eq!(read(&mut input, mode, values.len()), Ok(values.clone()), "{mode:?}");
                assert!(input.is_empty(), "{mode:?} left bytes");
            }
        }
    }

    #[test]
    fn the_cheapest_form_takes_the_bytes_it_promised_and_no_form_takes_fewer() {
        for values in columns() {
            let (mode, bytes) = cheapest(&values);
            assert_eq!(write(&values, mode).len(), usize::try_from(bytes).unwrap(), "{values:?}");
            let constant = values.iter().all(|value| *value == values[0]);
            for other in Mode::ALL {
                if other != Mode::Constant || constant {
                    assert!(write(&values, other).len() >= write(&values, mode).len());
                }
            }
        }
    }

    /// R3.
    #[test]
    fn a_run_of_zeros_beyond_the_column_is_malformed() {
        let bytes = [0, 0, 5];
        assert!(read(&mut Reader::new(&bytes), Mode::DeltaRuns, 7).is_ok());
        assert!(read(&mut Reader::new(&bytes), Mode::DeltaRuns, 6).is_err());
    }
}
