//! Sequential orders: every way to run the commands of several processes one after the other.

/// A command, by its process and its place there, both counted from 0.
pub type Step = (usize, usize);

/// How many orders there are of processes with so many commands; none where no number holds it.
#[must_use]
pub fn count(commands: &[usize]) -> Option<u128> {
    let mut orders: u128 = 1;
    let mut placed: u128 = 0;
    for &own in commands {
        for index in 1..=own as u128 {
            placed += 1;
            // The product of consecutive numbers is divided without a rest at each step.
            orders = orders.checked_mul(placed)? / index;
        }
    }
    Some(orders)
}

/// Every order of processes with so many commands, those first in which nobody is interrupted.
#[must_use]
pub fn all(commands: &[usize]) -> Vec<Vec<Step>> {
    let mut orders = Vec::new();
    let mut next = vec![0; commands.len()];
    extend(commands, &mut next, &mut Vec::new(), &mut orders);
    orders.sort_by_key(|order| switches(order));
    orders
}

fn extend(commands: &[usize], next: &mut [usize], order: &mut Vec<Step>, orders: &mut Vec<Vec<Step>>) {
    let mut is_over = true;
    for process in 0..commands.len() {
        if next[process] < commands[process] {
            is_over = false;
            order.push((process, next[process]));
            next[process] += 1;
            extend(commands, next, order, orders);
            next[process] -= 1;
            order.pop();
        }
    }
    if is_over {
        orders.push(order.clone());
    }
}

fn switches(order: &[Step]) -> usize {
    order.windows(2).filter(|pair| pair[0].0 != pair[1].0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_as_many_as_are_counted() {
        for commands in [vec![], vec![1], vec![1, 1], vec![2, 2], vec![1, 2, 3], vec![1, 1, 1, 1]] {
            let orders = all(&commands);
            assert_eq!(count(&commands), Some(orders.len() as u128), "{commands:?}");
            let mut sorted = orders.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted.len(), orders.len());
        }
        assert_eq!(all(&[1, 1]), [[(0, 0), (1, 0)], [(1, 0), (0, 0)]]);
        assert_eq!(count(&[1; 20]), Some(2_432_902_008_176_640_000));
        assert_eq!(count(&[1; 40]), None);
    }
}
