//! Bad input: each mistake is told with its place and the way out, and nothing is run.

use std::fs;
use std::os::unix::net::UnixListener;

use super::support::{ends_with, stderr, stdout};
use super::workshop::{LOCKED, OPERATIONS, SUBJECT, Workshop};

/// What is said of a scenario in which something was replaced.
fn told(what: &str, by: &str) -> String {
    let scenario = format!("{SUBJECT}{OPERATIONS}");
    assert!(scenario.contains(what), "{what}");
    let workshop = Workshop::new(LOCKED, &scenario.replace(what, by));
    let output = ends_with(&mut workshop.place.run(&["it.toml"]), 2);
    assert!(workshop.place.remains().is_empty());
    format!("{}{}", stdout(&output), stderr(&output))
}

#[test]
fn each_mistake_is_told_with_the_way_out() {
    for (what, by, expected) in [
        ("{value}", "{vale}", "{vale} is not a placeholder; the nearest is {value}"),
        ("{state}", "{object}", "env.STATE: {object} stands for nothing here; expected {state}"),
        (
            "operations.add]",
            "operations.increment]",
            "\"increment\" is not an operation of the model counter",
        ),
        (r"(?<saw>-?\d+)", r"(?<saw>-?\d+", "is not a regular expression: unclosed group"),
        (
            r"(?<saw>-?\d+)",
            r"(?<seen>-?\d+)",
            "the group \"seen\" means nothing; expected saw, value, status, reason",
        ),
        ("model = \"counter\"", "model = \"conter\"", "the nearest is \"counter\""),
        ("outcome = \"ok\"", "outcome = \"okay\"", "outcome: expected one of ok, refused, failed, unknown"),
        ("outcome = \"ok\"", "outcome = \"refused\", reason = \"exist\"", "the nearest is \"exists\""),
        ("./tool read", "./toll read", "./toll: no such program"),
        ("\"./tool\", \"add\"", "\"./it.toml\", \"add\"", "it is not executable; chmod +x"),
        ("time_limit", "watch = [\"*.dat\"]\ntime_limit", "the name \"*.dat\" does not show the format"),
        ("time_limit", "cwd = \"nowhere\"\ntime_limit", "nowhere: no such folder"),
        ("time_limit", "state = \"nowhere\"\ntime_limit", "nowhere: no such folder"),
        (
            "time_limit",
            "setup = [\"sh -c 'echo no way >&2; exit 3'\"]\ntime_limit",
            "exit code 3; it said: no way",
        ),
        ("processes = 4", "processes = 4\nmix = { ad = 1 }", "mix: there is no operation \"ad\""),
        ("command = \"./tool read\"", "comand = \"./tool read\"", "the nearest known key is \"command\""),
        ("command = \"./tool read\"", "command = \"./tool 'read\"", "a quote is never closed"),
    ] {
        let told = told(what, by);
        assert!(told.contains(expected), "{by}: expected {expected:?} in:\n{told}");
    }
}

/// What is said of a scenario whose state is this folder, which is made by `make`.
fn of_state(make: impl FnOnce(&std::path::Path)) -> String {
    let subject = SUBJECT.replace("time_limit", "state = \"mine\"\ntime_limit");
    let workshop = Workshop::new(LOCKED, &format!("{subject}{OPERATIONS}"));
    let mine = workshop.path().join("mine");
    fs::create_dir(&mine).unwrap();
    make(&mine);
    let output = ends_with(&mut workshop.place.run(&["it.toml"]), 2);
    assert!(workshop.place.remains().is_empty());
    format!("{}{}", stdout(&output), stderr(&output))
}

#[test]
fn what_is_not_there_is_told_with_its_line() {
    for (what, by, line, expected) in [
        ("time_limit", "state = \"nowhere\"\ntime_limit", "state = \"nowhere\"", "nowhere: no such folder"),
        ("./tool read", "./toll read", "command = \"./toll read\"", "./toll: no such program"),
        ("time_limit", "setup = [\"false\"]\ntime_limit", "setup = [\"false\"]", "false: exit code 1"),
    ] {
        let told = told(what, by);
        let scenario = format!("{SUBJECT}{OPERATIONS}").replace(what, by);
        let number = 1 + scenario.lines().position(|told| told == line).unwrap();
        assert!(told.contains(&format!("it.toml:{number}:")) && told.contains(expected), "{told}");
        assert!(told.contains(&format!("{number} | {line}\n")), "{told}");
    }
}

#[test]
fn folders_that_cannot_be_copied() {
    let fifo =
        of_state(|mine| nix::unistd::mkfifo(&mine.join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap());
    assert!(fifo.contains("pipe: it is a FIFO"), "{fifo}");
    let socket = of_state(|mine| drop(UnixListener::bind(mine.join("socket")).unwrap()));
    assert!(socket.contains("socket: it is a socket"), "{socket}");
    let huge = of_state(|mine| fs::File::create(mine.join("disk")).unwrap().set_len(2_000_000_000).unwrap());
    assert!(huge.contains("it holds more than 1000 MB"), "{huge}");
}

#[test]
fn hard_links_stay_links_in_the_copy_and_the_users_files_as_they_were() {
    // It writes through one name and reads through the other.
    let tool = "#!/bin/sh\ncd ./mine || exit 9\nexec 9>>lock\nflock 9\nn=$(cat one)\n\
                if [ \"$1\" = read ]; then echo \"$n\"; exit; fi\necho $((n + $2)) >two\necho $((n + $2))\n";
    let subject = SUBJECT.replace("env = { STATE = \"{state}\" }", "state = \"mine\"");
    let workshop = Workshop::new(tool, &format!("{subject}{OPERATIONS}"));
    workshop.place.file("mine/one", "0\n");
    fs::hard_link(workshop.path().join("mine/one"), workshop.path().join("mine/two")).unwrap();
    workshop.run(&["--operations", "12"], 0);
    assert_eq!(fs::read_to_string(workshop.path().join("mine/two")).unwrap(), "0\n");
    assert_eq!(fs::read_dir(workshop.path().join("mine")).unwrap().count(), 2);
}

#[test]
fn scripts_that_no_interpreter_reads_and_what_is_no_program() {
    let workshop = Workshop::new(LOCKED, "");
    workshop.program("orphan", "#!/no/such/shell\n");
    workshop.program("nothing", "echo hi\n");
    for (command, told) in [
        ("./orphan", "asks for /no/such/shell, which is not there"),
        ("./nothing", "begin it with a line such as #!/bin/sh"),
        ("absent", "no such program on PATH"),
        ("/usr", "it is a folder"),
    ] {
        let operations = OPERATIONS.replace("./tool read", command);
        workshop.place.file("it.toml", &format!("{SUBJECT}{operations}"));
        let output = ends_with(&mut workshop.place.run(&["it.toml"]), 2);
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert!(said.contains(told), "{command}: expected {told:?} in:\n{said}");
    }
}

#[test]
fn a_command_that_never_ends_is_told_and_ended() {
    let word = format!("1003.{}", std::process::id());
    let subject = SUBJECT.replace("20s", "300ms");
    let tool = format!("#!/bin/sh\nexec sleep {word}\n");
    let workshop = Workshop::new(&tool, &format!("{subject}{OPERATIONS}"));
    let scenario = workshop.run(&["--operations", "2", "--processes", "2"], 100);
    assert!(scenario["violations"].to_string().contains("did not end within 300ms"), "{scenario:#}");
    assert!(!super::tidy::is_there(&word));
}

#[test]
fn a_command_that_writes_without_end_is_stopped() {
    let workshop = Workshop::counter("#!/bin/sh\nyes\n", "");
    let scenario = workshop.run(&["--operations", "1", "--processes", "1"], 102);
    let reasons = scenario["reasons"].to_string();
    let told = "never succeeded, so it was not tried; the first failure: wrote more than 64 MiB";
    assert!(reasons.contains(told), "{scenario:#}");
}

#[test]
fn a_command_finds_neither_a_terminal_nor_anything_to_read() {
    let tool = "#!/bin/sh\nread -r line && exit 7\n[ -t 0 ] && exit 8\n(: </dev/tty) 2>/dev/null && exit 9\necho 1\n";
    let subject = SUBJECT.replace("counter", "register");
    let scenario = format!(
        "{subject}[subject.operations.read]\ncommand = \"./tool\"\n[stress]\nprocesses = 1\noperations = 1\n"
    );
    let scenario = scenario.replace("model = \"register\"", "model = { kind = \"register\", initial = 1 }");
    Workshop::new(tool, &scenario).run(&[], 0);
}

#[test]
fn what_stands_on_stdin_is_read() {
    let tool = "#!/bin/sh\nread -r line\necho \"$line\"\n";
    let scenario = format!(
        "{SUBJECT}[subject.operations.add]\ncommand = [\"./tool\"]\nstdin = \"{{n}}\\n\"\n[stress]\nprocesses = 1\noperations = 3\n"
    );
    Workshop::new(tool, &scenario).run(&[], 0);
}
