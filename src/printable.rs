//! Words that others wrote (names of files, command lines, quoted lines), made safe to be shown: a terminal obeys
//! control characters, and some others make text look like what it is not.

use std::fmt;

/// Text that shows as what it is; see [`printable`].
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(&'a str);

/// Shows text with every character escaped that a terminal would obey, or that would hide or turn round what stands
/// beside it: `\n`, `\u{1b}`, `\u{202e}`.
///
/// ```
/// assert_eq!(flockwork::printable("a\u{1b}[2Jb").to_string(), r"a\u{1b}[2Jb");
/// ```
#[must_use]
pub const fn printable(text: &str) -> Printable<'_> {
    Printable(text)
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = 0;
        for (at, character) in self.0.char_indices().filter(|(_, character)| misleads(*character)) {
            write!(f, "{}{}", &self.0[shown..at], character.escape_default())?;
            shown = at + character.len_utf8();
        }
        f.write_str(&self.0[shown..])
    }
}

/// Whether a character does something to what stands around it.
fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Soft hyphen, directions, zero widths, line and paragraph ends, byte order mark, tags.
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        for (text, shown) in [
            ("", ""),
            ("sleep 1000 äöü 漢字 🙂", "sleep 1000 äöü 漢字 🙂"),
            ("\u{1b}]0;x\u{7}", "\\u{1b}]0;x\\u{7}"),
            ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("exe.\u{202e}gnp", "exe.\\u{202e}gnp"),
            ("a\u{200b}\u{feff}", "a\\u{200b}\\u{feff}"),
            ("\u{0}\u{7f}", "\\u{0}\\u{7f}"),
        ] {
            assert_eq!(printable(text).to_string(), shown);
        }
        let every: String = ('\0'..=char::MAX).collect();
        assert!(!printable(&every).to_string().contains(misleads));
    }
}
