//! Lines as wide as a terminal: prose breaks between words, and what is continued stands below what it belongs to.
//!
//! A command is never broken: it is there to be copied.

/// Narrower terminals are treated as this wide: a word a line is not read.
pub const WIDTH_MIN: u16 = 40;

/// Text whose lines fit. Colours take no room.
#[must_use]
pub fn fold(text: &str, width: u16) -> String {
    let width = usize::from(width.max(WIDTH_MIN));
    let mut folded = String::with_capacity(text.len() + text.len() / 16);
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        if visible(line) <= width || is_command(line) {
            folded.push_str(line);
        } else {
            fold_line(line, width, &mut folded);
        }
        folded.push_str(end);
    }
    folded
}

/// Whether a line tells a command, or a path to be copied.
fn is_command(line: &str) -> bool {
    let calls = |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase());
    line.split("flockwork ").skip(1).any(calls) && line.contains(": ") || {
        let mut words = line.split_whitespace();
        words.next().is_none() || words.clone().count() <= 1
    }
}

fn fold_line(line: &str, width: usize, folded: &mut String) {
    let own = line.len() - line.trim_start().len();
    let indent = (own + 2).min(width / 3);
    let mut used = 0;
    // A word with the blanks before it, so that what stands in columns stays there as long as it fits.
    for word in words(line) {
        let wide = visible(word);
        if used > indent && used + wide > width {
            folded.push('\n');
            folded.extend(std::iter::repeat_n(' ', indent));
            used = indent;
            let word = word.trim_start();
            folded.push_str(word);
            used += visible(word);
        } else {
            folded.push_str(word);
            used += wide;
        }
    }
}

/// The words of a line, each with the blanks before it.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let blanks = rest.len() - rest.trim_start_matches(' ').len();
        let end = rest[blanks..].find(' ').map_or(rest.len(), |end| blanks + end);
        let (word, behind) = rest.split_at(end);
        rest = behind;
        (!word.is_empty()).then_some(word)
    })
}

/// How many columns a line takes, without what only sets colours.
fn visible(line: &str) -> usize {
    let mut columns = 0;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            columns += 1;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prose_breaks_between_words_and_hangs() {
        let text = "short\n  a violation that has a message of more than forty characters\n";
        assert_eq!(
            fold(text, 40),
            "short\n  a violation that has a message of more\n    than forty characters\n"
        );
    }

    #[test]
    fn commands_and_single_words_stay_whole() {
        let command =
            "  run it again: flockwork replay results/20260101T000000Z-two-pauses-2018-7/findings/x\n";
        assert_eq!(fold(command, 60), command);
        let path = format!("  {}\n", "x".repeat(100));
        assert_eq!(fold(&path, 60), path);
    }

    #[test]
    fn colours_take_no_room() {
        let text = format!("\u{1b}[1m{}\u{1b}[0m", "abc ".repeat(10).trim_end());
        assert_eq!(fold(&text, 40), text);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_every_line_fits(text in "[a-z \n]{0,400}", width in 40_u16..100) {
            let folded = fold(&text, width);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&folded), words(&text));
            for line in folded.lines().filter(|line| !is_command(line)) {
                let longest = line.split(' ').map(str::len).max().unwrap_or(0);
                prop_assert!(line.len() <= usize::from(width).max(longest + usize::from(width) / 3), "{:?}", line);
            }
        }
    }
}
