//! The command that runs a scenario again, ready to be pasted into a shell. A test runs what this prints.

use std::path::Path;

use crate::scenario::Override;

/// The command.
#[must_use]
pub fn command(argument: &Path, seed: u64, overrides: &[Override], root: Option<&Path>) -> String {
    let mut words = vec!["flockwork".to_owned(), "run".to_owned()];
    // A file's name may look like a flag.
    let argument = argument.to_string_lossy();
    let prefix = if argument.starts_with('-') { "./" } else { "" };
    words.push(quoted(&format!("{prefix}{argument}")));
    words.extend(["--seed".to_owned(), seed.to_string()]);
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
