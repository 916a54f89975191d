//! The same histories for other judges: written as files, and judged from files.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::Duration;

use flockwork_harness::history::{History, read, write};
use flockwork_harness::model::Model;

use crate::pending::{Tells, break_in_the_middle, simulate};
use crate::{Timing, judge_often};

const SIZES: [usize; 5] = [100, 1000, 10_000, 100_000, 1_000_000];
const PROCESSES: [usize; 5] = [4, 8, 16, 32, 64];
/// The histories with a wrong outcome are few: they show that judges agree.
const WRONG_SIZES: [usize; 3] = [100, 1000, 10_000];
/// About so long each file is judged, again and again; but no more often than so.
const MEASURE: Duration = Duration::from_secs(2);
const ROUNDS_MAX: usize = 999;

/// Writes the histories into the folder, which is made if need be: `told-10000-by-16.jsonl`, and where one outcome is
/// wrong `told-10000-by-16-wrong.jsonl`.
pub fn write_all(folder: &Path, model: &Model) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for tells in [Tells::Told, Tells::Bare] {
        for operations in SIZES {
            for processes in PROCESSES {
                let name = format!("{}-{operations}-by-{processes}", tells.as_str());
                let write = |name: String, history: &History| {
                    write::write(history, BufWriter::new(File::create(folder.join(name))?))
                };
                let mut history = simulate(operations, processes, u64::MAX, tells, 0);
                write(format!("{name}.jsonl"), &history)?;
                if WRONG_SIZES.contains(&operations) && break_in_the_middle(&mut history, model) {
                    write(format!("{name}-wrong.jsonl"), &history)?;
                }
            }
        }
    }
    Ok(())
}

/// Judges a file's history as often as fits into two seconds, at least once. The peak of memory is that of the whole
/// process: give one file a process.
pub fn judge_file(path: &Path, model: &Model) {
    let history = read::read_file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let Timing { rounds, first_ms, median_ms, fastest_ms, slowest_ms, peak_mb, verdict } =
        judge_often(&history, model, ROUNDS_MAX, MEASURE);
    println!(
        "{} {verdict:?} {median_ms:.4} ms ({fastest_ms:.4} to {slowest_ms:.4}, {rounds} rounds, first {first_ms:.4}) peak {peak_mb} MB",
        path.file_stem().unwrap_or_default().display()
    );
}
