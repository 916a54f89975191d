//! What is right where the tasks of commands are explored: every order of each command's own threads and children, with no
//! other command beside it.
//!
//! A command whose threads race with each other comes to different ends even alone. All of them are right: a race is
//! only what two commands do to each other. So each sequential order is run under control, with every order of the tasks
//! of the command whose turn it is, and every outcome of these is one of the sequential orders' own. What freely run commands
//! come to must be among them. Where there are too many, nothing can be claimed, and that is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::NoBaseline;
use super::baseline::{Hang, told};
use super::control::{Holder, Search, follower};
use super::error::RaceError;
use super::judge::Judged;
use super::orders::{self, Step};
use super::run::Played;
use super::tell::sentence;
use crate::explore::machine::{Chooser, End, Pick, Point};
use crate::explore::step::Event;
use crate::explore::strategy::Strategy;
use crate::explore::strategy::exhaustive::Exhaustive;
use crate::plan::race::Threads;
use crate::words::grouped;

/// Most executions of commands one after the other.
const EXECUTIONS_MAX: u64 = 100_000;
/// The least time for them: half of the budget where that is more.
const TIME_MIN: Duration = Duration::from_secs(2);
/// How often an outcome that is new is run, so that what differs by itself is told from it.
const RUNS: usize = 3;

/// Why commands are not controlled.
type Refused = Option<String>;

impl Search<'_> {
    /// Whether the tasks of commands are explored.
    pub(super) fn explores_tasks(&self) -> bool {
        self.plan.threads == Threads::Explore
    }

    /// Learns what all commands come to one after the other.
    pub(super) fn know_what_is_right(&mut self) -> Result<(), NoBaseline> {
        let nobody = BTreeSet::new();
        if !self.explores_tasks() {
            return self.judge.baseline.orders(self.site, &nobody).map(drop);
        }
        match self.learn_alone(&nobody)? {
            None => Ok(()),
            Some(why) => Err(NoBaseline::Error(RaceError::Unsupported(why))),
        }
    }

    /// Judges an execution, by all that is right.
    pub(super) fn verdict(&mut self, played: &Played) -> Result<Judged, NoBaseline> {
        if self.explores_tasks() && played.outcome.timed_out().next().is_none() {
            for without in self.judge.candidates(&played.outcome) {
                if let Some(why) = self.learn_alone(&without)? {
                    return Err(NoBaseline::Error(RaceError::Refused(why)));
                }
            }
        }
        self.judge.judge(self.site, played)
    }

    /// Runs the commands but these one after the other, with all orders of their tasks; why they cannot be controlled.
    pub(super) fn learn_alone(&mut self, without: &BTreeSet<Step>) -> Result<Refused, NoBaseline> {
        if self.judge.baseline.knows(without) {
            return Ok(None);
        }
        let counts: Vec<usize> = self.site.processes.iter().map(Vec::len).collect();
        let members: Vec<usize> =
            (0..counts.len()).filter(|process| !without.contains(&(*process, 0))).collect();
        if members.is_empty() {
            return self.judge.baseline.orders(self.site, without).map(|_| None);
        }
        let all: BTreeSet<Step> = members
            .iter()
            .flat_map(|process| (0..counts[*process]).map(move |index| (*process, index)))
            .collect();
        if !all.is_disjoint(without) {
            return Err(refused(
                "with --threads explore, a process must run all of its commands or none: give each command its own process"
                    .into(),
            ));
        }
        let mut holder = match self.open(members.clone(), self.words.clone()) {
            Ok(holder) => holder,
            Err(error) => return super::control::why_refused(error).map(Some),
        };
        let own: Vec<usize> = members.iter().map(|process| counts[*process]).collect();
        let begun = Instant::now();
        for order in orders::all(&own) {
            holder.machine.confine(Some(order.clone()));
            if let Some(why) = self.learn_words(&mut holder)? {
                return Ok(Some(why));
            }
            let steps: Vec<Step> = order.iter().map(|(process, index)| (members[*process], *index)).collect();
            if let Some(why) = self.learn_order(&mut holder, &steps, without, begun)? {
                return Ok(Some(why));
            }
        }
        self.compare_with_free(without).map(|()| None)
    }

    /// Learns what names are made of, by the same order twice.
    pub(super) fn learn_words(&mut self, holder: &mut Holder) -> Result<Refused, NoBaseline> {
        if self.words.is_some() {
            return Ok(None);
        }
        for _ in 0..2 {
            if let Err(why) = self.execute(holder, &[], &mut super::rehearsal::in_order())? {
                return Ok(Some(why));
            }
        }
        holder.machine.learn_names();
        self.words = holder.machine.words().cloned();
        Ok(None)
    }

    fn learn_order(
        &mut self,
        holder: &mut Holder,
        steps: &[Step],
        without: &BTreeSet<Step>,
        begun: Instant,
    ) -> Result<Refused, NoBaseline> {
        let limit = TIME_MIN.max(Duration::from_nanos(self.plan.budget.time_ns) / 2);
        let mut places = self.site.work.clone();
        places.push(self.root.join("control"));
        let mut strategy = Exhaustive::new();
        let mut known = HashMap::new();
        while let Some(mut assignment) = strategy.next() {
            if begun.elapsed() > limit || self.run.alone.executions >= EXECUTIONS_MAX {
                return Err(refused(format!(
                    "even one after the other ({}) the threads and children of these commands have more orders than the {} that there was time for, and the result of each counts as right: give commands that do less, raise --budget, or keep one order with --threads fixed",
                    told(steps, self.site),
                    grouped(self.run.alone.executions),
                )));
            }
            let mut chooser = Onward {
                inner: &mut *assignment.chooser,
                places: &places,
                known: &mut known,
                taken: Vec::new(),
                is_known: false,
            };
            let (execution, played) = match self.execute(holder, &[], &mut chooser)? {
                Ok(executed) => executed,
                Err(why) => return Ok(Some(why)),
            };
            let (execution, left) = execution.split();
            strategy.learn(assignment.ticket, &execution);
            self.run.alone.executions += 1;
            self.run.uncertain.extend(left.uncertain.iter().chain(left.uncontrolled.keys()).cloned());
            self.run.in_any_order.extend(left.in_any_order.iter().map(|process| holder.members[*process]));
            if strategy.statistics().diverged > 0 || left.is_spoilt() {
                return Err(refused(format!(
                    "one after the other ({}), the threads and children of these commands do not repeat their steps in the same order, so no verdict is possible; keep one order with --threads fixed",
                    told(steps, self.site)
                )));
            }
            match execution.end {
                End::Abandoned => {}
                End::TooLong => {
                    return Err(refused(
                        "a command takes more steps than can be explored, even alone".into(),
                    ));
                }
                End::Deadlock => {
                    return Err(NoBaseline::Hangs(Box::new(Hang { steps: steps.to_vec(), played })));
                }
                End::Completed => self.add_outcome(holder, steps, without, &played, &left.schedule())?,
            }
        }
        Ok(None)
    }

    /// Adds an outcome to what is right, unless it is known.
    fn add_outcome(
        &mut self,
        holder: &mut Holder,
        steps: &[Step],
        without: &BTreeSet<Step>,
        played: &Played,
        schedule: &crate::plan::schedule::Schedule,
    ) -> Result<(), NoBaseline> {
        let first = self.judge.baseline.sheets(self.site, played);
        if self.judge.baseline.has_outcome(without, steps, &first) {
            return Ok(());
        }
        let mut runs = vec![first];
        while runs.len() < RUNS {
            let mut chooser = follower(schedule, holder);
            let Ok((_, played)) = self.execute(holder, &[], &mut chooser)? else { break };
            if !chooser.followed().to_the_letter() {
                return Err(refused(format!(
                    "one after the other ({}), these commands do not repeat their steps, so no verdict is possible",
                    told(steps, self.site)
                )));
            }
            runs.push(self.judge.baseline.sheets(self.site, &played));
        }
        self.run.alone.outcomes += 1;
        self.judge.baseline.add_outcome(self.site, without, steps, runs).map_err(NoBaseline::Error)
    }

    /// What commands come to freely must be among what they come to under control.
    fn compare_with_free(&mut self, without: &BTreeSet<Step>) -> Result<(), NoBaseline> {
        for steps in self.judge.baseline.known_orders(without) {
            let played = self.judge.baseline.play_freely(self.site, &steps)?;
            let sheets = self.judge.baseline.sheets(self.site, &played);
            let differences = self.judge.baseline.nearest_outcome(without, &steps, &sheets);
            if let Some(difference) = differences.and_then(|differences| differences.into_iter().next()) {
                return Err(refused(format!(
                    "run freely one after the other ({}), these commands give a result that no order of their threads and children gives under control: {}",
                    told(&steps, self.site),
                    sentence(&difference)
                )));
            }
        }
        Ok(())
    }
}

fn refused(why: String) -> NoBaseline {
    NoBaseline::Error(RaceError::Refused(why))
}

/// Goes on with another command only from where no execution went on before: whatever led there, what follows is the same.
struct Onward<'a> {
    inner: &'a mut dyn Chooser,
    /// What the commands leave: the state folders, and what they printed.
    places: &'a [PathBuf],
    /// What commands left so far, and by which steps that came to be first.
    known: &'a mut HashMap<u64, Vec<usize>>,
    taken: Vec<usize>,
    is_known: bool,
}

impl Chooser for Onward<'_> {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        if self.is_known { Pick::Abandon } else { self.inner.choose(point) }
    }

    fn happened(&mut self, event: &Event) {
        self.taken.push(event.process);
        self.inner.happened(event);
    }

    fn command_ended(&mut self, process: usize, how: &str) {
        let mut hasher = siphasher::sip::SipHasher::new();
        (process, how).hash(&mut hasher);
        for place in self.places {
            hash(place, Path::new(""), &mut hasher);
        }
        let first = self.known.entry(hasher.finish()).or_insert_with(|| self.taken.clone());
        self.is_known |= *first != self.taken;
        self.inner.command_ended(process, how);
    }
}

/// Adds to a hash what lies in a folder: names, kinds, permissions, contents.
fn hash(root: &Path, at: &Path, hasher: &mut impl Hasher) {
    let mut entries: BTreeMap<PathBuf, Option<fs::Metadata>> = BTreeMap::new();
    for entry in fs::read_dir(root.join(at)).into_iter().flatten().flatten() {
        let about = fs::symlink_metadata(entry.path()).ok();
        entries.insert(at.join(entry.file_name()), about);
    }
    for (path, about) in entries {
        let Some(about) = about else { continue };
        (&path, about.mode(), about.uid(), about.gid()).hash(hasher);
        if about.is_dir() {
            hash(root, &path, hasher);
        } else if about.is_symlink() {
            fs::read_link(root.join(&path)).ok().hash(hasher);
        } else if about.is_file() {
            (about.nlink(), fs::read(root.join(&path)).ok()).hash(hasher);
        }
    }
}
