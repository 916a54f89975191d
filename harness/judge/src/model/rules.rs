//! A model as people write and read it: for each operation, from where it is permitted and where it leads.
//!
//! This is the one source of a model's table, of its page in the documentation, and of what a user's own file says. It
//! knows statuses only; [`Model`](super::Model) makes states of them.

use flockwork::status::{Effect, TRANSITIONS};
use flockwork::{Operation, Status};

use super::Builtin;
use super::object::Fails;
use crate::history::Deaths;

/// A status, or `None`: absent.
pub type Place = Option<Status>;

/// Where an operation leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<P = Place> {
    /// Nowhere: it only reads, or does what no status tells.
    Same,
    /// To this status, or to absence.
    Place(P),
    /// To the status that the present one was entered from.
    Remembered,
}

/// What an operation gets where it is not permitted. What is absent refuses it as absent in any case, unless it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// Refused: there is one already.
    Exists,
    /// Refused: the status forbids it.
    Status,
    /// It does not return before it is permitted.
    Waits,
}

/// One row of the table: from which statuses an operation is permitted, where it leads, and what it gets elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which operation this row is about.
    pub operation: Operation,
    /// Where it is permitted.
    pub from: Vec<Place>,
    /// Where it leads from there.
    pub to: Target,
    /// Where it leads instead, if it tells so by the status it left.
    pub or: Option<Status>,
    /// Where it succeeds as well, and changes nothing.
    pub idle: Vec<Place>,
    /// What it gets elsewhere.
    pub otherwise: Otherwise,
    /// Whether it may fail.
    pub fails: Fails,
    /// How long it may take, in nanoseconds. `None`: as long as it likes.
    pub within_ns: Option<u64>,
}

impl Rule {
    /// Where the operation leads from this status, as far as statuses go; `None`: it is not permitted.
    pub(super) fn leads(&self, from: Place) -> Option<Target> {
        let is_idle = self.idle.contains(&from).then_some(Target::Same);
        self.from.contains(&from).then_some(self.to).or(is_idle)
    }

    /// Where it leads instead if it tells that status. Where it is idle it changes nothing, whatever it tells.
    pub(super) fn leads_else(&self, from: Place) -> Option<Status> {
        self.or.filter(|_| self.from.contains(&from))
    }
}

/// All rules of one model, as its author wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What the model is called in reports and in the headers of histories.
    pub name: String,
    /// What it is, in a sentence or two.
    pub about: String,
    /// Where a container is before its first operation.
    pub initial: Place,
    /// Whether containers may stop by themselves, where a history does not say.
    pub deaths: Deaths,
    /// The statuses it knows.
    pub statuses: Vec<Status>,
    /// Its operations; those that are not there, a history must not have.
    pub rules: Vec<Rule>,
}

impl Rules {
    /// The rules of a model that is compiled in.
    #[must_use]
    pub fn builtin(builtin: Builtin) -> Self {
        match builtin {
            Builtin::Runsc => runsc(),
            Builtin::Oci => oci(),
        }
    }

    /// The rule of an operation.
    #[must_use]
    pub fn rule(&self, operation: Operation) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.operation == operation)
    }
}

/// How a status, or absence, is spelled.
#[must_use]
pub fn spelled(place: Place) -> &'static str {
    place.map_or("absent", Status::as_str)
}

/// The library's model, from the library's own table.
fn runsc() -> Rules {
    let rules = TRANSITIONS.iter().map(|row| {
        let mut from: Vec<Place> = row.from.iter().copied().map(Some).collect();
        if row.absent_permitted {
            from.insert(0, None);
        }
        let (to, otherwise) = match row.effect {
            Effect::Creates(status) => (Target::Place(Some(status)), Otherwise::Exists),
            Effect::Becomes(status) => (Target::Place(Some(status)), Otherwise::Status),
            Effect::Unpauses => (Target::Remembered, Otherwise::Status),
            Effect::Nothing => (Target::Same, Otherwise::Status),
            Effect::Removes => (Target::Place(None), Otherwise::Status),
        };
        let mut rule = Rule {
            operation: row.operation,
            from,
            to,
            or: None,
            idle: Vec::new(),
            otherwise,
            fails: Fails::Any,
            within_ns: None,
        };
        match row.operation {
            // The table says who may begin to wait; a history shows who returned.
            Operation::Wait => (rule.from, rule.otherwise) = (vec![Some(Status::Stopped)], Otherwise::Waits),
            Operation::Signal => rule.or = Some(Status::Stopped),
            _ => {}
        }
        rule
    });
    Rules {
        name: Builtin::Runsc.as_str().into(),
        about: "What this library does, and gVisor's runsc since it locks. A signal may end the container; it then \
                reports the status stopped. Force-deleting an absent container is not an error."
            .into(),
        initial: None,
        deaths: Deaths::Never,
        statuses: Status::ALL.to_vec(),
        rules: rules.collect(),
    }
}

/// The OCI runtime specification's operations, and runc's pause and resume.
fn oci() -> Rules {
    use Operation::{Create, Delete, Kill, Pause, Resume, Start, State};
    use Status::{Created, Paused, Running, Stopped};

    let rule = |operation, from: &[Place], to| Rule {
        operation,
        from: from.to_vec(),
        to,
        or: None,
        idle: Vec::new(),
        otherwise: if operation == Create { Otherwise::Exists } else { Otherwise::Status },
        fails: Fails::Any,
        within_ns: None,
    };
    let to = |status| Target::Place(Some(status));
    let rules = vec![
        rule(Create, &[None], to(Created)),
        rule(Start, &[Some(Created)], to(Running)),
        rule(Pause, &[Some(Created), Some(Running)], to(Paused)),
        rule(Resume, &[Some(Paused)], Target::Remembered),
        rule(Kill, &[Some(Created), Some(Running), Some(Paused)], to(Stopped)),
        rule(State, &[Some(Created), Some(Running), Some(Paused), Some(Stopped)], Target::Same),
        rule(Delete, &[Some(Stopped)], Target::Place(None)),
    ];
    Rules {
        name: Builtin::Oci.as_str().into(),
        about: "The operations of the OCI runtime specification, with pause and resume as runc has them. A kill \
                ends the container, even a paused one, and returns once the container has stopped. A delete needs a \
                stopped container; for runc, which also deletes a created one, write a model of your own."
            .into(),
        initial: None,
        deaths: Deaths::Never,
        statuses: Status::ALL.to_vec(),
        rules,
    }
}
