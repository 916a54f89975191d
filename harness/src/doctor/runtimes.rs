//! Container runtimes: which of them are usable here, each tried with the life of one container, and why the others are not.
//!
//! Nothing but the scenarios of `scenarios/runtimes` needs one, so none is ever missing.

use std::io;
use std::path::Path;

use super::{Health, Probe};
use crate::process::Zygote;
use crate::runtimes::{Host, HostError, Runtime, life};
use crate::scratch::Scratch;

/// Tries each below `base`.
pub fn examine(zygote: &io::Result<Zygote>, base: &Path) -> Vec<Probe> {
    Runtime::ALL.into_iter().map(|runtime| try_one(runtime, zygote, base)).collect()
}

fn try_one(runtime: Runtime, zygote: &io::Result<Zygote>, base: &Path) -> Probe {
    let name = format!("runtime {runtime}");
    let tried = match zygote {
        Ok(zygote) => live(runtime, zygote, base),
        Err(error) => Err(HostError::Lacking(format!("no process can be started: {error}"))),
    };
    match tried {
        Ok(detail) => Probe::new(name, Health::Ok, detail),
        Err(why) => Probe::new(name, Health::Optional, why.to_string()),
    }
}

fn live(runtime: Runtime, zygote: &Zygote, base: &Path) -> Result<String, HostError> {
    let scratch = Scratch::create(base)?;
    let root = scratch.root();
    let mut host = Host::open(zygote, &runtime.plan(), &root)?;
    let lived = host.version().and_then(|version| {
        life::try_life(&mut host, &format!("fw{}-doctor", std::process::id()))?;
        Ok(format!(
            "{version}, {}: a container was created, started, killed and deleted",
            host.program.display()
        ))
    });
    let left = host.close();
    match lived {
        Ok(_) if !left.is_empty() => {
            Err(HostError::Lacking(format!("what it left cannot be removed: {left:?}")))
        }
        lived => lived,
    }
}
