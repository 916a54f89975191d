//! Who held which container's lock, and when: what a run may keep beside its history.
//!
//! It is for whoever looks at a run. No check rests on it: whether two held a lock at once is seen by other means, as it
//! happens. The stored form is JSON lines: a header, then one hold a line.

use std::collections::HashMap;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::read::lines::Lines;
use super::read::{Limits, ReadError};
use crate::words::plural;

/// Version of the stored form.
pub const HOLDS_VERSION: u32 = 1;

/// One time that a process held a container's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The number of the process that held the lock.
    pub process: u32,
    /// Which container's, as an index into [`Holds::containers`].
    pub container: u32,
    /// When it had the lock, nanoseconds of the history's clock.
    pub from_ns: u64,
    /// When it was about to let go of it. Where nobody saw that, the latest time at which it can still have held it; `None`:
    /// it may hold it still.
    pub to_ns: Option<u64>,
    /// Whether others might hold it at the same time: it read.
    pub shared: bool,
    /// Whether nobody saw it let go: it was killed, say.
    pub end_unseen: bool,
}

/// All that was seen of a run's locks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// The containers' names.
    pub containers: Vec<String>,
    /// The holds, in no particular order.
    pub all: Vec<Hold>,
    /// How many more there were, for which there was no room.
    pub missing: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    flockwork_holds: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    missing: u64,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    container: std::borrow::Cow<'a, str>,
    process: u32,
    from_ns: u64,
    to_ns: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    end_unseen: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Holds {
    /// Those of some time only.
    #[must_use]
    pub fn within(&self, from_ns: u64, to_ns: u64) -> Self {
        let is_within =
            |hold: &&Hold| hold.from_ns <= to_ns && hold.to_ns.is_none_or(|end_ns| end_ns >= from_ns);
        Self { all: self.all.iter().filter(is_within).copied().collect(), ..self.clone() }
    }

    /// Writes them. The writer should be buffered.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        let header = Header { flockwork_holds: HOLDS_VERSION, missing: self.missing };
        serde_json::to_writer(&mut out, &header)?;
        out.write_all(b"\n")?;
        for hold in &self.all {
            let line = Line {
                container: self.containers.get(hold.container as usize).map_or("", String::as_str).into(),
                process: hold.process,
                from_ns: hold.from_ns,
                to_ns: hold.to_ns,
                shared: hold.shared,
                end_unseen: hold.end_unseen,
            };
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Writes them into a file: compressed where the name ends in `.zst`.
    pub fn write_file(&self, path: &Path) -> io::Result<()> {
        let file = BufWriter::new(std::fs::File::create(path)?);
        if path.extension().is_some_and(|extension| extension == "zst") {
            let mut encoder = zstd::Encoder::new(file, 1)?;
            self.write(BufWriter::with_capacity(1 << 18, &mut encoder))?;
            encoder.finish()?.flush()
        } else {
            self.write(file)
        }
    }

    /// Reads them, as a history is read: what others wrote is checked line by line.
    pub fn read(input: impl BufRead, limits: Limits) -> Result<Self, ReadError> {
        const EXPECTED: &str = r#"expected the first line {"flockwork_holds":1}"#;
        let mut lines = Lines::new(input, limits.until);
        if !lines.advance()? {
            return Err(ReadError::Line { line: 1, what: format!("the file is empty; {EXPECTED}") });
        }
        let header: Header = serde_json::from_str(lines.text()?).map_err(|_| lines.error(EXPECTED))?;
        if header.flockwork_holds > HOLDS_VERSION {
            let version = header.flockwork_holds;
            return Err(lines.error(format!(
                "it is of version {version} of the format, and this flockwork reads {HOLDS_VERSION}"
            )));
        }
        let mut holds = Self { missing: header.missing, ..Self::default() };
        let mut indexes = HashMap::<String, u32>::new();
        while lines.advance()? {
            let hold = holds.hold(lines.text()?, &mut indexes).map_err(|what| lines.error(what))?;
            holds.all.push(hold);
            if holds.all.len() * size_of::<Hold>() > limits.memory_bytes {
                let what = plural(holds.all.len() as u64, "hold");
                return Err(lines.error(format!("{what} need more memory than the limit")));
            }
        }
        Ok(holds)
    }

    fn hold(&mut self, text: &str, indexes: &mut HashMap<String, u32>) -> Result<Hold, String> {
        let line: Line<'_> = serde_json::from_str(text)
            .map_err(|error| format!("{error}; expected container, process, from_ns and to_ns"))?;
        if line.to_ns.is_some_and(|to_ns| to_ns < line.from_ns) {
            return Err("to_ns: it is earlier than from_ns; expected the same or later".into());
        }
        let container = if let Some(&known) = indexes.get(line.container.as_ref()) {
            known
        } else {
            let next = self.containers.len() as u32;
            self.containers.push(line.container.to_string());
            indexes.insert(line.container.into_owned(), next);
            next
        };
        let Line { process, from_ns, to_ns, shared, end_unseen, .. } = line;
        Ok(Hold { process, container, from_ns, to_ns, shared, end_unseen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(process: u32, from_ns: u64, to_ns: Option<u64>) -> Hold {
        Hold { process, container: 0, from_ns, to_ns, shared: process == 2, end_unseen: process == 3 }
    }

    fn holds() -> Holds {
        let all = vec![hold(1, 5, Some(9)), hold(2, 9, Some(9)), hold(3, 20, Some(40)), hold(1, 50, None)];
        Holds { containers: vec!["a\"</script>\n".into()], all, missing: 7 }
    }

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["holds.jsonl", "holds.jsonl.zst"] {
            let path = folder.path().join(name);
            holds().write_file(&path).unwrap();
            let read = Holds::read(super::super::read::open(&path).unwrap(), Limits::NONE).unwrap();
            assert_eq!(read, holds(), "{name}");
        }
    }

    #[test]
    fn a_window_has_what_touches_it() {
        let within = |from_ns, to_ns| holds().within(from_ns, to_ns).all.len();
        assert_eq!((within(0, 4), within(9, 9), within(10, 30), within(45, 60)), (0, 2, 1, 1));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let header = r#"{"flockwork_holds":1}"#;
        for (text, line, word) in [
            (String::new(), 1, "empty"),
            ("{}".into(), 1, "flockwork_holds"),
            (r#"{"flockwork_holds":2}"#.into(), 1, "version 2"),
            (format!("{header}\n[]"), 2, "expected container"),
            (
                format!("{header}\n{{\"container\":\"c\",\"process\":1,\"from_ns\":5,\"to_ns\":4}}"),
                2,
                "earlier",
            ),
            (format!("{header}\n{{\"container\":\"c\",\"pro"), 2, "expected container"),
        ] {
            let error = Holds::read(text.as_bytes(), Limits::NONE).unwrap_err();
            let ReadError::Line { line: at, what } = &error else { panic!("{error}") };
            assert!(*at == line && what.contains(word), "{error}");
        }
        let limits = Limits { memory_bytes: 10, until: None };
        let text = format!("{header}\n{{\"container\":\"c\",\"process\":1,\"from_ns\":5,\"to_ns\":5}}");
        assert!(Holds::read(text.as_bytes(), limits).is_err());
    }
}
