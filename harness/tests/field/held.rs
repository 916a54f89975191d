//! What is known without flockwork: strace holds the processes of each broken program as its `shown` says, and what
//! comes out is what no sequential order gives. So that the corpus cannot be as wrong as the tool that it judges.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::pair::{By, Pair, Race, Variant, names};
use super::strace::{Answer, Held, Stop, end};

/// What commands left: each one's answer (none where it was killed or hangs), and the files.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    answers: Vec<Option<Answer>>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

#[test]
fn each_broken_program_goes_wrong_where_it_is_held() {
    for name in names() {
        let pair = Pair::read(&name);
        if pair.is_skipped("each_broken_program_goes_wrong_where_it_is_held", &["strace"]) {
            continue;
        }
        for race in pair.races.iter().filter(|race| !race.shown.is_empty()) {
            let legal = sequential(&pair, race);
            let shown = held(&pair, race);
            let differs = match race.by {
                By::Race | By::Crash => !legal.contains(&shown),
                // Whether the killed command ran or not, whoever comes after it answers otherwise than ever alone.
                By::Kill => legal.iter().all(|outcome| outcome.answers[1] != shown.answers[1]),
            };
            assert!(differs, "{name}: {:?} shows nothing: {shown:?}", race.shown);
        }
    }
}

/// The outcomes of every sequential order; for a kill, of the second command alone as well.
fn sequential(pair: &Pair, race: &Race) -> Vec<Outcome> {
    let mut orders = permutations(race.processes.len());
    if race.by == By::Kill {
        orders.push(vec![1]);
    }
    let run = |order: &Vec<usize>| {
        let place = prepared(pair, race);
        let mut answers = vec![None; race.processes.len()];
        for &process in order {
            answers[process] = Some(Answer::of(place.path(), &race.processes[process].join(" && ")));
        }
        Outcome { answers, files: files(&place.path().join("state")) }
    };
    orders.iter().map(run).collect()
}

/// The outcome of the processes held as `shown` says.
fn held(pair: &Pair, race: &Race) -> Outcome {
    let place = prepared(pair, race);
    let steps: Vec<Step> = race.shown.iter().map(|step| Step::read(step)).collect();
    let watched = |process: usize| {
        let of_process = |step: &Step| match step {
            Step::Until(which, stop) if *which == process => Some(stop.clone()),
            Step::Until(..) | Step::Ends(_) => None,
        };
        steps.iter().filter_map(of_process).collect::<Vec<_>>()
    };
    let mut processes: BTreeMap<usize, Held> = BTreeMap::new();
    let start = |process: usize| {
        let command = race.processes[process].join(" && ");
        Held::start(place.path(), &command, &watched(process))
    };
    for step in &steps {
        match step {
            Step::Until(process, stop) => {
                processes.entry(*process).or_insert_with(|| start(*process)).wait_for(stop);
            }
            Step::Ends(ending) => {
                for &process in ending {
                    processes.entry(process).or_insert_with(|| start(process));
                }
                let ending = processes.iter_mut().filter(|(process, _)| ending.contains(process));
                end(&mut ending.map(|(_, held)| held).collect::<Vec<_>>());
            }
        }
    }
    let answer = |process: usize| processes.get_mut(&process).and_then(Held::answer);
    let answers = (0..race.processes.len()).map(answer).collect();
    drop(processes);
    Outcome { answers, files: files(&place.path().join("state")) }
}

/// A step of `shown`.
enum Step {
    /// The process goes on until it has made that call.
    Until(usize, Stop),
    /// The processes go on to their ends.
    Ends(Vec<usize>),
}

impl Step {
    fn read(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let number = |word: &str| word.parse().unwrap_or_else(|error| panic!("{text:?}: {word:?}: {error}"));
        match words[..] {
            [process, "after", ref call @ ..] => Self::Until(number(process), Stop::read(call, false)),
            [process, "killed", "after", ref call @ ..] => {
                Self::Until(number(process), Stop::read(call, true))
            }
            [processes] => Self::Ends(processes.split('+').map(number).collect()),
            _ => panic!("{text:?} is no step"),
        }
    }
}

/// A place with the broken program and what the setup makes.
fn prepared(pair: &Pair, race: &Race) -> tempfile::TempDir {
    let place = pair.build(Variant::Broken);
    for command in &race.setup {
        Answer::of(place.path(), command);
    }
    place
}

/// The files below a folder, with what they hold.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("readable") {
        let (path, name) =
            entry.map(|entry| (entry.path(), PathBuf::from(entry.file_name()))).expect("readable");
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, text)| (name.join(below), text)));
        } else {
            found.insert(name, fs::read(&path).expect("readable"));
        }
    }
    found
}

/// Every order of so many.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for next in 0..count {
        let insert = |order: &Vec<usize>| {
            let at = |place: usize| [&order[..place], &[next], &order[place..]].concat();
            (0..=order.len()).map(at).collect::<Vec<_>>()
        };
        orders = orders.iter().flat_map(insert).collect();
    }
    orders
}
