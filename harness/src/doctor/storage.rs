//! Where containers would live, and what earlier runs left there.

use std::path::Path;

use super::{Health, Probe};
use crate::measure::machine::Filesystem;
use crate::process;
use crate::report::table::bytes;
use crate::scratch::{self, Scratch};

/// The filesystem of the root, and leftovers there and in the usual places.
pub fn examine(base: &Path) -> Vec<Probe> {
    let mut probes = leftovers(base);
    let tried = Scratch::create(base)
        .and_then(|scratch| Filesystem::of(&scratch.root()))
        .map(|filesystem| {
            format!("{} ({}), {} free", base.display(), filesystem.kind, bytes(filesystem.free_bytes))
        })
        .map_err(|error| format!("no folder can be made below {}: {error}", base.display()));
    probes.push(Probe::needed("root", tried));
    probes
}

fn leftovers(base: &Path) -> Vec<Probe> {
    let mut bases = scratch::usual_bases();
    if !bases.iter().any(|usual| usual == base) {
        bases.push(base.to_owned());
    }
    let killed = process::sweep();
    let cleared = bases.iter().flat_map(|base| scratch::clear_leftovers(base));
    let cleared: Vec<_> = cleared.chain(scratch::clear_registered()).collect();
    if cleared.is_empty() && killed.is_empty() {
        return vec![Probe::new("leftovers", Health::Ok, "none from earlier runs")];
    }
    let told = cleared.into_iter().map(|leftover| {
        let path = leftover.path.display();
        match leftover.error {
            None => {
                let detail = format!("cleared {path}, left by process {}", leftover.owner_pid);
                Probe::new("leftovers", Health::Ok, detail)
            }
            Some(error) => Probe::new("leftovers", Health::Optional, format!("{path} remains: {error}")),
        }
    });
    let killed = killed.into_iter().map(|pid| {
        Probe::new("leftovers", Health::Ok, format!("ended process {pid}, left by an earlier run"))
    });
    killed.chain(told).collect()
}
