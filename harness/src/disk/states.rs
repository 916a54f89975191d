//! Every state that a model allows after a crash: at each point of the journal, each set of pieces that may be missing.

use std::collections::HashSet;
use std::fmt;
use std::ops::ControlFlow;

use super::image::Image;
use super::journal::Journal;
use super::model::Disk;
use super::piece::{self, Part, Piece, Pieces, Sizes};
use super::space::Space;
use crate::words::grouped;

/// So many pieces of a journal at the most: what hangs on what is known of each two.
const PIECES_MAX: usize = 8192;

/// How far the enumeration goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// So many sets of pieces at one point are all tried; where there are more, only those of the bound below.
    pub sets_max: usize,
    /// How many pieces may be missing at once, beside those that cannot be there without them.
    pub missing_max: usize,
    /// So many states at the most.
    pub states_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { sets_max: 512, missing_max: 2, states_max: 100_000 }
    }
}

/// A state that a crash may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// How many calls of the journal had returned when the power went.
    pub calls: usize,
    /// How many acknowledgements had been given by then.
    pub acknowledged: usize,
    /// Which pieces of these calls are not on disk: indexes into [`States::pieces`], ascending.
    pub missing: Vec<usize>,
    /// What is read afterwards.
    pub image: Image,
}

/// Why not even those states were shown that the bounds on a point leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// There are more than so many.
    States(usize),
    /// The journal has so many pieces, which is too many.
    Pieces(usize),
}

impl fmt::Display for Excess {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::States(most) => write!(
                to,
                "a power loss may leave more than {} states, and only so many are judged: give a command that does less",
                grouped(*most as u64)
            ),
            Self::Pieces(count) => write!(
                to,
                "the calls have {} parts that may be missing after a power loss, more than the {} that are judged: give a command \
                 that does less",
                grouped(*count as u64),
                grouped(PIECES_MAX as u64)
            ),
        }
    }
}

/// All states that a model allows, equal ones once.
#[derive(Clone, Debug)]
pub struct States {
    /// The pieces of the journal.
    pub pieces: Vec<Piece>,
    /// The states, by how many calls had returned, then by how much is missing.
    pub states: Vec<State>,
    /// Whether every state that the model allows is among them.
    pub is_exhaustive: bool,
}

/// What a walk through all states came to.
#[derive(Clone, Debug)]
pub struct Walked {
    /// The pieces of the journal.
    pub pieces: Vec<Piece>,
    /// How many states were shown.
    pub states: u64,
    /// Whether every state that the model allows was shown.
    pub is_exhaustive: bool,
    /// Why states were not shown that the bounds on each point leave; none where all were.
    pub excess: Option<Excess>,
}

/// Enumerates the states. Where an acknowledgement falls between two calls (`acknowledgements` holds how many calls had
/// returned by then, ascending), equal images before and after it are two states.
#[must_use]
pub fn enumerate(journal: &Journal, disk: &dyn Disk, acknowledgements: &[usize], bounds: Bounds) -> States {
    let mut states = Vec::new();
    let walked = walk(journal, disk, acknowledgements, bounds, &mut |state| {
        states.push(state);
        ControlFlow::Continue(())
    });
    States { pieces: walked.pieces, states, is_exhaustive: walked.is_exhaustive }
}

/// The same, one state after the other: none is kept. `show` says whether to go on.
pub fn walk(
    journal: &Journal,
    disk: &dyn Disk,
    acknowledgements: &[usize],
    bounds: Bounds,
    show: &mut dyn FnMut(State) -> ControlFlow<()>,
) -> Walked {
    walk_while(journal, disk, acknowledgements, bounds, &mut || true, show)
}

/// The same, for as long as `goes_on`, which is asked before each state is made: most of them may be known already.
pub fn walk_while(
    journal: &Journal,
    disk: &dyn Disk,
    acknowledgements: &[usize],
    bounds: Bounds,
    goes_on: &mut dyn FnMut() -> bool,
    show: &mut dyn FnMut(State) -> ControlFlow<()>,
) -> Walked {
    let Pieces { all: pieces, is_finest } = piece::cut(journal, disk, PIECES_MAX);
    if pieces.len() > PIECES_MAX {
        let excess = Some(Excess::Pieces(pieces.len()));
        return Walked { pieces, states: 0, is_exhaustive: false, excess };
    }
    let space = Space::new(journal, disk, &pieces);
    let mut known = HashSet::new();
    let (mut is_exhaustive, mut excess, mut states) = (is_finest, None, 0);
    'all: for calls in 0..=journal.lines.len() {
        let acknowledged = acknowledgements.iter().filter(|&&at| at <= calls).count();
        let sets = space.sets(calls, bounds);
        is_exhaustive &= sets.is_whole;
        if sets.is_full {
            excess = Some(Excess::States(bounds.states_max));
        }
        for number in 0..sets.len() {
            if !goes_on() {
                is_exhaustive = false;
                break 'all;
            }
            let missing = space.missing(&sets, number);
            let image = image(journal, &pieces, calls, &missing);
            if !known.insert((image.digest(), acknowledged)) {
                continue;
            }
            if states >= bounds.states_max as u64 {
                is_exhaustive = false;
                excess = Some(Excess::States(bounds.states_max));
                break 'all;
            }
            states += 1;
            if show(State { calls, acknowledged, missing, image }).is_break() {
                is_exhaustive = false;
                break 'all;
            }
        }
    }
    Walked { pieces, states, is_exhaustive, excess }
}

/// The state after so many calls in which these pieces are missing, with the journal's pieces; none where the model does not
/// allow it.
#[must_use]
pub fn state_of(
    journal: &Journal,
    disk: &dyn Disk,
    calls: usize,
    missing: &[usize],
) -> Option<(State, Vec<Piece>)> {
    let pieces = piece::cut(journal, disk, PIECES_MAX).all;
    let is_allowed = pieces.len() <= PIECES_MAX
        && calls <= journal.lines.len()
        && Space::new(journal, disk, &pieces).may_be(calls, missing);
    let image = is_allowed.then(|| image(journal, &pieces, calls, missing))?;
    Some((State { calls, acknowledged: 0, missing: missing.to_vec(), image }, pieces))
}

/// What is read when nothing is missing.
pub(super) fn whole(journal: &Journal) -> Image {
    let disk = super::model::ALL[0];
    let pieces = piece::cut(journal, disk, usize::MAX).all;
    image(journal, &pieces, journal.lines.len(), &[])
}

/// What is read after so many calls when these pieces are missing.
fn image(journal: &Journal, pieces: &[Piece], calls: usize, missing: &[usize]) -> Image {
    let mut state = journal.start.clone();
    for piece in pieces {
        // Whatever was made is there as soon as any name of it is.
        if let Part::Entries { made: Some((inode, node)), .. } = &piece.part {
            state.inodes.insert(*inode, node.clone());
        }
    }
    let mut sizes = Sizes::default();
    for (index, piece) in pieces.iter().enumerate().take_while(|(_, piece)| piece.line < calls) {
        if missing.binary_search(&index).is_err() {
            piece.part.apply(&mut state, &mut sizes);
        }
    }
    sizes.settle(&mut state);
    Image::reachable(&state)
}
