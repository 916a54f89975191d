//! One after the other, the two programs of a pair do the same, and nothing fails: the fault lies in the overlap alone.

use std::path::Path;
use std::process::{Command, Stdio};

use super::pair::{Pair, Race, Variant, names};

/// The pairs whose broken program goes wrong without any overlap: a lock that a daemon keeps.
const ALSO_ALONE: [&str; 1] = ["22-lock-kept-by-daemon"];

/// What a command answered: its exit code and what it printed.
type Answer = (Option<i32>, String);

#[test]
fn both_programs_answer_alike_one_after_the_other() {
    for name in names() {
        let pair = Pair::read(&name);
        if ALSO_ALONE.contains(&name.as_str())
            || pair.is_skipped("both_programs_answer_alike_one_after_the_other", &[])
        {
            continue;
        }
        for race in &pair.races {
            let [broken, fixed] =
                [Variant::Broken, Variant::Fixed].map(|variant| answers(&pair, race, variant));
            assert_eq!(broken, fixed, "{name}: {race:?}");
            let failed = broken.iter().flatten().find(|(code, _)| !matches!(code, Some(0 | 1)));
            assert_eq!(failed, None, "{name}: {race:?}");
        }
    }
}

/// The answers in the order of the processes, and in the reverse order.
fn answers(pair: &Pair, race: &Race, variant: Variant) -> [Vec<Answer>; 2] {
    let run = |reverse: bool| {
        let place = pair.build(variant);
        let mut processes: Vec<&Vec<String>> = race.processes.iter().collect();
        if reverse {
            processes.reverse();
        }
        let commands = race.setup.iter().chain(processes.into_iter().flatten()).chain(&race.then);
        commands.map(|command| answer(place.path(), command)).collect()
    };
    [run(false), run(true)]
}

fn answer(place: &Path, command: &str) -> Answer {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(place).env("TOOL_DIR", "state").stdin(Stdio::null());
    let output = shell.output().expect("sh runs");
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}
