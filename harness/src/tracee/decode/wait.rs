//! Sleeps, waits with a limit, and sockets decoded.

use super::Arguments;
use crate::books::deed::{At, Deed, Told};
use crate::process::clock;

/// Most descriptors that one wait is about.
const WAITED_MAX: u64 = 1024;
/// `msghdr`: the control data's address and length, in words of 64 bits.
const CONTROL: usize = 4;
const CONTROL_BYTES: usize = 5;

impl Arguments<'_> {
    /// A `timespec`, in nanoseconds.
    pub(super) fn time(&self, index: usize) -> u64 {
        let [seconds, nanoseconds] = self.memory.words(self.arg(index));
        seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
    }

    /// The same; without one there is no limit.
    pub(super) fn time_or_for_ever(&self, index: usize) -> Option<u64> {
        (self.arg(index) != 0).then(|| self.time(index))
    }

    /// The same of a `timeval`.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn time_of_day_or_for_ever(&self, index: usize) -> Option<u64> {
        let [seconds, microseconds] = self.memory.words(self.arg(index));
        (self.arg(index) != 0)
            .then(|| seconds.saturating_mul(1_000_000_000).saturating_add(microseconds.saturating_mul(1000)))
    }

    /// Milliseconds; less than none for no limit.
    pub(super) fn milliseconds(&self, index: usize) -> Option<u64> {
        u64::try_from(self.int(index)).ok().map(|time| time * 1_000_000)
    }

    pub(super) fn clock_sleep(&self) -> Told {
        let until = self.time(2);
        let is_absolute = self.int(1) & libc::TIMER_ABSTIME != 0;
        Deed::Sleep(if is_absolute { until.saturating_sub(clock::of(self.int(0))) } else { until })
    }

    pub(super) fn poll(&self, limit: Option<u64>) -> Told {
        let Some(limit) = limit.filter(|limit| *limit > 0) else { return Deed::Nothing };
        let count = self.arg(1).min(WAITED_MAX);
        let waited = (0..count).map(|at| {
            // struct pollfd: the descriptor, and what is waited for.
            let [both] = self.memory.words(self.arg(0).wrapping_add(8 * at));
            (both as i32, (both >> 32) as i16)
        });
        Deed::Await(waited.filter(|(fd, _)| *fd >= 0).collect(), limit)
    }

    pub(super) fn select(&self, limit: Option<u64>) -> Told {
        let Some(limit) = limit.filter(|limit| *limit > 0) else { return Deed::Nothing };
        let count = u64::try_from(self.int(0)).unwrap_or(0).min(WAITED_MAX);
        let mut waited = Vec::new();
        for (set, events) in [(1, libc::POLLIN), (2, libc::POLLOUT), (3, libc::POLLPRI)] {
            for word in 0..count.div_ceil(64) {
                let address = self.arg(set);
                if address == 0 {
                    continue;
                }
                let [bits] = self.memory.words(address + 8 * word);
                let set = (0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| (64 * word + bit) as i32);
                waited.extend(set.map(|fd| (fd, events)));
            }
        }
        Deed::Await(waited, limit)
    }

    pub(super) fn epoll(&self, limit: Option<u64>) -> Told {
        match limit.filter(|limit| *limit > 0) {
            Some(limit) => Deed::Await(vec![(self.int(0), libc::POLLIN)], limit),
            None => Deed::Nothing,
        }
    }

    /// The path of a socket's address; none where it has another kind.
    fn socket_path(&self, address: usize, length: usize) -> Option<At> {
        let length = (self.arg(length) as usize).min(110);
        let mut bytes = vec![0; length];
        let read = self.memory.read(self.arg(address), &mut bytes);
        let (family, path) = bytes[..read].split_at_checked(2)?;
        let is_local = i32::from(u16::from_ne_bytes([family[0], family[1]])) == libc::AF_UNIX;
        let path = path.split(|&byte| byte == 0).next().filter(|path| is_local && !path.is_empty())?;
        Some(At { folder: libc::AT_FDCWD, path: String::from_utf8_lossy(path).into_owned() })
    }

    fn family(&self, address: usize) -> i32 {
        let mut bytes = [0; 2];
        self.memory.read(self.arg(address), &mut bytes);
        i32::from(u16::from_ne_bytes(bytes))
    }

    pub(super) fn connect(&self, address: usize, length: usize) -> Told {
        match self.family(address) {
            // Netlink asks the kernel about the machine; to connect nowhere undoes a connection.
            libc::AF_NETLINK | libc::AF_UNSPEC => Deed::Nothing,
            _ => Deed::Connect(self.socket_path(address, length)),
        }
    }

    pub(super) fn bind(&self) -> Told {
        match self.socket_path(1, 2) {
            Some(at) => Deed::Bind(at),
            None if self.family(1) == libc::AF_NETLINK => Deed::Nothing,
            None => Deed::Refused("bind".into(), "listens beside files"),
        }
    }

    /// A message may pass descriptors.
    pub(super) fn send_message(&self, header: u64) -> Told {
        let words: [u64; 6] = self.memory.words(header);
        match (words[CONTROL], words[CONTROL_BYTES]) {
            (0, _) | (_, 0) if words[0] == 0 => Deed::Nothing,
            (0, _) | (_, 0) => {
                let mut family = [0; 2];
                self.memory.read(words[0], &mut family);
                match i32::from(u16::from_ne_bytes(family)) {
                    libc::AF_NETLINK => Deed::Nothing,
                    _ => Deed::Connect(None),
                }
            }
            _ => Deed::Refused("sendmsg".into(), "passes a descriptor or an identity"),
        }
    }

    pub(super) fn send_messages(&self) -> Told {
        // struct mmsghdr: a header of 56 bytes, a length, and padding.
        let count = u64::from(self.int(2).max(0).cast_unsigned()).min(WAITED_MAX);
        let each = (0..count).map(|at| self.send_message(self.arg(1).wrapping_add(64 * at)));
        each.into_iter().find(|deed| *deed != Deed::Nothing).unwrap_or(Deed::Nothing)
    }
}
