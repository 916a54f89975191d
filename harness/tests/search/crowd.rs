//! Legal histories in which all processes are always under way.

use flockwork::Operation;
use flockwork_harness::history::{History, Outcome, Record};
use flockwork_harness::model::{self, State};

use crate::simulation::Random;

const OPERATIONS: [Operation; 20] = {
    use Operation::{Create, Delete, ForceDelete, Kill, Pause, Resume, Start};
    [
        Create,
        Create,
        Start,
        Start,
        Pause,
        Pause,
        Pause,
        Pause,
        Pause,
        Resume,
        Resume,
        Resume,
        Resume,
        Resume,
        Operation::State,
        Operation::State,
        Operation::State,
        Kill,
        Delete,
        ForceDelete,
    ]
};

fn perform(state: &mut State, record: &mut Record) {
    let (seen, next) = model::answer(*state, record.operation);
    (record.outcome, record.reason, *state) = (seen.outcome, seen.reason, next);
    if record.operation == Operation::State {
        record.status = state.status();
    }
}

/// So many operations by so many processes; one in 50 is killed, of which some act, and some stay open.
pub fn history(random: &mut Random, operations: u64, processes: u64) -> History {
    let mut state = State::Absent;
    let mut history = History::default();
    history.containers.push("c1".into());
    let mut pending: Vec<Record> = (0..processes)
        .map(|process| Record::invoked(process as u32, Some(0), random.one_of(&OPERATIONS), process))
        .collect();
    let mut now_ns = processes;
    for _ in 0..operations {
        let process = random.below(processes) as usize;
        let mut record = pending[process];
        now_ns = record.invoke_ns.max(now_ns) + random.below(10);
        if !random.percent(2) {
            perform(&mut state, &mut record);
        } else if random.percent(50) {
            perform(&mut state, &mut { record });
        }
        let return_ns = now_ns + random.below(30);
        let stays_open = record.outcome == Outcome::Unknown && random.percent(30);
        record.set_return_ns((!stays_open).then_some(return_ns));
        history.records.push(record);
        pending[process] = Record::invoked(
            process as u32,
            Some(0),
            random.one_of(&OPERATIONS),
            return_ns + random.below(10),
        );
    }
    history
}
