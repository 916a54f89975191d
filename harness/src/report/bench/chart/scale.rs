//! A scale: where a value lies along an axis, and which values are written there.

use crate::report::bench::columns::time;
use crate::report::table::rate;

/// How values are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// From zero, evenly.
    Even,
    /// By their logarithms.
    Logarithmic,
}

/// Maps values of an axis to positions in the picture, linearly or by logarithm.
#[derive(Clone, Debug)]
pub struct Scale {
    /// What it measures, with the unit.
    pub label: String,
    /// How a value is written.
    pub show: fn(f64) -> String,
    spread: Spread,
    ticks: Vec<f64>,
    ends: (f64, f64),
}

impl Scale {
    /// A scale that holds these values.
    pub fn fit(
        label: String,
        spread: Spread,
        values: impl Iterator<Item = f64>,
        show: fn(f64) -> String,
    ) -> Self {
        let mut scale = Self { label, show, spread, ticks: Vec::new(), ends: (0.0, 1.0) };
        let usable = values.filter(|value| value.is_finite() && (spread == Spread::Even || *value > 0.0));
        let (low, high) = usable
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low <= high { (low, high) } else { (1.0, 1.0) };
        match spread {
            Spread::Even => scale.fit_even(high),
            Spread::Logarithmic => scale.fit_logarithmic(low, high),
        }
        scale
    }

    /// A logarithmic scale that is written at these values, as far as there is room.
    pub fn at(label: String, values: &[f64], show: fn(f64) -> String) -> Self {
        let values: Vec<f64> = values.iter().copied().filter(|value| *value > 0.0).collect();
        let mut scale = Self::fit(label, Spread::Logarithmic, values.iter().copied(), show);
        let (low, high) = values.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
            (low.min(value.log10()), high.max(value.log10()))
        });
        let margin = ((high - low) * 0.04).max(0.05);
        scale.ends = (low - margin, high + margin);
        let room = (high - low) / 12.0;
        let mut last = f64::NEG_INFINITY;
        scale.ticks = values.iter().map(|value| value.log10()).collect();
        scale.ticks.retain(|tick| {
            let has_room = tick - last >= room;
            last = if has_room { *tick } else { last };
            has_room
        });
        scale
    }

    fn fit_even(&mut self, high: f64) {
        let high = if high > 0.0 { high } else { 1.0 };
        let rough = high / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 2.5, 5.0, 10.0].map(|part| part * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        // What is round already needs no further step, whatever the last bit says.
        let count = (high / step * (1.0 - 1e-9)).ceil() as u32;
        self.ticks = (0..=count).map(|tick| f64::from(tick) * step).collect();
        self.ends = (0.0, f64::from(count) * step * 1.02);
    }

    fn fit_logarithmic(&mut self, low: f64, high: f64) {
        let (low, high) = (low.log10(), high.log10());
        let margin = ((high - low) * 0.06).max(0.05);
        self.ends = (low - margin, high + margin);
        let steps: &[f64] = match high - low {
            ..1.3 => &[1.0, 2.0, 3.0, 5.0, 7.0],
            1.3..2.5 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let decades = (self.ends.0.floor() as i32)..=(self.ends.1.ceil() as i32);
        let ticks = decades.flat_map(|decade| steps.iter().map(move |step| step.log10() + f64::from(decade)));
        let within = |tick: &f64| self.ends.0 <= *tick && *tick <= self.ends.1;
        self.ticks = ticks.filter(within).collect();
    }

    /// Where a value lies, in the scale's own measure; `None` where it lies nowhere.
    pub fn place(&self, value: f64) -> Option<f64> {
        match self.spread {
            _ if !value.is_finite() => None,
            Spread::Even => Some(value),
            Spread::Logarithmic => (value > 0.0).then(|| value.log10()),
        }
    }

    /// The two ends, in the scale's own measure.
    pub const fn ends(&self) -> (f64, f64) {
        self.ends
    }

    /// Where something is written, in the scale's own measure.
    pub fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// What is written at a place.
    pub fn written(&self, place: f64) -> String {
        let value = if self.spread == Spread::Logarithmic { 10_f64.powf(place) } else { place };
        (self.show)(value)
    }
}

/// A count: `1`, `64`, `10k`.
pub fn count(value: f64) -> String {
    let value = value.round();
    match value {
        1e6.. => format!("{}M", value / 1e6),
        1e4.. => format!("{}k", value / 1e3),
        _ => format!("{value}"),
    }
}

/// A size in bytes.
pub fn size(value: f64) -> String {
    let value = value.round();
    match value {
        1_048_576.0.. => format!("{} MiB", trimmed(value / 1_048_576.0)),
        1_024.0.. => format!("{} KiB", trimmed(value / 1_024.0)),
        _ => format!("{value} B"),
    }
}

/// A rate without needless digits.
pub fn per_second(value: f64) -> String {
    rate(value).replace(".0k", "k").replace(".00M", "M").replace("/s", "")
}

/// A time in nanoseconds without needless digits.
pub fn duration(value: f64) -> String {
    time(value).replace(".00s", "s").replace(".0ms", "ms").replace(".0µs", "µs")
}

/// A plain number.
pub fn plain(value: f64) -> String {
    trimmed(value)
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_scale_starts_at_zero_and_ends_on_a_round_number() {
        let scale = Scale::fit(String::new(), Spread::Even, [3.0, 87.0].into_iter(), plain);
        let written: Vec<String> = scale.ticks().iter().map(|tick| scale.written(*tick)).collect();
        assert_eq!(written, ["0", "20", "40", "60", "80", "100"]);
    }

    #[test]
    fn a_value_that_is_round_is_the_end() {
        for (high, end) in [(1.0, "1"), (100.0, "100"), (0.5, "0.5"), (3.0, "3")] {
            let scale = Scale::fit(String::new(), Spread::Even, [high].into_iter(), plain);
            assert_eq!(scale.written(*scale.ticks().last().unwrap()), end);
        }
    }

    #[test]
    fn a_logarithmic_scale_holds_its_values() {
        let scale = Scale::fit(String::new(), Spread::Logarithmic, [1_000.0, 5e6].into_iter(), duration);
        let written: Vec<String> = scale.ticks().iter().map(|tick| scale.written(*tick)).collect();
        assert_eq!(written, ["1µs", "10µs", "100µs", "1ms"]);
        assert!(scale.ends().0 < 3.0 && scale.ends().1 > 5e6_f64.log10());
        assert_eq!(scale.place(0.0), None);
    }

    #[test]
    fn of_values_that_lie_close_one_is_written() {
        let scale = Scale::at(String::new(), &[1.0, 2.0, 1_000.0, 1_001.0], count);
        let written: Vec<String> = scale.ticks().iter().map(|tick| scale.written(*tick)).collect();
        assert_eq!(written, ["1", "2", "1000"]);
    }
}
