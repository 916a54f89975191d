//! Starting a command under a filter that would stop every call of whoever starts it: these calls carry the pass.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;

use super::task::SchedParam;

/// A program with all that it is started with, laid out as the kernel wants it.
#[derive(Debug)]
pub(crate) struct Image {
    program: CString,
    words: Strings,
    environment: Strings,
    folder: CString,
    stdin: Option<CString>,
}

impl Image {
    /// An image of this program, arguments and environment, ready for `execve` without another allocation.
    pub(crate) fn new(
        program: CString,
        words: Vec<CString>,
        environment: Vec<CString>,
        folder: CString,
        stdin: Option<CString>,
    ) -> Self {
        Self { program, words: Strings::of(words), environment: Strings::of(environment), folder, stdin }
    }
}

/// Texts, and a list of pointers to them that ends with none.
#[derive(Debug)]
struct Strings {
    pointers: Vec<*const c_char>,
    #[expect(dead_code, reason = "the pointers lead into them")]
    texts: Vec<CString>,
}

impl Strings {
    fn of(texts: Vec<CString>) -> Self {
        let pointers = texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        Self { pointers, texts }
    }
}

/// How a command is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Starting {
    /// The word that the filter lets pass.
    pub pass: u64,
    /// Whether it runs in the class `SCHED_FIFO`, and with it all that it starts.
    pub real_time: bool,
    /// Its niceness, where the one who starts it has another.
    pub niceness: Option<i32>,
}

/// What the child needs, by one pointer.
struct Errand<'e> {
    image: &'e Image,
    starting: Starting,
    /// Why it could not be started: an error's number.
    error: AtomicI32,
    /// Why it is in no class of its own.
    class: AtomicI32,
}

/// A command that was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    /// The process number, valid until it is reaped.
    pub pid: i32,
    /// The error for which it is not in the class `SCHED_FIFO`, though that was asked for; 0 for none.
    pub class_error: i32,
}

/// Starts a command; returns when it has begun, or could not. The calling process must have one thread.
pub(crate) fn start(image: &Image, starting: Starting) -> io::Result<Child> {
    const STACK_BYTES: usize = 64 << 10;
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    let errand = Errand { image, starting, error: AtomicI32::new(0), class: AtomicI32::new(0) };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the end of a vector is a valid place to point to.
    let top = unsafe { stack.as_mut_ptr().add(stack.len()) };
    let argument = (&raw const errand).cast_mut().cast::<c_void>();
    // Without `CLONE_SETTLS` the kernel does not look at the last argument. glibc leaves it in the register of a sixth argument
    // on x86_64, where the filter finds the pass; elsewhere the call stops, and the controller lets it go on.
    let (nowhere, pass) = (std::ptr::null_mut::<c_int>(), starting.pass as *mut c_void);
    // SAFETY: the child runs `be_child` on a stack of its own, aligned as every architecture wants it, and shares our
    // memory; we stand still until it has executed a program or ended (`CLONE_VFORK`), so the stack and the errand outlive
    // it, and nobody else touches them. What follows the argument is read by none of these flags.
    let pid = unsafe { libc::clone(be_child, top.cast(), flags, argument, nowhere, pass, nowhere) };
    let pid = Errno::result(pid)?;
    match errand.error.load(Ordering::Relaxed) {
        0 => Ok(Child { pid, class_error: errand.class.load(Ordering::Relaxed) }),
        error => {
            // It has ended, and nobody else reaps it.
            _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
            Err(io::Error::from_raw_os_error(error))
        }
    }
}

/// The child's part, until it is another program: system calls only, as it shares its parent's memory.
extern "C" fn be_child(errand: *mut c_void) -> c_int {
    // SAFETY: `start` gave a pointer to an errand that lives until this process has another memory.
    let errand = unsafe { &*errand.cast::<Errand<'_>>() };
    let error = become_command(errand);
    errand.error.store(error, Ordering::Relaxed);
    let pass = errand.starting.pass;
    // SAFETY: the process ends.
    unsafe { libc::syscall(libc::SYS_exit_group, 127, 0_u64, 0_u64, 0_u64, 0_u64, pass) };
    127
}

/// Gives back the error's number, if it gives back anything.
fn become_command(errand: &Errand<'_>) -> i32 {
    let Errand { image, starting, .. } = errand;
    let pass = starting.pass;
    // Whoever has just been forked can lead a group.
    _ = call(libc::SYS_setpgid, [0; 5], pass);
    // SAFETY: this call takes numbers and touches no memory. It needs no pass.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if let Some(niceness) = starting.niceness {
        // SAFETY: as above.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) };
    }
    if starting.real_time {
        let least = SchedParam { priority: 1 };
        let arguments = [0, libc::SCHED_FIFO as u64, (&raw const least).addr() as u64, 0, 0];
        errand
            .class
            .store(call(libc::SYS_sched_setscheduler, arguments, pass).err().unwrap_or(0), Ordering::Relaxed);
    }
    match prepare(image, pass) {
        Ok(()) => {
            let pointers = [
                text(&image.program),
                image.words.pointers.as_ptr().addr() as u64,
                image.environment.pointers.as_ptr().addr() as u64,
                0,
                0,
            ];
            call(libc::SYS_execve, pointers, pass).err().unwrap_or(0)
        }
        Err(error) => error,
    }
}

fn prepare(image: &Image, pass: u64) -> Result<(), i32> {
    if let Some(stdin) = &image.stdin {
        let here = i64::from(libc::AT_FDCWD).cast_unsigned();
        let opened = call(libc::SYS_openat, [here, text(stdin), libc::O_RDONLY as u64, 0, 0], pass)?;
        call(libc::SYS_dup3, [opened, 0, 0, 0, 0], pass)?;
        call(libc::SYS_close, [opened, 0, 0, 0, 0], pass)?;
    }
    call(libc::SYS_chdir, [text(&image.folder), 0, 0, 0, 0], pass)?;
    Ok(())
}

fn text(text: &CStr) -> u64 {
    text.as_ptr().addr() as u64
}

/// A system call with the pass; the error is a number.
fn call(number: i64, arguments: [u64; 5], pass: u64) -> Result<u64, i32> {
    let [first, second, third, fourth, fifth] = arguments;
    // SAFETY: whoever calls this gives pointers to texts and structures that live as long as the call, as `Image` and
    // `Errand` do; a sixth argument is none of these calls' own.
    let done = unsafe { libc::syscall(number, first, second, third, fourth, fifth, pass) };
    Errno::result(done).map(i64::cast_unsigned).map_err(|error| error as i32)
}
