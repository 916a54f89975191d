//! What is kept of a run: small enough for a repository.

use std::fs;
use std::path::Path;

use flockwork_harness::measure::{BenchRecord, read};
use flockwork_harness::report::bench::BenchReport;
use flockwork_harness::report::bench::chart::Kind;

use crate::Error;

/// Stores each run's numbers and charts, and what machine it was.
pub fn publish(runs: &[String], into: &Path) -> Result<(), Error> {
    fs::create_dir_all(into)?;
    for run in runs {
        let record = read::read(Path::new(run))?;
        let report = BenchReport::of(&record, &[]);
        let name = &record.scenario;
        fs::write(into.join(format!("{name}.csv")), report.csv())?;
        fs::write(into.join(format!("{name}.txt")), about(&record))?;
        // Those of single cells are many, and the CSV has their numbers.
        for chart in report.charts() {
            if matches!(chart.kind, Kind::Metric | Kind::Percentiles) && is_shown(name, &chart.name) {
                fs::write(into.join(format!("{name}-{}.svg", chart.name)), &chart.svg)?;
            }
        }
    }
    Ok(())
}

/// Whether the document shows a chart.
fn is_shown(scenario: &str, chart: &str) -> bool {
    let document = fs::read_to_string(crate::DOCUMENT).unwrap_or_default();
    document.contains(&format!("{scenario}-{chart}.svg"))
}

fn about(record: &BenchRecord) -> String {
    let machine = &record.machine;
    let model = machine.processor_model.as_deref().unwrap_or("unknown");
    let kinds: Vec<&str> = record.filesystems.iter().map(|named| named.filesystem.kind.as_str()).collect();
    let disturbed = record.cells.iter().filter(|cell| !cell.warnings.is_empty()).count();
    format!(
        "{} processors ({model}), {}, {}; flockwork {}, seed {}, {}; {disturbed} of {} cells were disturbed by other programs",
        machine.processors,
        machine.kernel,
        kinds.join(" and "),
        record.version,
        record.seed,
        record.started_at,
        record.cells.len()
    )
}
