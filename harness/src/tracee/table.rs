//! Every system call there is, and what a controlled program may do with it: denied by default.
//!
//! Whatever the next kernel adds is not here: it stops, and is refused. A test goes over the numbers that are in use.

use super::class::{Class, FCNTL, Harmless, IOCTL, LSEEK, MMAP, PRCTL, Refusal};

use Class::{Absent, Foreseen, Sometimes};

/// A system call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub name: &'static str,
    /// Its number on `x86_64`, where it has one.
    pub x86_64: Option<u16>,
    /// Its number on `aarch64`, where it has one.
    pub aarch64: Option<u16>,
    pub class: Class,
}

impl Call {
    /// Its number on the architecture that this program is built for.
    pub(crate) const fn number(&self) -> Option<u16> {
        if cfg!(target_arch = "x86_64") { self.x86_64 } else { self.aarch64 }
    }
}

/// The call of this number here.
pub(crate) fn of(number: i64) -> Option<&'static Call> {
    TABLE.iter().find(|call| call.number().is_some_and(|own| i64::from(own) == number))
}

const fn both(name: &'static str, x86_64: u16, aarch64: u16, class: Class) -> Call {
    Call { name, x86_64: Some(x86_64), aarch64: Some(aarch64), class }
}

const fn x86(name: &'static str, x86_64: u16, class: Class) -> Call {
    Call { name, x86_64: Some(x86_64), aarch64: None, class }
}

const MEMORY: Class = Class::Harmless(Harmless::Memory);
const IDENTITY: Class = Class::Harmless(Harmless::Identity);
const SIGNALS: Class = Class::Harmless(Harmless::Signals);
const CLOCKS: Class = Class::Harmless(Harmless::Clocks);
const SCHEDULING: Class = Class::Harmless(Harmless::Scheduling);
const THREADS: Class = Class::Harmless(Harmless::Threads);
const MACHINE: Class = Class::Harmless(Harmless::Machine);
const PLUMBING: Class = Class::Harmless(Harmless::Plumbing);
const CHILDREN: Class = Class::Harmless(Harmless::Children);
const WATCHES: Class = Class::Harmless(Harmless::Watches);
const SHARED: Class = Class::Refused(Refusal::SharedMemory);
const PATHS: Class = Class::Refused(Refusal::Paths);
const OTHERS: Class = Class::Refused(Refusal::Others);
const MACHINE_WIDE: Class = Class::Refused(Refusal::MachineChanged);

/// All of them, in the order of `x86_64`.
pub(crate) const TABLE: &[Call] = &[
    both("read", 0, 63, Foreseen),
    both("write", 1, 64, Foreseen),
    x86("open", 2, Foreseen),
    both("close", 3, 57, Foreseen),
    x86("stat", 4, Foreseen),
    both("fstat", 5, 80, Foreseen),
    x86("lstat", 6, Foreseen),
    x86("poll", 7, Foreseen),
    both("lseek", 8, 62, Sometimes(&LSEEK)),
    both("mmap", 9, 222, Sometimes(&MMAP)),
    both("mprotect", 10, 226, MEMORY),
    both("munmap", 11, 215, MEMORY),
    both("brk", 12, 214, MEMORY),
    both("rt_sigaction", 13, 134, SIGNALS),
    both("rt_sigprocmask", 14, 135, SIGNALS),
    both("rt_sigreturn", 15, 139, SIGNALS),
    both("ioctl", 16, 29, Sometimes(&IOCTL)),
    both("pread64", 17, 67, Foreseen),
    both("pwrite64", 18, 68, Foreseen),
    both("readv", 19, 65, Foreseen),
    both("writev", 20, 66, Foreseen),
    x86("access", 21, Foreseen),
    x86("pipe", 22, PLUMBING),
    x86("select", 23, Foreseen),
    both("sched_yield", 24, 124, SCHEDULING),
    both("mremap", 25, 216, MEMORY),
    both("msync", 26, 227, MEMORY),
    both("mincore", 27, 232, MEMORY),
    both("madvise", 28, 233, MEMORY),
    both("shmget", 29, 194, SHARED),
    both("shmat", 30, 196, SHARED),
    both("shmctl", 31, 195, SHARED),
    both("dup", 32, 23, Foreseen),
    x86("dup2", 33, Foreseen),
    x86("pause", 34, SIGNALS),
    both("nanosleep", 35, 101, Foreseen),
    both("getitimer", 36, 102, CLOCKS),
    x86("alarm", 37, CLOCKS),
    both("setitimer", 38, 103, CLOCKS),
    both("getpid", 39, 172, IDENTITY),
    both("sendfile", 40, 71, Foreseen),
    both("socket", 41, 198, PLUMBING),
    both("connect", 42, 203, Foreseen),
    both("accept", 43, 202, PLUMBING),
    both("sendto", 44, 206, Foreseen),
    both("recvfrom", 45, 207, PLUMBING),
    both("sendmsg", 46, 211, Foreseen),
    both("recvmsg", 47, 212, PLUMBING),
    both("shutdown", 48, 210, PLUMBING),
    both("bind", 49, 200, Foreseen),
    both("listen", 50, 201, PLUMBING),
    both("getsockname", 51, 204, PLUMBING),
    both("getpeername", 52, 205, PLUMBING),
    both("socketpair", 53, 199, PLUMBING),
    both("setsockopt", 54, 208, PLUMBING),
    both("getsockopt", 55, 209, PLUMBING),
    both("clone", 56, 220, Foreseen),
    x86("fork", 57, Foreseen),
    x86("vfork", 58, Foreseen),
    both("execve", 59, 221, Foreseen),
    both("exit", 60, 93, Foreseen),
    both("wait4", 61, 260, CHILDREN),
    both("kill", 62, 129, Foreseen),
    both("uname", 63, 160, MACHINE),
    both("semget", 64, 190, SHARED),
    both("semop", 65, 193, SHARED),
    both("semctl", 66, 191, SHARED),
    both("shmdt", 67, 197, SHARED),
    both("msgget", 68, 186, SHARED),
    both("msgsnd", 69, 189, SHARED),
    both("msgrcv", 70, 188, SHARED),
    both("msgctl", 71, 187, SHARED),
    both("fcntl", 72, 25, Sometimes(&FCNTL)),
    both("flock", 73, 32, Foreseen),
    both("fsync", 74, 82, Foreseen),
    both("fdatasync", 75, 83, Foreseen),
    both("truncate", 76, 45, Foreseen),
    both("ftruncate", 77, 46, Foreseen),
    x86("getdents", 78, Foreseen),
    both("getcwd", 79, 17, Foreseen),
    both("chdir", 80, 49, Foreseen),
    both("fchdir", 81, 50, Foreseen),
    x86("rename", 82, Foreseen),
    x86("mkdir", 83, Foreseen),
    x86("rmdir", 84, Foreseen),
    x86("creat", 85, Foreseen),
    x86("link", 86, Foreseen),
    x86("unlink", 87, Foreseen),
    x86("symlink", 88, Foreseen),
    x86("readlink", 89, Foreseen),
    x86("chmod", 90, Foreseen),
    both("fchmod", 91, 52, Foreseen),
    x86("chown", 92, Foreseen),
    both("fchown", 93, 55, Foreseen),
    x86("lchown", 94, Foreseen),
    both("umask", 95, 166, IDENTITY),
    both("gettimeofday", 96, 169, CLOCKS),
    both("getrlimit", 97, 163, MACHINE),
    both("getrusage", 98, 165, CLOCKS),
    both("sysinfo", 99, 179, MACHINE),
    both("times", 100, 153, CLOCKS),
    both("ptrace", 101, 117, OTHERS),
    both("getuid", 102, 174, IDENTITY),
    both("syslog", 103, 116, MACHINE_WIDE),
    both("getgid", 104, 176, IDENTITY),
    both("setuid", 105, 146, IDENTITY),
    both("setgid", 106, 144, IDENTITY),
    both("geteuid", 107, 175, IDENTITY),
    both("getegid", 108, 177, IDENTITY),
    both("setpgid", 109, 154, IDENTITY),
    both("getppid", 110, 173, IDENTITY),
    x86("getpgrp", 111, IDENTITY),
    both("setsid", 112, 157, IDENTITY),
    both("setreuid", 113, 145, IDENTITY),
    both("setregid", 114, 143, IDENTITY),
    both("getgroups", 115, 158, IDENTITY),
    both("setgroups", 116, 159, IDENTITY),
    both("setresuid", 117, 147, IDENTITY),
    both("getresuid", 118, 148, IDENTITY),
    both("setresgid", 119, 149, IDENTITY),
    both("getresgid", 120, 150, IDENTITY),
    both("getpgid", 121, 155, IDENTITY),
    both("setfsuid", 122, 151, IDENTITY),
    both("setfsgid", 123, 152, IDENTITY),
    both("getsid", 124, 156, IDENTITY),
    both("capget", 125, 90, IDENTITY),
    both("capset", 126, 91, IDENTITY),
    both("rt_sigpending", 127, 136, SIGNALS),
    both("rt_sigtimedwait", 128, 137, SIGNALS),
    both("rt_sigqueueinfo", 129, 138, Foreseen),
    both("rt_sigsuspend", 130, 133, SIGNALS),
    both("sigaltstack", 131, 132, SIGNALS),
    x86("utime", 132, Foreseen),
    x86("mknod", 133, Foreseen),
    x86("uselib", 134, Absent),
    both("personality", 135, 92, IDENTITY),
    x86("ustat", 136, MACHINE),
    both("statfs", 137, 43, MACHINE),
    both("fstatfs", 138, 44, MACHINE),
    x86("sysfs", 139, MACHINE),
    both("getpriority", 140, 141, SCHEDULING),
    both("setpriority", 141, 140, SCHEDULING),
    both("sched_setparam", 142, 118, Foreseen),
    both("sched_getparam", 143, 121, SCHEDULING),
    both("sched_setscheduler", 144, 119, Foreseen),
    both("sched_getscheduler", 145, 120, SCHEDULING),
    both("sched_get_priority_max", 146, 125, SCHEDULING),
    both("sched_get_priority_min", 147, 126, SCHEDULING),
    both("sched_rr_get_interval", 148, 127, SCHEDULING),
    both("mlock", 149, 228, MEMORY),
    both("munlock", 150, 229, MEMORY),
    both("mlockall", 151, 230, MEMORY),
    both("munlockall", 152, 231, MEMORY),
    both("vhangup", 153, 58, MACHINE_WIDE),
    x86("modify_ldt", 154, IDENTITY),
    both("pivot_root", 155, 41, PATHS),
    x86("_sysctl", 156, MACHINE_WIDE),
    both("prctl", 157, 167, Sometimes(&PRCTL)),
    x86("arch_prctl", 158, IDENTITY),
    both("adjtimex", 159, 171, MACHINE_WIDE),
    both("setrlimit", 160, 164, MACHINE),
    both("chroot", 161, 51, PATHS),
    both("sync", 162, 81, Foreseen),
    both("acct", 163, 89, MACHINE_WIDE),
    both("settimeofday", 164, 170, MACHINE_WIDE),
    both("mount", 165, 40, PATHS),
    both("umount2", 166, 39, PATHS),
    both("swapon", 167, 224, MACHINE_WIDE),
    both("swapoff", 168, 225, MACHINE_WIDE),
    both("reboot", 169, 142, MACHINE_WIDE),
    both("sethostname", 170, 161, MACHINE_WIDE),
    both("setdomainname", 171, 162, MACHINE_WIDE),
    x86("iopl", 172, MACHINE_WIDE),
    x86("ioperm", 173, MACHINE_WIDE),
    x86("create_module", 174, Absent),
    both("init_module", 175, 105, MACHINE_WIDE),
    both("delete_module", 176, 106, MACHINE_WIDE),
    x86("get_kernel_syms", 177, Absent),
    x86("query_module", 178, Absent),
    both("quotactl", 179, 60, MACHINE_WIDE),
    both("nfsservctl", 180, 42, Absent),
    x86("getpmsg", 181, Absent),
    x86("putpmsg", 182, Absent),
    x86("afs_syscall", 183, Absent),
    x86("tuxcall", 184, Absent),
    x86("security", 185, Absent),
    both("gettid", 186, 178, IDENTITY),
    both("readahead", 187, 213, MACHINE),
    both("setxattr", 188, 5, Foreseen),
    both("lsetxattr", 189, 6, Foreseen),
    both("fsetxattr", 190, 7, Foreseen),
    both("getxattr", 191, 8, Foreseen),
    both("lgetxattr", 192, 9, Foreseen),
    both("fgetxattr", 193, 10, Foreseen),
    both("listxattr", 194, 11, Foreseen),
    both("llistxattr", 195, 12, Foreseen),
    both("flistxattr", 196, 13, Foreseen),
    both("removexattr", 197, 14, Foreseen),
    both("lremovexattr", 198, 15, Foreseen),
    both("fremovexattr", 199, 16, Foreseen),
    both("tkill", 200, 130, Foreseen),
    x86("time", 201, CLOCKS),
    both("futex", 202, 98, THREADS),
    both("sched_setaffinity", 203, 122, Foreseen),
    both("sched_getaffinity", 204, 123, SCHEDULING),
    x86("set_thread_area", 205, IDENTITY),
    both("io_setup", 206, 0, Absent),
    both("io_destroy", 207, 1, Absent),
    both("io_getevents", 208, 4, Absent),
    both("io_submit", 209, 2, Absent),
    both("io_cancel", 210, 3, Absent),
    x86("get_thread_area", 211, IDENTITY),
    both("lookup_dcookie", 212, 18, Absent),
    x86("epoll_create", 213, PLUMBING),
    x86("epoll_ctl_old", 214, Absent),
    x86("epoll_wait_old", 215, Absent),
    both("remap_file_pages", 216, 234, MEMORY),
    both("getdents64", 217, 61, Foreseen),
    both("set_tid_address", 218, 96, THREADS),
    both("restart_syscall", 219, 128, SIGNALS),
    both("semtimedop", 220, 192, SHARED),
    both("fadvise64", 221, 223, MACHINE),
    both("timer_create", 222, 107, CLOCKS),
    both("timer_settime", 223, 110, CLOCKS),
    both("timer_gettime", 224, 108, CLOCKS),
    both("timer_getoverrun", 225, 109, CLOCKS),
    both("timer_delete", 226, 111, CLOCKS),
    both("clock_settime", 227, 112, MACHINE_WIDE),
    both("clock_gettime", 228, 113, CLOCKS),
    both("clock_getres", 229, 114, CLOCKS),
    both("clock_nanosleep", 230, 115, Foreseen),
    both("exit_group", 231, 94, Foreseen),
    x86("epoll_wait", 232, Foreseen),
    both("epoll_ctl", 233, 21, PLUMBING),
    both("tgkill", 234, 131, Foreseen),
    x86("utimes", 235, Foreseen),
    x86("vserver", 236, Absent),
    both("mbind", 237, 235, MEMORY),
    both("set_mempolicy", 238, 237, MEMORY),
    both("get_mempolicy", 239, 236, MEMORY),
    both("mq_open", 240, 180, SHARED),
    both("mq_unlink", 241, 181, SHARED),
    both("mq_timedsend", 242, 182, SHARED),
    both("mq_timedreceive", 243, 183, SHARED),
    both("mq_notify", 244, 184, SHARED),
    both("mq_getsetattr", 245, 185, SHARED),
    both("kexec_load", 246, 104, MACHINE_WIDE),
    both("waitid", 247, 95, CHILDREN),
    both("add_key", 248, 217, Absent),
    both("request_key", 249, 218, Absent),
    both("keyctl", 250, 219, Absent),
    both("ioprio_set", 251, 30, SCHEDULING),
    both("ioprio_get", 252, 31, SCHEDULING),
    x86("inotify_init", 253, WATCHES),
    both("inotify_add_watch", 254, 27, Foreseen),
    both("inotify_rm_watch", 255, 28, WATCHES),
    both("migrate_pages", 256, 238, MEMORY),
    both("openat", 257, 56, Foreseen),
    both("mkdirat", 258, 34, Foreseen),
    both("mknodat", 259, 33, Foreseen),
    both("fchownat", 260, 54, Foreseen),
    x86("futimesat", 261, Foreseen),
    both("newfstatat", 262, 79, Foreseen),
    both("unlinkat", 263, 35, Foreseen),
    both("renameat", 264, 38, Foreseen),
    both("linkat", 265, 37, Foreseen),
    both("symlinkat", 266, 36, Foreseen),
    both("readlinkat", 267, 78, Foreseen),
    both("fchmodat", 268, 53, Foreseen),
    both("faccessat", 269, 48, Foreseen),
    both("pselect6", 270, 72, Foreseen),
    both("ppoll", 271, 73, Foreseen),
    both("unshare", 272, 97, PATHS),
    both("set_robust_list", 273, 99, THREADS),
    both("get_robust_list", 274, 100, THREADS),
    both("splice", 275, 76, Foreseen),
    both("tee", 276, 77, PLUMBING),
    both("sync_file_range", 277, 84, Foreseen),
    both("vmsplice", 278, 75, PLUMBING),
    both("move_pages", 279, 239, MEMORY),
    both("utimensat", 280, 88, Foreseen),
    both("epoll_pwait", 281, 22, Foreseen),
    x86("signalfd", 282, SIGNALS),
    both("timerfd_create", 283, 85, CLOCKS),
    x86("eventfd", 284, PLUMBING),
    both("fallocate", 285, 47, Foreseen),
    both("timerfd_settime", 286, 86, CLOCKS),
    both("timerfd_gettime", 287, 87, CLOCKS),
    both("accept4", 288, 242, PLUMBING),
    both("signalfd4", 289, 74, SIGNALS),
    both("eventfd2", 290, 19, PLUMBING),
    both("epoll_create1", 291, 20, PLUMBING),
    both("dup3", 292, 24, Foreseen),
    both("pipe2", 293, 59, PLUMBING),
    both("inotify_init1", 294, 26, WATCHES),
    both("preadv", 295, 69, Foreseen),
    both("pwritev", 296, 70, Foreseen),
    both("rt_tgsigqueueinfo", 297, 240, Foreseen),
    both("perf_event_open", 298, 241, Absent),
    both("recvmmsg", 299, 243, PLUMBING),
    both("fanotify_init", 300, 262, Absent),
    both("fanotify_mark", 301, 263, Absent),
    both("prlimit64", 302, 261, MACHINE),
    both("name_to_handle_at", 303, 264, Foreseen),
    both("open_by_handle_at", 304, 265, PATHS),
    both("clock_adjtime", 305, 266, MACHINE_WIDE),
    both("syncfs", 306, 267, Foreseen),
    both("sendmmsg", 307, 269, Foreseen),
    both("setns", 308, 268, PATHS),
    both("getcpu", 309, 168, SCHEDULING),
    both("process_vm_readv", 310, 270, OTHERS),
    both("process_vm_writev", 311, 271, OTHERS),
    both("kcmp", 312, 272, IDENTITY),
    both("finit_module", 313, 273, MACHINE_WIDE),
    both("sched_setattr", 314, 274, Foreseen),
    both("sched_getattr", 315, 275, SCHEDULING),
    both("renameat2", 316, 276, Foreseen),
    both("seccomp", 317, 277, IDENTITY),
    both("getrandom", 318, 278, MACHINE),
    both("memfd_create", 319, 279, MEMORY),
    both("kexec_file_load", 320, 294, MACHINE_WIDE),
    both("bpf", 321, 280, Absent),
    both("execveat", 322, 281, Foreseen),
    both("userfaultfd", 323, 282, Absent),
    both("membarrier", 324, 283, MEMORY),
    both("mlock2", 325, 284, MEMORY),
    both("copy_file_range", 326, 285, Foreseen),
    both("preadv2", 327, 286, Foreseen),
    both("pwritev2", 328, 287, Foreseen),
    both("pkey_mprotect", 329, 288, MEMORY),
    both("pkey_alloc", 330, 289, MEMORY),
    both("pkey_free", 331, 290, MEMORY),
    both("statx", 332, 291, Foreseen),
    both("io_pgetevents", 333, 292, Absent),
    both("rseq", 334, 293, THREADS),
    x86("uretprobe", 335, THREADS),
    x86("uprobe", 336, THREADS),
    both("pidfd_send_signal", 424, 424, Foreseen),
    both("io_uring_setup", 425, 425, Absent),
    both("io_uring_enter", 426, 426, Absent),
    both("io_uring_register", 427, 427, Absent),
    both("open_tree", 428, 428, PATHS),
    both("move_mount", 429, 429, PATHS),
    both("fsopen", 430, 430, PATHS),
    both("fsconfig", 431, 431, PATHS),
    both("fsmount", 432, 432, PATHS),
    both("fspick", 433, 433, PATHS),
    both("pidfd_open", 434, 434, IDENTITY),
    both("clone3", 435, 435, Foreseen),
    both("close_range", 436, 436, Foreseen),
    both("openat2", 437, 437, Foreseen),
    both("pidfd_getfd", 438, 438, OTHERS),
    both("faccessat2", 439, 439, Foreseen),
    both("process_madvise", 440, 440, MEMORY),
    both("epoll_pwait2", 441, 441, Foreseen),
    both("mount_setattr", 442, 442, PATHS),
    both("quotactl_fd", 443, 443, MACHINE_WIDE),
    both("landlock_create_ruleset", 444, 444, IDENTITY),
    both("landlock_add_rule", 445, 445, IDENTITY),
    both("landlock_restrict_self", 446, 446, IDENTITY),
    both("memfd_secret", 447, 447, MEMORY),
    both("process_mrelease", 448, 448, MEMORY),
    both("futex_waitv", 449, 449, THREADS),
    both("set_mempolicy_home_node", 450, 450, MEMORY),
    both("cachestat", 451, 451, MACHINE),
    both("fchmodat2", 452, 452, Foreseen),
    both("map_shadow_stack", 453, 453, MEMORY),
    both("futex_wake", 454, 454, THREADS),
    both("futex_wait", 455, 455, THREADS),
    both("futex_requeue", 456, 456, THREADS),
    both("statmount", 457, 457, MACHINE),
    both("listmount", 458, 458, MACHINE),
    both("lsm_get_self_attr", 459, 459, IDENTITY),
    both("lsm_set_self_attr", 460, 460, IDENTITY),
    both("lsm_list_modules", 461, 461, IDENTITY),
    both("mseal", 462, 462, MEMORY),
    both("setxattrat", 463, 463, Foreseen),
    both("getxattrat", 464, 464, Foreseen),
    both("listxattrat", 465, 465, Foreseen),
    both("removexattrat", 466, 466, Foreseen),
    both("open_tree_attr", 467, 467, PATHS),
    both("file_getattr", 468, 468, Foreseen),
    both("file_setattr", 469, 469, Foreseen),
];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The numbers that `x86_64` never gave to a call.
    const GAP_X86_64: std::ops::RangeInclusive<u16> = 337..=423;
    /// The numbers that `aarch64` never gave to a call.
    const GAPS_AARCH64: [std::ops::RangeInclusive<u16>; 2] = [244..=259, 295..=423];
    /// The newest call that is told here: `file_setattr`, of Linux 6.17.
    const NEWEST: u16 = 469;

    #[test]
    fn every_number_is_classified() {
        for number in 0..=NEWEST {
            let count =
                |of: fn(&Call) -> Option<u16>| TABLE.iter().filter(|call| of(call) == Some(number)).count();
            assert_eq!(
                count(|call| call.x86_64),
                usize::from(!GAP_X86_64.contains(&number)),
                "x86_64: {number}"
            );
            let is_gap = GAPS_AARCH64.iter().any(|gap| gap.contains(&number));
            assert_eq!(count(|call| call.aarch64), usize::from(!is_gap), "aarch64: {number}");
        }
        assert!(TABLE.iter().all(|call| call.x86_64.max(call.aarch64) <= Some(NEWEST)));
    }

    /// The kernel's own headers, where they are installed: a call that they have and this table has not is found out.
    #[test]
    fn the_headers_have_no_call_that_is_not_classified() {
        let header = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
        let Ok(text) = std::fs::read_to_string(header) else {
            assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "{header} is missing");
            eprintln!("skipped: {header} is not installed");
            return;
        };
        let known: HashMap<&str, u16> =
            TABLE.iter().filter_map(|call| Some((call.name, call.x86_64?))).collect();
        let mut seen = 0;
        for line in text.lines() {
            let mut words = line.strip_prefix("#define __NR_").into_iter().flat_map(str::split_whitespace);
            let (Some(name), Some(number)) = (words.next(), words.next().and_then(|word| word.parse().ok()))
            else {
                continue;
            };
            seen += 1;
            assert_eq!(known.get(name), Some(&number), "{name} is {number} there");
        }
        assert!(seen > 300, "{header} tells of {seen} calls");
    }

    #[test]
    fn names_and_numbers_are_those_of_libc() {
        for (name, number) in [
            ("openat", libc::SYS_openat),
            ("renameat2", libc::SYS_renameat2),
            ("flock", libc::SYS_flock),
            ("clone3", libc::SYS_clone3),
            ("io_uring_setup", libc::SYS_io_uring_setup),
            ("mseal", libc::SYS_mseal),
            ("sync_file_range", libc::SYS_sync_file_range),
            ("exit_group", libc::SYS_exit_group),
        ] {
            assert_eq!(of(number).map(|call| call.name), Some(name));
        }
        assert!(of(400).is_none() && of(100_000).is_none());
    }

    #[test]
    fn every_group_says_why() {
        for call in TABLE {
            if let Class::Harmless(group) = call.class {
                assert!(Harmless::REASONS.iter().any(|(told, _)| *told == group), "{}: no reason", call.name);
            }
        }
    }
}
