//! Durations, ranges of durations and sizes as scenarios and the command line spell them. A number always has a unit.

use std::ops::RangeInclusive;

const TIME_UNITS_NS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const SIZE_UNITS_BYTES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// How durations are spelled, for messages.
pub const DURATION_FORM: &str =
    "a duration with a unit, such as \"10s\", \"1.5s\" or \"20ms\" (ns, us, ms, s, m, h)";

/// How ranges of durations are spelled, for messages.
pub const RANGE_FORM: &str = "a duration or a range of durations, such as \"20us\" or \"0us..50us\"";

/// How sizes are spelled, for messages.
pub const SIZE_FORM: &str = "a size, such as \"64KiB\", \"1MiB\" or a number of bytes";

/// Nanoseconds of `10s`, `1.5s`, `20ms` and the like.
#[must_use]
pub fn duration_ns(text: &str) -> Option<u64> {
    scaled(text, &TIME_UNITS_NS)
}

/// Nanoseconds of `0us..50us`; a single duration is a range of one.
#[must_use]
pub fn duration_range_ns(text: &str) -> Option<RangeInclusive<u64>> {
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    let (low, high) = (duration_ns(low)?, duration_ns(high)?);
    (low <= high).then_some(low..=high)
}

/// Bytes of `64KiB` and the like.
#[must_use]
pub fn size_bytes(text: &str) -> Option<u64> {
    scaled(text, &SIZE_UNITS_BYTES)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')?;
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim())?;
    let number = number.replace('_', "");
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(*scale);
    }
    let fraction: f64 = number.parse().ok()?;
    let product = fraction * *scale as f64;
    // Beyond 2^53 a fraction has lost its meaning.
    #[expect(clippy::cast_sign_loss, reason = "the text has no sign")]
    (product <= (1_u64 << 53) as f64).then_some(product.round() as u64)
}

/// A duration as a person reads it: `350ns`, `12.5µs`, `3.20s`, `2m 05s`.
#[must_use]
pub fn show_ns(ns: u64) -> String {
    let value = ns as f64;
    match ns {
        0..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => format!("{:.1}µs", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}ms", value / 1e6),
        1_000_000_000..60_000_000_000 => format!("{:.2}s", value / 1e9),
        _ => format!("{}m {:02}s", ns / 60_000_000_000, ns / 1_000_000_000 % 60),
    }
}

/// A duration as it can be read again: a whole number of the largest unit that loses nothing.
#[must_use]
pub fn show_exact_ns(ns: u64) -> String {
    let units = TIME_UNITS_NS.iter().rev().filter(|(name, _)| !matches!(*name, "µs" | "m" | "h"));
    let (unit, scale) = units.into_iter().find(|(_, scale)| ns.is_multiple_of(*scale)).unwrap_or(&("ns", 1));
    format!("{}{unit}", ns / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration_ns("10s"), Some(10_000_000_000));
        assert_eq!(duration_ns("1.5s"), Some(1_500_000_000));
        assert_eq!(duration_ns("0us"), Some(0));
        assert_eq!(duration_ns("200 ms"), Some(200_000_000));
        for odd in ["", "10", "s", "-1s", "1d", "1s2", "99999999999h", ".s", "1..2s"] {
            assert_eq!(duration_ns(odd), None, "{odd}");
        }
    }

    #[test]
    fn ranges_run_upwards() {
        assert_eq!(duration_range_ns("0us..50us"), Some(0..=50_000));
        assert_eq!(duration_range_ns("1ms"), Some(1_000_000..=1_000_000));
        assert_eq!(duration_range_ns("50us..0us"), None);
        assert_eq!(duration_range_ns("1.5us..2us"), Some(1_500..=2_000));
        assert_eq!(duration_range_ns("0us..=50us"), None);
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size_bytes("64KiB"), Some(65_536));
        assert_eq!(size_bytes("64KB"), None);
    }
}
