//! `flockwork init`: a scenario for one's own tool, or an example to try.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use super::failure::Failure;
use super::output::{Output, print};
use crate::report::exit::Exit;
use crate::report::reproduce::quoted;

/// How long a tool may take to tell how it is used.
const HELP_TIME: Duration = Duration::from_secs(2);
/// How much of that is read.
const HELP_BYTES: u64 = 1 << 16;
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
    /// Where the scenario is written
    #[arg(long, value_name = "FILE", default_value = "scenarios/race.toml", conflicts_with = "example")]
    pub file: PathBuf,
}

/// Writes what was asked for.
pub fn run(args: &InitArgs, _output: Output) -> Result<Exit, Failure> {
    match &args.example {
        Some(folder) => example(folder),
        None => scenario(&args.tool, &args.file),
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

fn scenario(tool: &[String], path: &Path) -> Result<Exit, Failure> {
    let words: Vec<String> = tool.iter().map(|word| quoted(word)).collect();
    let tool_words = words.join(" ");
    let help = help(tool)?;
    let commands = commands(&help);
    let text = text(&tool_words, &commands);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(written(folder))?;
    }
    let mut file = fs::File::create_new(path).map_err(written(path))?;
    file.write_all(text.as_bytes()).map_err(written(path))?;
    let shown = quoted(&path.display().to_string());
    let known = if commands.is_empty() {
        "its help names no commands".to_owned()
    } else {
        format!("its help names {}", commands.join(", "))
    };
    print(&format!("wrote {shown}: {known}. Fill in what is marked FILL IN, then: flockwork run {shown}\n"))?;
    Ok(Exit::AsExpected)
}

fn text(tool: &str, commands: &[String]) -> String {
    let line = |number: usize| {
        let command = commands.get(number % commands.len().max(1)).map(|command| format!(" {command}"));
        toml::Value::String(format!("{tool}{}", command.unwrap_or_default())).to_string()
    };
    let known =
        if commands.is_empty() { String::new() } else { format!("# It knows: {}\n", commands.join(", ")) };
    format!(
        "about = \"Two commands at once come to what some order of them gives.\"\nkind = \"race\"\n\n[race]\n{known}# FILL IN: the \
         commands that are to run at once, each with its arguments.\nprocesses = [[{}], [{}]]\n# FILL IN: the folder that they \
         share. It is never touched: commands work on a copy.\nstate = [\".\"]\n# FILL IN, where it takes some: what makes the state \
         that they start from.\n# setup = [\"{tool} …\"]\n# Where files are not what counts: what the tool says of its state.\n# observe = \
         \"{tool} list\"\n",
        line(0),
        line(1),
    )
}

/// What a tool says of how it is used.
fn help(tool: &[String]) -> Result<String, Failure> {
    let (program, arguments) = tool.split_first().expect("clap asks for one");
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

/// The commands that a help text lists: indented words, each with something about it some way behind.
fn commands(help: &str) -> Vec<String> {
    let is_name = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let command = |line: &str| {
        let indented = line.strip_prefix("  ").or_else(|| line.strip_prefix('\t'))?.trim_start();
        let (word, rest) = indented.split_once(char::is_whitespace)?;
        let is_listed = rest.starts_with(' ') || rest.starts_with('\t');
        (is_name(word) && is_listed && word != "help").then(|| word.to_owned())
    };
    help.lines().filter_map(command).take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_of_a_help_text_are_found() {
        let help = "Usage: tool COMMAND\n\nCommands:\n  add      Adds a thing\n  del      Deletes it\n  help     This\n\
                    \nOptions:\n  -v, --verbose  More\n  a sentence that goes on\n";
        assert_eq!(commands(help), ["add", "del"]);
        assert!(commands("usage: tool [-h] x").is_empty());
    }

    #[test]
    fn what_is_written_is_a_scenario() {
        use crate::scenario::{Found, Scenario};
        for commands in [vec![], vec!["add".to_owned()], vec!["add".to_owned(), "del".to_owned()]] {
            let text = text("./my-tool --at 'a b'", &commands);
            let found = Found { argument: "a.toml".into(), text: text.clone() };
            if let Err(problems) = Scenario::parse(&found, &[]) {
                panic!("{}\n{text}", problems[0]);
            }
        }
    }
}
