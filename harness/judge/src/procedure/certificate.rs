//! The certificate: whether an order explains an object's operations.
//!
//! It shares nothing with the procedures that find orders but the model's step function. It goes through the order once
//! and demands of each operation that it is legal, that it acts once, and that it comes no earlier than its invocation
//! and no later than its return; and that everything that answered is there. So whoever says that a history is legal
//! need not be believed.

use crate::history::object::Value;
use crate::model::object::{Item, Sequential};

/// An order of items, by their places in the list of items, and what those took that do not tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Places, one after the other.
    pub places: Vec<u32>,
    /// (place, what it took), by place.
    pub took: Vec<(u32, Value)>,
}

impl Sequence {
    /// An order in which everything tells what it took.
    #[must_use]
    pub const fn of(places: Vec<u32>) -> Self {
        Self { places, took: Vec::new() }
    }

    fn took(&self, place: u32) -> Option<Value> {
        let at = self.took.binary_search_by_key(&place, |&(of, _)| of).ok()?;
        Some(self.took[at].1)
    }
}

/// Why an order explains nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// There is no such operation.
    #[error("place {0} is not an operation of this object")]
    Foreign(u32),
    /// An operation acts twice.
    #[error("the operation at place {0} acts twice")]
    Twice(u32),
    /// The model forbids it.
    #[error("the operation at place {0} is not legal there")]
    Illegal(u32),
    /// What is ordered before it was invoked only after it had returned.
    #[error("the operation at place {0} comes after one that was invoked only after it had returned")]
    Late(u32),
    /// An operation that answered has no place.
    #[error("the operation at place {0} answered and is not in the order")]
    Missing(u32),
}

/// Whether the order explains the items: those that answered all, and of the others the ones that acted.
///
/// An order respects real time (Herlihy and Wing 1990) exactly if every operation has an instant within its interval
/// and these do not decrease; if any such instants exist, the earliest do.
pub fn validate<S: Sequential>(model: &S, items: &[Item], order: &Sequence) -> Result<(), Flaw> {
    let mut has_acted = vec![false; items.len()];
    let mut state = model.first();
    let mut now_ns = 0;
    for &place in &order.places {
        let Some(item) = items.get(place as usize) else { return Err(Flaw::Foreign(place)) };
        if std::mem::replace(&mut has_acted[place as usize], true) {
            return Err(Flaw::Twice(place));
        }
        now_ns = item.invoke_ns.max(now_ns);
        if now_ns > item.deadline_ns {
            return Err(Flaw::Late(place));
        }
        if !model.step(&mut state, item, order.took(place)) {
            return Err(Flaw::Illegal(place));
        }
    }
    match (0..).zip(items).find(|(place, item)| item.must && !has_acted[*place as usize]) {
        Some((place, _)) => Err(Flaw::Missing(place)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::object::Op;
    use crate::model::object::register::Register;
    use crate::procedure::fixture::item;

    #[test]
    fn each_flaw_is_found() {
        let write = Item { value: Value::whole(1), ..item(Op::Write, 0, 10) };
        let read = Item { saw: Value::whole(1), ..item(Op::Read, 20, 30) };
        let lost = Item { value: Value::whole(2), must: false, ..item(Op::Write, 5, u64::MAX) };
        let items = [write, read, lost];
        let register = Register { first: Value::whole(0).expect("small") };
        let validate = |places: &[u32]| validate(&register, &items, &Sequence::of(places.to_vec()));
        assert_eq!(validate(&[0, 1]), Ok(()));
        assert_eq!(validate(&[0, 1, 2]), Ok(()));
        assert_eq!(validate(&[2, 0, 1]), Ok(()));
        assert_eq!(validate(&[0, 2, 1]), Err(Flaw::Illegal(1)));
        assert_eq!(validate(&[1, 0]), Err(Flaw::Illegal(1)));
        assert_eq!(validate(&[0]), Err(Flaw::Missing(1)));
        assert_eq!(validate(&[0, 0, 1]), Err(Flaw::Twice(0)));
        assert_eq!(validate(&[0, 3]), Err(Flaw::Foreign(3)));
        let late = [Item { saw: Value::whole(0), ..read }, write];
        assert_eq!(super::validate(&register, &late, &Sequence::of(vec![0, 1])), Err(Flaw::Late(1)));
    }
}
