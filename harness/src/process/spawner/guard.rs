//! What keeps commands that run freely from the harness: they may call whatever they like, but for what would end the run.
//!
//! A signal for the spawner, which is the parent of every command, is noted and told. Only SIGKILL and SIGSTOP cannot be. A
//! signal for everybody (`kill -1`) would end the harness, and for root the machine: where the caller has the privilege to say so,
//! whoever sends one gets SIGSYS in its place.

use super::super::sys::seccomp::{self, ARGS_AT, NUMBER_AT};

/// How a command gets a parent of its own.
pub(crate) const OWN_PARENT: &str = "give the command a parent of its own: sh -c 'COMMAND; exit $?'";

/// A command signalled the process that started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Harm {
    /// By a signal that was noted.
    #[error(
        "a command sends {} to the process that started it, its parent, which is flockwork's own: {OWN_PARENT}",
        name(*.0)
    )]
    Signal(i32),
    /// It was ended for a signal to everybody, it seems.
    #[error(
        "a command was ended by SIGSYS, as is whoever signals every process there is (kill -1), those of flockwork among them: name \
         those that are meant, by their pids or by their group"
    )]
    Everybody,
    /// By one that nobody survives, it seems.
    #[error(
        "it was killed; a command does that which sends SIGKILL to its parent ($PPID), or to everybody: {OWN_PARENT}"
    )]
    Killed,
}

fn name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
}

/// Has a signal for everybody end its sender, whoever is started from here on. Nothing happens without the privilege: whoever gives up
/// gaining any could start no program that gains some.
pub(super) fn against_signals_for_all() {
    _ = seccomp::restrict(&PROGRAM);
}

const fn plain(code: u32, k: u32) -> seccomp::Instruction {
    seccomp::Instruction { code: code as u16, jt: 0, jf: 0, k }
}

const fn unless_equal(k: u32, jf: u8) -> seccomp::Instruction {
    seccomp::Instruction { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt: 0, jf, k }
}

const PROGRAM: [seccomp::Instruction; 8] = {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    [
        plain(LOAD, NUMBER_AT),
        // Of another architecture it may be another call: then whoever calls that with such arguments is ended.
        unless_equal(libc::SYS_kill as u32, 5),
        plain(LOAD, ARGS_AT),
        unless_equal(u32::MAX, 3),
        plain(LOAD, ARGS_AT + 8),
        // To ask whether there is anybody harms nobody.
        seccomp::Instruction {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt: 1,
            jf: 0,
            k: 0,
        },
        plain(RETURN, libc::SECCOMP_RET_TRAP),
        plain(RETURN, libc::SECCOMP_RET_ALLOW),
    ]
};
