//! The seccomp filter: which system calls a controlled program stops at. It denies by default: what the table does not
//! call harmless stops, and so does whatever no table knows.
//!
//! A call of another architecture, or with a number of the x32 interface, stops too, and is refused by the controller: it
//! must never pass unseen.
//!
//! It is a search by halves, as short as can be: the kernel works through it at each stop, and as it is installed. What is
//! harmless is decided by its number alone, which the kernel remembers: such a call never meets the filter at all.

use super::class::{Class, Listed, Test};
use super::table::{self, TABLE};
use crate::process::sys::seccomp::{ARCH_AT, ARGS_AT, Instruction, NUMBER_AT};

const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_GREATER_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The architecture that this program is built for.
#[cfg(target_arch = "x86_64")]
pub(crate) const ARCH: u32 = 0xc000_003e;
/// The architecture that this program is built for.
#[cfg(target_arch = "aarch64")]
pub(crate) const ARCH: u32 = 0xc000_00b7;

/// The word by which a spawner's own calls pass its own filter, as their last argument: drawn anew for each spawner,
/// which tells nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass(pub u64);

impl Pass {
    /// Drawn at random.
    pub(crate) fn draw() -> std::io::Result<Self> {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        Ok(Self(u64::from_ne_bytes(bytes) | 1))
    }

    const fn halves(self) -> [u32; 2] {
        [self.0 as u32, (self.0 >> 32) as u32]
    }
}

/// Which argument the word lies in.
const PASS_ARGUMENT: u32 = 5;

/// The whole filter. With a pass, calls that carry it as their sixth argument go on without a stop.
pub(crate) fn program(pass: Option<Pass>) -> Vec<Instruction> {
    written(pass, &stretches(&[]))
}

/// The same for programs that may be cloned: it stops at harmless calls as well that make what a clone would not have, or
/// would share.
pub(crate) fn cloneable(pass: Pass) -> Vec<Instruction> {
    written(Some(pass), &stretches(&[NOT_CLONED.as_slice(), &TOLD_TO_CLONES].concat()))
}

/// Harmless calls that ask for processes outside of the namespace that clones are in. There they would be 0.
pub(super) const TOLD_TO_CLONES: [&str; 2] = ["getppid", "getsid"];

/// Harmless calls that make what a clone would not have, or would share with others.
const NOT_CLONED: [&str; 19] = [
    "pipe",
    "pipe2",
    "socket",
    "socketpair",
    "eventfd",
    "eventfd2",
    "epoll_create",
    "epoll_create1",
    "timerfd_create",
    "signalfd",
    "signalfd4",
    "memfd_create",
    "inotify_init",
    "inotify_init1",
    "setitimer",
    "alarm",
    "timer_create",
    "setsid",
    "setpgid",
];

/// Whether a call makes what a clone would not have, though it is harmless.
pub(crate) fn is_not_cloned(number: i64) -> bool {
    table::of(number).is_some_and(|call| NOT_CLONED.contains(&call.name))
}

fn written(pass: Option<Pass>, stretches: &[(u32, Stopping)]) -> Vec<Instruction> {
    let mut code = Code::default();
    code.plain(LOAD_WORD, ARCH_AT);
    // Another architecture stops, whatever it carries.
    code.branch(JUMP_EQUAL, ARCH, Target::Next, Target::End);
    code.plain(LOAD_WORD, NUMBER_AT);
    #[cfg(target_arch = "x86_64")]
    {
        const X32_BIT: u32 = 0x4000_0000;
        code.branch(JUMP_GREATER_EQUAL, X32_BIT, Target::End, Target::Next);
    }
    let begin = code.0.len();
    let first = code.search(stretches);
    debug_assert_eq!(first, Target::At(begin), "a table with one stopping needs no search");
    let stop = code.0.len();
    if let Some([low, high]) = pass.map(Pass::halves) {
        code.plain(LOAD_WORD, ARGS_AT + 8 * PASS_ARGUMENT);
        code.branch(JUMP_EQUAL, low, Target::Next, Target::End);
        code.plain(LOAD_WORD, ARGS_AT + 8 * PASS_ARGUMENT + 4);
        code.branch(JUMP_EQUAL, high, Target::Pass, Target::End);
    }
    code.finish(stop)
}

/// Where a branch leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// To the next instruction.
    Next,
    /// To the instruction of this index.
    At(usize),
    /// The call goes on.
    Pass,
    /// The call stops, unless it carries the pass.
    Stop,
    /// The call stops.
    End,
}

/// The filter as it is written, its branches not yet counted out.
#[derive(Debug, Default)]
struct Code(Vec<(Instruction, Target, Target)>);

impl Code {
    fn plain(&mut self, code: u16, k: u32) {
        self.0.push((Instruction { code, jt: 0, jf: 0, k }, Target::Next, Target::Next));
    }

    fn branch(&mut self, code: u16, k: u32, then: Target, otherwise: Target) {
        self.0.push((Instruction { code, jt: 0, jf: 0, k }, then, otherwise));
    }

    /// Finds the stretch that a number lies in, by halves; gives back where that begins.
    fn search(&mut self, stretches: &[(u32, Stopping)]) -> Target {
        if let [(_, stopping)] = stretches {
            return match stopping {
                Stopping::Stops => Target::Stop,
                Stopping::Passes => Target::Pass,
                Stopping::Depends(test) => self.examine(test),
            };
        }
        let (low, high) = stretches.split_at(stretches.len() / 2);
        let begin = self.0.len();
        self.branch(JUMP_GREATER_EQUAL, high[0].0, Target::Next, Target::Next);
        let below = self.search(low);
        let above = self.search(high);
        (self.0[begin].1, self.0[begin].2) = (above, below);
        Target::At(begin)
    }

    /// For a call whose argument decides.
    fn examine(&mut self, test: &Test) -> Target {
        let begin = self.0.len();
        self.plain(LOAD_WORD, ARGS_AT + 8 * test.argument);
        if test.mask != u32::MAX {
            self.plain(AND, test.mask);
        }
        let (listed, others) = match test.listed {
            Listed::Stop => (Target::Stop, Target::Pass),
            Listed::Pass => (Target::Pass, Target::Stop),
        };
        for (at, value) in test.values.iter().enumerate() {
            let is_last = at + 1 == test.values.len();
            self.branch(JUMP_EQUAL, *value, listed, if is_last { others } else { Target::Next });
        }
        Target::At(begin)
    }

    /// Counts the branches out. What stops is looked at from the instruction `stop` on.
    fn finish(self, stop: usize) -> Vec<Instruction> {
        let (pass, end) = (self.0.len(), self.0.len() + 1);
        let stop = if stop == pass { end } else { stop };
        let counted = self.0.into_iter().enumerate().map(|(at, (instruction, then, otherwise))| {
            let skip = |target| {
                let to = match target {
                    Target::Next => at + 1,
                    Target::At(to) => to,
                    Target::Pass => pass,
                    Target::Stop => stop,
                    Target::End => end,
                };
                u8::try_from(to - at - 1).expect("a filter is short")
            };
            match instruction.code {
                JUMP_EQUAL | JUMP_GREATER_EQUAL => {
                    Instruction { jt: skip(then), jf: skip(otherwise), ..instruction }
                }
                _ => instruction,
            }
        });
        let ends = [libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_USER_NOTIF];
        counted.chain(ends.map(|k| Instruction { code: RETURN, jt: 0, jf: 0, k })).collect()
    }
}

/// Whether calls stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopping {
    Stops,
    Passes,
    Depends(&'static Test),
}

impl Stopping {
    const fn of(class: Class) -> Self {
        match class {
            Class::Harmless(_) => Self::Passes,
            Class::Sometimes(test) => Self::Depends(test),
            Class::Foreseen | Class::Absent | Class::Refused(_) => Self::Stops,
        }
    }
}

/// All numbers, in stretches that stop alike, each from a number to the next stretch's. What nobody knows stops, and so does
/// what is named besides.
fn stretches(besides: &[&str]) -> Vec<(u32, Stopping)> {
    let known = TABLE.iter().filter_map(|call| {
        let stops = besides.contains(&call.name);
        Some((u32::from(call.number()?), if stops { Stopping::Stops } else { Stopping::of(call.class) }))
    });
    let mut known: Vec<(u32, Stopping)> = known.collect();
    known.sort_by_key(|(number, _)| *number);
    let mut stretches: Vec<(u32, Stopping)> = Vec::new();
    let mut next = 0;
    let mut add = |number: u32, stopping: Stopping| {
        let continues = stretches.last().is_some_and(|(_, last)| *last == stopping);
        if !continues || matches!(stopping, Stopping::Depends(_)) {
            stretches.push((number, stopping));
        }
    };
    for (number, stopping) in known {
        if number > next {
            add(next, Stopping::Stops);
        }
        add(number, stopping);
        next = number + 1;
    }
    add(next, Stopping::Stops);
    stretches
}

#[cfg(test)]
mod tests {
    use super::super::class::Harmless;
    use super::*;
    use crate::process::sys::seccomp::RENDEZVOUS;

    /// Runs a filter as the kernel would.
    fn run(program: &[Instruction], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let (mut at, mut word) = (0, 0_u32);
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            let skip = |taken| usize::from(if taken { jt } else { jf });
            match code {
                LOAD_WORD => {
                    word = match k {
                        NUMBER_AT => number,
                        ARCH_AT => arch,
                        _ => {
                            let (argument, half) = ((k - ARGS_AT) / 8, (k - ARGS_AT) % 8);
                            (args[argument as usize] >> (8 * half)) as u32
                        }
                    }
                }
                AND => word &= k,
                JUMP_EQUAL => at += skip(word == k),
                JUMP_GREATER_EQUAL => at += skip(word >= k),
                RETURN => return k,
                _ => unreachable!("instruction {code}"),
            }
        }
    }

    fn stops(number: i64, args: [u64; 6]) -> bool {
        let number = u32::try_from(number).expect("a number");
        run(&program(None), ARCH, number, args) == libc::SECCOMP_RET_USER_NOTIF
    }

    /// The search by halves against the table, for each number and each value that counts.
    #[test]
    fn every_number_meets_its_verdict() {
        let (bare, passing) = (program(None), program(Some(Pass(0x1234_5678_9abc_def1))));
        for number in 0..1_000_u32 {
            let class = table::of(i64::from(number)).map(|call| call.class);
            let test = match class {
                Some(Class::Sometimes(test)) => Some(test),
                _ => None,
            };
            for argument in 0..5 {
                for value in test.iter().flat_map(|test| test.values).chain(&[0, 0x7777_7777]) {
                    let mut args = [0; 6];
                    args[argument] = u64::from(*value);
                    let stops = match class {
                        None | Some(Class::Foreseen | Class::Absent | Class::Refused(_)) => true,
                        Some(Class::Harmless(_)) => false,
                        Some(Class::Sometimes(test)) => {
                            let listed =
                                test.values.contains(&(args[test.argument as usize] as u32 & test.mask));
                            listed == (test.listed == Listed::Stop)
                        }
                    };
                    let wanted = if stops { libc::SECCOMP_RET_USER_NOTIF } else { libc::SECCOMP_RET_ALLOW };
                    assert_eq!(run(&bare, ARCH, number, args), wanted, "{number} {args:?}");
                    assert_eq!(run(&passing, ARCH, number, args), wanted, "{number} {args:?}");
                }
            }
        }
    }

    #[test]
    fn whoever_has_the_pass_never_stops() {
        let filter = program(Some(Pass(0x1234_5678_9abc_def1)));
        for call in TABLE.iter().filter_map(table::Call::number) {
            let with = |word| run(&filter, ARCH, u32::from(call), [0, 0, 0, 0, 0, word]);
            assert_eq!(with(0x1234_5678_9abc_def1), libc::SECCOMP_RET_ALLOW, "{call}");
            for wrong in [0x9abc_def1, 0x1234_5678_0000_0000, 0x1234_5678_9abc_def0] {
                assert_eq!(with(wrong), with(0), "{call}");
            }
        }
        let another = run(&filter, 0x4000_0003, 1, [0, 0, 0, 0, 0, 0x1234_5678_9abc_def1]);
        assert_eq!(another, libc::SECCOMP_RET_USER_NOTIF, "whatever it carries");
    }

    #[test]
    fn what_is_not_known_stops() {
        for number in [470, 471, 600, 0x3fff_ffff] {
            assert!(stops(number, [0; 6]), "{number}");
        }
        assert!(!stops(libc::SYS_getpid, [0; 6]) && !stops(libc::SYS_futex, [0; 6]));
        assert_eq!(
            run(&program(None), 0x4000_0003, 20, [0; 6]),
            libc::SECCOMP_RET_USER_NOTIF,
            "another architecture"
        );
        #[cfg(target_arch = "x86_64")]
        assert!(stops(0x4000_0000 | libc::SYS_getpid, [0; 6]), "x32");
    }

    #[test]
    fn arguments_decide_where_they_must() {
        let at = |argument: usize, value: i32| {
            let mut args = [0; 6];
            args[argument] = u64::from(value.cast_unsigned());
            args
        };
        assert!(
            stops(libc::SYS_fcntl, at(1, libc::F_OFD_SETLKW))
                && !stops(libc::SYS_fcntl, at(1, libc::F_GETFD))
        );
        assert!(stops(libc::SYS_fcntl, at(1, 4711)), "a command that nobody knows");
        assert!(stops(libc::SYS_ioctl, at(1, 0x4004_9409)) && !stops(libc::SYS_ioctl, at(1, 0x5401)));
        assert!(
            stops(libc::SYS_lseek, at(2, libc::SEEK_END)) && !stops(libc::SYS_lseek, at(2, libc::SEEK_SET))
        );
        assert!(
            stops(libc::SYS_mmap, at(3, libc::MAP_SHARED)) && stops(libc::SYS_mmap, at(3, libc::MAP_PRIVATE))
        );
        assert!(!stops(libc::SYS_mmap, at(3, libc::MAP_SHARED | libc::MAP_ANONYMOUS)));
        assert!(
            stops(libc::SYS_prctl, at(0, RENDEZVOUS)) && !stops(libc::SYS_prctl, at(0, libc::PR_SET_NAME))
        );
    }

    /// Each instruction is paid for at each stop and by each spawner.
    #[test]
    fn the_filter_is_short() {
        let length = program(Some(Pass(1))).len();
        assert!(length < 200, "{length} instructions");
        let harmless = TABLE.iter().filter(|call| call.class == Class::Harmless(Harmless::Memory)).count();
        assert!(harmless > 20, "{harmless}");
    }
}
