//! `flockwork init`: a scenario for one's own tool, or an example to try.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::{ArgAction, Args};

use super::failure::Failure;
use super::output::{Output, print};
use crate::report::exit::Exit;
use crate::report::reproduce::quoted;

/// How long a tool may take to tell how it is used.
const HELP_TIME: Duration = Duration::from_secs(2);
/// How much of that is read.
const HELP_BYTES: u64 = 1 << 16;
/// So many commands of a help text are told.
const COMMANDS_MAX: usize = 20;
/// Where the example goes, unless the user says otherwise.
const EXAMPLE: &str = "flockwork-example";

const BROKEN: &str = "\
#!/bin/sh
# A counter. Two of them at once lose a count: both read before either writes.
cd \"$(dirname \"$0\")/state\" || exit 2
read -r n <count
echo $((n + 1)) >count.$$
mv count.$$ count
";

const FIXED: &str = "\
#!/bin/sh
# The same, with a lock around read and write.
cd \"$(dirname \"$0\")/state\" || exit 2
exec 9>>lock
flock 9
read -r n <count
echo $((n + 1)) >count.$$
mv count.$$ count
";

/// What `init` takes.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The tool to write a scenario for
    #[arg(value_name = "TOOL", last = true, required_unless_present = "example", conflicts_with = "example")]
    pub tool: Vec<String>,
    /// Make a folder with a small broken tool, and say what to type
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = EXAMPLE)]
    pub example: Option<PathBuf>,
    /// Write a race of two of its commands instead, which needs no operations and no answers
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "example")]
    pub race: bool,
    /// Write the scenario here [default: scenarios/TOOL.toml, or scenarios/race.toml with --race]
    #[arg(long, value_name = "FILE", conflicts_with = "example")]
    pub file: Option<PathBuf>,
}

/// Writes what was asked for.
pub fn run(args: &InitArgs, _output: Output) -> Result<Exit, Failure> {
    match &args.example {
        Some(folder) => example(folder),
        None => scenario(args),
    }
}

fn written(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |error| {
        let exit =
            if error.kind() == io::ErrorKind::AlreadyExists { Exit::Usage } else { Exit::HarnessFailed };
        Failure::new(exit, format!("{} cannot be written: {error}", path.display()))
    }
}

fn example(folder: &Path) -> Result<Exit, Failure> {
    fs::create_dir(folder).map_err(written(folder))?;
    let state = folder.join("state");
    fs::create_dir(&state).map_err(written(&state))?;
    fs::write(state.join("count"), "0\n").map_err(written(&state))?;
    for (name, text) in [("counter", BROKEN), ("counter-fixed", FIXED)] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(written(&path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(written(&path))?;
    }
    let shown = quoted(&folder.display().to_string());
    print(&format!(
        "made {shown}: a counter that loses counts, and one that does not. Try them:\n\n    cd {shown}\n    flockwork race --state \
         state -- ./counter ./counter\n    flockwork race --state state -- ./counter-fixed ./counter-fixed\n"
    ))?;
    Ok(Exit::AsExpected)
}

fn scenario(args: &InitArgs) -> Result<Exit, Failure> {
    let words: Vec<String> = args.tool.iter().map(|word| quoted(word)).collect();
    let tool = words.join(" ");
    let commands = commands(&help(&args.tool)?);
    let (text, name) = if args.race {
        (race(&tool, &commands), "race".to_owned())
    } else {
        (model(&args.tool, &commands), name_of(&args.tool[0]))
    };
    let path = args.file.clone().unwrap_or_else(|| Path::new("scenarios").join(format!("{name}.toml")));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(written(folder))?;
    }
    let mut file = fs::File::create_new(&path).map_err(written(&path))?;
    file.write_all(text.as_bytes()).map_err(written(&path))?;
    let shown = quoted(&path.display().to_string());
    let names: Vec<&str> = commands.iter().map(|command| command.name.as_str()).collect();
    let known = if names.is_empty() {
        "its help names no commands".to_owned()
    } else {
        format!("its help names {}", names.join(", "))
    };
    print(&format!(
        "wrote {shown}: {known}. It runs as it is: flockwork run {shown}. Then fill in what is marked FILL IN.\n"
    ))?;
    Ok(Exit::AsExpected)
}

/// What the scenario of a tool is called.
fn name_of(program: &str) -> String {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    if name.is_empty() { "tool".into() } else { name }
}

/// A command that a help text lists.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    name: String,
    /// Its arguments, as placeholders where their names tell nothing else.
    arguments: Vec<String>,
}

/// A text as TOML has it.
fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn toml_list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| toml_text(word)).collect::<Vec<_>>().join(", "))
}

/// A race of two of the tool's commands.
fn race(tool: &str, commands: &[Listed]) -> String {
    let line = |number: usize| {
        let command =
            commands.get(number % commands.len().max(1)).map(|command| format!(" {}", command.name));
        toml_text(&format!("{tool}{}", command.unwrap_or_default()))
    };
    let names: Vec<&str> = commands.iter().map(|command| command.name.as_str()).collect();
    let known = if names.is_empty() { String::new() } else { format!("# It knows: {}\n", names.join(", ")) };
    format!(
        "about = \"Two commands, run at once, give the result of some order.\"\nkind = \"race\"\n\n[race]\n{known}# FILL IN: the \
         commands that are to run at once, each with its arguments.\nprocesses = [[{}], [{}]]\n# FILL IN: the folder that they \
         share. It is never touched: commands work on a copy.\nstate = [\".\"]\n# FILL IN, if they need one: what makes the state \
         that they start from.\n# setup = [\"{tool} …\"]\n# To compare what the tool says of its state, instead of the files:\n# observe = \
         \"{tool} list\"\n",
        line(0),
        line(1),
    )
}

/// A scenario of the tool's commands as operations. It runs as it is: until a model is filled in, the tool is its own
/// specification.
fn model(tool: &[String], commands: &[Listed]) -> String {
    let name = name_of(&tool[0]);
    let run = [Listed { name: "run".into(), arguments: Vec::new() }];
    let (commands, is_guess) = if commands.is_empty() { (&run[..], true) } else { (commands, false) };
    let mut text = format!(
        "about = {}\nkind = \"stress\"\n\n[subject]\nname = \"command\"\n{MODEL}model = \"sequential\"\n{STATE}state = \
         \".\"\n{ANSWERS}answers = [{{ exit = 0, outcome = \"ok\" }}]\n",
        toml_text(&format!("Several processes run {name} at once."))
    );
    let mut add = |lines: &str| text.push_str(lines);
    for command in commands.iter().take(PROCESSES_MAX) {
        let words = if is_guess { Vec::new() } else { vec![command.name.clone()] };
        let words: Vec<String> =
            tool.iter().cloned().chain(words).chain(command.arguments.iter().cloned()).collect();
        add(&format!("\n[subject.operations.{}]\n", command.name));
        if command.arguments.is_empty() {
            add("# FILL IN, if it takes any: its arguments, with {object} and {value} where they differ.\n");
        } else {
            add("# FILL IN: what its arguments are. {object} is a name, {value} what the model gives.\n");
        }
        add(&format!("command = {}\n", toml_list(&words)));
        if words.iter().any(|word| word.contains("{value}")) {
            add("value = 1\n");
        }
        add(
            "# FILL IN, for a model: which of its operations this is, such as add, read, push or pop.\n# op = \"add\"\n",
        );
    }
    let processes = commands.len().clamp(2, PROCESSES_MAX);
    add(&format!(
        "\n[stress]\nprocesses = {processes}\n{BUDGET}operations = {}\n{PERTURB}perturb = \"0..2ms\"\n",
        20 * processes
    ));
    text
}

/// As many commands run at once as a program can that is its own specification, and few enough for all their orders.
const PROCESSES_MAX: usize = 4;

const MODEL: &str = "\
# FILL IN: what is right. \"sequential\": what the commands do one after the other; then no operation needs a meaning. Or a model:
# counter, register, set, log, lock, queue (docs/models.md), with [subject.operations] named after its operations.
";
const STATE: &str = "\
# FILL IN: the folder that the commands share. It is never touched: they work on a copy, which only they see in its place.
# Without this line they start with an empty folder, whose path is {state}: env = { HOME = \"{state}\" }
";
const ANSWERS: &str = "\
# FILL IN, for a model: how answers are read. Rules of one operation go into its table; (?<saw>…) captures what was seen:
# answers = [{ exit = 0, stdout = '^(?<saw>\\d+)$', outcome = \"ok\" }, { exit = 75, outcome = \"refused\", reason = \"busy\" }]
";
const PERTURB: &str = "\
# Delays calls on the folder's files at random, which finds more. Without this, commands run at their own pace.
";
const BUDGET: &str = "\
# How long: a count of operations, or duration = \"30s\". With a model, up to 4096 processes.
";

/// What shows that a script knows of a help text: the word itself, or what reads its arguments.
const HELPFUL: [&str; 13] = [
    "help",
    "usage",
    "argparse",
    "optparse",
    "optionparser",
    "docopt",
    "click",
    "typer",
    "fire",
    "commander",
    "yargs",
    "parseargs",
    "thor",
];
/// So much of a script is looked through.
const SCRIPT_BYTES: u64 = 1 << 20;

/// Whether a program is a script that takes `--help` for nothing special: it would do its work.
fn would_work(program: &str) -> bool {
    let mut text = Vec::new();
    let read = fs::File::open(program).and_then(|file| file.take(SCRIPT_BYTES).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text).to_lowercase();
    read.is_ok() && text.starts_with("#!") && !HELPFUL.iter().any(|word| text.contains(word))
}

/// What a tool says of how it is used; nothing where it would not say it.
fn help(tool: &[String]) -> Result<String, Failure> {
    let (program, arguments) = tool.split_first().expect("clap asks for one");
    if would_work(program) {
        return Ok(String::new());
    }
    let mut child = Command::new(program)
        .args(arguments)
        .arg("--help")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Failure::new(Exit::Usage, format!("{program}: it cannot be run: {error}")))?;
    let stdout = child.stdout.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What cannot be read is no help.
        _ = stdout.take(HELP_BYTES).read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let begun = Instant::now();
    while child.try_wait().is_ok_and(|status| status.is_none()) && begun.elapsed() < HELP_TIME {
        std::thread::sleep(Duration::from_millis(5));
    }
    // It may have ended by itself.
    _ = child.kill();
    _ = child.wait();
    Ok(reader.join().unwrap_or_default())
}

/// The commands that a help text lists: indented words, each with its arguments and, some way behind, something about it.
fn commands(help: &str) -> Vec<Listed> {
    let is_name = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let command = |line: &str| {
        let indented = line.strip_prefix("  ").or_else(|| line.strip_prefix('\t'))?.trim_start();
        let about = indented.find("  ").or_else(|| indented.find('\t'))?;
        let mut words = indented[..about].split_whitespace();
        let name = words.next().filter(|word| is_name(word) && *word != "help")?.to_owned();
        // Optional ones can be left out; where anything else stands among them the line is no list of commands.
        let arguments: Vec<&str> = words.filter(|word| !word.starts_with('[')).collect();
        let is_argument = |word: &&str| {
            let inner = word.trim_matches(['<', '>']).trim_end_matches("...");
            !inner.is_empty()
                && (inner.len() < word.len()
                    || inner.chars().all(|c| c.is_ascii_uppercase() || "_-".contains(c)))
        };
        if !arguments.iter().all(is_argument) {
            return None;
        }
        let last = arguments.len().checked_sub(1);
        let placeholder = |at: usize| {
            let is_value = arguments.len() > 1 && Some(at) == last;
            if is_value { "{value}".to_owned() } else { "{object}".to_owned() }
        };
        Some(Listed { name, arguments: (0..arguments.len()).map(placeholder).collect() })
    };
    let mut all: Vec<Listed> = Vec::new();
    for listed in help.lines().filter_map(command) {
        if !all.iter().any(|known| known.name == listed.name) {
            all.push(listed);
        }
    }
    all.truncate(COMMANDS_MAX);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(help: &str) -> Vec<String> {
        commands(help).into_iter().map(|listed| listed.name).collect()
    }

    #[test]
    fn the_commands_of_a_help_text_are_found() {
        let help = "Usage: tool COMMAND\n\nCommands:\n  add      Adds a thing\n  del      Deletes it\n  help     This\n\
                    \nOptions:\n  -v, --verbose  More\n  a sentence that goes on\n";
        assert_eq!(names(help), ["add", "del"]);
        assert!(names("usage: tool [-h] x").is_empty());
    }

    #[test]
    fn arguments_become_placeholders() {
        let help = "Commands:\n  put <key> <value>  Puts it\n  get KEY [DEFAULT]  Gets it\n  list  Lists all\n  see that it  goes\n";
        let of = |name: &str, arguments: &[&str]| Listed {
            name: name.into(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        };
        assert_eq!(
            commands(help),
            [of("put", &["{object}", "{value}"]), of("get", &["{object}"]), of("list", &[])]
        );
    }

    #[test]
    fn a_script_without_a_help_text_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tool");
        let path = path.to_str().unwrap();
        for (text, works) in [
            ("#!/bin/sh\necho 1 >count\n", true),
            ("#!/bin/sh\n[ \"$1\" != --help ] || exit 0\n", false),
            ("#!/usr/bin/python3\nimport argparse\n", false),
            ("\u{7f}ELF", false),
        ] {
            fs::write(path, text).unwrap();
            assert_eq!(would_work(path), works, "{text}");
        }
        assert!(!would_work("/no/such/program"));
    }

    #[test]
    fn what_is_written_is_a_scenario() {
        use crate::scenario::{Found, Scenario};
        // Commands are looked for where they are run from, and there is a shell everywhere.
        let tool = ["/bin/sh".to_owned(), "a b".to_owned()];
        for help in ["", "  add  Adds\n", "  add <a> <b>  Adds\n  del A  Deletes\n  list  Lists\n"] {
            let commands = commands(help);
            for text in [race("/bin/sh 'a b'", &commands), model(&tool, &commands)] {
                let found = Found { argument: "a.toml".into(), text: text.clone() };
                if let Err(problems) = Scenario::parse(&found, &[]) {
                    panic!("{}\n{text}", problems[0]);
                }
            }
        }
    }
}
