//! The bug of 2018 as a newcomer meets it.

use flockwork::{Operation, Status};

use super::*;
use crate::history::{FIRST_STEP, Outcome, Record};
use crate::plan::SubjectPlan;
use crate::plan::schedule::Schedule;
use crate::violation::Class;

fn exploration(lines: &[&str]) -> Exploration {
    Exploration {
        subject: SubjectPlan::Replica {
            replica: "gvisor-2018".parse().expect("a replica"),
            fail_create: None,
        },
        setup: vec!["create c1".into(), "start c1".into()],
        processes: vec![vec!["pause c1".into()], vec!["pause c1".into()]],
        schedule: Schedule::try_from(lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
            .unwrap(),
        preemptions: 1,
        also: vec![Class::LostUpdate],
        power: None,
        payload_bytes: 0,
        step_ns: 5_000_000_000,
        steps_max: 10_000,
        seed: 7,
        flockwork: "0.1.0".into(),
        kernel: "Linux".into(),
    }
}

const LINES: [&str; 10] = [
    "p1 read c1/meta.json",
    "p1 close c1/meta.json",
    "p2 read c1/meta.json",
    "p2 flock c1/meta.lock exclusive",
    "p2 write c1/meta.json 120 bytes",
    "p2 return pause c1 ok",
    "p1 flock c1/meta.lock exclusive #2",
    "p1 write c1/meta.json 120 bytes",
    "p1 return pause c1 ok",
    "p2 exit ! kill",
];

fn history() -> History {
    let mut history = History::default();
    history.containers.push("c1".into());
    for (process, from, to) in [(1, 0, 8), (2, 2, 5)] {
        let mut record = Record::invoked(process, Some(0), Operation::Pause, FIRST_STEP + from);
        record.set_return_ns(Some(FIRST_STEP + to));
        record.outcome = Outcome::Ok;
        record.status = Some(Status::Paused);
        history.records.push(record);
    }
    history
}

fn violation() -> Violation {
    let message = "c1: two pauses of one running container succeeded".into();
    Violation { class: Class::NotLinearizable, container: Some(0), message, records: vec![0, 1] }
}

fn shown(width: u16) -> String {
    let (exploration, history, violation) = (exploration(&LINES), history(), violation());
    let table =
        Interleaving { exploration: &exploration, history: &history, violation: &violation }.tables(width);
    let table = table.told(Detail::Normal);
    anstream::adapter::strip_str(table).to_string()
}

#[test]
fn a_column_per_process_a_row_per_step_and_a_sentence() {
    assert_eq!(
        shown(100),
        "   step  p1: pause c1                  p2: pause c1
>  1     read c1/meta.json
   2     close c1/meta.json

>  3                                   read c1/meta.json
>  4                                   flock c1/meta.lock exclusive
>  5                                   write c1/meta.json 120 bytes
>  6                                   return pause c1 ok

>  7     flock c1/meta.lock exclusive
>  8     write c1/meta.json 120 bytes
>  9     return pause c1 ok

>  10                                  SIGKILL before: exit
> marks the steps that the violation rests on

Before step 1: create c1, start c1.
What happened: p1 took steps 1 to 2, and stopped before its \"flock c1/meta.lock exclusive\"; p2 took steps 3 to 6, \
and its pause c1 returned ok, and stopped before its \"exit\"; p1 went on with steps 7 to 9, and its pause c1 returned ok; p2 went on with step 10, and was killed at step 10, before its \"exit\".
So what p1 had read of c1/meta.json in step 1 was no longer true when it changed it in step 8: p2 had changed it in step 5.
p2 pause c1: ok, paused
p1 pause c1: ok, paused
not-linearizable: it must be as if the operations had run one after the other, and no order of them explains this.
"
    );
}

#[test]
fn a_narrow_terminal_wraps_cells_and_loses_nothing() {
    let narrow = shown(20);
    let table = narrow.split("> marks").next().unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= usize::from(WIDTH_MIN)), "{table}");
    assert!(table.contains("exclusive") && table.contains("120"), "{table}");
}

#[test]
fn a_document_has_the_same_rows() {
    let (exploration, history, violation) = (exploration(&LINES), history(), violation());
    let text =
        Interleaving { exploration: &exploration, history: &history, violation: &violation }.markdown();
    assert!(text.starts_with("|  | step | p1: pause c1 | p2: pause c1 |\n"), "{text}");
    assert!(text.contains("|  | 8 | **write c1/meta.json 120 bytes** |  |\n"), "{text}");
    assert!(text.contains("|  | 2 | close c1/meta.json |  |\n"), "{text}");
}

#[test]
fn faults_are_told_in_words() {
    let line: Line = "p1 write c1/meta.json.tmp 3 bytes ! ENOSPC".parse().unwrap();
    assert_eq!(words(&line), "write c1/meta.json.tmp 3 bytes -> fails: ENOSPC");
    let line: Line = "p1 write c1/meta.json.tmp 3 bytes ! short-write-kill".parse().unwrap();
    assert_eq!(words(&line), "write c1/meta.json.tmp 3 bytes -> half is written, then SIGKILL");
}
