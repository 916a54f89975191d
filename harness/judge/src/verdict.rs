//! Verdicts: what a judge says of one object, and how the verdict on the whole follows.
//!
//! A [`Ruling`] is the only thing that a judge may return and the only thing that may become an exit code. It has no
//! default and no field beside it that could say otherwise: a judge that cannot decide has no way to be taken for one
//! that found nothing wrong.

use serde::{Deserialize, Serialize};

/// What a judge says of one object: a container, a register, a queue.
///
/// `P` is the proof that it is legal: an order of its operations that a plain validator went through. `E` is the
/// explanation why no order is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling<P = (), E = ()> {
    /// There is a legal order: this one.
    Legal(P),
    /// There is none, for this reason.
    Illegal(E),
    /// The judge does not know.
    Undecided(Undecided),
}

/// Why a judge does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// Nothing was verified: no operation reports anything that an order could contradict. One object of which that is so
    /// takes nothing from what the others show; a whole of which it is so was not verified.
    Nothing(String),
    /// There was something to decide, and it was not: a budget ran out, or the judge lacks what it needs.
    Open(String),
}

impl Undecided {
    /// Why, in words.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Nothing(why) | Self::Open(why) => why,
        }
    }
}

impl<P, E> Ruling<P, E> {
    /// A ruling that something was left open.
    #[must_use]
    pub fn open(why: impl Into<String>) -> Self {
        Self::Undecided(Undecided::Open(why.into()))
    }

    /// A ruling that nothing was verified.
    #[must_use]
    pub fn nothing(why: impl Into<String>) -> Self {
        Self::Undecided(Undecided::Nothing(why.into()))
    }

    /// The verdict in one word.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::Legal(_) => Verdict::Clean,
            Self::Illegal(_) => Verdict::Violation,
            Self::Undecided(_) => Verdict::Inconclusive,
        }
    }

    /// Why it is undecided, if it is.
    #[must_use]
    pub fn undecided(&self) -> Option<&Undecided> {
        match self {
            Self::Undecided(undecided) => Some(undecided),
            Self::Legal(_) | Self::Illegal(_) => None,
        }
    }

    /// The explanation, if it is illegal.
    #[must_use]
    pub fn illegal(&self) -> Option<&E> {
        match self {
            Self::Illegal(explanation) => Some(explanation),
            Self::Legal(_) | Self::Undecided(_) => None,
        }
    }

    /// The proof, if it is legal.
    #[must_use]
    pub fn legal(&self) -> Option<&P> {
        match self {
            Self::Legal(proof) => Some(proof),
            Self::Illegal(_) | Self::Undecided(_) => None,
        }
    }

    /// The same with another kind of explanation.
    #[must_use]
    pub fn map_illegal<F>(self, map: impl FnOnce(E) -> F) -> Ruling<P, F> {
        match self {
            Self::Legal(proof) => Ruling::Legal(proof),
            Self::Illegal(explanation) => Ruling::Illegal(map(explanation)),
            Self::Undecided(undecided) => Ruling::Undecided(undecided),
        }
    }

    /// The same without proof and explanation.
    #[must_use]
    pub fn bare(&self) -> Ruling {
        match self {
            Self::Legal(_) => Ruling::Legal(()),
            Self::Illegal(_) => Ruling::Illegal(()),
            Self::Undecided(undecided) => Ruling::Undecided(undecided.clone()),
        }
    }
}

/// What follows for the whole from what was said of its parts.
///
/// One illegal part makes the whole illegal, and else one open part leaves it open. A part of which nothing was verified
/// takes nothing from the others; but where nothing was verified of any part, nothing was verified at all.
#[must_use]
pub fn fold(parts: impl IntoIterator<Item = Ruling>) -> Ruling {
    let (mut open, mut nothing, mut is_legal) = (None, None, false);
    for part in parts {
        match part {
            Ruling::Illegal(()) => return Ruling::Illegal(()),
            Ruling::Legal(()) => is_legal = true,
            Ruling::Undecided(why @ Undecided::Open(_)) => _ = open.get_or_insert(why),
            Ruling::Undecided(why @ Undecided::Nothing(_)) => _ = nothing.get_or_insert(why),
        }
    }
    match (open, nothing) {
        (Some(open), _) => Ruling::Undecided(open),
        (None, _) if is_legal => Ruling::Legal(()),
        (None, Some(nothing)) => Ruling::Undecided(nothing),
        (None, None) => Ruling::nothing("nothing was verified: there was nothing to judge"),
    }
}

/// What was seen, in one word: what reports show. Only a [`Ruling`] decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything was judged, and no promise was broken.
    Clean,
    /// A promise was broken.
    Violation,
    /// No violation, and no right to call it clean.
    Inconclusive,
    /// It did not run.
    Error,
}

impl Verdict {
    /// The verdict as reports spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Violation => "violation",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Ruling; 4] {
        [Ruling::Legal(()), Ruling::Illegal(()), Ruling::open("open"), Ruling::nothing("nothing")]
    }

    #[test]
    fn nothing_at_all_is_undecided() {
        assert_eq!(fold([]).verdict(), Verdict::Inconclusive);
        assert_eq!(fold([Ruling::nothing("lists only")]), Ruling::nothing("lists only"));
    }

    #[test]
    fn the_gravest_part_decides_whatever_the_order() {
        let [legal, illegal, open, nothing] = all();
        for part in all() {
            assert_eq!(fold([part.clone(), illegal.clone()]), illegal);
            assert_eq!(fold([illegal.clone(), part]), illegal);
        }
        for part in [&legal, &open, &nothing] {
            assert_eq!(fold([part.clone(), open.clone()]), open);
            assert_eq!(fold([open.clone(), part.clone()]), open);
        }
        assert_eq!(fold([nothing.clone(), legal.clone()]), legal);
        assert_eq!(fold([legal.clone(), nothing]), legal);
    }

    #[test]
    fn only_the_legal_is_clean() {
        use Verdict::{Clean, Inconclusive, Violation};

        let verdicts = all().map(|ruling| ruling.verdict());
        assert_eq!(verdicts, [Clean, Violation, Inconclusive, Inconclusive]);
        assert_eq!(all().map(|ruling| ruling.bare()), all());
    }
}
