//! The code that is put into a template: it asks what to do, does it, and asks again; or it becomes the program that it
//! was, before the very call at which that was stopped.
//!
//! It asks by a call that no kernel knows and that stops (see [`RENDEZVOUS`]), and tells the result of the last call as it
//! does. It uses no stack. Where nobody answers any more, it ends.

use super::super::memory::Memory;
use super::guard::{HANDED_ON, TABLE};
use super::{CALL, GO};
use crate::process::sys::ptrace::{Registers, Stopped};
use crate::process::sys::seccomp::{Listener, Notification, RENDEZVOUS, Reply};

/// How long a page is.
const PAGE_BYTES: u64 = 4096;
/// `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// Bytes of `struct robust_list_head`.
const ROBUST_BYTES: u32 = 24;
/// What the kernel leaves in `rax` of a task whose call is to be made again.
const RESTART: i64 = -512;

/// Puts the code into a task that waits at this stop, and has it go on there; gives back where the code lies.
pub(super) fn implant(stop: &Notification, listener: &Listener) -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("it cannot be stopped: {error}");
    // Where signals wait for the answer, so does the tracer; elsewhere the stop may be gone by then.
    let interrupt = || _ = listener.answer(stop.id, Reply::Interrupted);
    let stopped = Stopped::stop(stop.task, interrupt).map_err(failed)?;
    let own = stopped.registers().map_err(failed)?;
    if own.rax.cast_signed() != RESTART || own.orig_rax.cast_signed() != stop.number {
        return Err("it does not stand where it stopped".into());
    }
    let call_at = own.rip - SYSCALL.len() as u64;
    let mut instruction = [0; 2];
    Memory(stop.task).read(call_at, &mut instruction);
    if instruction != SYSCALL {
        return Err("it makes its calls in an unknown way".into());
    }
    let own = Registers { rip: call_at, ..own };
    let map = Registers {
        rax: libc::SYS_mmap as u64,
        rdi: 0,
        rsi: PAGE_BYTES,
        rdx: (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as u64,
        r10: (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64,
        r8: u64::MAX,
        r9: 0,
        orig_rax: u64::MAX,
        ..own
    };
    stopped.set_registers(&map).map_err(failed)?;
    stopped.step().map_err(failed)?;
    let page = stopped.registers().map_err(failed)?.rax;
    if page > i64::MAX as u64 {
        return Err("it cannot have a page more".into());
    }
    Memory(stop.task).write(page, &code(page, &own, stop.number)).map_err(failed)?;
    stopped.set_registers(&Registers { rip: page, rbx: 0, orig_rax: u64::MAX, ..own }).map_err(failed)?;
    Ok(page)
}

/// The code, for a page at this address, and a program with these registers before a call of this number.
fn code(page: u64, own: &Registers, number: i64) -> Vec<u8> {
    let mut code = Code(Vec::new());
    // Ask: prctl(RENDEZVOUS, the last result, 0, 0, 0).
    code.number(&[0xb8], libc::SYS_prctl as u32);
    code.number(&[0xbf], RENDEZVOUS.cast_unsigned());
    code.add(&[0x48, 0x89, 0xde]); // mov rsi, rbx
    code.add(&[0x31, 0xd2, 0x45, 0x31, 0xd2, 0x45, 0x31, 0xc0, 0x45, 0x31, 0xc9]); // rdx, r10, r8, r9 = 0
    code.add(&SYSCALL);
    code.number(&[0x3d], CALL as u32); // cmp eax, CALL
    let to_call = code.branch(&[0x0f, 0x84]); // je
    code.number(&[0x3d], GO as u32);
    let to_go = code.branch(&[0x0f, 0x84]);
    // Nobody answers: exit_group(127), or die.
    code.number(&[0xb8], libc::SYS_exit_group as u32);
    code.number(&[0xbf], 127);
    code.add(&SYSCALL);
    code.add(&[0x0f, 0x0b]); // ud2
    // Make the call that is written down.
    code.land(to_call);
    code.word(&[0x49, 0xbc], page + TABLE); // mov r12, TABLE
    // Before it, go to the folder that is written down, if there is one.
    code.add(&[0x49, 0x8b, 0x7c, 0x24, 0x38]); // mov rdi, [r12 + 56]
    code.add(&[0x48, 0x85, 0xff]); // test rdi, rdi
    let at_once = code.branch(&[0x0f, 0x84]); // je
    code.number(&[0xb8], libc::SYS_chdir as u32);
    code.add(&[0x4d, 0x8b, 0x4c, 0x24, 0x30]); // mov r9, [r12 + 48]: the pass
    code.add(&SYSCALL);
    code.add(&[0x48, 0x89, 0xc3]); // mov rbx, rax
    code.add(&[0x48, 0x85, 0xc0]); // test rax, rax
    let failed = code.branch(&[0x0f, 0x85]); // jne
    code.land_at(failed, 0);
    code.land(at_once);
    code.add(&[0x49, 0x8b, 0x04, 0x24]); // mov rax, [r12]
    code.add(&[0x49, 0x8b, 0x7c, 0x24, 0x08]); // mov rdi, [r12 + 8]
    code.add(&[0x49, 0x8b, 0x74, 0x24, 0x10]); // mov rsi, [r12 + 16]
    code.add(&[0x49, 0x8b, 0x54, 0x24, 0x18]); // mov rdx, [r12 + 24]
    code.add(&[0x4d, 0x8b, 0x54, 0x24, 0x20]); // mov r10, [r12 + 32]
    code.add(&[0x4d, 0x8b, 0x44, 0x24, 0x28]); // mov r8, [r12 + 40]
    code.add(&[0x4d, 0x8b, 0x4c, 0x24, 0x30]); // mov r9, [r12 + 48]
    code.add(&SYSCALL);
    code.add(&[0x48, 0x89, 0xc3]); // mov rbx, rax
    let back = code.branch(&[0xe9]); // jmp
    code.land_at(back, 0);
    // Be the program: in a process group of one's own, as whoever is started.
    code.land(to_go);
    code.word(&[0x49, 0xbc], page + TABLE); // mov r12, TABLE
    code.number(&[0xb8], libc::SYS_setpgid as u32);
    code.add(&[0x31, 0xff, 0x31, 0xf6]); // rdi, rsi = 0
    code.number(&[0xba], super::guard::OWN_GROUP); // a mark by which the controller knows the call
    code.add(&[0x4d, 0x8b, 0x4c, 0x24, 0x30]); // mov r9, [r12 + 48]: the pass
    code.add(&SYSCALL);
    // The program is not to find the pass.
    code.add(&[0x31, 0xc0]); // xor eax, eax
    code.add(&[0x49, 0x89, 0x44, 0x24, 0x30]); // mov [r12 + 48], rax
    // Ask for what a fork does not hand on: set_robust_list(list, 24), set_tid_address(cleared),
    // prctl(PR_SET_PDEATHSIG, signal), prctl(PR_SET_CHILD_SUBREAPER, adopts).
    code.word(&[0x49, 0xbc], page + HANDED_ON); // mov r12, HANDED_ON
    code.number(&[0xb8], libc::SYS_set_robust_list as u32);
    code.add(&[0x49, 0x8b, 0x3c, 0x24]); // mov rdi, [r12]
    code.number(&[0xbe], ROBUST_BYTES);
    code.add(&SYSCALL);
    code.number(&[0xb8], libc::SYS_set_tid_address as u32);
    code.add(&[0x49, 0x8b, 0x7c, 0x24, 0x08]); // mov rdi, [r12 + 8]
    code.add(&SYSCALL);
    for (option, at) in [(libc::PR_SET_PDEATHSIG, 0x10), (libc::PR_SET_CHILD_SUBREAPER, 0x18)] {
        code.number(&[0xb8], libc::SYS_prctl as u32);
        code.number(&[0xbf], option.cast_unsigned());
        code.add(&[0x49, 0x8b, 0x74, 0x24, at]); // mov rsi, [r12 + at]
        code.add(&SYSCALL);
    }
    let registers: [(&[u8], u64); 14] = [
        (&[0x48, 0xbb], own.rbx),
        (&[0x48, 0xbd], own.rbp),
        (&[0x48, 0xbc], own.rsp),
        (&[0x49, 0xbc], own.r12),
        (&[0x49, 0xbd], own.r13),
        (&[0x49, 0xbe], own.r14),
        (&[0x49, 0xbf], own.r15),
        (&[0x48, 0xbf], own.rdi),
        (&[0x48, 0xbe], own.rsi),
        (&[0x48, 0xba], own.rdx),
        (&[0x49, 0xba], own.r10),
        (&[0x49, 0xb8], own.r8),
        (&[0x49, 0xb9], own.r9),
        (&[0x48, 0xb8], number.cast_unsigned()),
    ];
    for (opcode, value) in registers {
        code.word(opcode, value);
    }
    code.word(&[0x48, 0xb9], own.rip); // mov rcx, rip: the call itself overwrites rcx
    code.add(&[0xff, 0xe1]); // jmp rcx
    debug_assert!((code.0.len() as u64) < TABLE, "the code reaches into its table");
    code.0
}

/// Instructions as they are written.
struct Code(Vec<u8>);

impl Code {
    fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, opcode: &[u8], number: u32) {
        self.add(opcode);
        self.add(&number.to_le_bytes());
    }

    fn word(&mut self, opcode: &[u8], word: u64) {
        self.add(opcode);
        self.add(&word.to_le_bytes());
    }

    /// A branch to a place that is told later; gives back where its distance lies.
    fn branch(&mut self, opcode: &[u8]) -> usize {
        self.number(opcode, 0);
        self.0.len() - 4
    }

    /// Such a branch leads here.
    fn land(&mut self, branch: usize) {
        self.land_at(branch, self.0.len());
    }

    fn land_at(&mut self, branch: usize, place: usize) {
        let at = |place: usize| i32::try_from(place).expect("code is short");
        let distance = at(place) - (at(branch) + 4);
        self.0[branch..branch + 4].copy_from_slice(&distance.to_le_bytes());
    }
}
