//! The keys of what the recorder allows itself.

use super::{Key, quoted, take};
use crate::units::{
    percent_hundredths, show_percent, show_size, show_written, size_bytes, written_bytes,
};

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "write_budget",
        allowed: "\"1MB\" to \"1000GB\"",
        show: |config| quoted(&show_written(config.limits.writes.capacity_bytes)),
        set: |config, value| {
            let text: String = take(value)?;
            config.limits.writes.capacity_bytes =
                within(written_bytes(&text)?, 1_000_000, 1_000_000_000_000)?;
            Ok(())
        },
    },
    Key {
        name: "write_budget_daily",
        allowed: "\"0MB\" to \"1000GB\"",
        show: |config| quoted(&show_written(config.limits.writes.daily_bytes)),
        set: |config, value| {
            let text: String = take(value)?;
            config.limits.writes.daily_bytes = within(written_bytes(&text)?, 0, 1_000_000_000_000)?;
            Ok(())
        },
    },
    Key {
        name: "write_budget_reserve",
        allowed: "0 to 100 percent",
        show: |config| config.limits.writes.reserve_percent.to_string(),
        set: |config, value| {
            config.limits.writes.reserve_percent = within(take::<i64>(value)?, 0, 100)?;
            Ok(())
        },
    },
    Key {
        name: "cpu_max",
        allowed: "\"0.1%\" to \"100%\" of one core",
        show: |config| quoted(&show_percent(config.limits.cpu_max)),
        set: |config, value| {
            let text: String = take(value)?;
            config.limits.cpu_max = within(percent_hundredths(&text)?, 10, 10_000)?;
            Ok(())
        },
    },
    Key {
        name: "memory_max",
        allowed: "\"1MiB\" to \"1GiB\"",
        show: |config| quoted(&show_size(config.limits.memory_max_bytes)),
        set: |config, value| {
            let text: String = take(value)?;
            config.limits.memory_max_bytes = within(size_bytes(&text)?, 1 << 20, 1 << 30)?;
            Ok(())
        },
    },
    Key {
        name: "threads_max",
        allowed: "2 to 64",
        show: |config| config.limits.threads_max.to_string(),
        set: |config, value| {
            config.limits.threads_max = within(take::<i64>(value)?, 2, 64)?;
            Ok(())
        },
    },
    Key {
        name: "log_lines_max",
        allowed: "0 to 100000 in one hour",
        show: |config| config.limits.log_lines_max.to_string(),
        set: |config, value| {
            config.limits.log_lines_max = within(take::<i64>(value)?, 0, 100_000)?;
            Ok(())
        },
    },
];

/// A number that has its place here, if it is not too small or too large.
fn within<T, U>(number: T, least: T, most: T) -> Result<U, String>
where
    T: Copy + PartialOrd + std::fmt::Display,
    U: TryFrom<T>,
{
    let out = || format!("{number} is out of range");
    if number < least || number > most {
        return Err(out());
    }
    U::try_from(number).map_err(|_| out())
}
