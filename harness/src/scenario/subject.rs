//! The `[subject]` table: what is tested.

use super::reader::Reader;
use super::source::{Problem, nearest};
use super::units;
use crate::plan::SubjectPlan;

const LOCKS: [&str; 5] = ["fs2", "std", "ofd", "posix", "lockfile"];
const READS: [&str; 3] = ["shared", "exclusive", "lock-free"];
const WRITES: [&str; 3] = ["rename", "fsync", "in-place"];
const SANDBOXES: [&str; 2] = ["inert", "process"];
const WAIT_FORM: &str = "\"block\", \"try\" or a duration such as \"5s\"";

/// Reads the table.
pub fn read(mut reader: Reader<'_>) -> Option<SubjectPlan> {
    let Some((name, place)) = reader.text("name") else {
        reader.missing("name", "\"library\" or \"replica\"");
        return None;
    };
    let plan = match name {
        "library" => Some(library(&mut reader)),
        "replica" => replica(&mut reader),
        "oci" | "command" => {
            let message = format!("subject {name:?} is not supported by this version of flockwork");
            reader.complain(Problem::new(place, message).with_help("this version tests library and replica"));
            return None;
        }
        other => {
            let near = nearest(other, ["library", "replica"]).unwrap_or("library");
            let message = format!("name: expected \"library\" or \"replica\", found {other:?}");
            reader.complain(Problem::new(place, message).with_help(format!("the nearest is {near:?}")));
            return None;
        }
    };
    reader.finish();
    plan
}

fn library(reader: &mut Reader<'_>) -> SubjectPlan {
    let lock = reader.word("lock", &LOCKS).unwrap_or(LOCKS[0]);
    let wait = wait(reader);
    let read = reader.word("read", &READS).unwrap_or(READS[0]);
    let write = reader.word("write", &WRITES).unwrap_or(WRITES[0]);
    let sandbox = reader.word("sandbox", &SANDBOXES).unwrap_or(SANDBOXES[0]);
    SubjectPlan::Library {
        lock: lock.into(),
        wait,
        read: read.into(),
        write: write.into(),
        sandbox: sandbox.into(),
    }
}

fn wait(reader: &mut Reader<'_>) -> String {
    match reader.text("wait") {
        None => "block".into(),
        Some((wait, place)) => {
            if !["block", "try"].contains(&wait) && units::duration_ns(wait).is_none() {
                let message = format!("wait: expected {WAIT_FORM}, found {wait:?}");
                reader.complain(Problem::new(place, message));
            }
            wait.into()
        }
    }
}

/// Which replicas there are is known to the replicas alone: building the subject names them.
fn replica(reader: &mut Reader<'_>) -> Option<SubjectPlan> {
    let Some((replica, place)) = reader.text("replica") else {
        reader.missing("replica", "the name of a replica, such as \"gvisor-2018\"");
        return None;
    };
    let plan = SubjectPlan::Replica { replica: replica.into() };
    if let Err(why) = crate::subject::build(&plan) {
        reader.complain(Problem::new(place, why));
    }
    Some(plan)
}

/// The subject in a few words: its name, and what differs from the library's defaults.
#[must_use]
pub fn describe(plan: &SubjectPlan) -> String {
    match plan {
        SubjectPlan::Replica { replica } => replica.clone(),
        SubjectPlan::Library { lock, wait, read, write, sandbox } => {
            let mut words = vec!["library".to_owned(), lock.clone()];
            let choices = [
                (wait, "block", "wait"),
                (read, READS[0], "read"),
                (write, WRITES[0], "write"),
                (sandbox, SANDBOXES[0], "sandbox"),
            ];
            for (choice, default, name) in choices {
                if choice != default {
                    words.push(format!("{name}={choice}"));
                }
            }
            words.join(" ")
        }
    }
}
