//! Command lines: split as a shell splits words, and run directly; what needs a shell goes through one.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::words::nearest;

/// A command line, ready to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// As it was written.
    pub text: String,
    /// The words, with placeholders.
    words: Vec<String>,
    /// Whether a shell runs it.
    pub is_shell: bool,
}

/// A command line that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is nothing in it.
    #[error("a command is empty: expected a command line, such as './tool add a'")]
    Empty,
    /// A quote is never closed.
    #[error("{0}: a quote is never closed")]
    Quote(String),
    /// A placeholder that is none.
    #[error("{text}: {{{name}}} is not a placeholder; the nearest is {{{near}}}")]
    Placeholder {
        /// The command line.
        text: String,
        /// What stands between the braces.
        name: String,
        /// The nearest that there is.
        near: &'static str,
    },
    /// A placeholder for a state folder that is not there.
    #[error("{text}: {{{name}}} stands for a state folder, and there are {folders}: name it with --state")]
    NoFolder {
        /// The command line.
        text: String,
        /// What stands between the braces.
        name: String,
        /// How many there are.
        folders: usize,
    },
    /// There is no such program.
    #[error("{text}: {program}: no such program{hint}")]
    NotFound {
        /// The command line.
        text: String,
        /// What was written as the program.
        program: String,
        /// Where it was looked for.
        hint: String,
    },
    /// It may not be executed.
    #[error("{text}: {path}: it is not executable{hint}", path = path.display())]
    NotExecutable {
        /// The command line.
        text: String,
        /// The program's path.
        path: PathBuf,
        /// What to do.
        hint: String,
    },
    /// A script whose interpreter is not there.
    #[error("{text}: {path}: its first line asks for {interpreter}, which is not there", path = path.display())]
    NoInterpreter {
        /// The command line.
        text: String,
        /// The script's path.
        path: PathBuf,
        /// What the script's first line names.
        interpreter: String,
    },
    /// A script that says no interpreter.
    #[error(
        "{text}: {path}: it is neither a program nor a script that names its interpreter; begin it with a line such as \
         #!/bin/sh, or run it by sh {path}",
        path = path.display()
    )]
    NoScript {
        /// The command line.
        text: String,
        /// The file's path.
        path: PathBuf,
    },
}

/// What placeholders stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placeholders {
    /// `{state}`: the path of each copy.
    pub state: Vec<PathBuf>,
}

/// The words that stand between braces and mean something.
const PLACEHOLDERS: [&str; 5] = ["state", "state1", "state2", "state3", "state4"];
/// Words that only a shell knows.
const SHELL_WORDS: [&str; 40] = [
    ".", ":", "[[", "alias", "bg", "break", "case", "cd", "command", "continue", "eval", "exec", "exit",
    "export", "fg", "for", "function", "getopts", "hash", "if", "jobs", "local", "read", "readonly",
    "return", "set", "shift", "source", "times", "trap", "type", "ulimit", "umask", "unalias", "unset",
    "until", "wait", "while", "{", "!",
];

impl Command {
    /// Reads a command line.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(CommandError::Empty);
        }
        check_placeholders(text)?;
        let words = shlex::split(text);
        let is_shell = needs_shell(text)
            || words
                .as_ref()
                .and_then(|words| words.first())
                .is_some_and(|first| SHELL_WORDS.contains(&first.as_str()));
        let words = match words {
            _ if is_shell => vec!["sh".to_owned(), "-c".to_owned(), text.to_owned()],
            None => return Err(CommandError::Quote(text.to_owned())),
            Some(words) => words,
        };
        if words.is_empty() {
            return Err(CommandError::Empty);
        }
        Ok(Self { text: text.to_owned(), words, is_shell })
    }

    /// A command of these words, which no shell sees.
    #[must_use]
    pub fn of_words(text: &str, words: Vec<String>) -> Self {
        Self { text: text.to_owned(), words, is_shell: false }
    }

    /// The words as they are given to the program.
    #[must_use]
    pub fn words(&self, placeholders: &Placeholders) -> Vec<String> {
        self.words.iter().map(|word| placeholders.fill(word)).collect()
    }

    /// Whether it names the copy of a state folder itself.
    #[must_use]
    pub fn names_state(&self) -> bool {
        self.words.iter().any(|word| names_state(word))
    }

    /// Finds the program: on `path`, or relative to a folder. `seen_as` turns a path as the command sees it into one where it can be
    /// looked at from here.
    pub fn find(
        &self,
        placeholders: &Placeholders,
        folder: &Path,
        path: &str,
        seen_as: &dyn Fn(&Path) -> PathBuf,
    ) -> Result<PathBuf, CommandError> {
        let program = placeholders.fill(&self.words[0]);
        let text = self.text.clone();
        if program.contains('/') {
            let found = folder.join(&program);
            if !seen_as(&found).exists() {
                let hint = String::new();
                return Err(CommandError::NotFound { text, program, hint });
            }
            return self.check(&found, &seen_as(&found)).map(|()| found);
        }
        let mut unfit = None;
        for place in path.split(':').filter(|place| !place.is_empty()) {
            let found = folder.join(place).join(&program);
            let at = seen_as(&found);
            if !at.is_file() {
                continue;
            }
            match self.check(&found, &at) {
                Ok(()) => return Ok(found),
                Err(error) => _ = unfit.get_or_insert(error),
            }
        }
        let is_beside = seen_as(&folder.join(&program)).is_file();
        let hint =
            if is_beside { format!(" on PATH; did you mean ./{program}?") } else { " on PATH".to_owned() };
        Err(unfit.unwrap_or(CommandError::NotFound { text, program, hint }))
    }

    /// Whether a program can be executed, as far as can be told before.
    fn check(&self, path: &Path, at: &Path) -> Result<(), CommandError> {
        let text = self.text.clone();
        let Ok(about) = fs::metadata(at) else {
            return Err(CommandError::NotFound {
                text,
                program: path.display().to_string(),
                hint: String::new(),
            });
        };
        if about.is_dir() {
            let hint = ": it is a folder".to_owned();
            return Err(CommandError::NotExecutable { text, path: path.to_owned(), hint });
        }
        if about.permissions().mode() & 0o111 == 0 {
            let hint = format!("; chmod +x {}", path.display());
            return Err(CommandError::NotExecutable { text, path: path.to_owned(), hint });
        }
        let mut head = [0; 256];
        let Ok(length) = fs::File::open(at).and_then(|mut file| file.read(&mut head)) else {
            // It may be executed though it cannot be read.
            return Ok(());
        };
        let head = &head[..length];
        if let Some(line) = head.strip_prefix(b"#!") {
            let line = String::from_utf8_lossy(line.split(|byte| *byte == b'\n').next().unwrap_or_default());
            let interpreter = line.split_whitespace().next().unwrap_or_default().to_owned();
            if !Path::new(&interpreter).is_file() {
                return Err(CommandError::NoInterpreter { text, path: path.to_owned(), interpreter });
            }
        } else if !head.starts_with(b"\x7fELF") && !head.contains(&0) {
            return Err(CommandError::NoScript { text, path: path.to_owned() });
        }
        Ok(())
    }
}

/// Whether a text names the copy of a state folder itself.
#[must_use]
pub fn names_state(text: &str) -> bool {
    braced(text).any(|(_, name)| PLACEHOLDERS.contains(&name))
}

impl Placeholders {
    /// A text with what its placeholders stand for.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut done = 0;
        for (at, name) in braced(text) {
            let number =
                name.strip_prefix("state").map(|number| if number.is_empty() { "1" } else { number });
            let index = number
                .and_then(|number| number.parse::<usize>().ok())
                .and_then(|number| number.checked_sub(1));
            if let Some(folder) = index.and_then(|index| self.state.get(index)) {
                filled.push_str(&text[done..at]);
                filled.push_str(&folder.to_string_lossy());
                done = at + name.len() + 2;
            }
        }
        filled + &text[done..]
    }
}

/// Checks a text for placeholders that are none: such as are nearly one, or name a state folder that is not there.
pub fn check_placeholders(text: &str) -> Result<(), CommandError> {
    for (_, name) in braced(text) {
        if PLACEHOLDERS.contains(&name) {
            continue;
        }
        // Braces mean many things to many programs; only what looks like a slip is one.
        let looks_like_one = nearest(name, ["state"]).is_some() && !name.contains(',');
        if looks_like_one {
            return Err(CommandError::Placeholder {
                text: text.to_owned(),
                name: name.to_owned(),
                near: "state",
            });
        }
    }
    Ok(())
}

/// Checks that a text names no state folder that is not there, of so many.
pub fn check_numbers(text: &str, folders: usize) -> Result<(), CommandError> {
    let beyond = |(_, name): &(usize, &str)| {
        let number = name.strip_prefix("state").map(|number| number.parse().unwrap_or(1));
        PLACEHOLDERS.contains(name) && number.is_some_and(|number: usize| number > folders)
    };
    match braced(text).find(beyond) {
        None => Ok(()),
        Some((_, name)) => {
            Err(CommandError::NoFolder { text: text.to_owned(), name: name.to_owned(), folders })
        }
    }
}

/// What stands between braces, with the place of the opening one. `${name}` is the shell's.
fn braced(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices('{').filter_map(move |(at, _)| {
        if text[..at].ends_with('$') {
            return None;
        }
        let inner = &text[at + 1..];
        let end = inner.find('}')?;
        let name = &inner[..end];
        (!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric())).then_some((at, name))
    })
}

/// Whether a command line means more to a shell than words.
fn needs_shell(text: &str) -> bool {
    let mut quote = None;
    let mut characters = text.chars();
    let mut is_word_start = true;
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None | Some('"'), '\\') => _ = characters.next(),
            (None, '\'' | '"') => quote = Some(character),
            (None, ';' | '|' | '&' | '<' | '>' | '(' | ')' | '*' | '?' | '[' | '\n')
            | (None | Some('"'), '$' | '`') => return true,
            (None, '~' | '#') if is_word_start => return true,
            _ => {}
        }
        is_word_start = quote.is_none() && character.is_whitespace();
    }
    // NAME=VALUE in front is the shell's, too.
    let name = text.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_a_shell_gets_one() {
        for plain in [
            "./tool add a",
            "git commit -m 'a; b'",
            r#"tool "a b" c\;d"#,
            "jq '.a | .b' f",
            "tool --x=1 y",
            "echo a~b c#d",
            "tool {state}",
            "awk '{print $1}' f",
        ] {
            assert!(!Command::parse(plain).unwrap().is_shell, "{plain}");
        }
        for shell in [
            "a; b",
            "a | b",
            "a > f",
            "echo $HOME",
            "echo \"$HOME\"",
            "X=1 tool",
            "ls *",
            "cat ~/f",
            "(a)",
            "a && b",
            "cd x",
            "a `b`",
            "if true",
            "tool # comment",
            "tool\ntool",
        ] {
            let command = Command::parse(shell).unwrap();
            assert!(command.is_shell, "{shell}");
            assert_eq!(command.words(&Placeholders::default()), ["sh", "-c", shell]);
        }
        assert_eq!(
            Command::parse(" git commit -m 'a b' ").unwrap().words(&Placeholders::default()),
            ["git", "commit", "-m", "a b"]
        );
        assert_eq!(Command::parse("  "), Err(CommandError::Empty));
        assert_eq!(Command::parse("echo 'a"), Err(CommandError::Quote("echo 'a".into())));
    }

    #[test]
    fn placeholders_are_filled_and_slips_are_told() {
        let placeholders = Placeholders { state: vec!["/c 1".into(), "/c2".into()] };
        let words =
            Command::parse("tool --at={state} {state2}/x ${state} {a,b}").map(|c| c.words(&placeholders));
        // With a variable of the shell it is the shell's line.
        assert_eq!(words.unwrap()[2], "tool --at=/c 1 /c2/x ${state} {a,b}");
        let error = Command::parse("tool {stat}").unwrap_err().to_string();
        assert_eq!(error, "tool {stat}: {stat} is not a placeholder; the nearest is {state}");
        for fine in ["awk '{print}'", "tool {}", "tool {a,b}", "find {x}"] {
            assert!(Command::parse(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn programs_are_found_or_what_is_wrong_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        file("good", "#!/bin/sh\n", 0o755);
        file("plain", "#!/bin/sh\n", 0o644);
        file("orphan", "#!/no/such/shell -x\n", 0o755);
        file("nothing", "echo hi\n", 0o755);
        let find = |text: &str| {
            let command = Command::parse(text).unwrap();
            let found =
                command.find(&Placeholders::default(), folder.path(), "/usr/bin:/bin", &Path::to_owned);
            found.map_err(|error| error.to_string())
        };
        assert_eq!(find("./good x"), Ok(folder.path().join("./good")));
        assert!(find("sh -c x").unwrap().ends_with("bin/sh"));
        for (text, told) in [
            ("good", "good: good: no such program on PATH; did you mean ./good?"),
            ("./absent x", "./absent x: ./absent: no such program"),
            ("./plain", "it is not executable; chmod +x"),
            ("./orphan", "its first line asks for /no/such/shell, which is not there"),
            ("./nothing", "begin it with a line such as #!/bin/sh"),
            ("/tmp", "/tmp: it is not executable: it is a folder"),
        ] {
            let error = find(text).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
