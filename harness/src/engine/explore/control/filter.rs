//! The seccomp filter: which system calls a controlled process stops at.
//!
//! Those through which processes can affect each other by files, and those that would let a process escape control.
//! What is not here (memory, clocks, signals of its own) goes on at full speed. A call of another architecture, or with
//! numbers of the x32 interface, stops too, and is refused by the controller: it must never pass unseen.

use crate::process::sys::seccomp::{Instruction, RENDEZVOUS};

const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_GREATER_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Offsets into `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;
const ARGS_AT: u32 = 16;

/// The architecture that this program is built for.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCH: u32 = 0xc000_003e;
/// The architecture that this program is built for.
#[cfg(target_arch = "aarch64")]
pub(super) const ARCH: u32 = 0xc000_00b7;

/// Calls that always stop.
#[cfg(target_arch = "x86_64")]
const OLD: &[i64] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_unlink,
    libc::SYS_symlink,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_getdents,
    libc::SYS_dup2,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_pause,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_wait,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_mknod,
    libc::SYS_renameat,
];
#[cfg(target_arch = "aarch64")]
const OLD: &[i64] = &[libc::SYS_renameat];

/// Calls that always stop, on every architecture.
const ALWAYS: &[i64] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup3,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_unlinkat,
    libc::SYS_symlinkat,
    libc::SYS_readlinkat,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_getdents64,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_syncfs,
    libc::SYS_sync,
    libc::SYS_flock,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_pidfd_send_signal,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_io_uring_setup,
    libc::SYS_ptrace,
    libc::SYS_process_vm_writev,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_dup,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_io_setup,
    libc::SYS_fchmodat2,
    libc::SYS_open_by_handle_at,
];

/// The `ioctl` by which one file takes over the content of another (`FICLONE`).
pub(super) const CLONE_FILE: u32 = 0x4004_9409;
/// The same for a part of it.
const CLONE_PART: u32 = 0x4020_940d;
/// The same, where it is the same already.
const SHARE_PART: u32 = 0xc018_9436;

/// A call that stops only with some values of one argument (its lower half).
struct Sometimes {
    number: i64,
    argument: u32,
    mask: u32,
    values: &'static [u32],
}

/// `fcntl` locks and copies; clones of files; seeks that look at the file; mapped files; the meeting with the controller.
const SOMETIMES: &[Sometimes] = &[
    Sometimes {
        number: libc::SYS_fcntl,
        argument: 1,
        mask: u32::MAX,
        values: &[
            libc::F_SETLK as u32,
            libc::F_SETLKW as u32,
            libc::F_GETLK as u32,
            libc::F_OFD_SETLK as u32,
            libc::F_OFD_SETLKW as u32,
            libc::F_OFD_GETLK as u32,
            libc::F_SETLEASE as u32,
            libc::F_DUPFD as u32,
            libc::F_DUPFD_CLOEXEC as u32,
        ],
    },
    Sometimes {
        number: libc::SYS_ioctl,
        argument: 1,
        mask: u32::MAX,
        values: &[CLONE_FILE, CLONE_PART, SHARE_PART],
    },
    Sometimes {
        number: libc::SYS_lseek,
        argument: 2,
        mask: u32::MAX,
        values: &[libc::SEEK_END as u32, libc::SEEK_DATA as u32, libc::SEEK_HOLE as u32],
    },
    Sometimes {
        number: libc::SYS_mmap,
        argument: 3,
        mask: (libc::MAP_TYPE | libc::MAP_ANONYMOUS) as u32,
        values: &[libc::MAP_SHARED as u32, libc::MAP_SHARED_VALIDATE as u32, libc::MAP_PRIVATE as u32],
    },
    Sometimes { number: libc::SYS_prctl, argument: 0, mask: u32::MAX, values: &[RENDEZVOUS as u32] },
];

/// The whole filter.
pub(super) fn program() -> Vec<Instruction> {
    let mut program = vec![
        load(ARCH_AT),
        jump(JUMP_EQUAL, ARCH, 1, 0),
        give(libc::SECCOMP_RET_USER_NOTIF),
        load(NUMBER_AT),
    ];
    #[cfg(target_arch = "x86_64")]
    {
        const X32_BIT: u32 = 0x4000_0000;
        program.extend([jump(JUMP_GREATER_EQUAL, X32_BIT, 0, 1), give(libc::SECCOMP_RET_USER_NOTIF)]);
    }
    program.extend(search(&stretches()));
    program
}

/// Whether calls stop.
#[derive(Clone, Copy)]
enum Verdict {
    Stops,
    Passes,
    Depends(&'static Sometimes),
}

/// All numbers, in stretches of one verdict, each from a number to the next stretch's.
fn stretches() -> Vec<(u32, Verdict)> {
    let always = OLD.iter().chain(ALWAYS).map(|number| (low(*number), Verdict::Stops));
    let sometimes = SOMETIMES.iter().map(|call| (low(call.number), Verdict::Depends(call)));
    let mut told: Vec<_> = always.chain(sometimes).collect();
    told.sort_by_key(|(number, _)| *number);
    let mut stretches = vec![(0, Verdict::Passes)];
    let mut next = 0;
    for (number, verdict) in told {
        if number > next {
            stretches.push((next, Verdict::Passes));
        }
        stretches.push((number, verdict));
        next = number + 1;
    }
    stretches.push((next, Verdict::Passes));
    // Where one stretch begins as another does, that one is empty; where the verdict stays, they are one.
    stretches.dedup_by(|later, earlier| {
        let is_empty = later.0 == earlier.0;
        if is_empty {
            *earlier = *later;
        }
        is_empty
    });
    stretches.dedup_by(|later, earlier| {
        matches!((later.1, earlier.1), (Verdict::Stops, Verdict::Stops) | (Verdict::Passes, Verdict::Passes))
    });
    stretches
}

/// Finds the stretch that a number lies in, by halves: each call of a controlled process goes through this.
fn search(stretches: &[(u32, Verdict)]) -> Vec<Instruction> {
    let [below @ .., _] = stretches else { return Vec::new() };
    if below.is_empty() {
        return match stretches[0].1 {
            Verdict::Stops => vec![give(libc::SECCOMP_RET_USER_NOTIF)],
            Verdict::Passes => vec![give(libc::SECCOMP_RET_ALLOW)],
            Verdict::Depends(call) => call.test(),
        };
    }
    let (low, high) = stretches.split_at(stretches.len() / 2);
    let below = search(low);
    // The kernel compiles the filter for each process anew, so what is shorter is sooner begun. A condition skips few
    // instructions at most, an unconditional jump as many as there are.
    let mut search_in = if let Ok(over) = u8::try_from(below.len()) {
        vec![jump(JUMP_GREATER_EQUAL, high[0].0, over, 0)]
    } else {
        let over = u32::try_from(below.len()).expect("a program is short");
        vec![jump(JUMP_GREATER_EQUAL, high[0].0, 0, 1), act(JUMP, over)]
    };
    search_in.extend(below);
    search_in.extend(search(high));
    search_in
}

impl Sometimes {
    /// For a call of its number: stops for one of the values, and else lets it pass.
    fn test(&self) -> Vec<Instruction> {
        let mut test = vec![load(ARGS_AT + 8 * self.argument), act(AND, self.mask)];
        for (at, value) in self.values.iter().enumerate() {
            let to_the_stop = u8::try_from(self.values.len() - at).expect("the values are few");
            test.push(jump(JUMP_EQUAL, *value, to_the_stop, 0));
        }
        test.extend([give(libc::SECCOMP_RET_ALLOW), give(libc::SECCOMP_RET_USER_NOTIF)]);
        test
    }
}

/// The half of a number that the filter sees.
const fn low(number: i64) -> u32 {
    number.cast_unsigned() as u32
}

const fn load(offset: u32) -> Instruction {
    act(LOAD_WORD, offset)
}

const fn give(action: u32) -> Instruction {
    act(RETURN, action)
}

const fn act(code: u16, k: u32) -> Instruction {
    jump(code, k, 0, 0)
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would.
    fn verdict(arch: u32, number: i64, args: [u32; 6]) -> u32 {
        let program = program();
        let (mut at, mut word) = (0, 0_u32);
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            let skip = |taken| usize::from(if taken { jt } else { jf });
            match code {
                LOAD_WORD => {
                    word = match k {
                        NUMBER_AT => low(number),
                        ARCH_AT => arch,
                        _ => args[((k - ARGS_AT) / 8) as usize],
                    }
                }
                AND => word &= k,
                JUMP_EQUAL => at += skip(word == k),
                JUMP_GREATER_EQUAL => at += skip(word >= k),
                JUMP => at += k as usize,
                RETURN => return k,
                _ => unreachable!("instruction {code}"),
            }
        }
    }

    #[test]
    fn what_touches_files_stops_and_the_rest_passes() {
        let stops = |number, args| verdict(ARCH, number, args) == libc::SECCOMP_RET_USER_NOTIF;
        for number in OLD.iter().chain(ALWAYS) {
            assert!(stops(*number, [0; 6]), "{number}");
        }
        for number in
            [libc::SYS_getpid, libc::SYS_munmap, libc::SYS_brk, libc::SYS_futex, libc::SYS_clock_gettime]
        {
            assert!(!stops(number, [0; 6]), "{number}");
        }
        let at = |argument: usize, value: i32| {
            let mut args = [0; 6];
            args[argument] = value.cast_unsigned();
            args
        };
        assert!(stops(libc::SYS_fcntl, at(1, libc::F_OFD_SETLKW)));
        assert!(!stops(libc::SYS_fcntl, at(1, libc::F_GETFD)));
        assert!(
            stops(libc::SYS_lseek, at(2, libc::SEEK_END)) && !stops(libc::SYS_lseek, at(2, libc::SEEK_SET))
        );
        assert!(stops(libc::SYS_mmap, at(3, libc::MAP_SHARED)));
        assert!(!stops(libc::SYS_mmap, at(3, libc::MAP_SHARED | libc::MAP_ANONYMOUS)));
        assert!(stops(libc::SYS_mmap, at(3, libc::MAP_PRIVATE)));
        assert!(!stops(libc::SYS_mmap, at(3, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)));
        assert!(stops(libc::SYS_fcntl, at(1, libc::F_DUPFD)));
        assert!(stops(libc::SYS_ioctl, at(1, CLONE_FILE.cast_signed())) && !stops(libc::SYS_ioctl, at(1, 0)));
        assert!(
            stops(libc::SYS_prctl, at(0, RENDEZVOUS)) && !stops(libc::SYS_prctl, at(0, libc::PR_SET_NAME))
        );
    }

    /// The search by halves against the lists themselves.
    #[test]
    fn every_number_meets_its_verdict() {
        for number in 0..1_000_i64 {
            let always = OLD.iter().chain(ALWAYS).any(|known| *known == number);
            let sometimes = SOMETIMES.iter().find(|call| call.number == number);
            assert!(!(always && sometimes.is_some()), "{number} is told twice");
            for argument in 0..6 {
                for value in sometimes.iter().flat_map(|call| call.values).chain(&[0, 0x7777_7777]) {
                    let mut args = [0; 6];
                    args[argument] = *value;
                    let stops = always
                        || sometimes.is_some_and(|call| {
                            call.values.contains(&(args[call.argument as usize] & call.mask))
                        });
                    let wanted = if stops { libc::SECCOMP_RET_USER_NOTIF } else { libc::SECCOMP_RET_ALLOW };
                    assert_eq!(verdict(ARCH, number, args), wanted, "{number} {args:?}");
                }
            }
        }
        assert!(program().len() < 4096, "the kernel takes no more");
    }

    #[test]
    fn another_architecture_stops_whatever_it_calls() {
        assert_eq!(verdict(0x4000_0003, libc::SYS_getpid, [0; 6]), libc::SECCOMP_RET_USER_NOTIF);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(verdict(ARCH, 0x4000_0000 | libc::SYS_getpid, [0; 6]), libc::SECCOMP_RET_USER_NOTIF);
    }
}
