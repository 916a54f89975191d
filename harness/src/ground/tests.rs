//! The ground against everything that commands do to a folder.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::*;

struct Place {
    folder: tempfile::TempDir,
    ground: Folders,
}

impl Place {
    fn new(fill: impl FnOnce(&std::path::Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        fs::create_dir(&work).unwrap();
        fill(&work);
        let mut ground = Folders::new([(work, folder.path().join("kept"))]);
        ground.settle().unwrap();
        Self { folder, ground }
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn capture(&mut self) -> Capture {
        self.ground.capture().unwrap().remove(0)
    }
}

fn furnish(work: &std::path::Path) {
    fs::create_dir_all(work.join("a/b")).unwrap();
    fs::write(work.join("a/b/deep"), "deep").unwrap();
    fs::write(work.join("count"), "1\n").unwrap();
    fs::write(work.join("tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(work.join("tool"), Permissions::from_mode(0o755)).unwrap();
    fs::write(work.join("one"), "both").unwrap();
    fs::hard_link(work.join("one"), work.join("two")).unwrap();
    symlink("count", work.join("link")).unwrap();
}

#[test]
fn whatever_commands_do_is_seen_and_put_back() {
    type Deed = fn(&std::path::Path);
    let deeds: &[(&str, Deed)] = &[
        ("same size, same moment", |work| fs::write(work.join("count"), "2\n").unwrap()),
        ("longer", |work| fs::write(work.join("count"), "17\n").unwrap()),
        ("removed", |work| fs::remove_file(work.join("a/b/deep")).unwrap()),
        ("a whole tree removed", |work| fs::remove_dir_all(work.join("a")).unwrap()),
        ("new", |work| fs::create_dir_all(work.join("x/y/z")).unwrap()),
        ("mode", |work| fs::set_permissions(work.join("tool"), Permissions::from_mode(0o600)).unwrap()),
        ("mode of a folder", |work| {
            fs::set_permissions(work.join("a"), Permissions::from_mode(0o700)).unwrap();
        }),
        ("mode of the folder itself", |work| {
            fs::set_permissions(work, Permissions::from_mode(0o711)).unwrap();
        }),
        ("link", |work| {
            fs::remove_file(work.join("link")).unwrap();
            symlink("tool", work.join("link")).unwrap();
        }),
        ("a file where a folder was", |work| {
            fs::remove_dir_all(work.join("a")).unwrap();
            fs::write(work.join("a"), "file").unwrap();
        }),
        ("a folder where a file was", |work| {
            fs::remove_file(work.join("count")).unwrap();
            fs::create_dir(work.join("count")).unwrap();
            fs::write(work.join("count/x"), "").unwrap();
        }),
        ("through one of two names", |work| fs::write(work.join("two"), "ours").unwrap()),
        ("two names parted", |work| {
            fs::remove_file(work.join("two")).unwrap();
            fs::write(work.join("two"), "both").unwrap();
        }),
        ("two files made one", |work| {
            fs::remove_file(work.join("tool")).unwrap();
            fs::hard_link(work.join("count"), work.join("tool")).unwrap();
        }),
        ("replaced by itself", |work| {
            fs::write(work.join("count~"), "1\n").unwrap();
            fs::rename(work.join("count~"), work.join("count")).unwrap();
        }),
        ("a socket", |work| drop(UnixListener::bind(work.join("socket")).unwrap())),
    ];
    let mut place = Place::new(furnish);
    let before = place.capture();
    for round in 0..3 {
        for (what, deed) in deeds {
            deed(&place.work());
            let after = place.capture();
            assert_eq!(after == before, *what == "replaced by itself", "{what} in round {round}");
            place.ground.put_back().unwrap();
            assert_eq!(place.capture(), before, "{what} in round {round}");
            let inode = |name| fs::metadata(place.work().join(name)).unwrap().ino();
            assert_eq!(inode("one"), inode("two"), "{what}: still one file with two names");
        }
    }
}

#[test]
fn what_no_copy_can_stand_for_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let all = |_: &std::path::Path| false;
    let error = copied_bytes(&folder.path().join("absent"), &all).unwrap_err();
    assert!(matches!(error, GroundError::Absent { .. }), "{error}");
    fs::write(folder.path().join("file"), "12345").unwrap();
    let error = copied_bytes(&folder.path().join("file"), &all).unwrap_err();
    assert!(error.to_string().contains("expected a folder, found a file"), "{error}");
    assert_eq!(copied_bytes(folder.path(), &all).unwrap(), 5);
    let huge = fs::File::create(folder.path().join("huge")).unwrap();
    huge.set_len(BYTES_MAX).unwrap();
    let error = copied_bytes(folder.path(), &all).unwrap_err();
    assert!(error.to_string().contains("more than 1000 MB"), "{error}");
    assert_eq!(copied_bytes(folder.path(), &|path| path.ends_with("huge")).unwrap(), 5);
    fs::remove_file(folder.path().join("huge")).unwrap();
    drop(UnixListener::bind(folder.path().join("socket")).unwrap());
    let error = copied_bytes(folder.path(), &all).unwrap_err();
    assert!(error.to_string().contains("it is a socket, which no copy can stand for"), "{error}");
}

#[test]
fn a_copy_is_like_its_original() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    for path in [&one, &two] {
        fs::create_dir(path).unwrap();
    }
    furnish(&one);
    fs::set_permissions(&one, Permissions::from_mode(0o710)).unwrap();
    copy(&one, &two, &|path| path.ends_with("b")).unwrap();
    let mut ground = Folders::new([(one.clone(), "/nowhere".into()), (two.clone(), "/nowhere".into())]);
    let mut captures = ground.capture().unwrap();
    captures[0].entries.retain(|path, _| !path.starts_with("a/b"));
    assert_eq!(captures[0], captures[1]);
    let time = |path: &std::path::Path| fs::metadata(path.join("count")).unwrap().mtime_nsec();
    assert_eq!(time(&one), time(&two));
}
