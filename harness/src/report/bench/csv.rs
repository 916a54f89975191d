//! Comma-separated values: everything, in base units, for whoever works on with it.

use csv::Writer;

use crate::measure::statistics::CellStatistics;
use crate::measure::view::View;
use crate::measure::{Axis, Metric, Unit};

const COUNTS: [&str; 8] = [
    "rounds",
    "measured_ns",
    "acquisitions",
    "acquisitions_reading",
    "acquisitions_refused",
    "noisy_rounds",
    "watched",
    "overlaps",
];

pub fn show(view: &View<'_>) -> String {
    let mut writer = Writer::from_writer(Vec::new());
    let metrics: Vec<Metric> = Metric::all().collect();
    let mut header: Vec<String> = Axis::ALL.iter().map(|axis| axis.as_str().to_owned()).collect();
    header.extend(COUNTS.map(str::to_owned));
    for metric in &metrics {
        let name = column(*metric);
        header.extend([name.clone(), format!("{name}_lower"), format!("{name}_upper")]);
    }
    header.push("invalid".into());
    writer.write_record(&header).expect("a vector takes all");
    for row in &view.rows {
        let point = &row.cell.point;
        let mut fields: Vec<String> = Axis::ALL
            .iter()
            .map(|axis| point.get(*axis).map_or_else(String::new, ToString::to_string))
            .collect();
        match &row.statistics {
            Some(statistics) => fields.extend(numbers(statistics, &metrics)),
            None => fields.extend(vec![String::new(); COUNTS.len() + 3 * metrics.len()]),
        }
        fields.push(row.cell.invalid.clone().unwrap_or_default());
        writer.write_record(&fields).expect("a vector takes all");
    }
    let bytes = writer.into_inner().expect("a vector takes all");
    String::from_utf8(bytes).expect("written from strings")
}

/// `wait_p99_ns`, `throughput_per_s`, `fairness_jain`.
fn column(metric: Metric) -> String {
    let unit = match metric.unit() {
        Unit::PerSecond => "_per_s",
        Unit::Nanoseconds => "_ns",
        Unit::Plain => "",
    };
    format!("{}{unit}", metric.to_string().replace('.', "_"))
}

fn numbers(statistics: &CellStatistics, metrics: &[Metric]) -> Vec<String> {
    let counts = [
        statistics.rounds as u64,
        statistics.measured_ns,
        statistics.acquisitions,
        statistics.reads,
        statistics.refused,
        statistics.noisy.len() as u64,
        statistics.watched,
        statistics.overlaps,
    ];
    let estimates = metrics.iter().flat_map(|metric| {
        let estimate = statistics.get(*metric);
        let interval = estimate.and_then(|estimate| estimate.interval);
        let values = [
            estimate.map(|estimate| estimate.value),
            interval.map(|interval| interval.lower),
            interval.map(|interval| interval.upper),
        ];
        values.map(|value| value.map_or_else(String::new, number))
    });
    counts.iter().map(u64::to_string).chain(estimates).collect()
}

/// To six significant digits: more than any measurement has.
fn number(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { 5 - value.abs().log10().floor() as i32 };
    let digits = usize::try_from(digits).unwrap_or(0).min(12);
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits_and_no_more() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(312_401.9), "312402");
        assert_eq!(number(0.123_456_78), "0.123457");
        assert_eq!(number(1.5), "1.5");
        assert_eq!(number(12_345_678.0), "12345678");
    }
}
