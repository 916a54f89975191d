//! Reads a history, whatever it is of: its first line says so, or the model that is to judge it.

use std::io::{BufRead, Cursor, Read};

use super::lines::{LINE_BYTES_MAX, cannot};
use super::{Limits, ReadError, read_within};
use crate::history::AnyHistory;
use crate::history::object::read::{Sort, read as read_object, sort};
use crate::model::AnyModel;
use crate::model::object::Kind;

/// What is blank for longer than this before its first line is no history, whatever comes then: the reader says which line, and
/// keeps the time.
const BLANK_BYTES_MAX: usize = 1 << 16;

/// Reads a whole history: of containers or of objects, as its first line says, or else as the model does.
pub fn read_any(
    mut input: impl BufRead,
    model: Option<&AnyModel>,
    limits: Limits,
) -> Result<AnyHistory, ReadError> {
    // What is looked at is read again: whoever reads it counts the lines.
    let mut start = Vec::new();
    let mut line = 0;
    loop {
        let mut bounded = (&mut input).take(LINE_BYTES_MAX as u64 + 1);
        let from = start.len();
        line += 1;
        let length = bounded.read_until(b'\n', &mut start).map_err(|error| cannot(line, &error))?;
        // Only what was just read is looked at, however many blank lines were before it.
        let is_blank = length > 0 && start[from..].trim_ascii().is_empty();
        if !is_blank || start.len() > BLANK_BYTES_MAX {
            break;
        }
    }
    let sort = std::str::from_utf8(&start).map_or(Sort::Either, |text| sort(text.trim()));
    let whole = Cursor::new(start).chain(input);
    match (sort, model) {
        (Sort::Object, Some(AnyModel::Table(_)) | None) => {
            read_object(whole, None, limits).map(Box::new).map(AnyHistory::Object)
        }
        // A table in its owner's words reads what a table of containers wrote, if its words are those.
        (Sort::Table, Some(AnyModel::Object(model))) if model.kind == Kind::Table => {
            read_object(whole, Some(model), limits).map(Box::new).map(AnyHistory::Object)
        }
        (Sort::Object | Sort::Either, Some(AnyModel::Object(model))) => {
            read_object(whole, Some(model), limits).map(Box::new).map(AnyHistory::Object)
        }
        (Sort::Table | Sort::Either, _) => read_within(whole, limits).map(AnyHistory::Table),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// As long as no header has come it is not known what the history is of: blank lines are read once, and the time is kept.
    #[test]
    fn a_time_that_is_over_ends_the_reading_before_the_first_line_too() {
        let over = Limits { until: Some(Instant::now()), ..Limits::NONE };
        for text in ["\n".repeat(2 * BLANK_BYTES_MAX), " \n".repeat(BLANK_BYTES_MAX)] {
            for (limits, told) in
                [(over, "the time budget ran out at line "), (Limits::NONE, "the file is empty")]
            {
                let error = read_any(text.as_bytes(), None, limits).expect_err("no history").to_string();
                assert!(error.contains(told), "{error}");
            }
            let late = text + "{\"flockwork_history\":1,\"model\":\"oci\"}\n";
            assert!(
                read_any(late.as_bytes(), None, Limits::NONE).is_ok(),
                "however late the first line comes"
            );
        }
    }
}
