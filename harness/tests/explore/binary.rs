//! The binary where it is less than free: as an ordinary user, and where processes cannot be controlled.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use flockwork_harness::process::Zygote;
use tempfile::TempDir;

use crate::Case;
use crate::program;
use crate::real;
use crate::sys::{self, Deprivation};

pub const ALL: &[Case] = &[
    ("an_ordinary_user_finds_the_bug", an_ordinary_user_finds_the_bug),
    ("where_nothing_can_be_controlled_it_is_told", where_nothing_can_be_controlled_it_is_told),
];

/// The word with which this program is asked to take something from itself, and to become another.
pub const DEPRIVED: &str = "deprived-of";

/// Who has no rights (`nobody`).
const NOBODY: u32 = 65534;
/// Exit code for what the machine lacks.
const UNSUPPORTED: i32 = 96;

/// A place to run the binary in, and a copy of it that everybody may run.
struct Place {
    folder: TempDir,
    binary: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = real::folder();
        let binary = folder.path().join("flockwork");
        program::copy(assert_cmd::cargo::cargo_bin!("flockwork"), &binary);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("for all");
        for name in ["root", "work"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/two-pauses-2018.toml");
        fs::copy(scenario, folder.path().join("scenario.toml")).expect("copied");
        Self { folder, binary }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run_in(&self, command: &mut Command) -> Output {
        command.current_dir(self.path().join("work")).env("NO_COLOR", "1");
        command.output().expect("it runs")
    }

    /// The command line that explores the bug of 2018.
    fn exploration(&self) -> [String; 4] {
        let at = |name: &str| self.path().join(name).display().to_string();
        ["run".into(), "--root".into(), at("root"), at("scenario.toml")]
    }
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn an_ordinary_user_finds_the_bug(_: &mut Zygote) {
    let place = Place::new();
    let mut command = Command::new(&place.binary);
    command.args(place.exploration());
    if nix::unistd::geteuid().is_root() {
        for name in ["root", "work"] {
            std::os::unix::fs::chown(place.path().join(name), Some(NOBODY), Some(NOBODY))
                .expect("given away");
        }
        command.uid(NOBODY).gid(NOBODY);
    } else {
        println!("  run as the user that runs the tests, who has no rights to give up");
    }
    let output = place.run_in(&mut command);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("as expected") && said.contains("exhausted"), "{said}");
    let left: Vec<_> = fs::read_dir(place.path().join("root")).expect("the root").collect();
    assert!(left.is_empty(), "{left:?}");
}

fn where_nothing_can_be_controlled_it_is_told(_: &mut Zygote) {
    for (what, told) in [
        ("seccomp", "seccomp offers no user notification"),
        ("listener", "something else controls it already"),
        ("getfd", "processes cannot be controlled on this machine"),
        ("handle", "processes cannot be controlled on this machine"),
    ] {
        let place = Place::new();
        let deprived = || {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.args([DEPRIVED, what]).arg(&place.binary);
            command
        };
        let output = place.run_in(deprived().args(place.exploration()));
        let text = said(&output);
        assert_eq!(output.status.code(), Some(UNSUPPORTED), "{what}: {text}");
        assert!(text.contains(told), "{what}: {text}");
        let root = place.path().join("root");
        assert_eq!(fs::read_dir(&root).expect("the root").count(), 0, "{what}: nothing is left");
        let output = place.run_in(deprived().args(["doctor", "--root"]).arg(&root));
        let text = said(&output);
        let line = text.lines().find(|line| line.contains("user notification")).expect("a line").to_owned();
        assert!(line.contains("optional") && line.contains("explorations need it"), "{what}: {text}");
        assert!(text.contains(told), "{what}: {text}");
    }
    let place = Place::new();
    let output =
        place.run_in(Command::new(&place.binary).args(["doctor", "--root"]).arg(place.path().join("root")));
    let text = said(&output);
    assert!(text.contains("controlled a process for"), "{text}");
    assert!(text.contains("wake-up in step"), "{text}");
}

/// Takes something from this process, and becomes another program.
pub fn be_deprived(arguments: &[String]) -> ExitCode {
    let of = match arguments[0].as_str() {
        "seccomp" => Deprivation::Denied(libc::SYS_seccomp, libc::ENOSYS),
        "getfd" => Deprivation::Denied(libc::SYS_pidfd_getfd, libc::EPERM),
        "handle" => Deprivation::Denied(libc::SYS_pidfd_open, libc::EPERM),
        "listener" => Deprivation::Controlled,
        other => panic!("no deprivation: {other}"),
    };
    sys::deprive(of).expect("deprived");
    let error = Command::new(&arguments[1]).args(&arguments[2..]).exec();
    panic!("{}: {error}", arguments[1]);
}
