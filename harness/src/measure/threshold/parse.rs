//! From the two texts of a threshold to what it means.

use std::ops::Range;

use super::{Bound, Relation, Threshold};
use crate::measure::{Axis, Metric, Unit};
use crate::words::nearest;
use crate::words::units;

/// Which of the two texts is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The key: the metric.
    Left,
    /// The value: the bound.
    Right,
}

/// A threshold that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ThresholdError {
    /// Which of the two texts, the key or the value, is malformed.
    pub side: Side,
    /// Which of its bytes.
    pub span: Range<usize>,
    /// What was expected, and what was found.
    pub message: String,
    /// What could be written instead.
    pub help: Option<String>,
}

impl Threshold {
    /// What `"wait.p99" = "< 5ms"` means: left and right are the texts without their quotes.
    pub fn parse(left: &str, right: &str) -> Result<Self, ThresholdError> {
        let (name, only) = cells(left)?;
        let metric = metric(name)?;
        let mut rest = Rest { text: right, at: 0 };
        let relation = relation(&mut rest)?;
        let amount = rest.before(" *");
        let is_relative = rest.skip("*");
        let bound = if is_relative {
            let factor = number(&amount, "0.9 * lock:std")?;
            Bound::Relative { factor, at: references(&mut rest)? }
        } else {
            Bound::Fixed(fixed(metric, &amount)?)
        };
        Ok(Self { metric, only, relation, bound, text: format!("{left} {}", right.trim()) })
    }
}

/// A part of the right text, and where it lies.
struct Part<'a> {
    text: &'a str,
    span: Range<usize>,
}

/// What of the right text has not been read.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn skip_blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn skip(&mut self, word: &str) -> bool {
        self.skip_blanks();
        let found = self.text[self.at..].starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// All up to one of these characters (blanks do not count as such), without blanks around.
    fn before(&mut self, ends: &str) -> Part<'a> {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let is_end = |c: char| !c.is_whitespace() && ends.contains(c);
        let end = rest.find(is_end).unwrap_or(rest.len());
        let text = rest[..end].trim_end();
        let span = self.at..self.at + text.len();
        self.at += end;
        Part { text, span }
    }
}

fn wrong(span: Range<usize>, message: impl Into<String>) -> ThresholdError {
    ThresholdError { side: Side::Right, span, message: message.into(), help: None }
}

/// Values on axes.
type Places = Vec<(Axis, String)>;

/// What stands between a metric and the cells that a threshold is for.
const AT: &str = " at ";

/// The metric's name, and the cells that are meant.
fn cells(left: &str) -> Result<(&str, Places), ThresholdError> {
    let Some((name, _)) = left.split_once(AT) else { return Ok((left, Vec::new())) };
    let mut rest = Rest { text: left, at: name.len() + AT.len() };
    let only = references(&mut rest).map_err(|error| ThresholdError { side: Side::Left, ..error })?;
    Ok((name.trim_end(), only))
}

fn metric(left: &str) -> Result<Metric, ThresholdError> {
    Metric::of_name(left).ok_or_else(|| {
        let names: Vec<String> = Metric::all().map(|metric| metric.to_string()).collect();
        let help = nearest(left, names.iter().map(String::as_str)).map_or_else(
            || format!("known are {}", names.join(", ")),
            |near| format!("the nearest is {near:?}"),
        );
        let message = format!("unknown metric {left:?}");
        ThresholdError { side: Side::Left, span: 0..left.len(), message, help: Some(help) }
    })
}

fn relation(rest: &mut Rest<'_>) -> Result<Relation, ThresholdError> {
    let found = Relation::ALL.into_iter().find(|relation| rest.skip(relation.as_str()));
    found.ok_or_else(|| {
        let end = rest.text[rest.at..].chars().next().map_or(rest.at, |c| rest.at + c.len_utf8());
        wrong(rest.at..end, "expected one of <, <=, >, >= first, such as \"< 5ms\"")
    })
}

fn number(part: &Part<'_>, form: &str) -> Result<f64, ThresholdError> {
    let number = part.text.replace('_', "").parse::<f64>().ok();
    number.filter(|number| number.is_finite() && *number >= 0.0).ok_or_else(|| {
        wrong(part.span.clone(), format!("expected a number, such as in \"{form}\", found {:?}", part.text))
    })
}

fn fixed(metric: Metric, part: &Part<'_>) -> Result<f64, ThresholdError> {
    match metric.unit() {
        Unit::Nanoseconds => units::duration_ns(part.text).map(|ns| ns as f64).ok_or_else(|| {
            let form = units::DURATION_FORM;
            wrong(part.span.clone(), format!("{metric}: expected {form}, found {:?}", part.text))
        }),
        Unit::PerSecond => {
            let text = part.text.strip_suffix("/s").unwrap_or(part.text).trim_end();
            number(&Part { text, span: part.span.clone() }, "> 100_000/s")
        }
        Unit::Plain => number(part, "> 0.9"),
    }
}

fn references(rest: &mut Rest<'_>) -> Result<Vec<(Axis, String)>, ThresholdError> {
    let mut references = Vec::new();
    loop {
        let part = rest.before(",");
        let (axis, value) = reference(&part)?;
        if references.iter().any(|(known, _)| *known == axis) {
            return Err(wrong(part.span, format!("the axis {axis} is named twice")));
        }
        references.push((axis, value));
        if !rest.skip(",") {
            return Ok(references);
        }
    }
}

fn reference(part: &Part<'_>) -> Result<(Axis, String), ThresholdError> {
    let form = "expected an axis and its value, such as lock:std";
    let (axis, value) = part
        .text
        .split_once(':')
        .filter(|(_, value)| !value.trim().is_empty())
        .ok_or_else(|| wrong(part.span.clone(), format!("{form}, found {:?}", part.text)))?;
    let name = axis.trim();
    let axis = Axis::ALL.into_iter().find(|known| known.as_str() == name).ok_or_else(|| {
        let help = nearest(name, Axis::ALL.map(Axis::as_str)).map(|near| format!("the nearest is {near:?}"));
        let span = part.span.start..part.span.start + name.len();
        ThresholdError { help, ..wrong(span, format!("unknown axis {name:?}")) }
    })?;
    Ok((axis, value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Percentile, Stretch};

    fn parsed(left: &str, right: &str) -> (Metric, Relation, Bound) {
        let threshold = Threshold::parse(left, right).unwrap_or_else(|error| panic!("{right}: {error}"));
        (threshold.metric, threshold.relation, threshold.bound)
    }

    #[test]
    fn numbers_have_the_unit_of_their_metric() {
        let p99 = Metric::Latency(Stretch::Wait, Percentile::P99);
        assert_eq!(parsed("wait.p99", "< 5ms"), (p99, Relation::Below, Bound::Fixed(5e6)));
        let jain = (Metric::Jain, Relation::Above, Bound::Fixed(0.9));
        assert_eq!(parsed("fairness.jain", ">0.9"), jain);
        let rate = (Metric::Throughput, Relation::AtLeast, Bound::Fixed(1e5));
        assert_eq!(parsed("throughput", " >= 100_000/s"), rate);
        assert_eq!(parsed("throughput", ">= 100000"), rate);
    }

    #[test]
    fn a_relative_bound_names_where_its_reference_lies() {
        let at = vec![(Axis::Lock, "std".to_owned()), (Axis::Wait, "poll 10ms".to_owned())];
        assert_eq!(
            parsed("throughput", "> 0.9 * lock:std, wait: poll 10ms"),
            (Metric::Throughput, Relation::Above, Bound::Relative { factor: 0.9, at })
        );
    }

    #[test]
    fn a_threshold_may_be_for_some_cells() {
        let threshold = Threshold::parse("wait.p99 at lock:fs2, processes:8", "< 5ms").unwrap();
        assert_eq!(threshold.only, [(Axis::Lock, "fs2".to_owned()), (Axis::Processes, "8".to_owned())]);
        assert_eq!(threshold.metric, Metric::Latency(Stretch::Wait, Percentile::P99));
        assert_eq!(threshold.to_string(), "wait.p99 at lock:fs2, processes:8 < 5ms");
        let error = Threshold::parse("wait.p99 at lok:fs2", "< 5ms").unwrap_err();
        assert_eq!((error.side, error.span), (Side::Left, 12..15));
    }

    #[test]
    fn mistakes_are_pointed_at() {
        let cases = [
            ("wait.p98", "< 5ms", Side::Left, 0..8, "unknown metric"),
            ("wait.p99", "5ms", Side::Right, 0..1, "expected one of <"),
            ("wait.p99", "", Side::Right, 0..0, "expected one of <"),
            ("wait.p99", "< 5", Side::Right, 2..3, "a duration with a unit"),
            ("wait.p99", "< ", Side::Right, 2..2, "a duration with a unit"),
            ("fairness.jain", "> many", Side::Right, 2..6, "expected a number"),
            ("fairness.jain", "> -1", Side::Right, 2..4, "expected a number"),
            ("throughput", "> x * lock:std", Side::Right, 2..3, "expected a number"),
            ("throughput", "> 0.9 *", Side::Right, 7..7, "an axis and its value"),
            ("throughput", "> 0.9 * lok:std", Side::Right, 8..11, "unknown axis"),
            ("throughput", "> 0.9 * lock:", Side::Right, 8..13, "an axis and its value"),
            ("throughput", "> 0.9 * lock:a, lock:b", Side::Right, 16..22, "named twice"),
        ];
        for (left, right, side, span, message) in cases {
            let error = Threshold::parse(left, right).unwrap_err();
            assert_eq!((error.side, error.span.clone()), (side, span), "{left} {right}: {error}");
            assert!(error.message.contains(message), "{right}: {error}");
        }
        assert_eq!(
            Threshold::parse("wait.p9", "< 1s").unwrap_err().help.as_deref(),
            Some("the nearest is \"wait.p90\"")
        );
    }
}
