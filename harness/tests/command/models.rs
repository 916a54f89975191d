//! Each model, with a small tool that keeps it and one that does not.

use super::workshop::{Workshop, classes};

/// A scenario of a model with these operations, each `name = "arguments of the tool"`, and these answers.
fn scenario(model: &str, answers: &str, operations: &[(&str, &str)]) -> String {
    let tables: Vec<String> = operations
        .iter()
        .map(|(name, command)| {
            format!("[subject.operations.{name}]\ncommand = \"./tool {name} {command}\"\n")
        })
        .collect();
    format!(
        "about = \"A {model}.\"\nkind = \"stress\"\n\n[subject]\nname = \"command\"\nmodel = \"{model}\"\n\
         env = {{ STATE = \"{{state}}\" }}\ntime_limit = \"20s\"\nanswers = {answers}\n\n{}\n\
         [stress]\nprocesses = 3\noperations = 60\noverlap_min = 0.0\n",
        tables.concat()
    )
}

const PREAMBLE: &str = "#!/bin/sh\ncd \"$STATE\" || exit 9\nexec 9>>lock\nflock 9\nf=$2\n";

/// Runs a tool and one with something replaced: the first is clean, the second is not linearizable.
fn both(body: &str, right: &str, wrong: &str, scenario: &str) {
    let tool = format!("{PREAMBLE}{body}");
    Workshop::new(&tool, scenario).run(&[], 0);
    assert!(tool.contains(right), "{right} in {tool}");
    let broken = Workshop::new(&tool.replace(right, wrong), scenario).run(&[], 100);
    assert_eq!(classes(&broken), ["not-linearizable"], "{wrong}");
}

#[test]
fn register() {
    let body = "touch $f\ncase $1 in\nwrite) echo $3 > $f ;;\nread) v=$(cat $f); echo ${v:-0} ;;\n\
                cas) v=$(cat $f); [ ${v:-0} = $3 ] || exit 1; echo $4 > $f ;;\nesac\n";
    let answers = r"[{ exit = 0, stdout = '^(?<saw>\d+)$', outcome = 'ok' }, { exit = 0, outcome = 'ok' },
        { exit = 1, outcome = 'refused', reason = 'status' }]";
    let operations = [("write", "{object} {value}"), ("read", "{object}"), ("cas", "{object} {from} {to}")];
    both(
        body,
        "write) echo $3 > $f ;;",
        "write) ;;",
        &scenario("register", &answers.replace('\n', " "), &operations),
    );
}

#[test]
fn set() {
    let body = "mkdir -p $f.d\ncase $1 in\nadd) [ -e $f.d/$3 ] && exit 1; touch $f.d/$3 ;;\n\
                remove) [ -e $f.d/$3 ] || exit 2; rm $f.d/$3 ;;\n\
                contains) [ -e $f.d/$3 ] && echo true || echo false ;;\nmembers) ls $f.d; echo . ;;\nesac\n";
    let answers = r"[{ exit = 0, stdout = '^(?<saw>true|false)$', outcome = 'ok' },
        { exit = 0, stdout = '(?s)^(?<saw>.*)\.$', as = 'lines', outcome = 'ok' }, { exit = 0, outcome = 'ok' },
        { exit = 1, outcome = 'refused', reason = 'exists' }, { exit = 2, outcome = 'refused', reason = 'absent' }]";
    let operations = [
        ("add", "{object} {value}"),
        ("remove", "{object} {value}"),
        ("contains", "{object} {value}"),
        ("members", "{object}"),
    ];
    both(body, "rm $f.d/$3", "true", &scenario("set", &answers.replace('\n', " "), &operations));
}

#[test]
fn log() {
    let body = "touch $f\ncase $1 in\nappend) echo $3 >> $f; wc -l < $f | awk '{print $1 - 1}' ;;\nread) cat $f; echo . ;;\nesac\n";
    let answers = r"[{ exit = 0, stdout = '(?s)^(?<saw>.*)\.$', as = 'lines', outcome = 'ok' },
        { exit = 0, stdout = '^(?<saw>\d+)$', outcome = 'ok' }]";
    let operations = [("append", "{object} {value}"), ("read", "{object}")];
    both(body, ">> $f", "> $f", &scenario("log", &answers.replace('\n', " "), &operations));
}

#[test]
fn lock() {
    let body = "case $1 in\ntry) [ -e $f ] && exit 1; echo $3 > $f ;;\n\
                release) [ \"$(cat $f 2>/dev/null)\" = $3 ] || exit 2; rm $f ;;\nesac\n";
    let answers = r"[{ exit = 0, outcome = 'ok' }, { exit = 1, outcome = 'refused', reason = 'held' },
        { exit = 2, outcome = 'refused', reason = 'status' }]";
    let operations = [("try", "{object} {process}"), ("release", "{object} {process}")];
    both(body, "[ -e $f ] && exit 1; ", "", &scenario("lock", &answers.replace('\n', " "), &operations));
}

#[test]
fn queue() {
    let body = "touch $f\ncase $1 in\npush) echo $3 >> $f ;;\n\
                pop) v=$(head -n 1 $f); [ -n \"$v\" ] || exit 1; sed -i 1d $f; echo $v ;;\nesac\n";
    let answers = r"[{ exit = 0, stdout = '^(?<saw>\d+)$', outcome = 'ok' }, { exit = 0, outcome = 'ok' },
        { exit = 1, outcome = 'refused', reason = 'empty' }]";
    let operations = [("push", "{object} {value}"), ("pop", "{object}")];
    both(body, "sed -i 1d $f", "true", &scenario("queue", &answers.replace('\n', " "), &operations));
}

#[test]
fn table() {
    let body = "s=$(cat $f 2>/dev/null)\ncase $1-$s in\ncreate-) echo created > $f ;;\ncreate-*) exit 1 ;;\n\
                *-) exit 2 ;;\nstart-created) echo running > $f ;;\nstart-*) exit 3 ;;\n\
                state-*) printf '{\"id\": \"%s\", \"status\": \"%s\"}\\n' $f $s ;;\nforce-delete-*) rm $f ;;\nesac\n";
    let answers = r"[{ exit = 0, json = { status = '/status' }, outcome = 'ok' }, { exit = 0, outcome = 'ok' },
        { exit = 1, outcome = 'refused', reason = 'exists' }, { exit = 2, outcome = 'refused', reason = 'absent' },
        { exit = 3, outcome = 'refused', reason = 'status' }]";
    let operations =
        [("create", "{object}"), ("start", "{object}"), ("state", "{object}"), ("force-delete", "{object}")];
    // Deleting by force what is absent is no error to runsc.
    let body = body.replace("*-) exit 2", "force-delete-) ;;\n*-) exit 2");
    both(
        &body,
        "start-created) echo running > $f ;;",
        "start-created) ;;",
        &scenario("runsc", &answers.replace('\n', " "), &operations),
    );
}
