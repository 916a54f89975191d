//! Files for other programs: a benchmark's result as CSV, Markdown, JSON, or in Bencher's format.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::judge::BenchVerdict;
use crate::cli::failure::Failure;
use crate::report::bench::BenchReport;
use crate::report::exit::Exit;

/// Where the results are written besides.
#[expect(clippy::struct_field_names, reason = "the flags are named after the fields")]
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Exports")]
pub struct ExportArgs {
    /// Write comma-separated values, a row per cell; for several benchmarks, each file gets its benchmark's name
    #[arg(long, value_name = "FILE")]
    pub export_csv: Option<PathBuf>,
    /// Write a table in Markdown
    #[arg(long, value_name = "FILE")]
    pub export_markdown: Option<PathBuf>,
    /// Write the document of `--format json`
    #[arg(long, value_name = "FILE")]
    pub export_json: Option<PathBuf>,
    /// Write Bencher Metric Format, which the continuous benchmarking service Bencher reads
    #[arg(long, value_name = "FILE")]
    pub export_bencher: Option<PathBuf>,
}

impl ExportArgs {
    /// Whether any file is asked for.
    pub fn are_none(&self) -> bool {
        [&self.export_csv, &self.export_markdown, &self.export_json, &self.export_bencher]
            .iter()
            .all(|file| file.is_none())
    }

    /// Writes each file that was asked for.
    pub fn write(&self, results: &[(BenchReport<'_>, &BenchVerdict)]) -> Result<(), Failure> {
        type Show = fn(&BenchReport<'_>, &BenchVerdict) -> String;
        let files: [(&Option<PathBuf>, Show); 4] = [
            (&self.export_csv, |report, _| report.csv()),
            (&self.export_markdown, |report, _| report.markdown()),
            (&self.export_json, json),
            (&self.export_bencher, |report, _| report.bencher()),
        ];
        for (file, show) in files {
            let Some(file) = file else { continue };
            for (report, verdict) in results {
                let path = if results.len() == 1 { file.clone() } else { named(file, report) };
                fs::write(&path, show(report, verdict)).map_err(|error| {
                    let why = format!("{} cannot be written: {error}", path.display());
                    Failure::new(Exit::HarnessFailed, why)
                })?;
            }
        }
        Ok(())
    }
}

fn json(report: &BenchReport<'_>, verdict: &BenchVerdict) -> String {
    let mut text = serde_json::to_string_pretty(&report.document(verdict.exit, &verdict.reasons))
        .expect("strings and numbers");
    text.push('\n');
    text
}

/// `out.csv` of the benchmark `default` as `out-default.csv`.
fn named(file: &Path, report: &BenchReport<'_>) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let ending = file.extension().map_or_else(String::new, |ending| format!(".{}", ending.to_string_lossy()));
    file.with_file_name(format!("{stem}-{}{ending}", report.view.record.scenario))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::read::parse;

    #[test]
    fn with_several_benchmarks_each_has_a_file() {
        let text = r#"{"schema_version":1,"scenario":"locks","scenario_sha256":"","argv":[],"seed":0,"version":"","machine":
            {"kernel":"","architecture":"","processors":1,"processor_model":null,"memory_bytes":0},"filesystems":[],
            "started_at":"","complete":true,"cells":[]}"#;
        let record = parse(Path::new("bench.json"), text.as_bytes()).expect("a record without cells");
        let report = BenchReport::of(&record, &[]);
        assert_eq!(named(Path::new("a/out.csv"), &report), Path::new("a/out-locks.csv"));
        assert_eq!(named(Path::new("out"), &report), Path::new("out-locks"));
    }
}
