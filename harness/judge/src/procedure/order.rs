//! Orders: what is common to making them.

use crate::model::object::Item;

/// Puts items that may stand anywhere within their intervals into an order, without moving anything else.
///
/// In an order that respects real time each operation has an earliest instant. What may stand anywhere goes before the
/// first one whose instant is later than its own invocation: that delays nobody.
pub fn insert_free(items: &[Item], order: Vec<u32>, mut free: Vec<u32>) -> Vec<u32> {
    if free.is_empty() {
        return order;
    }
    free.sort_unstable_by_key(|&place| (items[place as usize].invoke_ns, place));
    let mut whole = Vec::with_capacity(order.len() + free.len());
    let mut free = free.into_iter().peekable();
    let mut now_ns = 0;
    for place in order {
        now_ns = items[place as usize].invoke_ns.max(now_ns);
        while let Some(early) = free.next_if(|&early| items[early as usize].invoke_ns < now_ns) {
            whole.push(early);
        }
        whole.push(place);
    }
    whole.extend(free);
    whole
}

/// The first two that stand the wrong way round: the later one was over before the earlier one was invoked.
pub fn reversed(items: &[Item], order: &[u32]) -> Option<(u32, u32)> {
    let mut latest: Option<u32> = None;
    for &place in order {
        let item = &items[place as usize];
        if let Some(latest) = latest.filter(|&latest| item.precedes(&items[latest as usize])) {
            return Some((latest, place));
        }
        if latest.is_none_or(|latest| items[latest as usize].invoke_ns < item.invoke_ns) {
            latest = Some(place);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::object::Op;
    use crate::procedure::fixture::item;

    #[test]
    fn what_may_stand_anywhere_delays_nobody() {
        let spans = [(0, 10), (5, 20), (30, 40), (7, 9), (35, 50), (60, 70)];
        let items = spans.map(|(from, to)| item(Op::Read, from, to));
        let order = insert_free(&items, vec![0, 1, 2], vec![5, 3, 4]);
        assert_eq!(order, [0, 1, 3, 2, 4, 5]);
        assert_eq!(reversed(&items, &order), None);
        assert_eq!(reversed(&items, &[2, 1]), Some((2, 1)));
    }
}
