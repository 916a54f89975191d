//! What the kernel offers.

use std::fs;
use std::io::{Read, Seek, Write};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, ResolveFlags};

use super::{Finding, Health};
use crate::report::table::bytes;
use crate::results::machine::Machine;

/// Kernel, processors, memory, and the calls that the harness builds on.
pub fn examine(machine: &Machine) -> Vec<Finding> {
    let model = machine.processor_model.as_deref().unwrap_or("of unknown model");
    let processors = format!("{} usable, {model}", machine.processors);
    let processors = match machine.processors {
        // Processes still interleave on one processor, but only where the scheduler cuts them.
        1 => Finding::new("processors", Health::Optional, format!("{processors}: races are rarer on one")),
        _ => Finding::new("processors", Health::Ok, processors),
    };
    vec![
        Finding::new("kernel", Health::Ok, format!("{} ({})", machine.kernel, machine.architecture)),
        processors,
        Finding::new("memory", Health::Ok, bytes(machine.memory_bytes)),
        Finding::needed("process files", process_files()),
        Finding::needed("shared memory", shared_memory()),
        openat2(),
        user_notification(),
    ]
}

fn process_files() -> Result<String, String> {
    let start = crate::results::machine::process_start_ticks(std::process::id());
    start.map(|_| "/proc tells processes apart".into()).ok_or_else(|| "/proc is not mounted".into())
}

/// The log is a memory file that all processes map. That it is shared across a fork is what the canary proves.
fn shared_memory() -> Result<String, String> {
    const SIZE_BYTES: u64 = 1 << 20;
    let tried = || -> std::io::Result<()> {
        let descriptor = rustix::fs::memfd_create("flockwork-doctor", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&descriptor, SIZE_BYTES)?;
        let mut file = fs::File::from(descriptor);
        file.write_all(b"seen")?;
        file.rewind()?;
        let mut back = [0; 4];
        file.read_exact(&mut back)?;
        if &back == b"seen" { Ok(()) } else { Err(std::io::Error::other("it does not keep what is written")) }
    };
    tried().map(|()| "memory files work".into()).map_err(|error| format!("memfd_create: {error}"))
}

fn openat2() -> Finding {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat2(CWD, ".", flags, Mode::empty(), ResolveFlags::BENEATH) {
        Ok(_) => Finding::new("openat2", Health::Ok, "paths can be confined to a root"),
        Err(error) => Finding::new("openat2", Health::Optional, format!("{error} (needs Linux 5.6)")),
    }
}

fn user_notification() -> Finding {
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    if actions.split_whitespace().any(|action| action == "user_notif") {
        return Finding::new("user notification", Health::Ok, "seccomp offers it: explore needs it");
    }
    let detail = "seccomp does not offer it: explore scenarios cannot run, all else can";
    Finding::new("user notification", Health::Optional, detail)
}
