//! Items for tests.

use crate::history::object::Op;
use crate::model::object::Item;

/// One that answered.
pub fn item(op: Op, invoke_ns: u64, deadline_ns: u64) -> Item {
    Item {
        invoke_ns,
        deadline_ns,
        value: None,
        saw: None,
        call: 0,
        actor: 0,
        op,
        must: true,
        answered: true,
        refused: false,
        cause: None,
    }
}
