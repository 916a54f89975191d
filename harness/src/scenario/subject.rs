//! The `[subject]` table: what is tested.

use flockwork::{LockKind, ReadPolicy, StoreOptions, Wait, WritePolicy};

use crate::document::reader::Reader;
use crate::document::source::Problem;
use crate::plan::{FailCreate, FailCreateAt, SubjectPlan};
use crate::words::nearest;

const SANDBOXES: [&str; 2] = ["inert", "process"];
const WAIT_FORM: &str = "\"block\", \"try\" or a duration such as \"5s\"";

/// Reads the table.
pub fn read(mut reader: Reader<'_>) -> Option<SubjectPlan> {
    let Some((name, place)) = reader.text("name") else {
        reader.missing("name", "\"library\", \"replica\" or \"command\"");
        return None;
    };
    let plan = match name {
        "library" => Some(library(&mut reader)),
        "replica" => replica(&mut reader),
        "oci" => {
            let message = format!("subject {name:?} is not supported by this version of flockwork");
            reader.complain(
                Problem::new(place, message).with_help("this version tests library, replica and command"),
            );
            return None;
        }
        other => {
            let near = nearest(other, ["library", "replica", "command"]).unwrap_or("library");
            let message = format!("name: expected \"library\", \"replica\" or \"command\", found {other:?}");
            reader.complain(Problem::new(place, message).with_help(format!("the nearest is {near:?}")));
            return None;
        }
    };
    reader.finish();
    plan
}

fn library(reader: &mut Reader<'_>) -> SubjectPlan {
    let default = StoreOptions::default();
    let mut word =
        |key, known: &[&'static str], default| reader.word(key, known).unwrap_or(default).to_owned();
    let lock = word("lock", &words(LockKind::ALL, LockKind::as_str), default.lock.as_str());
    let read = word("read", &words(ReadPolicy::ALL, ReadPolicy::as_str), default.read.as_str());
    let write = word("write", &words(WritePolicy::ALL, WritePolicy::as_str), default.write.as_str());
    let sandbox = word("sandbox", &SANDBOXES, SANDBOXES[0]);
    let wait = wait(reader).unwrap_or(default.wait).to_string();
    SubjectPlan::Library { lock, wait, read, write, sandbox }
}

/// The library as it comes.
#[must_use]
pub fn default() -> SubjectPlan {
    let StoreOptions { lock, wait, read, write, .. } = StoreOptions::default();
    SubjectPlan::Library {
        lock: lock.to_string(),
        wait: wait.to_string(),
        read: read.to_string(),
        write: write.to_string(),
        sandbox: SANDBOXES[0].to_owned(),
    }
}

/// The words for a choice are the library's own.
fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|choice| word(*choice)).collect()
}

fn wait(reader: &mut Reader<'_>) -> Option<Wait> {
    let (text, place) = reader.text("wait")?;
    let wait = text.parse().ok();
    if wait.is_none() {
        reader.complain(Problem::new(place, format!("wait: expected {WAIT_FORM}, found {text:?}")));
    }
    wait
}

/// Which replicas there are is known to the replicas alone: building the subject names them.
fn replica(reader: &mut Reader<'_>) -> Option<SubjectPlan> {
    let Some((replica, place)) = reader.text("replica") else {
        reader.missing("replica", "the name of a replica, such as \"gvisor-2018\"");
        return None;
    };
    let plan = SubjectPlan::Replica { replica: replica.into(), fail_create: fail_create(reader) };
    if let Err(why) = crate::subject::build(&plan) {
        reader.complain(Problem::new(place, why));
    }
    Some(plan)
}

/// Two keys, of which the second only says where.
fn fail_create(reader: &mut Reader<'_>) -> Option<FailCreate> {
    let at = match reader.word("fail_create_at", &["start", "end"]) {
        Some("end") => FailCreateAt::End,
        _ => FailCreateAt::Start,
    };
    let share = reader.share("fail_create")?;
    // How many workers there will be, this table does not say.
    Some(FailCreate { share, at, workers: 0 })
}

/// The subject in a few words: its name, and what differs from the library's defaults.
#[must_use]
pub fn describe(plan: &SubjectPlan) -> String {
    match plan {
        SubjectPlan::Replica { replica, .. } => replica.clone(),
        SubjectPlan::Library { lock, wait, read, write, sandbox } => {
            let mut words = vec!["library".to_owned(), lock.clone()];
            let default = StoreOptions::default();
            let choices = [
                (wait, default.wait.to_string(), "wait"),
                (read, default.read.to_string(), "read"),
                (write, default.write.to_string(), "write"),
                (sandbox, SANDBOXES[0].to_owned(), "sandbox"),
            ];
            for (choice, default, name) in choices {
                if *choice != default {
                    words.push(format!("{name}={choice}"));
                }
            }
            words.join(" ")
        }
    }
}
