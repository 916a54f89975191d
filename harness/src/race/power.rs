//! Power losses of an execution under control: every state that a disk model allows after it, laid out and judged as what a
//! crash left of the commands.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::ops::ControlFlow;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::baseline::NoBaseline;
use super::error::RaceError;
use super::judge::{Broken, Judge, Judged};
use super::model::ModelJudge;
use super::moment::{Moment, Order, acknowledged_by};
use super::orders::Step;
use super::outcome::{Done, Ending, Outcome, Output};
use super::run::Played;
use super::site::Site;
use crate::disk::{
    Bounds, Disk, Excess, Fsync, Image, State, Trial, acknowledged_behind, state_of, walk_while,
};
use crate::ground::{Capture, Ground};
use crate::history::Clock;
use crate::power::folders::{self, Seen};
use crate::power::{Lost, Recorded};

/// Which states are right, by their images and by whether something was acknowledged: none is judged twice.
pub(crate) type Known = HashMap<(u128, bool), bool>;

/// So many states more are judged at the most to find two fsyncs that help together.
const JUDGED_FOR_PAIRS_MAX: u32 = 2_000;
/// The same where a model judges: the same folder is another state there when more had returned.
const JUDGED_BY_MODEL_MAX: u32 = 300;

/// What a state is known by.
fn key(state: &State) -> (u128, bool) {
    (state.image.digest(), state.acknowledged > 0)
}

/// What a power loss is judged with.
pub(crate) struct Losses<'a> {
    pub site: &'a mut Site,
    pub judge: &'a mut Judge,
    /// What lay in the state folders at first.
    pub initial: &'a [Capture],
    /// Commands that did not take part.
    pub absent: &'a [Step],
    /// Whether the user said what comes after; else the folders themselves are judged, or what tells the state.
    pub has_then: bool,
    pub known: &'a mut Known,
    /// Files that a crash left over, and that are no violation.
    pub left_over: &'a mut BTreeSet<String>,
    /// What the commands came to with the power on, where a model judges: what had returned before the power went has its answer.
    pub played: Option<&'a Played>,
    /// Whether there is no time left; told how many states were judged.
    pub is_over: &'a dyn Fn(u64) -> bool,
}

/// What came of all states of one execution.
#[derive(Debug)]
pub(crate) struct Looked {
    /// How many states were judged.
    pub states: u64,
    /// Whether these are all that the model allows.
    pub is_exhaustive: bool,
    /// Whether the time was used up before.
    pub is_cut: bool,
    /// Why not even those were judged that the bounds on each moment leave.
    pub excess: Option<Excess>,
    /// How many states are known by now, of all executions.
    pub known: u64,
    /// The simplest state of each kind that is wrong.
    pub wrong: Vec<Wrong>,
}

/// A state that is wrong.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub lost: Lost,
    pub broken: Broken,
    pub outcome: Outcome,
}

/// The simplest state of a kind that is wrong, and how many there are.
#[derive(Debug, Default)]
struct Kind {
    simplest: Option<(State, Broken, Outcome)>,
    count: u64,
}

impl Kind {
    fn add(&mut self, state: State, broken: Broken, outcome: Outcome) {
        self.count += 1;
        let weight = |state: &State| (state.missing.len(), state.calls);
        if self.simplest.as_ref().is_none_or(|(known, ..)| weight(&state) < weight(known)) {
            self.simplest = Some((state, broken, outcome));
        }
    }
}

impl Losses<'_> {
    /// Judges every state that the model allows. `acknowledged` holds after how many calls it was said that the commands' work
    /// lasts.
    pub fn look(
        &mut self,
        disk: &'static dyn Disk,
        recorded: &Recorded,
        before: &Seen,
        acknowledged: &[usize],
    ) -> Result<Looked, NoBaseline> {
        let mut judged = 0;
        // What is torn is one thing, what was acknowledged and is undone another.
        let (mut torn, mut undone) = (Kind::default(), Kind::default());
        let mut failure = None;
        let is_cut = Cell::new(false);
        let told = Cell::new(0);
        let is_over = self.is_over;
        let goes_on = &mut || {
            is_cut.set(is_over(told.get()));
            !is_cut.get()
        };
        let bounds = Bounds::default();
        let walked = walk_while(&recorded.journal, disk, acknowledged, bounds, goes_on, &mut |state| {
            judged += 1;
            told.set(judged);
            match self.wrong(&state, &[], (recorded, &before.image)) {
                Ok(None) => {}
                Ok(Some((broken, outcome))) => {
                    let is_good_else = state.acknowledged > 0
                        && self.known.get(&(state.image.digest(), false)) == Some(&true);
                    let kind = if is_good_else { &mut undone } else { &mut torn };
                    kind.add(state, broken, outcome);
                }
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        if let Some(error) = failure {
            return Err(error);
        }
        let known = self.known.len() as u64;
        let mut wrong = Vec::new();
        for (kind, is_undone) in [(torn, false), (undone, true)] {
            let Some((state, broken, outcome)) = kind.simplest else { continue };
            let mends = Some(self.mends(disk, recorded, acknowledged, before)?);
            let counts = (kind.count, judged);
            let lost = Lost::new(disk, recorded, &walked.pieces, &state, is_undone, counts, mends);
            wrong.push(Wrong { lost, broken, outcome });
        }
        let (is_exhaustive, excess) = (walked.is_exhaustive, walked.excess);
        Ok(Looked { states: judged, is_exhaustive, is_cut: is_cut.get(), excess, known, wrong })
    }

    /// Judges one state again, as a finding keeps it; none where it is right. The error of the inner result says why there is no
    /// such state.
    pub fn look_again(
        &mut self,
        disk: &'static dyn Disk,
        (recorded, before): (&Recorded, &Seen),
        (calls, missing): (usize, &[usize]),
        is_undone: bool,
    ) -> Result<Result<Option<Wrong>, String>, NoBaseline> {
        let Some((state, pieces)) = state_of(&recorded.journal, disk, calls, missing) else {
            return Ok(Err(format!("{} does not allow this state after the recorded calls", disk.name())));
        };
        let state = State { acknowledged: usize::from(is_undone), ..state };
        let Some((broken, outcome)) = self.wrong(&state, &[], (recorded, &before.image))? else {
            return Ok(Ok(None));
        };
        let lost = Lost::new(disk, recorded, &pieces, &state, is_undone, (1, 1), None);
        Ok(Ok(Some(Wrong { lost, broken, outcome })))
    }

    /// The fsyncs that make every state good, one or two together, in words; and whether all of these were tried.
    fn mends(
        &mut self,
        disk: &'static dyn Disk,
        recorded: &Recorded,
        acknowledged: &[usize],
        before: &Seen,
    ) -> Result<(Vec<String>, bool), NoBaseline> {
        let mut failure = None;
        let (is_over, judged) = (self.is_over, Cell::new(0));
        let (played, absent) = (self.played, self.absent);
        let is_durable = self.judge.model.as_ref().is_some_and(ModelJudge::is_durable);
        let most = if self.judge.model.is_some() { JUDGED_BY_MODEL_MAX } else { JUDGED_FOR_PAIRS_MAX };
        let mut is_good = |state: &State, fsyncs: &[Fsync]| {
            let known = self.known.get(&self.known_as(state, fsyncs, recorded)).copied();
            judged.set(judged.get() + u32::from(known.is_none()));
            let mut ask = || Ok(self.wrong(state, fsyncs, (recorded, &before.image))?.is_none());
            failure.is_none()
                && known.map_or_else(&mut ask, Ok).unwrap_or_else(|error| {
                    failure = Some(error);
                    false
                })
        };
        let mends = Trial {
            journal: &recorded.journal,
            disk,
            acknowledgements: &|fsyncs| match played {
                Some(played) if is_durable => {
                    acknowledged_by(&recorded.journal.lines, Order { fsyncs, absent }, played)
                }
                _ => acknowledged_behind(acknowledged, fsyncs),
            },
            bounds: Bounds::default(),
            is_good: &mut is_good,
            // Most states with two fsyncs are states without them, and known.
            goes_on: &|fsyncs| !is_over(0) && (fsyncs == 1 || judged.get() < most),
        }
        .mends();
        if let Some(error) = failure {
            return Err(error);
        }
        let told = mends.found.iter().map(|mend| crate::power::mend(recorded, mend));
        Ok((told.collect(), mends.is_whole))
    }

    /// What a state is known by, with these fsyncs among its calls.
    fn known_as(&self, state: &State, fsyncs: &[Fsync], recorded: &Recorded) -> (u128, bool) {
        if self.judge.model.is_none() {
            return key(state);
        }
        let mut hasher = SipHasher13::new();
        (state.image.digest(), self.moment(state, fsyncs, recorded)).hash(&mut hasher);
        (hasher.finish128().as_u128(), false)
    }

    /// What had happened by a state, where a model judges.
    fn moment(&self, state: &State, fsyncs: &[Fsync], recorded: &Recorded) -> Moment {
        let is_durable = self.judge.model.as_ref().is_some_and(ModelJudge::is_durable);
        let order = Order { fsyncs, absent: self.absent };
        Moment::of(recorded, order, state.calls, self.played, is_durable)
    }

    /// Lays a state out and judges it; one that is known to be right is not judged again.
    fn wrong(
        &mut self,
        state: &State,
        fsyncs: &[Fsync],
        (recorded, before): (&Recorded, &Image),
    ) -> Result<Option<(Broken, Outcome)>, NoBaseline> {
        if self.judge.model.is_some() {
            let known = self.known_as(state, fsyncs, recorded);
            return self.wrong_by_model(state, before, known, &self.moment(state, fsyncs, recorded));
        }
        let must_be_after = state.acknowledged > 0;
        let digest = state.image.digest();
        if self.known.get(&(digest, must_be_after)) == Some(&true) {
            return Ok(None);
        }
        let played = self.laid_out(&state.image, before)?;
        if must_be_after && !self.known.contains_key(&(digest, false)) {
            // What is right unacknowledged tells what kind of fault it is.
            let said = self.judge.judge_crash(self.site, &played, self.has_then, false)?;
            self.known.insert((digest, false), matches!(said, Judged::Legal { .. }));
        }
        let said = self.judge.judge_crash(self.site, &played, self.has_then, must_be_after)?;
        self.known.insert((digest, must_be_after), matches!(said, Judged::Legal { .. }));
        match said {
            Judged::Legal { left_over } => {
                self.left_over.extend(left_over);
                Ok(None)
            }
            Judged::Broken(broken) => Ok(Some((broken, played.outcome))),
        }
    }

    /// The same where a model judges: by what had happened when the power went.
    fn wrong_by_model(
        &mut self,
        state: &State,
        before: &Image,
        key: (u128, bool),
        at: &Moment,
    ) -> Result<Option<(Broken, Outcome)>, NoBaseline> {
        if self.known.get(&key) == Some(&true) {
            return Ok(None);
        }
        let mut played = self.laid_out(&state.image, before)?;
        played.clock = Clock::Steps;
        at.tell(&mut played, self.played);
        let said = self.judge.judge_crash(self.site, &played, self.has_then, false)?;
        self.known.insert(key, matches!(said, Judged::Legal { .. }));
        match said {
            Judged::Legal { .. } => Ok(None),
            Judged::Broken(broken) => Ok(Some((broken, played.outcome))),
        }
    }

    /// What commands find in a state.
    fn laid_out(&mut self, image: &Image, before: &Image) -> Result<Played, NoBaseline> {
        let counts: Vec<usize> = self.site.processes.iter().map(Vec::len).collect();
        let mut played = crashed(&counts, self.absent);
        played.outcome.folders = folders::captures(image, self.initial);
        if self.site.observe.is_none() && !self.has_then {
            // Nobody reads it but us.
            return Ok(played);
        }
        self.lay(image, before)?;
        let then = if self.has_then { None } else { Some(std::mem::take(&mut self.site.then)) };
        // Whatever ran before was cleared away when it had been looked at.
        let looked = self.site.look_after(&mut played);
        if let Some(then) = then {
            self.site.then = then;
        }
        looked?;
        let now = if played.outcome.then.is_empty() {
            self.site.ground.capture().map_err(RaceError::from)?
        } else {
            played.outcome.folders_then.clone()
        };
        if now == played.outcome.folders {
            self.site.laid = Some(image.clone());
        }
        Ok(played)
    }

    /// Lays an image out: from the last one where that lies there still, else from what lay there at first.
    fn lay(&mut self, image: &Image, before: &Image) -> Result<(), NoBaseline> {
        if let Some(there) = self.site.laid.take()
            && folders::lay(&there, image, &self.site.work).is_ok()
        {
            return Ok(());
        }
        self.site.put_back()?;
        let laid = folders::lay(before, image, &self.site.work);
        Ok(laid.map_err(RaceError::failed("a state cannot be laid out"))?)
    }
}

/// A crash's outcome, before anything is known of it: no command had ended.
fn crashed(counts: &[usize], absent: &[Step]) -> Played {
    let mut played = Played::nothing();
    let ended = |step: Step| {
        let ending = if absent.contains(&step) { Ending::Skipped } else { Ending::Killed };
        Done { ending, stdout: Output::default(), stderr: Output::default() }
    };
    let commands =
        |(process, count): (usize, &usize)| (0..*count).map(|index| ended((process, index))).collect();
    played.outcome.processes = counts.iter().enumerate().map(commands).collect();
    played
}
