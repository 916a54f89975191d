//! Faults: the few operations by which a procedure shows that there is no order.

use super::certificate::Sequence;
use super::needed;

/// Some operations that show by themselves that there is no order, by their places among the items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub sentence: String,
    /// Those that must have acted.
    pub places: Vec<u32>,
    /// Those that the sentence speaks of as well: they may have acted or not.
    pub possible: Vec<u32>,
    /// Whether it is known that nothing can be left out.
    pub is_minimal: bool,
    /// Whether it holds whatever was there before.
    pub is_anywhere: bool,
}

impl Fault {
    pub fn new(sentence: String, places: impl IntoIterator<Item = u32>) -> Self {
        let places = places.into_iter().collect();
        Self { sentence, places, possible: Vec::new(), is_minimal: false, is_anywhere: false }
    }

    /// The same of a whole of which these places are a part.
    pub fn at(self, places: &[u32]) -> Self {
        let of = |part: Vec<u32>| part.into_iter().map(|at| places[at as usize]).collect();
        Self { places: of(self.places), possible: of(self.possible), is_minimal: false, ..self }
    }

    /// The same with operations that may have acted or not.
    pub fn with_possible(mut self, possible: impl IntoIterator<Item = u32>) -> Self {
        self.possible.extend(possible);
        self
    }

    /// The same with operations that may have acted or not, if they are few enough to be looked at.
    pub fn with_few(self, possible: impl Iterator<Item = u32>) -> Self {
        let possible: Vec<u32> = possible.collect();
        if possible.len() <= needed::POSSIBLE_MAX { self.with_possible(possible) } else { self }
    }
}

/// What a fast procedure says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fast {
    Legal(Sequence),
    Illegal(Fault),
    /// It is not for this history, or did not get through.
    Unfit,
    /// A search of a part of it gave up.
    Undecided(String),
}

impl From<Fault> for Fast {
    fn from(fault: Fault) -> Self {
        Self::Illegal(fault)
    }
}

impl Fast {
    pub fn illegal(sentence: String, places: impl IntoIterator<Item = u32>) -> Self {
        Self::Illegal(Fault::new(sentence, places))
    }
}
