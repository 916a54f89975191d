//! A task that is stopped wherever it stands, and made to go on from elsewhere: how a program under control becomes the
//! template of its own clones.

use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;

/// How long a task may take to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// The registers of a task.
pub(crate) type Registers = libc::user_regs_struct;

/// A task that stands still for the calling thread. When this is dropped, it goes on.
#[derive(Debug)]
pub(crate) struct Stopped(i32);

impl Stopped {
    /// Stops a task. A call that it waits in is interrupted as by a signal that nobody handles; `interrupt` sees to that where
    /// the kernel does not.
    pub(crate) fn stop(task: u32, interrupt: impl FnOnce()) -> io::Result<Self> {
        let task = task.cast_signed();
        ask(libc::PTRACE_SEIZE.into(), task)?;
        let stopped = Self(task);
        ask(libc::PTRACE_INTERRUPT.into(), task)?;
        interrupt();
        stopped.wait()?;
        Ok(stopped)
    }

    fn wait(&self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut status = 0;
            // SAFETY: the kernel writes one number, and there it is.
            let waited = unsafe { libc::waitpid(self.0, &raw mut status, libc::__WALL | libc::WNOHANG) };
            match Errno::result(waited)? {
                0 if Instant::now() > until => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "a task does not stop"));
                }
                0 => std::thread::sleep(Duration::from_micros(20)),
                _ if libc::WIFSTOPPED(status) => return Ok(()),
                _ => return Err(io::Error::new(io::ErrorKind::NotFound, "a task ended before it stopped")),
            }
        }
    }

    /// Its registers.
    pub(crate) fn registers(&self) -> io::Result<Registers> {
        // SAFETY: all zeros is a valid value of plain numbers.
        let mut registers: Registers = unsafe { std::mem::zeroed() };
        let into = (&raw mut registers).cast::<libc::c_void>();
        // SAFETY: the kernel writes one set of registers, and there it is.
        let done = unsafe {
            libc::syscall(libc::SYS_ptrace, i64::from(libc::PTRACE_GETREGS), i64::from(self.0), 0_usize, into)
        };
        Errno::result(done)?;
        Ok(registers)
    }

    /// Gives it other registers.
    pub(crate) fn set_registers(&self, registers: &Registers) -> io::Result<()> {
        let from = std::ptr::from_ref(registers).cast::<libc::c_void>();
        // SAFETY: the kernel reads one set of registers, and there it is; what the task does with them is its own affair.
        let done = unsafe {
            libc::syscall(libc::SYS_ptrace, i64::from(libc::PTRACE_SETREGS), i64::from(self.0), 0_usize, from)
        };
        Errno::result(done)?;
        Ok(())
    }

    /// Lets it do one instruction.
    pub(crate) fn step(&self) -> io::Result<()> {
        ask(libc::PTRACE_SINGLESTEP.into(), self.0)?;
        self.wait()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have been killed.
        _ = ask(libc::PTRACE_DETACH.into(), self.0);
    }
}

/// By the bare call: libraries of C disagree on the type of the request.
fn ask(request: i64, task: i32) -> io::Result<()> {
    // SAFETY: these requests take no memory of ours: no address, and no signal or option.
    let done = unsafe { libc::syscall(libc::SYS_ptrace, request, i64::from(task), 0_usize, 0_usize) };
    Errno::result(done)?;
    Ok(())
}
