//! Makes states of rules. A state is a status, and where an operation leads back to the status before, that as well.

use flockwork::{Operation, Status};

use super::rules::{Otherwise, Place, Rule, Rules, Target, spelled};
use super::table::{ILLEGAL, Row, STATES_MAX, Table};
use super::{Builtin, Seen};
use crate::history::{Deaths, History, Outcome, Reason, Start};

/// A model that judges: its rules, and the table made of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    rules: Rules,
    table: Table,
    states: Vec<State>,
}

/// Rules that do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unsound {
    /// The operation whose rule does not fit the others, where it is one.
    pub operation: Option<Operation>,
    /// What does not fit together, in a sentence for whoever wrote the model.
    pub why: String,
}

/// A status, and which one it was entered from where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    place: Place,
    before: Option<Status>,
}

impl Model {
    /// A model that is compiled in.
    #[must_use]
    pub fn builtin(builtin: Builtin) -> Self {
        Self::of(Rules::builtin(builtin)).expect("the models compiled in are sound; a test makes each")
    }

    /// Makes a model of its rules, if they fit together.
    pub fn of(rules: Rules) -> Result<Self, Unsound> {
        let states = states(&rules)?;
        if rules.deaths == Deaths::Free && remembers(&rules, Status::Stopped) {
            return Err(Unsound { operation: None, why: format!("deaths: {STOPPED_REMEMBERS}") });
        }
        let mut first = (0..states.len()).filter(|&state| states[state].place == rules.initial);
        let (Some(initial), None) = (first.next(), first.next()) else {
            let why = format!(
                "initial: expected a status entered from one other only, found {}",
                spelled(rules.initial)
            );
            return Err(Unsound { operation: None, why });
        };
        let names = states.iter().map(|state| match state.before {
            Some(before) => format!("{} (from {before})", spelled(state.place)),
            None => spelled(state.place).to_owned(),
        });
        let go = Go { rules: &rules, states: &states };
        let table = Table::new(
            &rules.name,
            names.collect(),
            initial,
            |state, seen| go.step(state, seen),
            |state, operation| go.acts(state, operation),
        );
        Ok(Self { rules, table, states })
    }

    /// What the model is called: a built-in's own word, or its file's name without `.toml`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.rules.name
    }

    /// The rules that it was compiled from, as people write them.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What it was compiled to: for each operation and answer, what it makes of each state.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The states that a container can be in where it has this status: several where it can have come from several.
    pub fn states_of(&self, place: Place) -> impl Iterator<Item = u8> + '_ {
        (0..).zip(&self.states).filter(move |(_, state)| state.place == place).map(|(number, _)| number)
    }

    /// The states that a container can begin in, by the history and, where that says nothing but absent, by the model.
    pub fn starts(&self, history: &History, container: u32) -> impl Iterator<Item = u8> + '_ {
        let start = history.start(container);
        let place = match start {
            Start::At(status) => Some(status),
            Start::Absent | Start::Unknown => self.rules.initial,
        };
        let is_unknown = start == Start::Unknown;
        (0..)
            .zip(&self.states)
            .filter(move |(_, state)| is_unknown || state.place == place)
            .map(|(number, _)| number)
    }

    /// Whether an operation that tells nothing may have led to either of two statuses, of which the table has one: `or`.
    #[must_use]
    pub fn has_two_ways(&self, operation: Operation) -> bool {
        let leads_elsewhere = |rule: &Rule, or| rule.to != Target::Same && rule.to != Target::Place(Some(or));
        self.rules.rule(operation).is_some_and(|rule| rule.or.is_some_and(|or| leads_elsewhere(rule, or)))
    }

    /// What the death of what stands behind a container makes of each state, where the history permits it, or says
    /// nothing and the model does: a container that is there and has not stopped is stopped.
    #[must_use]
    pub fn death(&self, history: &History) -> Option<Row> {
        let deaths = history.deaths.unwrap_or(self.rules.deaths);
        (deaths != Deaths::Never).then(|| self.death_row())
    }

    /// What a death makes of each state, whether the history permits one or not.
    pub(crate) fn death_row(&self) -> Row {
        let mut row = [ILLEGAL; STATES_MAX];
        for (state, after) in row.iter_mut().enumerate().take(self.states.len()) {
            let lives = self.states[state].place.is_some_and(|status| status != Status::Stopped);
            if lives && self.rules.statuses.contains(&Status::Stopped) {
                let go = Go { rules: &self.rules, states: &self.states };
                *after = go.entered(state, Some(Status::Stopped)).map_or(ILLEGAL, |stopped| stopped as u8);
            }
        }
        row
    }

    /// Whether the model can judge the history: it knows every operation and every first status. If not, why.
    pub fn covers(&self, history: &History) -> Result<(), String> {
        let known = |operation| operation == Operation::List || self.rules.rule(operation).is_some();
        if let Some(record) = history.records.iter().find(|record| !known(record.operation)) {
            let operations = self.rules.rules.iter().map(|rule| rule.operation.as_str());
            return Err(format!(
                "model {} has no operation {}; it has {}",
                self.name(),
                record.operation,
                operations.collect::<Vec<_>>().join(", ")
            ));
        }
        if self.death(history).is_some() && remembers(&self.rules, Status::Stopped) {
            return Err(format!(
                "model {}: {STOPPED_REMEMBERS}, and the history says \"deaths\":\"free\"",
                self.name()
            ));
        }
        for (container, name) in (0..).zip(&history.containers) {
            if self.starts(history, container).next().is_none() {
                return Err(format!(
                    "model {} has no status {}, which {name} begins in",
                    self.name(),
                    history.start(container).as_str()
                ));
            }
        }
        Ok(())
    }
}

/// Why a model may know no deaths.
const STOPPED_REMEMBERS: &str =
    "nothing may stop by itself where an operation leads back from stopped to the status before";

/// The statuses that an operation leads back from.
fn remembers(rules: &Rules, status: Status) -> bool {
    rules.rules.iter().any(|rule| rule.to == Target::Remembered && rule.from.contains(&Some(status)))
}

fn states(rules: &Rules) -> Result<Vec<State>, Unsound> {
    let mut states = vec![State { place: None, before: None }];
    for &status in &rules.statuses {
        if !remembers(rules, status) {
            states.push(State { place: Some(status), before: None });
            continue;
        }
        let mut entered = Vec::new();
        for rule in &rules.rules {
            if rule.to != Target::Place(Some(status)) && rule.or != Some(status) {
                continue;
            }
            for &from in rule.from.iter().filter(|&&from| from != Some(status)) {
                match from {
                    Some(before) if !remembers(rules, before) => entered.push(before),
                    _ => return Err(forgets(rule.operation, from, status)),
                }
            }
        }
        let before = rules.statuses.iter().filter(|before| entered.contains(before));
        states.extend(before.map(|&before| State { place: Some(status), before: Some(before) }));
    }
    Ok(states)
}

fn forgets(operation: Operation, from: Place, status: Status) -> Unsound {
    let why = match from {
        None => "nothing can be remembered of an absent container",
        Some(_) => "only one status before is remembered",
    };
    let why = format!(
        "{operation} leads from {} to {status}, which remembers the status before: {why}",
        spelled(from)
    );
    Unsound { operation: Some(operation), why }
}

/// The step functions.
struct Go<'a> {
    rules: &'a Rules,
    states: &'a [State],
}

impl Go<'_> {
    /// The state that is entered from a state.
    fn enter(&self, from: usize, place: Place) -> usize {
        self.entered(from, place).expect("every status that an operation leads to has a state for it")
    }

    /// The same; `None`: the status remembers where it was entered from, and no operation leads to it from there.
    fn entered(&self, from: usize, place: Place) -> Option<usize> {
        let was = self.states[from];
        if was.place == place {
            return Some(from);
        }
        let fits =
            |state: &State| state.place == place && (state.before.is_none() || state.before == was.place);
        self.states.iter().position(fits)
    }

    fn target(&self, from: usize, target: Target) -> usize {
        match target {
            Target::Same => from,
            Target::Place(place) => self.enter(from, place),
            Target::Remembered => self.enter(from, self.states[from].before),
        }
    }

    fn step(&self, state: usize, seen: Seen) -> Option<usize> {
        // It is about a root, not about one container.
        if seen.operation == Operation::List {
            return Some(state);
        }
        let place = self.states[state].place;
        match seen.outcome {
            Outcome::Failed | Outcome::Unknown => Some(state),
            // A prefix that fits several ids says nothing of this container.
            Outcome::Refused if seen.reason == Some(Reason::Ambiguous) => Some(state),
            Outcome::Refused => refused(self.rules.rule(seen.operation)?, place, seen).then_some(state),
            Outcome::Ok => {
                let rule = self.rules.rule(seen.operation)?;
                let target = rule.leads(place)?;
                if let Some(or) = rule.leads_else(place).filter(|&or| seen.status == Some(or)) {
                    return Some(self.enter(state, Some(or)));
                }
                let after = self.target(state, target);
                // What a removal reports is what it removed; whether it counts what it just ended is its own affair.
                let is_removal = place.is_some() && self.states[after].place.is_none();
                let fits =
                    is_removal || seen.status.is_none_or(|status| self.states[after].place == Some(status));
                fits.then_some(after)
            }
        }
    }

    fn acts(&self, state: usize, operation: Operation) -> Option<usize> {
        let rule = self.rules.rule(operation)?;
        let place = self.states[state].place;
        let target = rule.leads(place)?;
        let after = match rule.leads_else(place) {
            Some(or) => self.enter(state, Some(or)),
            None => self.target(state, target),
        };
        (after != state).then_some(after)
    }
}

/// Whether an operation can have been refused so.
fn refused(rule: &Rule, place: Place, seen: Seen) -> bool {
    if rule.leads(place).is_some() {
        return false;
    }
    let reason = match (place, rule.otherwise) {
        (None, _) => Reason::Absent,
        (Some(_), Otherwise::Exists) => Reason::Exists,
        (Some(_), Otherwise::Status) => Reason::Status,
        (Some(_), Otherwise::Waits) => return false,
    };
    seen.reason.is_none_or(|told| told == reason) && seen.status.is_none_or(|told| place == Some(told))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn model(text: &str) -> Result<Model, String> {
        parse("some/own.toml", text.to_owned())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    /// Where an operation is idle it changes nothing, though it tells the status of `or`.
    #[test]
    fn an_idle_operation_leads_nowhere_else() {
        let text = "statuses = [\"created\", \"running\", \"stopped\"]\n[operations]\n\
                    create = { from = \"absent\", to = \"created\" }\n\
                    signal = { from = \"running\", to = \"same\", or = \"stopped\", idle = [\"created\", \"absent\"] }\n\
                    start = { from = \"created\", to = \"running\" }\n";
        for back in ["", "resume = { from = \"stopped\", to = \"remembered\" }\n"] {
            let model = model(&format!("{text}{back}")).expect("it is sound");
            let go = Go { rules: &model.rules, states: &model.states };
            let state =
                |place| model.states.iter().position(|state| state.place == place).expect("it is there");
            let seen = Seen {
                operation: Operation::Signal,
                outcome: Outcome::Ok,
                reason: None,
                status: Some(Status::Stopped),
            };
            let after = |place| go.step(state(place), seen);
            assert_eq!(after(Some(Status::Running)), Some(state(Some(Status::Stopped))), "{back}");
            assert_eq!([after(Some(Status::Created)), after(None)], [None, None], "{back}");
            assert_eq!(go.acts(state(None), Operation::Signal), None, "{back}");
        }
    }

    /// Of what stopped by itself nobody could say where it came from.
    #[test]
    fn nothing_stops_by_itself_where_stopped_remembers() {
        let text = "statuses = [\"created\", \"running\", \"stopped\"]\n[operations]\n\
                    create = { from = \"absent\", to = \"created\" }\n\
                    start = { from = \"created\", to = \"running\" }\n\
                    kill = { from = \"running\", to = \"stopped\" }\n\
                    resume = { from = \"stopped\", to = \"remembered\" }\n";
        let told = model(&format!("deaths = \"free\"\n{text}")).expect_err("its author says that it may");
        assert!(
            told.contains("some/own.toml:") && told.contains("deaths: nothing may stop by itself"),
            "{told}"
        );

        let model = model(text).expect("it is sound");
        let mut history = History::default();
        history.deaths = Some(Deaths::Never);
        assert_eq!(model.covers(&history), Ok(()));
        history.deaths = Some(Deaths::Free);
        let told = model.covers(&history).expect_err("the history says that it may");
        assert!(told.contains("nothing may stop by itself"), "{told}");
        assert!(
            model
                .death_row()
                .iter()
                .all(|&after| after == ILLEGAL || after as usize == model.states.len() - 1)
        );
    }
}
