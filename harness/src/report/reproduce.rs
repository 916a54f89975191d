//! The command that runs a scenario again, ready to be pasted into a shell, and the script that a finding keeps of it. Tests
//! run what this prints.

use std::path::Path;

use super::plain;
use crate::results::Script;
use crate::scenario::Override;

/// The command line that repeats the scenario with its seed and overrides, quoted for a shell.
#[must_use]
pub fn command(argument: &Path, seed: u64, overrides: &[Override], root: Option<&Path>) -> String {
    // A file's name may look like a flag.
    let argument = argument.to_string_lossy();
    let prefix = if argument.starts_with('-') { "./" } else { "" };
    format!("flockwork run {} {}", quoted(&format!("{prefix}{argument}")), flags(seed, overrides, root))
}

/// The flockwork that a script calls.
const PROGRAM: &str = "\"${FLOCKWORK:-flockwork}\"";

/// The script of a finding that has a schedule. It follows the one beside it, wherever the folder has gone.
#[must_use]
pub fn of_schedule(message: &str) -> Script {
    Script { text: script(message, "replay \"$here\""), scenario: None }
}

/// The script of a finding that has none: it runs the scenario again, of which it keeps a copy beside it. Results go where
/// it is called.
#[must_use]
pub fn of_scenario(
    message: &str,
    (name, text): (&str, &str),
    seed: u64,
    overrides: &[Override],
    root: Option<&Path>,
) -> Script {
    let file = format!("{name}.toml");
    let command = format!("run \"$here\"/{} {}", quoted(&file), flags(seed, overrides, root));
    Script { text: script(message, &command), scenario: Some((file, text.to_owned())) }
}

/// The script of a finding whose command names files by relative paths: it runs where the finding was made.
#[must_use]
pub fn from_folder(message: &str, here: &Path, command: &str) -> Script {
    let about = about(message);
    let here = quoted(&here.display().to_string());
    // Behind the separator more words would be more commands.
    let command = match command.split_once(" -- ") {
        Some((flags, commands)) => format!("{flags} \"$@\" -- {commands}"),
        None => format!("{command} \"$@\""),
    };
    let text = format!(
        "#!/bin/sh\n# {about}\n# Shows it again; more flags may follow.\ncd {here} && exec {command}\n"
    );
    Script { text, scenario: None }
}

/// The first line of a message, harmless in a comment.
fn about(message: &str) -> String {
    plain::one_line(message.lines().next().unwrap_or_default()).into_owned()
}

fn script(message: &str, command: &str) -> String {
    let about = about(message);
    format!(
        "#!/bin/sh\n# {about}\n# Shows it again; more flags may follow.\n\
         here=$(CDPATH= cd -- \"$(dirname -- \"$0\")\" && pwd) || exit\nexec {PROGRAM} {command} \"$@\"\n"
    )
}

/// Seed, overrides and root.
fn flags(seed: u64, overrides: &[Override], root: Option<&Path>) -> String {
    let mut words = vec!["--seed".to_owned(), seed.to_string()];
    for set in overrides {
        words.push(quoted(&format!("{}={}", set.flag, set.value)));
    }
    if let Some(root) = root {
        words.push(quoted(&format!("--root={}", root.display())));
    }
    words.join(" ")
}

/// A word as every POSIX shell reads it back.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_finds_what_lies_beside_it_from_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("it's a finding");
        std::fs::create_dir(&beside).unwrap();
        let script = of_scenario("torn\nsecond line", ("a b", "kind"), 7, &[], None);
        let path = beside.join("reproduce.sh");
        std::fs::write(&path, &script.text).unwrap();
        // What stands in for flockwork tells the words that it was given.
        let told = std::process::Command::new("/bin/sh")
            .arg(&path)
            .arg("--step")
            .env("FLOCKWORK", "echo")
            .current_dir("/")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        assert_eq!(told, format!("run {}/a b.toml --seed 7 --step\n", beside.display()));
        assert!(script.text.starts_with("#!/bin/sh\n# torn\n"), "{}", script.text);
        assert_eq!(script.scenario, Some(("a b.toml".into(), "kind".into())));
    }

    #[test]
    fn flags_of_a_script_come_before_the_commands() {
        let script = |command| from_folder("m", Path::new("/a b"), command).text;
        assert!(
            script("flockwork race --seed 7 -- a b")
                .ends_with("cd '/a b' && exec flockwork race --seed 7 \"$@\" -- a b\n")
        );
        assert!(script("flockwork run x").ends_with("exec flockwork run x \"$@\"\n"));
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        let overrides = [
            Override { flag: "--processes", value: "4".into() },
            Override { flag: "--set", value: "stress.mix={ create = 1 }".into() },
        ];
        assert_eq!(
            command(Path::new("it's here/a.toml"), 7, &overrides, Some(Path::new("/x"))),
            r"flockwork run 'it'\''s here/a.toml' --seed 7 --processes=4 '--set=stress.mix={ create = 1 }' --root=/x"
        );
        assert_eq!(command(Path::new("-a.toml"), 7, &[], None), "flockwork run ./-a.toml --seed 7");
    }
}
