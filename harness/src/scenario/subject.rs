//! The `[subject]` table: what is tested.

use flockwork::{LockKind, ReadPolicy, Wait, WritePolicy};

use crate::document::reader::Reader;
use crate::document::source::Problem;
use crate::plan::{FailCreate, FailCreateAt, LibraryPlan, Replica, SandboxKind, SubjectPlan};
use crate::words::nearest;

const WAIT_FORM: &str = "\"block\", \"try\" or a duration such as \"5s\"";

/// Reads the table.
pub fn read(mut reader: Reader<'_>) -> Option<SubjectPlan> {
    let Some((name, place)) = reader.text("name") else {
        reader.missing("name", "\"library\", \"replica\", \"command\" or \"oci\"");
        return None;
    };
    let plan = match name {
        "library" => Some(library(&mut reader)),
        "replica" => replica(&mut reader),
        "oci" => super::rounds::subject(&mut reader).map(SubjectPlan::Oci),
        other => {
            let near = nearest(other, ["library", "replica", "command", "oci"]).unwrap_or("library");
            let message =
                format!("name: expected \"library\", \"replica\", \"command\" or \"oci\", found {other:?}");
            reader.complain(Problem::new(place, message).with_help(format!("the nearest is {near:?}")));
            return None;
        }
    };
    reader.finish();
    plan
}

fn library(reader: &mut Reader<'_>) -> SubjectPlan {
    let default = LibraryPlan::default();
    let lock = word(reader, "lock", &LockKind::ALL, LockKind::as_str, default.lock);
    let read = word(reader, "read", &ReadPolicy::ALL, ReadPolicy::as_str, default.read);
    let write = word(reader, "write", &WritePolicy::ALL, WritePolicy::as_str, default.write);
    let sandbox = word(reader, "sandbox", &SandboxKind::ALL, SandboxKind::as_str, default.sandbox);
    let wait = wait(reader).unwrap_or(default.wait);
    SubjectPlan::Library(LibraryPlan { lock, wait, read, write, sandbox })
}

/// The library as it comes.
#[must_use]
pub fn default() -> SubjectPlan {
    SubjectPlan::Library(LibraryPlan::default())
}

/// A choice by its own word.
fn word<T: Copy>(
    reader: &mut Reader<'_>,
    key: &'static str,
    all: &[T],
    spelled: impl Fn(T) -> &'static str,
    default: T,
) -> T {
    let words: Vec<&'static str> = all.iter().map(|choice| spelled(*choice)).collect();
    let said = reader.word(key, &words);
    said.and_then(|said| all.iter().copied().find(|choice| spelled(*choice) == said)).unwrap_or(default)
}

fn wait(reader: &mut Reader<'_>) -> Option<Wait> {
    let (text, place) = reader.text("wait")?;
    let wait = text.parse().ok();
    if wait.is_none() {
        reader.complain(Problem::new(place, format!("wait: expected {WAIT_FORM}, found {text:?}")));
    }
    wait
}

fn replica(reader: &mut Reader<'_>) -> Option<SubjectPlan> {
    let Some((replica, place)) = reader.text("replica") else {
        reader.missing("replica", "the name of a replica, such as \"gvisor-2018\"");
        return None;
    };
    let replica = replica.parse::<Replica>();
    if let Err(unknown) = &replica {
        reader.complain(Problem::new(place, unknown.to_string()));
    }
    let place = place.clone();
    let fail_create = fail_create(reader);
    if let (Ok(Replica::Rules { .. }), Some(_)) = (&replica, fail_create) {
        let message = "fail_create: only creates of gVisor's replicas can fail half-way";
        reader.complain(Problem::new(&place, message));
    }
    Some(SubjectPlan::Replica { replica: replica.ok()?, fail_create })
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
        SubjectPlan::Replica { replica, .. } => replica.to_string(),
        SubjectPlan::Oci(oci) => oci.runtime.to_string(),
        SubjectPlan::Custom { word } => word.clone(),
        SubjectPlan::Library(plan) => {
            let mut words = vec!["library".to_owned(), plan.lock.to_string()];
            let default = LibraryPlan::default();
            let mut tell = |differs: bool, name: &str, choice: &dyn std::fmt::Display| {
                words.extend(differs.then(|| format!("{name}={choice}")));
            };
            tell(plan.wait != default.wait, "wait", &plan.wait);
            tell(plan.read != default.read, "read", &plan.read);
            tell(plan.write != default.write, "write", &plan.write);
            tell(plan.sandbox != default.sandbox, "sandbox", &plan.sandbox);
            words.join(" ")
        }
    }
}
