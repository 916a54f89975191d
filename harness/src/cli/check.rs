//! `flockwork check`: judges stored histories. No process is started.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use super::args::{CheckArgs, CheckerArg, Format};
use super::failure::Failure;
use super::output::{Output, print, print_json};
use crate::check::search::Budget;
use crate::history::History;
use crate::history::read::{self, ReadError};
use crate::judge::{Checker, Judgement, judge};
use crate::model::{self, Builtin, Model};
use crate::report::exit::Exit;
use crate::report::human::Detail;
use crate::report::verdict::{self, Verdict};
use crate::words::plural;

/// What `check` found.
#[derive(Debug, Serialize)]
struct CheckReport {
    schema_version: u32,
    verdict: Verdict,
    exit_code: u8,
    histories: Vec<HistoryReport>,
}

/// What became of one history.
#[derive(Debug, Serialize)]
struct HistoryReport {
    path: String,
    /// The model that judged it; null where it cannot be read.
    #[serde(serialize_with = "name")]
    model: Option<Model>,
    verdict: Verdict,
    operations: usize,
    processes: usize,
    read_s: f64,
    judge_s: f64,
    /// Why it cannot be read or held, where it cannot.
    error: Option<String>,
    containers: Vec<Judgement>,
    #[serde(skip)]
    exit: Exit,
}

/// What the arguments mean.
struct Request {
    /// `None`: each history names its own.
    model: Option<Model>,
    checker: Checker,
    budget: Budget,
}

/// Judges the histories.
pub fn run(args: &CheckArgs, output: Output) -> Result<Exit, Failure> {
    let request = Request::new(args)?;
    let histories: Vec<HistoryReport> = args.histories.iter().map(|path| examine(path, &request)).collect();
    let exit = histories.iter().map(|history| history.exit).fold(Exit::AsExpected, Exit::and);
    let report = CheckReport {
        schema_version: crate::report::SCHEMA_VERSION,
        verdict: verdict::of_exit(exit),
        exit_code: exit.code(),
        histories,
    };
    match output.format {
        Format::Human => print(&human(&report, output.detail))?,
        Format::Json => print_json(&report)?,
    }
    Ok(exit)
}

impl Request {
    fn new(args: &CheckArgs) -> Result<Self, Failure> {
        let time = args.budget.as_deref().map(time).transpose()?;
        let memory_bytes = bytes(&args.memory)?;
        Ok(Self {
            model: args.model.as_deref().map(load).transpose()?,
            checker: match args.checker {
                CheckerArg::Auto => Checker::Auto,
                CheckerArg::Witness => Checker::Witness,
                CheckerArg::Search => Checker::Search,
            },
            budget: Budget { time, memory_bytes, ..Budget::default() },
        })
    }
}

fn load(name_or_path: &str) -> Result<Model, Failure> {
    model::load(name_or_path).map_err(|error| Failure::new(Exit::Usage, format!("--model: {error}")))
}

fn time(text: &str) -> Result<Duration, Failure> {
    humantime::parse_duration(text)
        .map_err(|error| Failure::new(Exit::Usage, format!("--budget {text}: {error}; expected such as 30s")))
}

fn bytes(text: &str) -> Result<usize, Failure> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let shift = match text[digits.len()..].trim().to_ascii_uppercase().as_str() {
        "" | "B" => Some(0),
        "K" | "KB" | "KIB" => Some(10),
        "M" | "MB" | "MIB" => Some(20),
        "G" | "GB" | "GIB" => Some(30),
        _ => None,
    };
    let number = digits.parse::<usize>().ok().filter(|&number| number > 0);
    let bytes = shift.zip(number).and_then(|(shift, number)| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("--memory {text}: expected a number of bytes, such as 500MB"))
    })
}

fn examine(path: &Path, request: &Request) -> HistoryReport {
    let mut report = HistoryReport {
        path: path.display().to_string(),
        model: None,
        verdict: Verdict::Error,
        operations: 0,
        processes: 0,
        read_s: 0.0,
        judge_s: 0.0,
        error: None,
        containers: Vec::new(),
        exit: Exit::Usage,
    };
    let start = Instant::now();
    let history = match read(path, request.budget.memory_bytes) {
        Ok(history) => history,
        Err(error) => {
            if let ReadError::TooLarge { .. } = error {
                (report.verdict, report.exit) = (Verdict::Inconclusive, Exit::Inconclusive);
            }
            report.error = Some(told(path, &error));
            return report;
        }
    };
    report.read_s = start.elapsed().as_secs_f64();
    let own = || Model::builtin(history.model.unwrap_or(Builtin::Runsc));
    let model = request.model.clone().unwrap_or_else(own);
    if let Err(why) = model.covers(&history) {
        report.error = Some(format!("{}: {why}", path.display()));
        return report;
    }
    let start = Instant::now();
    report.containers = judge(&history, &model, request.checker, request.budget);
    report.judge_s = start.elapsed().as_secs_f64();
    report.operations = history.records.len();
    let mut processes: Vec<u32> = history.records.iter().map(|record| record.process).collect();
    processes.sort_unstable();
    processes.dedup();
    report.processes = processes.len();
    let exit = |judgement: &Judgement| match judgement.verdict {
        Verdict::Clean => Exit::AsExpected,
        Verdict::Violation => Exit::Violation,
        Verdict::Inconclusive | Verdict::Error => Exit::Inconclusive,
    };
    report.exit = report.containers.iter().map(exit).fold(Exit::AsExpected, Exit::and);
    report.verdict = verdict::of_exit(report.exit);
    report.model = Some(model);
    report
}

#[expect(clippy::ref_option, reason = "the form that serde asks for")]
fn name<S: Serializer>(model: &Option<Model>, serializer: S) -> Result<S::Ok, S::Error> {
    model.as_ref().map(Model::name).serialize(serializer)
}

fn read(path: &Path, memory_bytes: usize) -> Result<History, ReadError> {
    read::read_within(read::open(path)?, memory_bytes)
}

/// An error with its place, as compilers give it.
fn told(path: &Path, error: &ReadError) -> String {
    match error {
        ReadError::Line { line, what } => format!("{}:{line}: {what}", path.display()),
        ReadError::Io(error) => format!("{}: {error}", path.display()),
        ReadError::TooLarge { .. } => {
            format!("{}: inconclusive: {error}; `--memory` gives more", path.display())
        }
    }
}

fn human(report: &CheckReport, detail: Detail) -> String {
    let mut text = String::new();
    for history in &report.histories {
        tell(&mut text, history, detail);
    }
    text
}

fn tell(text: &mut String, history: &HistoryReport, detail: Detail) {
    let line = |text: &mut String, words: &str| writeln!(text, "{words}").expect("a String takes all");
    if let Some(error) = &history.error {
        line(text, error);
        return;
    }
    let operations = plural(history.operations as u64, "operation");
    let processes = plural(history.processes as u64, "process");
    let containers = plural(history.containers.len() as u64, "container");
    let verdict = match history.verdict {
        Verdict::Clean => "linearizable",
        Verdict::Violation => "not linearizable",
        verdict => verdict.as_str(),
    };
    line(text, &format!("{}: {verdict} ({operations} by {processes} on {containers})", history.path));
    for judgement in &history.containers {
        if judgement.verdict == Verdict::Clean && detail != Detail::Full {
            continue;
        }
        let (name, verdict) = (&judgement.container, judgement.verdict.as_str());
        match (judgement.explanation.as_ref().zip(history.model.as_ref()), &judgement.why) {
            (Some((explanation, model)), _) => {
                line(text, &format!("\n  {name}:"));
                for words in explanation.lines(model.table()) {
                    line(text, format!("  {words}").trim_end());
                }
            }
            (None, Some(why)) => line(text, &format!("  {name}: {verdict}: {why}")),
            (None, None) => {
                let operations = plural(judgement.operations, "operation");
                line(text, &format!("  {name}: {verdict} by {}, {operations}", judgement.tier.as_str()));
            }
        }
    }
    if detail == Detail::Full {
        line(text, &format!("  read in {:.3} s, judged in {:.3} s", history.read_s, history.judge_s));
    }
}
