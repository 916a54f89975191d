//! A store of your own, tested from Rust: each operation runs in a process of its own, held at its system calls in every order
//! that matters, and a model judges what the operations answered.
//!
//! The test's own binary is the command: it is started again for each operation. So the test needs a `main` that hands over
//! at once (`harness = false` in `Cargo.toml`), and works from `cargo test` like any other:
//!
//! ```no_run
//! use std::fs;
//!
//! use flockwork_harness::own::{self, Answer, Call};
//!
//! /// The store: a counter in a file.
//! fn perform(call: &Call) -> Answer {
//!     let file = call.state.join(&call.object);
//!     let sum = fs::read_to_string(&file).map_or(0, |text| text.parse().unwrap_or(0));
//!     if call.op == "read" {
//!         return Answer::saw(sum);
//!     }
//!     let sum = sum + call.value.as_i64().unwrap_or(0);
//!     match fs::write(&file, sum.to_string()) {
//!         Ok(()) => Answer::saw(sum),
//!         Err(error) => Answer::failed(error),
//!     }
//! }
//!
//! fn main() {
//!     own::main(perform, |own| {
//!         // Panics on a violation, and on anything that was not decided.
//!         own.check("counter", &[&["add x 1"], &["add x 1"]]).assert_clean();
//!     });
//! }
//! ```
//!
//! `examples/own-store.rs` has a counter whose fault is found, and the one that is mended.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::AtomicBool;

use serde_json::{Value as Json, json};

use crate::model::{self, AnyModel};
use crate::process::Zygote;
use crate::race::{self, RaceRun, tell};
use crate::report::race::{RaceCoverage, shortfalls};
use crate::scenario::{Found, Plan, Scenario};
use crate::scratch::{self, Scratch};
use crate::violation::Class;

/// Carries the state folder to the process of an operation, and says that there is one.
const STATE: &str = "FLOCKWORK_OWN_STATE";
/// Carries the store's name there.
const STORE: &str = "FLOCKWORK_OWN_STORE";
/// Exit codes of refusals and failures.
const REFUSED: i32 = 10;
const FAILED: i32 = 11;

/// One operation that the store is asked for.
#[derive(Clone, Debug)]
pub struct Call {
    /// The folder that all processes share; empty at first.
    pub state: PathBuf,
    /// Which store, where [`Own::store`] named one; else empty.
    pub store: String,
    /// What, as the model calls it: `add`, `read`.
    pub op: String,
    /// The object that the call is about, as the model names objects.
    pub object: String,
    /// The value, or null where there is none.
    pub value: Json,
}

/// What the store answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is done, and there is nothing to tell.
    Done,
    /// It is done, and this was seen.
    Saw(Json),
    /// It was declined, for a reason of the model: `exists`, `absent`, `status`, `held`, `empty`.
    Refused(&'static str),
    /// It failed, and changed nothing.
    Failed(String),
}

impl Answer {
    /// The operation succeeded, and told this value.
    pub fn saw(value: impl Into<Json>) -> Self {
        Self::Saw(value.into())
    }

    /// It failed, and changed nothing.
    pub fn failed(why: impl fmt::Display) -> Self {
        Self::Failed(why.to_string())
    }
}

/// Tests of a store. In the process of an operation this performs it and ends; else it runs the body, and comes back.
///
/// # Panics
///
/// Where the processes cannot be had: it must be called first thing in `main`, before any thread is started.
pub fn main(perform: impl FnOnce(&Call) -> Answer, body: impl FnOnce(&mut Own)) {
    if let Some(state) = std::env::var_os(STATE) {
        act(perform, state.into());
    }
    let zygote =
        Zygote::fork().unwrap_or_else(|error| panic!("flockwork: no process can be forked: {error}"));
    body(&mut Own { zygote, store: String::new(), seconds: 60 });
}

/// Performs the operation that the arguments name, and ends.
fn act(perform: impl FnOnce(&Call) -> Answer, state: PathBuf) -> ! {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().unwrap_or_default();
    let (op, object, value) = (word(), word(), word());
    let value = serde_json::from_str(&value).unwrap_or(Json::Null);
    let store = std::env::var(STORE).unwrap_or_default();
    match perform(&Call { state, store, op, object, value }) {
        Answer::Done => {}
        Answer::Saw(saw) => println!("{}", json!({ "saw": saw })),
        Answer::Refused(reason) => {
            println!("{}", json!({ "reason": reason }));
            exit(REFUSED);
        }
        Answer::Failed(why) => {
            eprintln!("{why}");
            exit(FAILED);
        }
    }
    exit(0)
}

/// What a test of a store is made with.
#[derive(Debug)]
pub struct Own {
    zygote: Zygote,
    store: String,
    seconds: u64,
}

impl Own {
    /// Names the store that [`Call::store`] tells from now on: for a test of several.
    pub fn store(&mut self, name: &str) -> &mut Self {
        name.clone_into(&mut self.store);
        self
    }

    /// Runs the processes of these operations (`"add x 1"`: name, object, value) in every order of their system calls that matters,
    /// and lets the model of this name judge: `register`, `counter`, `set`, `log`, `lock`, `queue`, or a file.
    ///
    /// # Panics
    ///
    /// Where the model or an operation is none.
    pub fn check(&self, model: &str, processes: &[&[&str]]) -> Checked {
        let text = self.scenario(model, processes);
        let found = Found { argument: "own.toml".into(), text };
        let scenario = Scenario::parse(&found, &[]).unwrap_or_else(|problems| {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("flockwork: {}", told.join("\n"))
        });
        let Plan::Race(plan) = scenario.plan(Path::new("/"), 0) else {
            unreachable!("commands under control are a race")
        };
        let scratch = Scratch::create(&scratch::default_base())
            .unwrap_or_else(|error| panic!("flockwork: no folder can be made: {error}"));
        let raced = race::run(&self.zygote, &plan, &scratch.root(), &AtomicBool::new(false), &());
        let checked = match raced {
            Err(error) => Checked::Undecided { why: error.to_string() },
            Ok(run) => Checked::of(&plan, &run),
        };
        // What cannot be removed now, the next run clears.
        _ = scratch.remove();
        checked
    }

    /// The scenario, which says that this very program performs each operation of the model.
    fn scenario(&self, name: &str, processes: &[&[&str]]) -> String {
        let program = std::env::current_exe().unwrap_or_else(|error| panic!("flockwork: {error}"));
        let program = program.display().to_string();
        let model = model::load_any(name);
        let operations: Vec<&str> = match &model {
            Ok(AnyModel::Object(model)) => model.op_names(),
            Ok(AnyModel::Table(_)) => flockwork::Operation::ALL.map(flockwork::Operation::as_str).to_vec(),
            Err(error) => panic!("flockwork: {error}"),
        };
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut text = format!(
            "about = \"A store of one's own.\"\nkind = \"explore\"\n[subject]\nname = \"command\"\nmodel = {}\n\
             env = {{ {STATE} = \"{{state}}\", {STORE} = {} }}\nanswers = [\
             {{ exit = 0, json = {{ saw = \"/saw\" }}, outcome = \"ok\" }}, {{ exit = 0, outcome = \"ok\" }}, \
             {{ exit = {REFUSED}, json = {{ reason = \"/reason\" }}, outcome = \"refused\" }}, \
             {{ exit = {FAILED}, outcome = \"failed\" }}]\n",
            quoted(name),
            quoted(&self.store),
        );
        for op in operations {
            writeln!(
                text,
                "[subject.operations.{op}]\ncommand = [{}, \"{op}\", \"{{object}}\", \"{{value}}\"]",
                quoted(&program)
            )
            .expect("a String takes all");
        }
        let list = |words: &&[&str]| {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            format!("[{}]", words.join(", "))
        };
        let processes: Vec<String> = processes.iter().map(list).collect();
        let seconds = self.seconds;
        writeln!(
            text,
            "[explore]\nprocesses = [{}]\nbudget = {{ time = \"{seconds}s\" }}",
            processes.join(", ")
        )
        .expect("a String takes all");
        text
    }
}

/// What a check came to: one of three, none of which can be taken for another.
#[derive(Clone, Debug)]
#[must_use = "a check that nobody looks at proves nothing"]
pub enum Checked {
    /// Every order of system calls was run, or every one with up to two preemptions, and each was legal.
    Clean {
        /// How many executions there were.
        executions: u64,
        /// Which part of all executions that was.
        coverage: RaceCoverage,
    },
    /// A promise was broken.
    Broken {
        /// The class of the promise that was broken.
        class: Class,
        /// What was seen, in a sentence.
        message: String,
        /// The number of the execution that showed it.
        execution: u64,
    },
    /// Nothing can be said.
    Undecided {
        /// What was missing for a verdict, in a sentence.
        why: String,
    },
}

impl Checked {
    fn of(plan: &crate::plan::race::RacePlan, run: &RaceRun) -> Self {
        if let Some(discovery) = run.discoveries.first() {
            let message = tell::message(plan, discovery);
            return Self::Broken { class: discovery.broken.class, message, execution: discovery.number };
        }
        let why = shortfalls(plan, run);
        let coverage = RaceCoverage::of(run);
        if why.is_empty() && coverage != RaceCoverage::Sampled && run.executions > 0 {
            return Self::Clean { executions: run.executions, coverage };
        }
        let why = run.uncontrolled.iter().cloned().chain(why).collect::<Vec<_>>().join("; ");
        Self::Undecided { why: if why.is_empty() { "it was not run to its end".into() } else { why } }
    }

    /// Goes on only where all was legal.
    ///
    /// # Panics
    ///
    /// Where a promise was broken, and where nothing can be said.
    #[track_caller]
    pub fn assert_clean(&self) {
        match self {
            Self::Clean { .. } => {}
            Self::Broken { class, message, .. } => panic!("{class}: {message}"),
            Self::Undecided { why } => panic!("undecided, which is not clean: {why}"),
        }
    }

    /// Goes on only where this promise was broken: for a test that proves that the test can fail.
    ///
    /// # Panics
    ///
    /// Where it was not, and where nothing can be said.
    #[track_caller]
    pub fn assert_broken(&self, expected: Class) {
        match self {
            Self::Broken { class, .. } if *class == expected => {}
            Self::Broken { class, message, .. } => panic!("expected {expected}, found {class}: {message}"),
            Self::Clean { executions, .. } => {
                panic!("expected {expected}, and all of {executions} executions are legal")
            }
            Self::Undecided { why } => panic!("expected {expected}, but the result is undecided: {why}"),
        }
    }
}
