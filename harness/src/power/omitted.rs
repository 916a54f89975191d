//! Fsyncs taken for not made, or for made too late: what each of them is needed for shows when it is missing.
//!
//! An fsync changes nothing that a program can see while the power is on. So the very same execution, with the fsync left out of its
//! journal, is that of a program without it.

use std::collections::HashMap;

use super::record::Recorded;
use crate::disk::{Change, Inode, ROOT};
use crate::plan::FsyncName;

/// Leaves fsyncs out of a journal, or puts them behind the next call of their process; says how many these were.
pub fn omit(recorded: &mut Recorded, without: &[FsyncName], late: &[FsyncName]) -> u64 {
    let mut made: HashMap<(usize, Inode), usize> = HashMap::new();
    let names = &recorded.names;
    let mut meant = |process: usize, inode: Inode| {
        let number = made.entry((process, inode)).or_insert(0);
        *number += 1;
        let path = if inode == ROOT { Some(".") } else { names.get(&inode).map(String::as_str) };
        let has = |list: &[FsyncName]| {
            list.iter()
                .any(|name| Some(&*name.path) == path && name.number.is_none_or(|wanted| wanted == *number))
        };
        (has(without), has(late))
    };
    let mut omitted = 0;
    let mut kept = Vec::with_capacity(recorded.journal.lines.len());
    let mut waiting = Vec::new();
    for line in std::mem::take(&mut recorded.journal.lines) {
        if let Change::Sync { inode, .. } = line.change {
            let (is_without, is_late) = meant(line.process, inode);
            if is_without {
                omitted += 1;
                continue;
            }
            if is_late {
                waiting.push(line);
                continue;
            }
        }
        let (process, step) = (line.process, line.step);
        kept.push(line);
        let due = waiting.extract_if(.., |late: &mut crate::disk::Line| late.process == process);
        let due: Vec<_> = due.map(|late| crate::disk::Line { step, ..late }).collect();
        omitted += due.len() as u64;
        kept.extend(due);
    }
    // Nothing came after these.
    kept.extend(waiting);
    recorded.journal.lines = kept;
    omitted
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::disk::{Journal, Line, Sync};

    fn recorded() -> Recorded {
        let sync = |inode| Change::Sync { inode, what: Sync::All };
        let rename = Change::Rename {
            inode: Inode(1),
            from: (ROOT, "a.tmp".into()),
            to: (ROOT, "a".into()),
            replaced: None,
        };
        let line = |(step, (process, change)): (usize, (usize, Change))| Line {
            process,
            step,
            label: format!("{step}").into(),
            change,
        };
        let changes = [(1, sync(Inode(1))), (2, sync(ROOT)), (1, rename), (1, sync(ROOT)), (1, sync(ROOT))];
        let lines = changes.into_iter().enumerate().map(line).collect();
        let names = BTreeMap::from([(Inode(1), "a.tmp".to_owned())]);
        Recorded { journal: Journal { lines, ..Journal::default() }, names, said: None }
    }

    fn left(without: &[&str], late: &[&str]) -> (u64, Vec<(usize, String)>) {
        let names = |texts: &[&str]| -> Vec<FsyncName> {
            texts.iter().map(|text| FsyncName::try_from((*text).to_owned()).expect("a name")).collect()
        };
        let mut recorded = recorded();
        let omitted = omit(&mut recorded, &names(without), &names(late));
        let lines = recorded.journal.lines.iter().map(|line| (line.step, line.label.to_string()));
        (omitted, lines.collect())
    }

    #[test]
    fn an_fsync_is_left_out_by_its_path_and_its_number() {
        let labels =
            |lines: Vec<(usize, String)>| lines.into_iter().map(|(_, label)| label).collect::<String>();
        assert_eq!(left(&["a.tmp"], &[]).0, 1);
        assert_eq!(labels(left(&["a.tmp"], &[]).1), "1234");
        assert_eq!(labels(left(&["."], &[]).1), "02");
        // The second of one process: p2's first does not count.
        assert_eq!(labels(left(&[". #2"], &[]).1), "0123");
        assert_eq!(left(&["a"], &[]).0, 0, "it is called by its first name");
    }

    #[test]
    fn an_fsync_that_is_late_comes_with_the_next_call_of_its_process() {
        let (omitted, lines) = left(&[], &["a.tmp"]);
        assert_eq!(omitted, 1);
        let lines: Vec<(usize, &str)> = lines.iter().map(|(step, label)| (*step, &**label)).collect();
        assert_eq!(lines, [(1, "1"), (2, "2"), (2, "0"), (3, "3"), (4, "4")]);
        // Where nothing comes after it, it is as late as it was.
        assert_eq!(left(&[], &[". #2"]).0, 0);
    }

    #[test]
    fn what_names_no_fsync_is_refused() {
        for text in ["", "/etc/passwd", "a #0", "a #x"] {
            let error = FsyncName::try_from(text.to_owned()).expect_err(text);
            assert!(error.contains("expected a path such as"), "{error}");
        }
    }
}
