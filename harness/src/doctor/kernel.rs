//! What the kernel offers.

use std::fs;
use std::io::{Read, Seek, Write};

use rustix::fs::MemfdFlags;

use super::{Health, Probe};
use crate::measure::machine::Machine;
use crate::report::table::bytes;

/// Kernel, processors, memory, and the calls that the harness builds on.
pub fn examine(machine: &Machine) -> Vec<Probe> {
    let model = machine.processor_model.as_deref().unwrap_or("of unknown model");
    let processors = format!("{} usable, {model}", machine.processors);
    let processors = match machine.processors {
        // Processes still interleave on one processor, but only where the scheduler cuts them.
        1 => Probe::new("processors", Health::Optional, format!("{processors}: races are rarer on one")),
        _ => Probe::new("processors", Health::Ok, processors),
    };
    vec![
        Probe::new("kernel", Health::Ok, format!("{} ({})", machine.kernel, machine.architecture)),
        processors,
        Probe::new("memory", Health::Ok, bytes(machine.memory_bytes)),
        Probe::needed("process files", process_files()),
        Probe::needed("shared memory", shared_memory()),
    ]
}

/// Whether processes can be told apart: by the `/proc` of this pid namespace, and for good where the kernel numbers them.
fn process_files() -> Result<String, String> {
    match flockwork::ProcessIdentity::own() {
        Some(own) if own.inode.is_some() => Ok("/proc and pidfds identify processes reliably".into()),
        Some(_) => Ok("/proc identifies processes within a time namespace (reliably since Linux 6.9)".into()),
        None => Err("/proc is not mounted, or is that of another pid namespace".into()),
    }
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
