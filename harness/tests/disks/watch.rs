//! One case on one filesystem: done while the disk is watched, and every crash of it mounted and held against the model.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::time::Duration;

use flockwork_harness::disk::{Bounds, Disk, Image, Journal, enumerate, model};

use super::cases::{Case, read, words};
use super::device::{Device, mounted};
use super::filesystem::Filesystem;
use super::images::{Calls, Candidate, Choice, Flushes, candidates};
use super::log;

/// What was seen of a case.
#[derive(Debug, Default)]
pub struct Seen {
    /// How many different disks were mounted.
    pub images: usize,
    /// How many of the states that the model allows were read.
    pub reached: usize,
    /// How many it allows.
    pub allowed: usize,
    /// What was read, each state once, in words.
    pub words: BTreeSet<String>,
    /// What of the file that the page shows, with whether it was read after the last call.
    pub shown: BTreeSet<&'static str>,
    /// What was read that the model does not allow, or could not be mounted or read, and when.
    pub outside: Vec<String>,
}

/// What a crash left.
enum Left {
    Folder(Image),
    Unreadable(String),
}

/// The states that a model allows after so many calls, by their digests; one set for each number of calls.
struct Allowed(Vec<BTreeMap<u128, Image>>);

impl Allowed {
    fn of(journal: &Journal, disk: &dyn Disk) -> Self {
        let after = |calls: usize| {
            let journal = Journal { start: journal.start.clone(), lines: journal.lines[..calls].to_vec() };
            let bounds = Bounds { sets_max: 1 << 16, ..Bounds::default() };
            let states = enumerate(&journal, disk, &[calls], bounds);
            assert!(states.is_exhaustive, "the model allows too many states");
            let last = states.states.into_iter().filter(|state| state.acknowledged == 1);
            last.map(|state| (state.image.digest(), state.image)).collect()
        };
        Self((0..=journal.lines.len()).map(after).collect())
    }

    fn has(&self, digest: u128, (returned, begun): Calls) -> bool {
        self.0[returned..=begun.max(returned)].iter().any(|states| states.contains_key(&digest))
    }

    fn all(&self) -> BTreeSet<u128> {
        self.0.iter().flat_map(BTreeMap::keys).copied().collect()
    }
}

/// Does the case, with replies to writes of data held back for so many milliseconds, and tries every crash of it that was
/// chosen.
pub fn watch(
    device: &Device,
    filesystem: Filesystem,
    case: &Case,
    delay_ms: u32,
    choice: Choice,
) -> io::Result<Seen> {
    let all = record(device, filesystem, case, delay_ms, choice)?;
    let journal = case.journal();
    let disk = model::named(filesystem.model).expect("a model");
    let allowed = Allowed::of(&journal, disk);
    let mut seen = Seen::default();
    let mut digests = BTreeSet::new();
    let mut outside: HashMap<String, Calls> = HashMap::new();
    for candidate in &all {
        if choice.flushes == Flushes::Ignored && !outside.is_empty() {
            break;
        }
        seen.images += 1;
        match mount_and_read(device, filesystem, candidate)? {
            Left::Folder(image) => {
                let digest = image.digest();
                digests.insert(digest);
                seen.words.insert(words(&image));
                seen.shown.insert(super::cases::word(image.get(case.shown)));
                for calls in &candidate.when {
                    if !allowed.has(digest, *calls) {
                        outside.entry(words(&image)).or_insert(*calls);
                    }
                }
            }
            Left::Unreadable(why) => {
                outside.entry(why).or_insert(*candidate.when.first().expect("a moment"));
            }
        }
    }
    let every = allowed.all();
    seen.reached = every.intersection(&digests).count();
    seen.allowed = every.len();
    let tell = |(what, (returned, begun)): (String, Calls)| {
        let done: Vec<String> = case.ops[..returned].iter().map(|op| format!("{op:?}")).collect();
        let going =
            if begun > returned { format!(", during {:?}", case.ops[returned]) } else { String::new() };
        format!("{} on {}: {what} after [{}]{going}", case.name, filesystem.model, done.join(", "))
    };
    seen.outside = outside.into_iter().map(tell).collect();
    seen.outside.sort();
    Ok(seen)
}

/// Does the case, and says which disks a crash may leave of it.
fn record(
    device: &Device,
    filesystem: Filesystem,
    case: &Case,
    delay_ms: u32,
    choice: Choice,
) -> io::Result<Vec<Candidate>> {
    device.command("anew")?;
    device.forget()?;
    filesystem.mount(device)?;
    let folder = mounted().join("state");
    case.lay(&folder)?;
    nix::unistd::syncfs(std::fs::File::open(&folder)?)?;
    // A second time: a journal is empty only then.
    filesystem.commit(1)?;
    device.command(&format!("record {delay_ms}"))?;
    for (number, op) in case.ops.iter().enumerate() {
        device.command(&format!("mark begin {number}"))?;
        Case::perform(op, &folder)?;
        device.command(&format!("mark end {number}"))?;
    }
    filesystem.commit(2)?;
    // By then all but the first write of data was told to have arrived.
    std::thread::sleep(Duration::from_millis(2 * u64::from(delay_ms)));
    filesystem.commit(3)?;
    nix::unistd::syncfs(std::fs::File::open(&folder)?)?;
    let told = device.told()?;
    device.unmount()?;
    let (writes, events) = log::read(&told);
    Ok(candidates(&writes, &events, choice))
}

/// What the next mount finds.
fn mount_and_read(device: &Device, filesystem: Filesystem, candidate: &Candidate) -> io::Result<Left> {
    let pieces: Vec<String> =
        candidate.pieces.iter().map(|(write, from, to)| format!("{write}:{from}:{to}")).collect();
    device.command(&format!("image {}", pieces.join(",")))?;
    device.forget()?;
    if let Err(error) = filesystem.mount(device) {
        return Ok(Left::Unreadable(format!("it cannot be mounted: {error}")));
    }
    let left = match read(&mounted().join("state")) {
        Ok(image) => Left::Folder(image),
        Err(error) => Left::Unreadable(format!("it cannot be read: {error}")),
    };
    device.unmount()?;
    Ok(left)
}
