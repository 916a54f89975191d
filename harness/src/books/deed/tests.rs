//! What deeds touch, call themselves and may fail with, deed by deed.

use super::*;
use crate::books::places::Kind;
use crate::explore::step::{Access, Footprint, Object};
use crate::plan::schedule::{Fault, Injected};

fn file(path: &str, kind: Kind) -> File {
    let number = Object::named(&path).bits();
    File { inode: (1, number), name: Object::named(&("inode", path)), shown: path.into(), kind }
}

/// A name in the state folder; with what is there, if anything is.
#[expect(clippy::unnecessary_wraps, reason = "deeds hold a place that may be none")]
fn place(name: &str, kind: Option<Kind>) -> Option<Arc<Place>> {
    let folder = file("", Kind::Folder);
    Some(Arc::new(Place {
        way: vec![(folder.entry(name), Access::Read)],
        folder: Some(folder),
        name: name.to_owned(),
        name_on_disk: name.to_owned(),
        file: kind.map(|kind| file(name, kind)),
        shown: name.into(),
    }))
}

fn conflict(one: &Known, other: &Known) -> bool {
    Footprint::of(one.footprint()).conflicts(&Footprint::of(other.footprint()))
}

fn writing(length: u64) -> Writing {
    Writing { length, offset: Offset::Current, parts: Vec::new(), bytes: None }
}

const COPY: Copying = Copying { from: Offset::Current, to: Offset::Current, length: 1, by: CopiedBy::Range };

#[test]
fn what_touches_one_file_conflicts_and_what_does_not_does_not() {
    let write = |name: &str| Known::Write(Some(file(name, Kind::File)), writing(3));
    let read = Known::Read(Some(file("a", Kind::File)));
    let open = Known::Open(place("a", Some(Kind::File)), Opening(libc::O_RDONLY));
    let create = Known::Open(place("b", None), Opening(libc::O_CREAT | libc::O_WRONLY));
    let unlink = Known::Unlink(place("a", Some(Kind::File)));
    let list = Known::List(Some(file("", Kind::Folder)));
    for (one, other, expected) in [
        (&write("a"), &read, true),
        (&write("b"), &read, false),
        (&read, &read, false),
        (&open, &unlink, true),
        (&open, &create, false),
        (&create, &unlink, false),
        (&list, &create, true),
        (&list, &read, false),
    ] {
        assert_eq!(conflict(one, other), expected, "{} and {}", one.label(), other.label());
        assert_eq!(conflict(other, one), expected, "{} and {}", other.label(), one.label());
    }
}

#[test]
fn a_rename_touches_both_names_and_what_it_replaces() {
    let (from, to) = (place("new", Some(Kind::File)), place("old", Some(Kind::File)));
    let rename = |how| Known::Rename { from: from.clone(), to: to.clone(), how };
    let look = |name| Known::Look(place(name, Some(Kind::File)), true);
    assert!(
        conflict(&rename(Renaming::Replace), &look("new"))
            && conflict(&rename(Renaming::Replace), &look("old"))
    );
    assert!(!conflict(&rename(Renaming::Replace), &look("other")));
    assert!(!conflict(&rename(Renaming::Keep), &look("old")), "it fails, and changes nothing");
    assert_eq!(rename(Renaming::Replace).facets().entries.len(), 2);
    assert_eq!(rename(Renaming::Exchange).label(), "exchange new to old");
    let out = Known::Rename { from, to: None, how: Renaming::Replace };
    assert!(out.facets().is_opaque && conflict(&out, &look("new")));
}

#[test]
fn outside_is_nobodys_concern() {
    for deed in [
        Known::Read(None),
        Known::Open(None, Opening(libc::O_CREAT)),
        Known::Rename { from: None, to: None, how: Renaming::Replace },
        Known::Copy { from: None, to: None, what: COPY },
        Known::Close(Some(file("a", Kind::File))),
    ] {
        assert!(deed.footprint().is_empty(), "{deed:?}");
    }
    assert_eq!(Known::Read(None).label(), "");
}

#[test]
fn faults_are_those_of_the_deed() {
    let faults = |deed: Known| deed.faults();
    let write = faults(Known::Write(Some(file("a", Kind::File)), writing(2)));
    assert!(
        write.has(Fault::Kill) && write.has(Fault::ShortWrite) && write.has(Fault::Error(Injected::NoSpace))
    );
    assert!(!faults(Known::Write(Some(file("a", Kind::File)), writing(1))).has(Fault::ShortWrite));
    let open = faults(Known::Open(place("a", Some(Kind::File)), Opening(0)));
    assert!(open.has(Fault::Error(Injected::Interrupted)) && !open.has(Fault::Error(Injected::NoSpace)));
    let make = faults(Known::Open(place("b", None), Opening(libc::O_CREAT)));
    assert!(make.has(Fault::Error(Injected::NoSpace)));
}

#[test]
fn a_channel_is_everybodys_concern() {
    let fifo = Known::Open(place("fifo", Some(Kind::Channel)), Opening(libc::O_WRONLY));
    assert!(fifo.facets().is_opaque);
    assert!(Known::Read(Some(file("fifo", Kind::Channel))).facets().is_opaque);
    assert!(!Known::Read(Some(file("a", Kind::File))).facets().is_opaque);
}

#[test]
fn what_is_told_becomes_what_is_known() {
    let told = Told::Rename {
        from: At { folder: libc::AT_FDCWD, path: "a".into() },
        to: At { folder: 7, path: "b".into() },
        how: Renaming::Replace,
    };
    let mut asked = Vec::new();
    let known: Known = told.map(
        |at, follow| {
            asked.push((at.folder, at.path.clone(), follow));
            place(&at.path, None)
        },
        |_| None,
    );
    assert_eq!(known.label(), "rename a to b");
    assert_eq!(asked, [(libc::AT_FDCWD, "a".to_owned(), false), (7, "b".to_owned(), false)]);
}
