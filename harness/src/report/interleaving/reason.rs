//! Why an interleaving goes wrong, where its labels tell: the two patterns that most races of files come down to.

use super::decisive::Label;
use crate::plan::schedule::Line;

/// How a process knew what it acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It read a file.
    Read,
    /// It looked whether it is there.
    Looked,
}

/// A pattern, by the steps that make it, counted from 1; processes count from 1 as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A process acted on what was no longer true.
    Stale { seen: Seen, actor: usize, path: String, read: usize, other: usize, changed: usize, acted: usize },
    /// A process looked while another was half-way.
    HalfWay { reader: usize, path: String, read: usize, other: usize, before: usize, after: usize },
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stale { seen, actor, path, read, other, changed, acted } => write!(
                f,
                "what p{actor} had {} of {path} in step {read} was no longer true when it changed it in step \
                 {acted}: p{other} had changed it in step {changed}",
                match seen {
                    Seen::Read => "read",
                    Seen::Looked => "seen",
                }
            ),
            Self::HalfWay { reader, path, read, other, before, after } => write!(
                f,
                "p{reader} looked at {path} in step {read} while p{other} was half-way through changing it, between \
                 steps {before} and {after}"
            ),
        }
    }
}

/// The pattern of a schedule; of several the first that is complete.
pub(super) fn of(lines: &[Line]) -> Option<Reason> {
    let labels: Vec<Label<'_>> = lines.iter().map(|line| Label::of(&line.label)).collect();
    (0..lines.len()).find_map(|last| stale(lines, &labels, last).or_else(|| half_way(lines, &labels, last)))
}

/// Whether this step acts on what its process read before another changed it.
fn stale(lines: &[Line], labels: &[Label<'_>], acted: usize) -> Option<Reason> {
    let actor = lines[acted].process;
    labels[acted].changed().find_map(|path| {
        let (seen, read) = known_before(lines, labels, acted, path)?;
        let changed = (read..acted).find(|&step| {
            lines[step].process != actor
                && lines[step].fault.is_none()
                && labels[step].changed().any(|it| it == path)
        })?;
        let mut between = read..acted;
        let has_changed_it_itself =
            between.any(|step| lines[step].process == actor && labels[step].changed().any(|it| it == path));
        (!has_changed_it_itself).then(|| Reason::Stale {
            seen,
            actor: actor + 1,
            path: path.to_owned(),
            read: read + 1,
            other: lines[changed].process + 1,
            changed: changed + 1,
            acted: acted + 1,
        })
    })
}

/// The step in which the process of this step last read the file before; where it never did, that in which it last looked
/// whether it is there.
fn known_before(lines: &[Line], labels: &[Label<'_>], acted: usize, path: &str) -> Option<(Seen, usize)> {
    let looked = || {
        (0..acted)
            .rev()
            .find(|&step| lines[step].process == lines[acted].process && labels[step].looks_at(path))
    };
    let read = read_before(lines, labels, acted, path).map(|step| (Seen::Read, step));
    read.or_else(|| looked().map(|step| (Seen::Looked, step)))
}

/// The step in which the process of this step last read the file before. A file is read until there is no more, and the
/// read that says so got nothing: of reads that follow one another it is the first.
fn read_before(lines: &[Line], labels: &[Label<'_>], acted: usize, path: &str) -> Option<usize> {
    let own = (0..acted).rev().filter(|&step| lines[step].process == lines[acted].process);
    own.skip_while(|&step| !labels[step].reads(path)).take_while(|&step| labels[step].reads(path)).last()
}

/// Whether this step goes on with a change that another process looked at in between.
fn half_way(lines: &[Line], labels: &[Label<'_>], after: usize) -> Option<Reason> {
    let other = lines[after].process;
    labels[after].changed().find_map(|path| {
        let before = (0..after)
            .rev()
            .find(|&step| lines[step].process == other && labels[step].changed().any(|it| it == path))?;
        let mut between = before..after;
        let read = between.find(|&step| lines[step].process != other && labels[step].reads(path))?;
        // What returned in between was another change, and it was whole.
        let is_one = (before..after).all(|step| lines[step].process != other || !labels[step].is_return);
        is_one.then(|| Reason::HalfWay {
            reader: lines[read].process + 1,
            path: path.to_owned(),
            read: read + 1,
            other: other + 1,
            before: before + 1,
            after: after + 1,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Option<String> {
        let lines: Vec<Line> = lines.iter().map(|line| line.parse().unwrap()).collect();
        of(&lines).map(|reason| reason.to_string())
    }

    #[test]
    fn acting_on_what_was_read_too_early_is_told() {
        let stale = [
            "p1 read c1/meta.json",
            "p2 read c1/meta.json",
            "p2 write c1/meta.json",
            "p2 return pause c1 ok",
            "p1 write c1/meta.json",
        ];
        let words = "what p1 had read of c1/meta.json in step 1 was no longer true when it changed it in step 5: \
                     p2 had changed it in step 3";
        assert_eq!(told(&stale).as_deref(), Some(words));
        let renamed = [
            "p1 read c1/meta.json",
            "p2 rename c1/meta.json.tmp to c1/meta.json",
            "p1 rename c1/meta.json.tmp to c1/meta.json",
        ];
        assert!(told(&renamed).unwrap().contains("in step 3: p2 had changed it in step 2"));
    }

    #[test]
    fn the_read_that_got_the_data_is_named_and_not_the_one_that_found_the_end() {
        let to_the_end = [
            "p1 read c1/meta.json",
            "p1 close c1/meta.json",
            "p1 open c1/meta.json",
            "p1 read c1/meta.json #2",
            "p2 write c1/meta.json",
            "p1 read c1/meta.json #3",
            "p1 close c1/meta.json",
            "p1 write c1/meta.json",
        ];
        let words = told(&to_the_end).unwrap();
        assert!(words.contains("in step 4 was") && words.contains("had changed it in step 5"), "{words}");
    }

    #[test]
    fn acting_on_what_was_not_there_yet_is_told() {
        let check_then_create = [
            "p1 stat names/n",
            "p2 stat names/n",
            "p2 open names/n create truncate",
            "p2 write names/n",
            "p1 open names/n create truncate",
        ];
        let words = "what p1 had seen of names/n in step 1 was no longer true when it changed it in step 5: p2 had \
                     changed it in step 3";
        assert_eq!(told(&check_then_create).as_deref(), Some(words));
    }

    #[test]
    fn looking_at_something_half_done_is_told() {
        let torn = [
            "p1 open c1/meta.json create truncate",
            "p2 read c1/meta.json",
            "p1 write c1/meta.json",
            "p1 exit",
        ];
        let words = "p2 looked at c1/meta.json in step 2 while p1 was half-way through changing it, between steps 1 and 3";
        assert_eq!(told(&torn).as_deref(), Some(words));
    }

    #[test]
    fn what_is_in_order_has_no_reason() {
        let order = [
            "p1 read c1/meta.json",
            "p1 write c1/meta.json",
            "p1 return pause c1 ok",
            "p2 read c1/meta.json",
            "p1 read c1/meta.json #2",
            "p1 write c1/meta.json #2",
        ];
        assert_eq!(told(&order), None);
    }
}
