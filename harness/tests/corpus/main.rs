//! A corpus of named histories, written by hand: each says in its first line what it is about and what the verdict is,
//! and beside it lies what a person is told.
//!
//! `FLOCKWORK_BLESS=1 cargo test -p flockwork-harness --test corpus` writes the `.expected` files anew; the verdicts
//! stay what the histories say. A history of a model of its own names that in `judged_by`; one that only generation and
//! revision show to be wrong says in `without_tokens` what is to be said of the rest.

#[path = "../support/oracle.rs"]
mod oracle;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use flockwork_harness::check::search::{self, Budget, SearchRuling};
use flockwork_harness::history::{History, Record, read};
use flockwork_harness::judge::{Checker, Judgement, judge};
use flockwork_harness::model::{Builtin, Model, load};
use flockwork_harness::report::verdict::Verdict;

/// A history of the corpus.
struct Named {
    path: PathBuf,
    header: serde_json::Value,
    history: History,
    model: Model,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

fn files(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let is_history = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jsonl");
    let mut paths: Vec<_> = entries.filter(is_history).collect();
    paths.sort();
    paths
}

impl Named {
    fn open(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let header = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let history = read::read_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let own = |value: &serde_json::Value| value["judged_by"].as_str().map(str::to_owned);
        let model = match own(&header) {
            Some(file) => load(path.with_file_name(file).to_str().unwrap()).unwrap(),
            None => Model::builtin(history.model.unwrap_or(Builtin::Runsc)),
        };
        assert_eq!(model.covers(&history), Ok(()), "{}", path.display());
        Self { path, header, history, model }
    }

    fn name(&self) -> String {
        self.path.file_stem().unwrap().to_string_lossy().into_owned()
    }

    /// A verdict that the header pins.
    fn pinned(&self, key: &str) -> Option<Verdict> {
        match self.header[key].as_str()? {
            "clean" => Some(Verdict::Clean),
            "violation" => Some(Verdict::Violation),
            other => panic!("{}: {key} is {other:?}", self.name()),
        }
    }

    fn judge(&self, checker: Checker) -> Vec<Judgement> {
        judge(&self.history, &self.model, checker, Budget::default())
    }

    /// What a person is told.
    fn told(&self) -> String {
        let mut text = format!("{}\n", self.header["about"].as_str().unwrap());
        for judgement in self.judge(Checker::Auto) {
            let (container, verdict) = (&judgement.container, judgement.verdict().as_str());
            writeln!(text, "\n{container}: {verdict}, by {}", judgement.tier.as_str()).unwrap();
            match (judgement.explanation(), judgement.why()) {
                (Some(explanation), _) => {
                    for line in explanation.lines(self.model.table()) {
                        writeln!(text, "{}", format!("  {line}").trim_end()).unwrap();
                    }
                }
                (None, Some(why)) => writeln!(text, "  {why}").unwrap(),
                (None, None) => {}
            }
        }
        text
    }
}

/// The gravest of several verdicts.
fn whole(judgements: &[Judgement]) -> Verdict {
    let gravest = |verdict| judgements.iter().any(|judgement| judgement.verdict() == verdict);
    let order = [Verdict::Violation, Verdict::Error, Verdict::Inconclusive];
    order.into_iter().find(|&verdict| gravest(verdict)).unwrap_or(Verdict::Clean)
}

/// Compares with what lies beside the history, or writes it anew.
fn pin(path: &Path, told: &str) {
    let expected = path.with_extension("expected");
    if std::env::var_os("FLOCKWORK_BLESS").is_some() {
        fs::write(&expected, told).unwrap();
    }
    let written = fs::read_to_string(&expected).unwrap_or_default();
    assert!(
        written == told,
        "{} is not what is told now. If that is better, FLOCKWORK_BLESS=1 writes it anew. Now:\n{told}",
        expected.display()
    );
}

#[test]
fn each_history_has_its_verdict_by_every_judge() {
    let paths = files("histories");
    assert!(paths.len() >= 25, "only {} histories", paths.len());
    for named in paths.into_iter().map(Named::open) {
        let (name, pinned) = (named.name(), named.pinned("verdict").expect("a history pins its verdict"));
        let by = |checker| whole(&named.judge(checker));
        assert_eq!(by(Checker::Auto), pinned, "{name}");
        assert_eq!(by(Checker::Search), named.pinned("without_tokens").unwrap_or(pinned), "{name}");
        // The witness judges what has tokens, and says so of the rest.
        let has_tokens = named.history.records.iter().all(is_told);
        let by_witness = by(Checker::Witness);
        if has_tokens && named.model.name() == "runsc" {
            assert_eq!(by_witness, pinned, "{name}");
        } else {
            assert!([pinned, Verdict::Inconclusive].contains(&by_witness), "{name}: {by_witness:?}");
        }
    }
}

/// Whether it has generation and revision, or nothing to have them of.
fn is_told(record: &Record) -> bool {
    use flockwork_harness::history::{Outcome, Reason};
    let has_none = record.outcome == Outcome::Unknown || record.reason == Some(Reason::Absent);
    has_none || (record.generation.is_some() && record.revision.is_some())
}

/// What the search reads of a container.
fn reads(history: &History, model: &Model, lane: &search::Operations) -> oracle::Reads {
    if search::tells_lives(history, model, lane) {
        oracle::Reads::Generations
    } else {
        oracle::Reads::Statuses
    }
}

#[test]
fn each_verdict_is_that_of_every_order_tried() {
    for named in files("histories").into_iter().map(Named::open) {
        let (history, model) = (&named.history, &named.model);
        let is_linearizable = search::partitions(history).iter().all(|lane| {
            let records = lane.indexes.iter().map(|&index| &history.records[index as usize]);
            oracle::has_an_order(
                model,
                records,
                model.starts(history, lane.container),
                model.death(history),
                reads(history, model, lane),
            )
            .expect("a small history")
        });
        let verdict = if is_linearizable { Verdict::Clean } else { Verdict::Violation };
        let pinned = named.pinned("without_tokens").or(named.pinned("verdict"));
        assert_eq!(Some(verdict), pinned, "{}", named.name());
        for explanation in named.judge(Checker::Search).iter().filter_map(Judgement::explanation) {
            assert_eq!(
                oracle::window_has_an_order(model, history, explanation),
                Some(false),
                "{}",
                named.name()
            );
        }
    }
}

#[test]
fn whoever_says_clean_has_an_order_that_shows_it() {
    for named in files("histories").into_iter().map(Named::open) {
        let (history, model, pinned) = (&named.history, &named.model, named.pinned("verdict"));
        let allowance = Budget::default().shared(1);
        let lanes = search::partitions(history);
        let orders: Result<Vec<_>, _> = lanes
            .iter()
            .map(|lane| match search::judge_one(history, model, allowance, lane) {
                SearchRuling::Legal(proof) => Ok(proof),
                other => Err(other),
            })
            .collect();
        let clean = named.pinned("without_tokens").or(pinned) == Some(Verdict::Clean);
        assert_eq!(orders.is_ok(), clean, "{}", named.name());
        for order in orders.iter().flatten() {
            assert_eq!(order.certificate().validate(history, model), Ok(()), "{}: {order:?}", named.name());
        }
    }
}

#[test]
fn each_is_told_in_the_words_beside_it() {
    for named in files("histories").into_iter().map(Named::open) {
        pin(&named.path, &named.told());
    }
}

#[test]
fn each_malformed_one_is_refused_with_its_line() {
    let paths = files("malformed");
    assert!(paths.len() >= 15, "only {} malformed histories", paths.len());
    for path in paths {
        let error = read::read_file(&path).map(|_| ()).expect_err(&path.display().to_string()).to_string();
        let number = error.strip_prefix("line ").and_then(|rest| rest.split_once(':')).map(|(line, _)| line);
        assert!(number.is_some_and(|line| line.parse::<u64>().is_ok()), "{}: {error}", path.display());
        pin(&path, &format!("{error}\n"));
    }
}
