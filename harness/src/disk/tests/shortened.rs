//! Files that are cut, and written behind their end, against what was seen on real filesystems (docs/disks.md).

use std::collections::BTreeSet;

use super::{Bounds, Change, Node, Script, enumerate, model};

/// What `f` may hold, as the lengths of its runs of equal bytes, when so many bytes of it are old and this was done.
fn runs(disk: &str, old: usize, done: &[Done]) -> BTreeSet<String> {
    let mut script = Script::with(&[("f", &"o".repeat(old))]);
    let inode = script.of("f");
    for what in done {
        script = match *what {
            Done::Cut(size) => script.line(Change::Resize { inode, size }),
            Done::Write(offset, length) => script.write(inode, offset, &"n".repeat(length)),
            Done::Fsync => script.fsync(inode),
        };
    }
    let end = script.journal.lines.len();
    let bounds = Bounds { sets_max: 1 << 12, ..Bounds::default() };
    let states = enumerate(&script.journal, model::named(disk).expect("a model"), &[end], bounds).states;
    let at_the_end = states.iter().filter(|state| state.acknowledged == 1);
    let told = |node: Option<&Node>| {
        let Some(Node::File { content, .. }) = node else { panic!("{node:?}") };
        let bytes = content.bytes();
        let runs = bytes.chunk_by(|one, other| one == other);
        let run = |run: &[u8]| format!("{}{}", (run[0] as char).to_string().replace('\0', "z"), run.len());
        runs.map(run).collect::<Vec<_>>().join(" ")
    };
    at_the_end.map(|state| told(state.image.get("f"))).collect()
}

#[derive(Clone, Copy)]
enum Done {
    Cut(u64),
    Write(u64, usize),
    Fsync,
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const JOURNALLED: [&str; 3] = ["ext4", "ext4-dioread-lock", "xfs"];

#[test]
fn the_zeros_behind_a_cut_may_come_before_it() {
    for disk in JOURNALLED {
        let states = runs(disk, 12288, &[Done::Cut(5000)]);
        assert_eq!(states, set(&["o12288", "o5000", "o5000 z3192 o4096"]), "{disk}");
    }
    assert_eq!(runs("btrfs", 12288, &[Done::Cut(5000)]), set(&["o12288", "o5000"]));
}

#[test]
fn what_was_cut_off_may_come_back_where_nothing_orders_the_zeros() {
    let done = [Done::Cut(5000), Done::Cut(8192)];
    for disk in JOURNALLED {
        let states = runs(disk, 12288, &done);
        assert!(states.contains("o5000 z3192") && !states.contains("o8192"), "{disk}: {states:?}");
    }
    for disk in ["posix", "ext4-writeback", "btrfs"] {
        assert!(runs(disk, 12288, &done).contains("o8192"), "{disk}");
    }
    // btrfs zeroes when the file grows again: an fsync before that is too early.
    let synced = [Done::Cut(5000), Done::Fsync, Done::Cut(8192)];
    assert_eq!(runs("btrfs", 12288, &synced), set(&["o5000", "o5000 z3192", "o8192"]));
    assert_eq!(runs("ext4-writeback", 12288, &synced), set(&["o5000", "o5000 z3192"]));
    let over_the_end = [Done::Cut(5000), Done::Write(5000, 100)];
    assert_eq!(runs("btrfs", 8192, &over_the_end), set(&["o8192", "o5000", "o5000 n100"]));
}

#[test]
fn what_a_cut_keeps_is_written_in_place() {
    let done = [Done::Cut(4096), Done::Write(0, 4096)];
    for disk in ["posix", "ext4", "ext4-dioread-lock", "ext4-writeback", "xfs"] {
        assert!(runs(disk, 8192, &done).contains("n4096 o4096"), "{disk}");
    }
    assert_eq!(runs("btrfs", 8192, &done), set(&["o8192", "o4096", "n4096"]));
    // What lies in blocks that the cut freed does not come before it.
    let new = [Done::Cut(0), Done::Write(0, 4096)];
    for disk in JOURNALLED {
        assert!(!runs(disk, 8192, &new).contains("n4096 o4096"), "{disk}");
    }
}

#[test]
fn on_xfs_and_btrfs_each_write_beyond_the_end_has_a_size_of_its_own() {
    let two = [Done::Write(4096, 4096), Done::Write(8192, 4096)];
    for disk in ["xfs", "btrfs"] {
        let states = runs(disk, 4096, &two);
        assert_eq!(states, set(&["o4096", "o4096 n4096", "o4096 n8192", "o4096 z4096 n4096"]), "{disk}");
    }
    // The block that the file ends in is in place.
    assert!(runs("xfs", 100, &[Done::Write(100, 8092)]).contains("o100 z3996 n4096"));
}
