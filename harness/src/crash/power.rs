//! Power loss: every state that a disk model allows, laid out and judged.

use std::collections::HashMap;

use super::folders::{self, Seen};
use super::lost::Lost;
use super::record::{Recorded, record};
use super::{Discovery, How, Power, Work};
use crate::disk::{Bounds, Disk, Image, Node, State, enumerate, mends};
use crate::ground::{Body, Capture, Entry, Kind};
use crate::plan::crash::Durable;
use crate::race::RaceError;
use crate::race::baseline::NoBaseline;
use crate::race::judge::{Broken, Judged};
use crate::race::outcome::Outcome;
use crate::tracee::Options;

/// What is said of a state.
#[derive(Clone, Debug)]
enum Said {
    /// It is the one before or the one after.
    Good(Vec<String>),
    /// It is neither, or not the one that it must be.
    Bad(Box<(Broken, Outcome)>),
}

/// The states that were judged already, by their images and by whether something was acknowledged.
type Known = HashMap<(u64, bool), Said>;

impl Work<'_> {
    /// Runs the command with a journal, and judges every state that the model allows.
    pub(super) fn lose_power(&mut self, disk: &'static dyn Disk) -> Result<(), NoBaseline> {
        let failed = RaceError::failed("a state folder cannot be read");
        let options = Options { keeps_journal: true, records_bytes: true, ..Options::default() };
        let mut machine = self.machine(options)?;
        self.site.put_back()?;
        let before = folders::read(&self.site.work).map_err(failed)?;
        let execution = self.hold(&mut machine, &[])?;
        self.run.touched_outside.extend(execution.outcome.touched_outside.iter().cloned());
        let after =
            folders::read(&self.site.work).map_err(RaceError::failed("a state folder cannot be read"))?;
        let said = match &self.plan.durable {
            Some(Durable::Said(text)) => Some(text.as_str()),
            Some(Durable::Ended) | None => None,
        };
        let recorded = match record(&execution.outcome.journal, &before, &after, &self.site.places(), said) {
            Ok(recorded) => recorded,
            Err(why) => {
                self.run.unjudged = Some(why);
                return Ok(());
            }
        };
        if recorded.journal.lines.is_empty() {
            self.run.unjudged = Some(
                "the command changes nothing in the state folder; name the one that it changes with --state"
                    .into(),
            );
            return Ok(());
        }
        if let (Some(text), None) = (said, recorded.said) {
            self.run.unjudged = Some(format!("the command never prints {text:?}"));
            return Ok(());
        }
        self.judge_states(disk, &recorded, &before)
    }

    fn judge_states(
        &mut self,
        disk: &'static dyn Disk,
        recorded: &Recorded,
        before: &Seen,
    ) -> Result<(), NoBaseline> {
        let journal = &recorded.journal;
        let acknowledged: Vec<usize> = match &self.plan.durable {
            None => Vec::new(),
            Some(Durable::Ended) => vec![journal.lines.len()],
            Some(Durable::Said(_)) => recorded.said.into_iter().collect(),
        };
        let bounds = Bounds::default();
        let all = enumerate(journal, disk, &acknowledged, bounds);
        let mut known = Known::new();
        let mut judged = 0;
        let mut bad: Vec<(State, Broken, Outcome)> = Vec::new();
        for state in &all.states {
            if self.is_over() {
                break;
            }
            judged += 1;
            self.progress.update(judged, u64::from(!bad.is_empty()));
            match self.say(state, &before.image, &mut known)? {
                Said::Good(left_over) => self.run.left_over.extend(left_over),
                Said::Bad(found) => bad.push((state.clone(), found.0, found.1)),
            }
        }
        let is_exhaustive = all.is_exhaustive && judged == all.states.len() as u64;
        if judged < all.states.len() as u64 {
            self.run.unjudged = Some(format!(
                "the time was used up after {judged} of {} states: raise --budget",
                all.states.len()
            ));
        }
        self.run.power =
            Some(Power { disk: disk.name(), calls: journal.lines.len(), states: judged, is_exhaustive });
        if bad.is_empty() {
            return Ok(());
        }
        let mends = self.mends(disk, recorded, &acknowledged, before, &mut known)?;
        // What is torn is one thing, what was acknowledged and is undone another.
        for undone in [false, true] {
            let of_kind = |(state, ..): &&(State, Broken, Outcome)| {
                let as_unacknowledged = known.get(&(state.image.digest(), false));
                let is_good = matches!(as_unacknowledged, Some(Said::Good(_)));
                (state.acknowledged > 0 && is_good) == undone
            };
            let kind: Vec<_> = bad.iter().filter(of_kind).collect();
            let Some((state, broken, outcome)) =
                kind.iter().min_by_key(|(state, ..)| (state.missing.len(), state.calls))
            else {
                continue;
            };
            let lost = Lost::new(disk, recorded, &all.pieces, state, undone, (kind.len(), judged), &mends);
            let how = How::PowerLost(Box::new(lost));
            self.run.discoveries.push(Discovery { broken: broken.clone(), outcome: outcome.clone(), how });
        }
        Ok(())
    }

    /// The fsyncs of which each alone makes every state good, in words.
    fn mends(
        &mut self,
        disk: &'static dyn Disk,
        recorded: &Recorded,
        acknowledged: &[usize],
        before: &Seen,
        known: &mut Known,
    ) -> Result<Vec<String>, NoBaseline> {
        let mut failure = None;
        let found = mends(&recorded.journal, disk, acknowledged, Bounds::default(), &mut |state| {
            if failure.is_some() || self.is_over() {
                return false;
            }
            match self.say(state, &before.image, known) {
                Ok(said) => matches!(said, Said::Good(_)),
                Err(error) => {
                    failure = Some(error);
                    false
                }
            }
        });
        if let Some(error) = failure {
            return Err(error);
        }
        Ok(found.iter().map(|mend| super::tell::mend(recorded, mend)).collect())
    }

    /// Lays a state out and judges it; one that was judged before is not judged again.
    fn say(&mut self, state: &State, before: &Image, known: &mut Known) -> Result<Said, NoBaseline> {
        let must_be_after = state.acknowledged > 0;
        // What is good unacknowledged tells what kind of fault it is.
        for acknowledged in [false, must_be_after] {
            let key = (state.image.digest(), acknowledged);
            if known.contains_key(&key) {
                continue;
            }
            let played = self.laid_out(&state.image, before)?;
            let said = match self.judge.judge_crash(&mut self.site, &played, acknowledged)? {
                Judged::Legal { left_over } => Said::Good(left_over),
                Judged::Broken(broken) => Said::Bad(Box::new((broken, played.outcome))),
            };
            known.insert(key, said);
        }
        Ok(known[&(state.image.digest(), must_be_after)].clone())
    }

    /// What commands find in a state.
    fn laid_out(&mut self, image: &Image, before: &Image) -> Result<crate::race::run::Played, NoBaseline> {
        let mut played = self.crashed();
        if self.site.observe.is_none() && self.site.then.is_empty() {
            // Nobody reads it but us.
            played.outcome.folders = captures(image, &self.run.initial);
            return Ok(played);
        }
        self.site.put_back()?;
        folders::lay(before, image, &self.site.work)
            .map_err(RaceError::failed("a state cannot be laid out"))?;
        let done = played
            .outcome
            .processes
            .remove(0)
            .into_iter()
            .enumerate()
            .map(|(index, done)| ((0, index), done))
            .collect();
        self.site.conclude(done, &[], &mut played)?;
        Ok(played)
    }
}

/// An image as captures of the state folders; the folders themselves are as they were at first.
fn captures(image: &Image, initial: &[Capture]) -> Vec<Capture> {
    let mut captures: Vec<Capture> = initial
        .iter()
        .map(|capture| Capture {
            entries: capture.entries.iter().filter(|(path, _)| path.is_empty()).map(clone).collect(),
        })
        .collect();
    let mut names: HashMap<u32, Vec<&str>> = HashMap::new();
    for (path, (inode, _)) in image.nodes() {
        names.entry(*inode).or_default().push(path);
    }
    for (path, (inode, node)) in image.nodes() {
        let (folder, within) = if initial.len() == 1 {
            (0, &**path)
        } else {
            let (folder, rest) = path.split_once('/').unwrap_or((path, ""));
            (folder.parse::<usize>().map_or(0, |number| number - 1), rest)
        };
        if within.is_empty() {
            continue;
        }
        let (kind, mode) = match node {
            Node::File { mode, bytes } => (Kind::File(Body::of(bytes.as_ref().clone())), *mode),
            Node::Folder { mode } => (Kind::Folder, *mode),
            Node::Link { target } => (Kind::Link(target.to_string()), 0),
        };
        let several = &names[inode];
        let is_file = matches!(kind, Kind::File(_));
        let first = several[0];
        let first =
            if initial.len() == 1 { first } else { first.split_once('/').map_or(first, |(_, rest)| rest) };
        let same_as = (several.len() > 1 && is_file).then(|| first.to_owned());
        captures[folder].entries.insert(within.to_owned(), Entry { kind, mode, same_as });
    }
    captures
}

fn clone((path, entry): (&String, &Entry)) -> (String, Entry) {
    (path.clone(), entry.clone())
}
