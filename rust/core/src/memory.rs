//! Sizes that callers ask for, checked against the memory of the machine before anything is allocated.
//!
//! An allocation that fails aborts the process, and one that the system grants but cannot honour has
//! the process killed later. Whatever a caller chooses freely therefore passes here first.

use std::fs;

use crate::error::Error;

/// Below so many bytes nothing is looked up.
const SMALL: u128 = 1 << 26;

/// The number of entries of an array with these sizes along its axes, where it fits into memory. The
/// error names it by `what`, with the argument that decides its size.
///
/// # Errors
/// [`Error::Memory`] with the bytes that it would take.
pub fn require_memory<S>(what: &str, sizes: &[usize]) -> Result<usize, Error> {
    require_bytes(what, sizes, size_of::<S>())
}

/// The same for entries of so many bytes.
///
/// # Errors
/// [`Error::Memory`] with the bytes that it would take.
pub fn require_bytes(what: &str, sizes: &[usize], width: usize) -> Result<usize, Error> {
    let entries = sizes.iter().try_fold(1_u128, |product, &size| product.checked_mul(size as u128));
    let bytes = entries.and_then(|entries| entries.checked_mul(width as u128));
    let count = entries.and_then(|entries| usize::try_from(entries).ok());
    match (count, bytes) {
        (Some(count), Some(bytes)) if bytes <= SMALL || bytes <= available() => Ok(count),
        (_, bytes) => {
            let needed = bytes.map_or_else(|| "more than 10^38 bytes".into(), format_bytes);
            let free = format_bytes(available());
            Err(Error::Memory(format!(
                "{what} would take {needed} of memory, and {free} are free; ask for less"
            )))
        }
    }
}

/// The bytes that can still be allocated: of the machine, or of the control group of this process.
///
/// Where the system does not say, it is half the address space.
fn available() -> u128 {
    let unknown = u128::from(u64::MAX / 2).min(isize::MAX as u128);
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let free = read_field(&text, "MemAvailable:")? + read_field(&text, "SwapFree:")?;
        Some(u128::from(free) * 1024)
    });
    [machine, group()].into_iter().flatten().fold(unknown, u128::min)
}

/// What the control group of this process can still allocate, where it has a limit.
fn group() -> Option<u128> {
    let read = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok();
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let used: u64 = read("memory.current")?.trim().parse().ok()?;
    // pages of files are given back where memory is needed
    let pages = read("memory.stat").and_then(|text| read_field(&text, "file")).unwrap_or(0);
    Some(u128::from(limit.saturating_sub(used.saturating_sub(pages))))
}

/// The number behind a name at the beginning of a line.
fn read_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Bytes with a unit: 800 GB.
fn format_bytes(bytes: u128) -> String {
    const UNITS: [&str; 7] = ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    format!("{} {}", round_to_three(value), UNITS[unit])
}

/// Three digits are enough.
fn round_to_three(value: f64) -> String {
    if value >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_counted_and_what_does_not_is_named_with_its_bytes() {
        assert_eq!(require_memory::<f64>("a thing", &[3, 5]).expect("small"), 15);
        let error = require_memory::<f64>("an axis of 10^11 points", &[100_000_000_000, 10_000]);
        let text = error.expect_err("8 PB").to_string();
        assert!(text.contains("an axis of 10^11 points would take 8 PB"), "{text}");
        let error = require_memory::<f64>("a thing", &[usize::MAX, usize::MAX, usize::MAX]);
        assert!(error.expect_err("overflow").to_string().contains("10^38"));
        assert!(require_memory::<f64>("a thing", &[usize::MAX, 0]).is_ok());
    }

    #[test]
    fn fields_are_read_by_their_whole_name() {
        assert_eq!(read_field("file_mapped 1\nfile 2\n", "file"), Some(2));
        assert_eq!(read_field("MemAvailable:  12 kB\n", "MemAvailable:"), Some(12));
        assert_eq!(read_field("", "file"), None);
    }
}
