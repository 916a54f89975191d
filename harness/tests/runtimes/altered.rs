//! Rounds by a runtime that is runc, but for what it is made to do otherwise: above all, what its `state` says is compared with the
//! container's process and its freezer when all is quiet.

use flockwork_harness::process::Zygote;
use flockwork_harness::runtimes::{Runtime, find};
use serde_json::Value;

use super::{is_usable, program, run_for_report};

const CREATE: &str = "\"create c1\"";
const START: &str = "\"create c1\", \"start c1\"";
const PAUSE: &str = "\"create c1\", \"start c1\", \"pause c1\"";
const LOOK: &str = "\"state c1\"";

/// Plays one round by a runtime that is runc, but for what these cases of `ID/OPERATION` do instead, in shell, where
/// `$runc` is runc and `$own` a folder of their own. Gives the classes found, and what is told of the status.
fn played(instead: &str, setup: &str, together: &str) -> (Vec<String>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let runc = find(Runtime::Runc, None).expect("it is usable").program;
    let (path, own) = (folder.path().join("runc"), folder.path().display());
    // The harness tries the runtime first, with other ids.
    let script = format!(
        "#!/bin/sh\nrunc={runc} own={own}\n[ \"$1\" = --root ] || exec $runc \"$@\"\nfor id; do :; done\n\
         case $id/$3 in\n{instead}\nesac\nexec $runc \"$@\"\n",
        runc = runc.display(),
    );
    program::write(&path, &script);
    let text = format!(
        "kind = \"stress\"\n[subject]\nname = \"oci\"\nruntime = \"runc\"\npath = \"{}\"\n[rounds]\n\
         setup = [{setup}]\ntogether = [{together}]\nbudget = {{ rounds = 1, time = \"600s\" }}\n",
        path.display()
    );
    let scenario = run_for_report(&text);
    assert_eq!(scenario["rounds"]["rounds"], 1, "{scenario}");
    let violations = scenario["violations"].as_array().expect("a list");
    let text = |one: &Value, key: &str| one[key].as_str().expect("a text").to_owned();
    let classes = violations.iter().map(|one| text(one, "class")).collect();
    let told = violations.iter().find(|one| one["class"] == "status-mismatch");
    (classes, told.map_or_else(String::new, |one| text(one, "message")))
}

/// The case of a state whose answer is edited so.
fn edited(edit: &str) -> String {
    format!("*-1-c1/state) out=$($runc \"$@\") || exit; echo \"$out\" | sed '{edit}'; exit ;;")
}

pub fn a_status_that_is_not_true_is_told(_: &Zygote) {
    if !is_usable(Runtime::Runc) {
        return;
    }
    for (setup, status, process) in [
        (CREATE, "running", "held"),
        (CREATE, "stopped", "running"),
        (START, "created", "running"),
        (START, "paused", "running"),
        (START, "stopped", "running"),
        (PAUSE, "running", "held"),
    ] {
        let says = edited(&format!("s/\"status\": \"[a-z]*\"/\"status\": \"{status}\"/"));
        let (classes, told) = played(&says, setup, LOOK);
        let expected = format!("its status was {status}, but its process was {process}");
        assert!(told.contains(&expected), "{setup} {status}: {told:?} of {classes:?}");
    }
    let (classes, told) = played(&edited("s/\"pid\": [0-9]*/\"pid\": 4194303/"), START, LOOK);
    let expected = "its status was running, but its process was dead";
    assert!(told.contains(expected), "{told:?} of {classes:?}");
    for (setup, together) in [(CREATE, LOOK), (START, LOOK), (START, "\"pause c1\"")] {
        let (classes, _) = played("never) ;;", setup, together);
        assert_eq!(classes, Vec::<String>::new(), "{setup} {together}");
    }
}

/// A start has told init to go on when it returns: init goes on when it has a processor.
pub fn a_process_that_takes_its_time_to_start_is_waited_for(_: &Zygote) {
    if !is_usable(Runtime::Runc) {
        return;
    }
    let late = "*-1-c1/start) : >$own/started; (sleep 0.1; $runc \"$@\") >/dev/null 2>&1 & exit ;;\n\
         *-1-c1/state) out=$($runc \"$@\") || exit\n\
         [ ! -e $own/started ] || out=$(echo \"$out\" | sed s/created/running/)\necho \"$out\"; exit ;;";
    let (classes, told) = played(late, CREATE, "\"start c1\"");
    assert_eq!(classes, Vec::<String>::new(), "{told}");
}

/// A create of the setup must succeed, and may need to be tried again: that says nothing about the round.
pub fn a_create_of_the_setup_is_tried_again(_: &Zygote) {
    if !is_usable(Runtime::Runc) {
        return;
    }
    let once = "*-1-c1/create) [ -e $own/once ] || { : >$own/once; echo busy >&2; exit 1; } ;;";
    let (classes, told) = played(once, CREATE, LOOK);
    assert_eq!(classes, Vec::<String>::new(), "{told}");
}
