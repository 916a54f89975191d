//! The models against what was seen on real filesystems after real power losses (docs/disks.md), case by case.

mod oracle;
mod shortened;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::{
    Bounds, Change, Content, Disk, Excess, Image, Inode, Journal, Line, Node, ROOT, Start, State, Sync,
    Trial, enumerate, model, walk,
};

/// A journal written by hand: names stand for inodes.
struct Script {
    journal: Journal,
    next: Inode,
}

fn file(text: &str) -> Node {
    Node::File { mode: 0o644, content: Content::of(text.to_owned()) }
}

impl Script {
    /// Of a folder with these files.
    fn with(files: &[(&str, &str)]) -> Self {
        let mut image = Image::default();
        for (number, (name, text)) in files.iter().enumerate() {
            image.insert(*name, number as u32 + 1, file(text));
        }
        let start = Start::of(&image);
        let next = start.next_inode();
        Self { journal: Journal { start, lines: Vec::new() }, next }
    }

    fn of(&self, name: &str) -> Inode {
        self.journal.start.entries[&(ROOT, name.into())]
    }

    fn line(mut self, change: Change) -> Self {
        self.journal.lines.push(Line { process: 1, step: 0, label: format!("{change:?}").into(), change });
        self
    }

    fn create(mut self, name: &str) -> (Self, Inode) {
        let inode = self.next;
        self.next.0 += 1;
        let made = Change::Create { inode, node: file(""), folder: ROOT, name: name.into() };
        (self.line(made), inode)
    }

    fn write(self, inode: Inode, offset: u64, text: &str) -> Self {
        self.line(Change::Write { inode, offset, bytes: text.to_owned().into() })
    }

    fn fsync(self, inode: Inode) -> Self {
        self.line(Change::Sync { inode, what: Sync::All })
    }

    fn rename(self, inode: Inode, from: &str, to: &str, replaced: Option<Inode>) -> Self {
        self.line(Change::Rename { inode, from: (ROOT, from.into()), to: (ROOT, to.into()), replaced })
    }

    /// What may be read of this file after the last call, or at any time.
    fn reads(&self, disk: &str, name: &str, when: When) -> BTreeSet<String> {
        let disk = model::named(disk).expect("a model");
        let end = self.journal.lines.len();
        let bounds = Bounds { sets_max: 1 << 16, ..Bounds::default() };
        let states = enumerate(&self.journal, disk, &[end], bounds);
        assert!(states.is_exhaustive);
        let all = states.states.iter().filter(|state| when == When::Ever || state.acknowledged == 1);
        all.map(|state| shown(state.image.get(name))).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Ever,
    AtTheEnd,
}

/// The content, in one word where it is long.
fn shown(node: Option<&Node>) -> String {
    match node {
        None => "absent".into(),
        Some(Node::File { content, .. }) if content.is_empty() => "empty".into(),
        Some(Node::File { content, .. }) if content.written().next().is_none() => "zeros".into(),
        Some(Node::File { content, .. }) => {
            let mut text = String::from_utf8_lossy(&content.bytes()).into_owned();
            let runs: Vec<char> = text.chars().collect();
            if runs.len() > 16 {
                let mut short: Vec<char> = runs;
                short.dedup();
                text = short.into_iter().collect::<String>().replace('\0', "0");
            }
            text
        }
        Some(other) => format!("{other:?}"),
    }
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Writes a temporary file and renames it over `f`, with these syncs.
fn replace(synced: bool, folder: bool) -> Script {
    let script = Script::with(&[("f", "old")]);
    let old = script.of("f");
    let (script, new) = script.create("f.tmp");
    let mut script = script.write(new, 0, "new");
    if synced {
        script = script.fsync(new);
    }
    script = script.rename(new, "f.tmp", "f", Some(old));
    if folder { script.fsync(ROOT) } else { script }
}

#[test]
fn a_rename_over_without_fsync_leaves_what_each_filesystem_was_seen_to_leave() {
    for (disk, expected) in [
        ("ext4", &["new", "old", "zeros"][..]),
        ("ext4-dioread-lock", &["new", "old"]),
        ("ext4-writeback", &["new", "old", "zeros"]),
        ("xfs", &["empty", "new", "old"]),
        ("btrfs", &["empty", "new", "old"]),
        ("posix", &["empty", "new", "old", "zeros"]),
    ] {
        assert_eq!(replace(false, false).reads(disk, "f", When::Ever), set(expected), "{disk}");
    }
}

#[test]
fn with_fsync_of_the_folder_alone_the_name_lasts_and_the_content_does_not() {
    for (disk, expected) in [
        ("ext4", &["new", "zeros"][..]),
        ("xfs", &["empty", "new"]),
        ("btrfs", &["empty", "new"]),
        ("posix", &["empty", "new", "zeros"]),
    ] {
        assert_eq!(replace(false, true).reads(disk, "f", When::AtTheEnd), set(expected), "{disk}");
    }
}

#[test]
fn an_fsynced_file_renamed_is_old_or_new_everywhere() {
    for disk in model::ALL {
        assert_eq!(
            replace(true, false).reads(disk.name(), "f", When::Ever),
            set(&["new", "old"]),
            "{}",
            disk.name()
        );
        assert_eq!(
            replace(true, true).reads(disk.name(), "f", When::AtTheEnd),
            set(&["new"]),
            "{}",
            disk.name()
        );
    }
}

#[test]
fn a_new_name_may_be_empty_everywhere_and_zeros_on_ext4() {
    let script = || {
        let (script, new) = Script::with(&[]).create("f.tmp");
        script.write(new, 0, "new").rename(new, "f.tmp", "f", None)
    };
    for (disk, expected) in [
        ("ext4", &["absent", "empty", "new", "zeros"][..]),
        ("xfs", &["absent", "empty", "new"]),
        ("btrfs", &["absent", "empty", "new"]),
    ] {
        assert_eq!(script().reads(disk, "f", When::Ever), set(expected), "{disk}");
    }
}

#[test]
fn truncate_and_write_may_leave_nothing_of_either() {
    let script = || {
        let script = Script::with(&[("f", "old")]);
        let inode = script.of("f");
        script.line(Change::Resize { inode, size: 0 }).write(inode, 0, "new")
    };
    for (disk, expected) in [
        ("ext4", &["empty", "new", "old", "zeros"][..]),
        ("xfs", &["empty", "new", "old"]),
        ("btrfs", &["empty", "new", "old"]),
    ] {
        assert_eq!(script().reads(disk, "f", When::Ever), set(expected), "{disk}");
    }
    // New blocks in the old file.
    assert!(script().reads("ext4-writeback", "f", When::Ever).contains("new"));
}

#[test]
fn blocks_in_place_mix_but_on_btrfs() {
    let (old, new) = ("o".repeat(8192), "n".repeat(8192));
    let script = || {
        let script = Script::with(&[("f", &old)]);
        let inode = script.of("f");
        script.write(inode, 0, &new)
    };
    for (disk, expected) in
        [("ext4", &["n", "no", "o", "on"][..]), ("xfs", &["n", "no", "o", "on"]), ("btrfs", &["n", "o"])]
    {
        assert_eq!(script().reads(disk, "f", When::Ever), set(expected), "{disk}");
    }
}

#[test]
fn an_append_may_end_in_zeros_on_ext4_alone() {
    let script = || {
        let script = Script::with(&[("f", "one,")]);
        let inode = script.of("f");
        script.write(inode, 4, "two")
    };
    for (disk, expected) in [
        ("ext4", &["one,", "one,\0\0\0", "one,two"][..]),
        ("xfs", &["one,", "one,two"]),
        ("btrfs", &["one,", "one,two"]),
    ] {
        assert_eq!(script().reads(disk, "f", When::Ever), set(expected), "{disk}");
    }
}

/// Seen by `just disks`: ext4 tells a file's new size for the block that it has before those that it needs besides.
#[test]
fn an_append_over_blocks_may_end_with_the_first() {
    let (old, new) = ("o".repeat(100), "n".repeat(8192));
    let lengths = |disk| -> BTreeSet<(u64, bool)> {
        let script = Script::with(&[("f", &old)]);
        let inode = script.of("f");
        let journal = script.write(inode, 100, &new).journal;
        let bounds = Bounds { sets_max: 1 << 16, ..Bounds::default() };
        let states = enumerate(&journal, model::named(disk).expect("a model"), &[], bounds).states;
        let length = |state: &State| match state.image.get("f") {
            Some(Node::File { content, .. }) => (content.len(), content.bytes().contains(&0)),
            other => panic!("{other:?}"),
        };
        states.iter().map(length).collect()
    };
    let first = [(4096, false), (4096, true)];
    let all = [(100, false), (8292, false), (8292, true)];
    assert_eq!(lengths("ext4"), first.into_iter().chain(all).collect());
    assert_eq!(lengths("ext4-writeback"), lengths("ext4"));
    assert_eq!(lengths("ext4-dioread-lock"), lengths("ext4"), "of the block that it has, zeros");
    // Of the block that it has xfs may lose what was written, once the new ones are there.
    assert_eq!(lengths("xfs"), BTreeSet::from([(100, false), (4096, false), (8292, false), (8292, true)]));
    assert_eq!(lengths("btrfs"), BTreeSet::from([(100, false), (8292, false)]));
    assert!(lengths("posix").is_superset(&lengths("ext4")));
}

#[test]
fn a_new_name_beside_old_data_is_possible_everywhere() {
    let script = || {
        let script = Script::with(&[("f", "old")]);
        let inode = script.of("f");
        script.write(inode, 0, "new").create("flag").0
    };
    for disk in model::ALL {
        let states = enumerate(&script().journal, disk, &[], Bounds::default());
        let seen = states
            .states
            .iter()
            .any(|state| state.image.get("flag").is_some() && shown(state.image.get("f")) == "old");
        assert!(seen, "{}", disk.name());
    }
}

#[test]
fn on_btrfs_fsync_makes_only_that_file_last() {
    let (script, first) = Script::with(&[]).create("1");
    let (script, second) = script.create("2");
    let script = script.fsync(second);
    let absent = |disk: &str| script.reads(disk, "1", When::AtTheEnd).contains("absent");
    assert!(absent("btrfs") && absent("posix"));
    assert!(!absent("ext4") && !absent("xfs"));
    assert_ne!(first, second);
}

#[test]
fn on_btrfs_a_file_moved_to_another_folder_and_fsynced_may_have_both_names() {
    let script = || {
        let mut image = Image::default();
        image.insert("a", 1, Node::Folder { mode: 0o755 });
        image.insert("a/p", 2, file("p"));
        image.insert("b", 3, Node::Folder { mode: 0o755 });
        let journal = Journal { start: Start::of(&image), lines: Vec::new() };
        let script = Script { next: journal.start.next_inode(), journal };
        let (a, b) = (script.of("a"), script.of("b"));
        let p = script.journal.start.entries[&(a, "p".into())];
        script
            .line(Change::Rename { inode: p, from: (a, "p".into()), to: (b, "q".into()), replaced: None })
            .fsync(p)
    };
    let both = |disk: &dyn Disk| {
        enumerate(&script().journal, disk, &[], Bounds::default())
            .states
            .iter()
            .any(|state| state.image.get("a/p").is_some() && state.image.get("b/q").is_some())
    };
    for (disk, expected) in [("btrfs", true), ("posix", true), ("ext4", false), ("xfs", false)] {
        assert_eq!(both(model::named(disk).expect("a model")), expected, "{disk}");
    }
}

#[test]
fn the_target_of_a_rename_is_never_absent() {
    for disk in model::ALL {
        let absent = replace(false, false).reads(disk.name(), "f", When::Ever).contains("absent");
        assert!(!absent, "{}", disk.name());
    }
}

#[test]
fn posix_contains_every_other_model() {
    let posix = model::named("posix").expect("a model");
    for script in [replace(false, false), replace(true, false), replace(false, true)] {
        let bounds = Bounds { sets_max: 1 << 16, ..Bounds::default() };
        let of = |disk: &dyn Disk| -> BTreeSet<u128> {
            let states = enumerate(&script.journal, disk, &[], bounds).states;
            states.iter().map(|state| state.image.digest()).collect()
        };
        for disk in model::ALL {
            assert!(of(disk).is_subset(&of(posix)), "{}", disk.name());
        }
    }
}

#[test]
fn the_missing_fsync_is_found_by_trying() {
    let script = replace(false, false);
    let is_good = |image: &Image| matches!(shown(image.get("f")).as_str(), "old" | "new");
    for disk in ["ext4", "xfs", "btrfs", "posix"] {
        let disk = model::named(disk).expect("a model");
        let found = mends(&script.journal, disk, &[], &|state| is_good(&state.image));
        // Of the temporary file, after the write (call 2) and before the rename.
        assert_eq!(found, [vec![(Inode(2), 2)]], "{}", disk.name());
    }
}

/// The fsyncs that make every state good, as their inodes and places.
fn mends(
    journal: &Journal,
    disk: &dyn Disk,
    acknowledgements: &[usize],
    is_good: &dyn Fn(&State) -> bool,
) -> Vec<Vec<(Inode, usize)>> {
    let bounds = Bounds::default();
    let is_good = &mut |state: &State, _: &[super::Fsync]| is_good(state);
    let acknowledgements = &|fsyncs: &[super::Fsync]| super::acknowledged_behind(acknowledgements, fsyncs);
    let mends = Trial { journal, disk, acknowledgements, bounds, is_good, goes_on: &|_| true }.mends();
    assert!(mends.is_whole);
    let told = |mend: super::Mend| mend.fsyncs.iter().map(|fsync| (fsync.inode, fsync.before)).collect();
    mends.found.into_iter().map(told).collect()
}

#[test]
fn two_fsyncs_are_found_where_none_helps_alone() {
    let script = replace(false, false);
    let end = script.journal.lines.len();
    // What was acknowledged lasts: the temporary file must be synced before the rename, and the folder after it.
    let is_good = |state: &State| match shown(state.image.get("f")).as_str() {
        "new" => true,
        "old" => state.acknowledged == 0,
        _ => false,
    };
    for disk in model::ALL {
        let found = mends(&script.journal, disk, &[end], &is_good);
        if disk.name() == "ext4-dioread-lock" {
            // There a rename brings the content along.
            assert_eq!(found, [vec![(ROOT, end)]]);
            continue;
        }
        assert!(found.contains(&vec![(Inode(2), 2), (ROOT, end)]), "{}: {found:?}", disk.name());
        assert!(found.iter().all(|fsyncs| fsyncs.len() == 2), "{}: {found:?}", disk.name());
    }
    // What nothing helps.
    assert!(mends(&script.journal, model::ALL[0], &[], &|_| false).is_empty());
}

#[test]
fn more_states_or_pieces_than_are_judged_are_said_to_be() {
    let mut script = Script::with(&[]);
    for number in 0..700 {
        (script, _) = script.create(&format!("f{number}"));
    }
    let posix = model::named("posix").expect("a model");
    let first = |journal: &Journal| {
        let mut states = 0;
        walk(journal, posix, &[], Bounds::default(), &mut |_| {
            states += 1;
            if states < 1_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    };
    assert_eq!(first(&script.journal).excess, None);
    let bounds = Bounds { states_max: 10, ..Bounds::default() };
    let walked = walk(&script.journal, posix, &[], bounds, &mut |_| ControlFlow::Continue(()));
    assert_eq!((walked.states, walked.is_exhaustive, walked.excess), (10, false, Some(Excess::States(10))));
    for _ in 0..8_000 {
        (script, _) = script.create("g");
    }
    let walked = first(&script.journal);
    assert_eq!((walked.states, walked.is_exhaustive, walked.excess), (0, false, Some(Excess::Pieces(8_700))));
}

#[test]
fn a_write_that_tears_at_coarser_places_is_not_exhausted() {
    for (bytes, is_all) in [(9 * 512, true), (17 * 512, false)] {
        let (script, inode) = Script::with(&[]).create("f");
        let script = script.write(inode, 0, &"x".repeat(bytes)).fsync(inode);
        let bounds = Bounds { sets_max: 1 << 12, ..Bounds::default() };
        let walked = walk(&script.journal, model::ALL[0], &[], bounds, &mut |_| ControlFlow::Continue(()));
        assert_eq!((walked.is_exhaustive, walked.excess), (is_all, None));
    }
}

#[test]
fn what_was_acknowledged_lasts_only_with_fsync_of_the_folder() {
    // The command ends after its last call: from then on only the new content is right.
    let lost = |script: &Script, disk: &dyn Disk| {
        let end = script.journal.lines.len();
        let states = enumerate(&script.journal, disk, &[end], Bounds::default()).states;
        states.iter().any(|state| state.acknowledged == 1 && shown(state.image.get("f")) != "new")
    };
    for disk in model::ALL {
        assert!(lost(&replace(true, false), disk), "{}", disk.name());
        assert!(!lost(&replace(true, true), disk), "{}", disk.name());
    }
}

#[test]
fn too_many_states_are_bounded_and_said_to_be() {
    let mut script = Script::with(&[]);
    for number in 0..12 {
        let (next, inode) = script.create(&format!("f{number}"));
        script = next.write(inode, 0, "x");
    }
    let posix = model::named("posix").expect("a model");
    let states = enumerate(&script.journal, posix, &[], Bounds::default());
    assert!(!states.is_exhaustive);
    let bounds = Bounds { states_max: 10, ..Bounds::default() };
    assert_eq!(enumerate(&script.journal, posix, &[], bounds).states.len(), 10);
}

#[test]
fn fdatasync_of_a_folder_makes_its_names_last() {
    for disk in model::ALL {
        let (script, file) = Script::with(&[]).create("f");
        let script = script.fsync(file).line(Change::Sync { inode: ROOT, what: Sync::Data });
        assert_eq!(script.reads(disk.name(), "f", When::AtTheEnd), set(&["empty"]), "{}", disk.name());
    }
}

#[test]
fn fdatasync_lets_a_mode_go_that_fsync_keeps() {
    let script = |what| {
        let script = Script::with(&[("f", "old")]);
        let inode = script.of("f");
        script.line(Change::Mode { inode, mode: 0o600 }).line(Change::Sync { inode, what })
    };
    let keeps = |what, disk: &dyn Disk| {
        let states = enumerate(&script(what).journal, disk, &[2], Bounds::default()).states;
        let is_new = |node: &Node| matches!(node, Node::File { mode: 0o600, .. });
        let at_the_end = states.iter().filter(|state| state.acknowledged == 1);
        at_the_end.map(|state| state.image.get("f").is_some_and(is_new)).collect::<Vec<_>>()
    };
    for name in ["posix", "ext4", "xfs"] {
        let disk = model::named(name).expect("a model");
        assert_eq!(keeps(Sync::All, disk), [true], "{name}");
        assert!(keeps(Sync::Data, disk).contains(&false), "{name}");
    }
}

#[test]
fn the_document_says_what_the_models_do() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/disks.md");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let page = super::document::page(&written);
    if std::env::var_os("FLOCKWORK_BLESS").is_some() {
        std::fs::write(&path, &page).expect("docs/disks.md is writable");
        return;
    }
    assert!(written == page, "docs/disks.md is not what the code says: FLOCKWORK_BLESS=1 makes it anew");
}
