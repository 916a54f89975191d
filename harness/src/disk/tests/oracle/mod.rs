//! The enumeration of states held against one of another make, on random small programs.
//!
//! The enumeration closes sets of missing pieces over what hangs on them. Here every subset of the effects of a program is tried, and a
//! predicate, written from the tables of docs/disks.md, says of a whole disk whether its filesystem may have left it. Both
//! must come to the same folders at every moment, and where the enumeration is bounded it must have what it promises.

mod program;
mod tables;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use self::program::{EFFECTS_MAX, FOLDER, Key, Program, What, block_end};
use self::tables::Tables;
use crate::disk::{Bounds, Image, Node, State, enumerate, model};

/// A file of the oracle's own.
#[derive(Clone, Default)]
struct Held {
    mode: u32,
    size: u64,
    bytes: Vec<u8>,
}

/// What is read of a disk, as a number.
fn read(program: &Program, has: &[bool]) -> u64 {
    let mut names: BTreeMap<Key, u32> = [((0, "d"), 1), ((0, "f"), 2), ((1, "g"), 3)].into_iter().collect();
    let mut files: HashMap<u32, Held> = HashMap::new();
    for (inode, node) in &program.journal.start.inodes {
        if let Node::File { content, .. } = node {
            files.insert(
                inode.0,
                Held { mode: 0o644, size: content.len(), bytes: content.bytes().into_owned() },
            );
        }
    }
    let new = || Held { mode: 0o644, ..Held::default() };
    for (effect, _) in program.effects.iter().zip(has).filter(|(_, has)| **has) {
        match &effect.what {
            What::Names(set, _) => {
                for (key, to) in set {
                    match to {
                        Some(to) => _ = names.insert(*key, *to),
                        None => _ = names.remove(key),
                    }
                }
            }
            What::Mode(file, mode) => files.entry(*file).or_insert_with(new).mode = *mode,
            What::Cut(file, size) => {
                let held = files.entry(*file).or_insert_with(new);
                held.size = *size;
                held.bytes.truncate(block_end(*size) as usize);
            }
            What::Grow { file, to, .. } => {
                let held = files.entry(*file).or_insert_with(new);
                held.size = held.size.max(*to);
            }
            What::Bytes { file, from, to, .. } | What::Zeros { file, from, to, .. } => {
                let tag = if let What::Bytes { tag, .. } = effect.what { tag } else { 0 };
                let held = files.entry(*file).or_insert_with(new);
                if held.bytes.len() < *to as usize {
                    held.bytes.resize(*to as usize, 0);
                }
                held.bytes[*from as usize..*to as usize].fill(tag);
            }
        }
    }
    let mut paths: BTreeMap<String, (u32, Option<Held>)> = BTreeMap::new();
    for ((folder, name), inode) in &names {
        let above = match folder {
            0 => "",
            1 => "d/",
            // Whatever lies in a folder that has no name cannot be read.
            _ if !names.contains_key(&(0, "e")) => continue,
            _ => "e/",
        };
        let held = (!matches!(*inode, 1 | FOLDER)).then(|| {
            let mut held = files.get(inode).cloned().unwrap_or_else(new);
            held.bytes.resize(held.size as usize, 0);
            held
        });
        paths.insert(format!("{above}{name}"), (*inode, held));
    }
    number(paths.iter().map(|(path, (inode, held))| {
        let held = held.as_ref();
        (path.as_str(), *inode, held.map_or(0o755, |held| held.mode), held.map(|held| held.bytes.clone()))
    }))
}

fn read_image(image: &Image) -> u64 {
    number(image.nodes().iter().map(|(path, (inode, node))| match node {
        Node::File { mode, content } => (&**path, *inode, *mode, Some(content.bytes().into_owned())),
        Node::Folder { mode } => (&**path, *inode, *mode, None),
        Node::Link { .. } => unreachable!("no program makes one"),
    }))
}

fn number<'a>(nodes: impl Iterator<Item = (&'a str, u32, u32, Option<Vec<u8>>)>) -> u64 {
    let (mut hasher, mut met) = (DefaultHasher::new(), Vec::new());
    for (path, inode, mode, bytes) in nodes {
        // Which file it is says only which paths are hard links to one.
        let which = met.iter().position(|known| *known == inode).unwrap_or(met.len());
        met.push(inode);
        (path, which, mode, bytes).hash(&mut hasher);
    }
    hasher.finish()
}

/// What came of one program.
#[derive(Default)]
struct Compared {
    states: usize,
    subsets: usize,
}

fn compare(disk: &'static str, seed: u64) -> Compared {
    let program = Program::new(disk, seed);
    let (lines, effects) = (&program.journal.lines, &program.effects);
    let tables = Tables { disk, effects, lines };
    let moments: Vec<usize> = (1..=lines.len()).collect();
    let told = |bounds: Bounds| {
        let model = model::named(disk).expect("a model");
        let states = enumerate(&program.journal, model, &moments, bounds);
        let of = |state: &State| (state.calls, read_image(&state.image));
        (states.states.iter().map(of).collect::<BTreeSet<_>>(), states.is_exhaustive)
    };
    let (all, is_exhaustive) = told(Bounds { sets_max: 1 << EFFECTS_MAX, ..Bounds::default() });
    assert!(is_exhaustive);
    let (bounded, _) = told(Bounds { sets_max: 1, ..Bounds::default() });
    let mut compared = Compared::default();
    let (mut expected, mut promised) = (BTreeSet::new(), BTreeSet::new());
    for calls in 0..=lines.len() {
        let durable = tables.durable(calls);
        let there = effects.iter().filter(|effect| effect.line < calls).count();
        let mut allowed: Vec<u32> = Vec::new();
        for subset in 0..1_u32 << there {
            let has: Vec<bool> = (0..effects.len()).map(|e| e < there && subset & 1 << e != 0).collect();
            compared.subsets += 1;
            if tables.allows(&has, &durable, calls) {
                allowed.push(subset);
                expected.insert((calls, read(&program, &has)));
            }
        }
        // The bounded enumeration has the most that can be there without any one effect, and without any two.
        let most =
            |without: u32| allowed.iter().filter(|set| *set & without == 0).fold(0, |all, set| all | set);
        for one in 0..there {
            for other in one..there {
                let without = 1 << one | 1 << other;
                if allowed.iter().any(|set| set & without == 0) {
                    let set = most(without);
                    let has: Vec<bool> = (0..effects.len()).map(|e| set & 1 << e != 0).collect();
                    promised.insert((calls, read(&program, &has)));
                }
            }
        }
    }
    let explain = || {
        let labels: Vec<&str> = lines.iter().map(|line| &*line.label).collect();
        format!("{disk}, seed {seed}: {labels:#?}; {effects:#?}")
    };
    compared.states = expected.len();
    let (missed, invented) = (expected.difference(&all).count(), all.difference(&expected).count());
    assert!(
        missed == 0 && invented == 0,
        "{missed} states missed, {invented} invented by the enumeration: {}",
        explain()
    );
    assert!(bounded.is_subset(&all), "a bound adds states: {}", explain());
    assert!(promised.is_subset(&bounded), "a bound loses more than it says: {}", explain());
    compared
}

fn compare_all(programs: u64) {
    for disk in ["posix", "ext4", "ext4-dioread-lock", "ext4-writeback", "xfs", "btrfs"] {
        let mut total = Compared::default();
        for seed in 0..programs {
            let one = compare(disk, seed);
            total.states += one.states;
            total.subsets += one.subsets;
        }
        println!("{disk}: {programs} programs, {} subsets tried, {} states", total.subsets, total.states);
        assert!(total.states as u64 > 5 * programs, "{disk}: {} states say little", total.states);
    }
}

#[test]
fn every_subset_tried_by_the_tables_comes_to_the_states_of_the_enumeration() {
    compare_all(if std::env::var_os("FLOCKWORK_LONG").is_some() { 3_000 } else { 80 });
}
