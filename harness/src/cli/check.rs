//! `flockwork check`: judges stored histories. No process is started.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use super::args::{CheckArgs, CheckerArg, Format, FromArg};
use super::failure::Failure;
use super::latest;
use super::output::{Output, print_json, print_words};
use super::patient::Patient;
use crate::check::search::Budget;
use crate::history::read::{self, Limits, ReadError};
use crate::history::{AnyHistory, Window, jepsen};
use crate::judge::{AnyJudged, Checker, Judgement, ObjectJudgement, judge_any};
use crate::model::object::ObjectModel;
use crate::model::{self, AnyModel, Builtin, Model};
use crate::report::exit::Exit;
use crate::report::human::Detail;
use crate::report::lives::Lives;
use crate::report::verdict::{self, Verdict};
use crate::violation::{Class, Violation};
use crate::words::plural;

/// What `check` says of all histories that it was given.
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
    model: Option<AnyModel>,
    verdict: Verdict,
    /// Why it is inconclusive as a whole, where it is.
    why: Option<String>,
    operations: usize,
    processes: usize,
    /// Which part of a run the history holds; null: all of it.
    window: Option<Window>,
    /// The operations that failed; null where it cannot be read.
    failures: Option<Failed>,
    /// What failed operations prove by themselves, whatever their order.
    violations: Vec<Proved>,
    read_s: f64,
    judge_s: f64,
    /// Why it cannot be read or held, where it cannot.
    error: Option<String>,
    containers: Vec<Judgement>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    objects: Vec<ObjectJudgement>,
    /// The lives of the containers that something is said of.
    #[serde(skip)]
    lives: BTreeMap<String, Lives>,
    #[serde(skip)]
    exit: Exit,
}

/// The operations that failed.
#[derive(Debug, Serialize)]
struct Failed {
    count: u64,
    by_reason: BTreeMap<&'static str, u64>,
    /// The first one, in words.
    first: Option<String>,
    /// How many violations they prove, those that are not kept among them.
    #[serde(skip)]
    violations_total: u64,
}

/// A violation that needs no order to be seen.
#[derive(Debug, Serialize)]
struct Proved {
    class: Class,
    message: String,
}

/// What the arguments mean.
struct Request {
    /// `None`: each history names its own.
    model: Option<AnyModel>,
    /// Who wrote the histories, and of what they are.
    from: Option<ObjectModel>,
    checker: Checker,
    budget: Budget,
}

/// Judges the histories.
pub fn run(args: &CheckArgs, output: Output) -> Result<Exit, Failure> {
    let request = Request::new(args)?;
    let paths = histories(&args.histories)?;
    let histories: Vec<HistoryReport> = paths.iter().map(|path| examine(path, &request)).collect();
    let exit = histories.iter().map(|history| history.exit).fold(Exit::AsExpected, Exit::and);
    let report = CheckReport {
        schema_version: crate::report::SCHEMA_VERSION,
        verdict: verdict::of_exit(exit),
        exit_code: exit.code(),
        histories,
    };
    match output.format {
        Format::Human => print_words(&human(&report, output.detail))?,
        Format::Json => print_json(&report)?,
    }
    Ok(exit)
}

/// The histories that are meant: of a run those that are in its folder.
fn histories(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut histories = Vec::new();
    for path in paths {
        let kept = latest::histories(path);
        match latest::is_run(path) {
            false => histories.push(path.clone()),
            true if kept.is_empty() => {
                return Err(Failure::new(Exit::Usage, latest::kept_no_history(path)));
            }
            true => histories.extend(kept),
        }
    }
    Ok(histories)
}

impl Request {
    fn new(args: &CheckArgs) -> Result<Self, Failure> {
        let time = args.budget.as_deref().map(time).transpose()?;
        let memory_bytes = bytes(&args.memory)?;
        let model = args.model.as_deref().map(load).transpose()?;
        let from = args.from.map(|FromArg::Jepsen| of_jepsen(model.as_ref())).transpose()?;
        Ok(Self {
            model,
            from,
            checker: match args.checker {
                CheckerArg::Auto => Checker::Auto,
                CheckerArg::Witness => Checker::Witness,
                CheckerArg::Search => Checker::Search,
            },
            budget: Budget { time, memory_bytes, ..Budget::default() },
        })
    }
}

/// Of what a history of Jepsen is: it does not say so itself.
fn of_jepsen(model: Option<&AnyModel>) -> Result<ObjectModel, Failure> {
    let expected =
        "--from jepsen: expected --model register, counter or set, or a file of a model of one of them";
    match model {
        Some(AnyModel::Object(model)) if jepsen::can_read(model.kind) => Ok(model.clone()),
        _ => Err(Failure::new(Exit::Usage, expected.to_owned())),
    }
}

fn load(name_or_path: &str) -> Result<AnyModel, Failure> {
    model::load_any(name_or_path).map_err(|error| Failure::new(Exit::Usage, format!("--model: {error}")))
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
        why: None,
        operations: 0,
        processes: 0,
        window: None,
        failures: None,
        violations: Vec::new(),
        read_s: 0.0,
        judge_s: 0.0,
        error: None,
        containers: Vec::new(),
        objects: Vec::new(),
        lives: BTreeMap::new(),
        exit: Exit::Usage,
    };
    let start = Instant::now();
    let until = request.budget.time.map(|time| start + time);
    let history = match read(path, request, Limits { memory_bytes: request.budget.memory_bytes, until }) {
        Ok(history) => history,
        Err(error) => {
            if matches!(&error, ReadError::TooLarge { .. } | ReadError::TooLate { .. }) || is_late(&error) {
                (report.verdict, report.exit) = (Verdict::Inconclusive, Exit::Inconclusive);
            }
            report.error = Some(told(path, &error));
            return report;
        }
    };
    report.read_s = start.elapsed().as_secs_f64();
    let model = request.model.clone().unwrap_or_else(|| own_model(&history));
    let start = Instant::now();
    // What reading took is gone.
    let time = until.map(|until| until.saturating_duration_since(start));
    let judged = match judge_any(&history, &model, request.checker, Budget { time, ..request.budget }) {
        Ok(judged) => judged,
        Err(why) => {
            report.error = Some(format!("{}: {why}", path.display()));
            return report;
        }
    };
    report.judge_s = start.elapsed().as_secs_f64();
    (report.operations, report.processes) = counts(&history);
    report.window = window(&history);
    let ruling = judged.ruling();
    report.exit = Exit::from(&ruling);
    report.verdict = ruling.verdict();
    report.why = ruling.undecided().map(|undecided| undecided.why().to_owned());
    let (failed, violations) = match judged {
        AnyJudged::Table(judged) => {
            report.containers = judged.containers;
            let failures = judged.failures;
            let failed = Failed {
                count: failures.count,
                by_reason: failures.by_reason,
                first: failures.first,
                violations_total: failures.broken.violations_total,
            };
            (failed, failures.broken.violations)
        }
        AnyJudged::Object(judged) => {
            report.objects = judged.objects;
            let failures = judged.failures;
            let failed = Failed {
                count: failures.count,
                by_reason: failures.by_reason,
                first: failures.first,
                violations_total: failures.violations_total,
            };
            (failed, failures.violations)
        }
    };
    report.lives = lives(&history, &report.containers);
    let proved =
        |violation: &Violation| Proved { class: violation.class, message: violation.message.clone() };
    report.violations = violations.iter().map(proved).collect();
    report.failures = Some(failed);
    report.model = Some(model);
    report
}

#[expect(clippy::ref_option, reason = "the form that serde asks for")]
fn name<S: Serializer>(model: &Option<AnyModel>, serializer: S) -> Result<S::Ok, S::Error> {
    model.as_ref().map(AnyModel::name).serialize(serializer)
}

fn read(path: &Path, request: &Request, limits: Limits) -> Result<AnyHistory, ReadError> {
    let input = match limits.until {
        Some(until) => Patient::open(path, until).and_then(read::decoded)?,
        None => read::open(path)?,
    };
    match &request.from {
        Some(model) => jepsen::read(input, model, limits).map(Box::new).map(AnyHistory::Object),
        None => read::read_any(input, request.model.as_ref(), limits),
    }
}

/// The lives of each container that something is to be said of.
fn lives(history: &AnyHistory, judged: &[Judgement]) -> BTreeMap<String, Lives> {
    let AnyHistory::Table(history) = history else { return BTreeMap::new() };
    let told = judged.iter().filter(|judgement| judgement.verdict() != Verdict::Clean);
    let of = |judgement: &Judgement| {
        let place = history.containers.iter().position(|name| *name == judgement.container)?;
        Some((judgement.container.clone(), Lives::all(history, u32::try_from(place).ok()?)))
    };
    told.filter_map(of).collect()
}

/// The model that a history names.
fn own_model(history: &AnyHistory) -> AnyModel {
    match history {
        AnyHistory::Table(history) => {
            AnyModel::Table(Model::builtin(history.model.unwrap_or(Builtin::Runsc)))
        }
        AnyHistory::Object(history) => {
            let model = history.model.clone();
            AnyModel::Object(model.expect("a reader gives every history of objects its model"))
        }
    }
}

/// Which part of a run it holds; a history of objects holds all of it.
fn window(history: &AnyHistory) -> Option<Window> {
    match history {
        AnyHistory::Table(history) => history.window,
        AnyHistory::Object(_) => None,
    }
}

/// How many operations, and by how many processes.
fn counts(history: &AnyHistory) -> (usize, usize) {
    match history {
        AnyHistory::Table(history) => {
            let mut processes: Vec<u32> = history.records.iter().map(|record| record.process).collect();
            processes.sort_unstable();
            processes.dedup();
            (history.records.len(), processes.len())
        }
        AnyHistory::Object(history) => (history.calls.len(), history.actors.len()),
    }
}

/// An error with its place, as compilers give it.
/// Whether nothing came in the time that there was.
fn is_late(error: &ReadError) -> bool {
    matches!(error, ReadError::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

fn told(path: &Path, error: &ReadError) -> String {
    match error {
        late if is_late(late) => format!(
            "{}: inconclusive: the time budget ran out, and there was nothing more to read yet; `--budget` gives more",
            path.display()
        ),
        ReadError::Line { line, what } => format!("{}:{line}: {what}", path.display()),
        ReadError::Io(error) => format!("{}: {error}", path.display()),
        ReadError::TooLarge { .. } => {
            format!("{}: inconclusive: {error}; `--memory` gives more", path.display())
        }
        ReadError::TooLate { .. } => {
            format!("{}: inconclusive: {error}; `--budget` gives more", path.display())
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
    let containers = match &history.model {
        Some(AnyModel::Object(_)) => plural(history.objects.len() as u64, "object"),
        _ => plural(history.containers.len() as u64, "container"),
    };
    let verdicts = || {
        let containers = history.containers.iter().map(Judgement::verdict);
        containers.chain(history.objects.iter().map(ObjectJudgement::verdict))
    };
    let verdict = match (history.verdict, &history.why) {
        (Verdict::Clean, _) => "linearizable".to_owned(),
        (Verdict::Violation, _) if verdicts().any(|verdict| verdict == Verdict::Violation) => {
            "not linearizable".to_owned()
        }
        (verdict, Some(why)) if verdicts().next().is_none() => format!("{}: {why}", verdict.as_str()),
        (verdict, _) => verdict.as_str().to_owned(),
    };
    line(text, &format!("{}: {verdict} ({operations} by {processes} on {containers})", history.path));
    if history.window.is_some() {
        line(text, "  a window of a run: what came before it and after it is not in the file");
    }
    tell_failures(text, history);
    for judgement in &history.containers {
        if judgement.verdict() == Verdict::Clean && detail != Detail::Full {
            continue;
        }
        let (name, verdict) = (&judgement.container, judgement.verdict().as_str());
        let table = match &history.model {
            Some(AnyModel::Table(model)) => Some(model),
            _ => None,
        };
        let lives = history.lives.get(name).filter(|_| detail != Detail::Full);
        let told = |words: &str| lives.map_or_else(|| words.to_owned(), |lives| lives.tell(words));
        match (judgement.explanation().zip(table), judgement.why()) {
            (Some((explanation, model)), _) => {
                line(text, &format!("\n  {name}:"));
                for words in explanation.lines(model.table()) {
                    line(text, format!("  {}", told(&words)).trim_end());
                }
            }
            (None, Some(why)) => line(text, &format!("  {name}: {verdict}: {}", told(why))),
            (None, None) => {
                let operations = plural(judgement.operations, "operation");
                line(text, &format!("  {name}: {verdict} by {}, {operations}", judgement.tier.as_str()));
            }
        }
    }
    for judgement in &history.objects {
        tell_object(text, judgement, detail);
    }
    if detail == Detail::Full {
        line(text, &format!("  read in {:.3} s, judged in {:.3} s", history.read_s, history.judge_s));
    }
}

/// What is said of an object; where that is a violation, with the operations that show it.
fn tell_object(text: &mut String, judgement: &ObjectJudgement, detail: Detail) {
    /// How many operations are shown.
    const LINES_MAX: usize = 40;
    let mut line = |words: &str| writeln!(text, "{words}").expect("a String takes all");
    let name = &judgement.object;
    match (judgement.verdict(), judgement.why()) {
        (Verdict::Violation, Some(why)) => {
            line(&format!("\n  {name}: {why}\n"));
            let lines = judgement.marked();
            for shown in lines.iter().take(LINES_MAX) {
                line(&format!("    {shown}"));
            }
            if let Some(more) = lines.len().checked_sub(LINES_MAX + 1) {
                line(&format!("    and {} more; `--format json` has all", more + 1));
            }
        }
        (verdict, Some(why)) => line(&format!("  {name}: {}: {why}", verdict.as_str())),
        (verdict, None) if detail == Detail::Full => {
            let operations = plural(judgement.operations, "operation");
            line(&format!("  {name}: {} by {}, {operations}", verdict.as_str(), judgement.way.as_str()));
        }
        (_, None) => {}
    }
}

/// How many operations failed, and what that proves.
fn tell_failures(text: &mut String, history: &HistoryReport) {
    let mut line = |words: &str| writeln!(text, "{words}").expect("a String takes all");
    let Some(failures) = history.failures.as_ref().filter(|failures| failures.count > 0) else { return };
    let reasons = failures.by_reason.iter().map(|(reason, count)| format!("{count} {reason}"));
    let reasons = reasons.collect::<Vec<_>>().join(", ");
    let all = plural(history.operations as u64, "operation");
    line(&format!("  {} of {all} failed ({reasons})", failures.count));
    if let Some(first) = &failures.first {
        line(&format!("  the first: {first}"));
    }
    for violation in &history.violations {
        line(&format!("  {}: {}", violation.class.as_str(), violation.message));
    }
    let untold = failures.violations_total.saturating_sub(history.violations.len() as u64);
    if untold > 0 {
        let classes: std::collections::BTreeSet<&str> =
            history.violations.iter().map(|violation| violation.class.as_str()).collect();
        line(&format!("  and {untold} more of {}", classes.into_iter().collect::<Vec<_>>().join(", ")));
    }
}
