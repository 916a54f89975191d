//! Which processor this harness holds programs on.
//!
//! Programs and their controller share one, and keep it busy. Several harnesses that run at one time, as tests do, would all
//! choose the same and wait for each other; so each takes one that no other has taken. What marks it as taken is a name in the
//! kernel alone (an abstract socket), which goes with whoever took it, however that ends.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::OnceLock;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// A processor that was taken.
#[derive(Debug)]
struct Seat {
    processor: usize,
    /// None where all were taken already: then it is shared.
    #[cfg_attr(not(test), expect(dead_code, reason = "it goes with its last owner"))]
    mark: Option<UnixDatagram>,
}

impl Seat {
    /// One of these: the first that nobody has, else one by lot.
    fn among(processors: &[usize], lot: usize) -> Option<Self> {
        let free =
            processors.iter().find_map(|&processor| Some(Self { processor, mark: Some(mark(processor)?) }));
        let shared = || {
            let processor = *processors.get(lot.checked_rem(processors.len())?)?;
            Some(Self { processor, mark: None })
        };
        free.or_else(shared)
    }
}

/// Marks a processor as taken, unless it is already.
fn mark(processor: usize) -> Option<UnixDatagram> {
    let address = SocketAddr::from_abstract_name(format!("flockwork-processor-{processor}")).ok()?;
    UnixDatagram::bind_addr(&address).ok()
}

/// The processor on which this harness holds programs, as long as it lives: the last of those it may use that no other
/// harness holds programs on; the last, as most leave it alone. None where the kernel does not tell which there are.
#[must_use]
pub fn any_processor() -> Option<usize> {
    static OWN: OnceLock<Option<Seat>> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
        let allowed: Vec<usize> = (0..CpuSet::count())
            .rev()
            .filter(|&processor| allowed.is_set(processor).unwrap_or(false))
            .collect();
        Seat::among(&allowed, std::process::id() as usize)
    });
    own.as_ref().map(|seat| seat.processor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_later_takes_another_and_shares_where_none_is_left() {
        // No machine has so many.
        let processors = [1_000_001, 1_000_002];
        let first = Seat::among(&processors, 0).expect("one");
        let second = Seat::among(&processors, 0).expect("another");
        assert_eq!((first.processor, second.processor), (1_000_001, 1_000_002));
        let third = Seat::among(&processors, 3).expect("a shared one");
        assert_eq!((third.processor, third.mark.is_none()), (1_000_002, true));
        drop(first);
        assert_eq!(Seat::among(&processors, 3).expect("the first again").processor, 1_000_001);
        assert!(Seat::among(&[], 3).is_none());
    }
}
