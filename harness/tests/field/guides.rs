//! The guides of docs/guides are complete: what they show are whole files, which run and do what the text says of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::pair::is_installed;

/// A block of a guide: its language, its name, and what it holds.
struct Block {
    language: String,
    name: String,
    text: String,
}

/// The named blocks of a guide. One named `run` says how to run the others.
fn blocks(guide: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides").join(guide);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut blocks = Vec::new();
    for part in text.split("\n```").skip(1).step_by(2) {
        let (head, text) = part.split_once('\n').expect("a block has lines");
        if let Some((language, name)) = head.split_once(' ') {
            blocks.push(Block { language: language.into(), name: name.into(), text: format!("{text}\n") });
        }
    }
    blocks
}

/// The files of a guide in a folder of their own, and the command that runs them.
fn laid_out(guide: &str) -> (TempDir, Option<String>) {
    let place = tempfile::tempdir().expect("a temporary folder");
    let mut run = None;
    for block in blocks(guide) {
        if block.name == "run" {
            run = Some(block.text);
            continue;
        }
        let path = place.path().join(&block.name);
        fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("made");
        fs::write(&path, &block.text).expect("written");
        if block.text.starts_with("#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
    }
    (place, run)
}

/// Runs a guide where its programs are there; what it printed, and whether it passed.
fn run(guide: &str, needs: &[&str]) -> Option<(bool, String)> {
    let test = format!("the guide {guide}");
    if std::env::var_os("FLOCKWORK_LONG").is_none() {
        println!("skipped: {test} is run with FLOCKWORK_LONG=1");
        return None;
    }
    if let Some(lack) = needs.iter().find(|program| !is_installed(program)) {
        assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "{test} needs {lack}");
        println!("skipped: {test} needs {lack}");
        return None;
    }
    let (place, command) = laid_out(guide);
    Some(shell(place.path(), &command.expect("it says how it is run")))
}

fn shell(place: &Path, command: &str) -> (bool, String) {
    let binary = Path::new(assert_cmd::cargo::cargo_bin!("flockwork"));
    let folder = binary.parent().expect("it lies in a folder").display().to_string();
    // The distribution's Python has the distribution's pytest.
    let path = format!("{folder}:/usr/bin:{}", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-ec", command])
        .current_dir(place)
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .expect("sh runs");
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), told)
}

#[test]
fn each_guide_has_whole_files_and_says_how_to_run_them() {
    for (guide, files) in [
        ("pytest.md", &["counter.py", "test_races.py"][..]),
        ("go-test.md", &["main.go", "go.mod", "race_test.go"]),
        ("bats.md", &["counter", "races.bats", "races.sh"]),
        ("github-actions.md", &[".github/workflows/races.yml"]),
    ] {
        let (place, run) = laid_out(guide);
        for file in files {
            assert!(place.path().join(file).is_file(), "{guide}: {file}");
        }
        assert_eq!(run.is_some(), guide != "github-actions.md", "{guide}");
    }
}

#[test]
fn pytest() {
    let Some((passed, told)) = run("pytest.md", &["python3", "pytest"]) else { return };
    assert!(!passed && told.contains("1 failed, 1 passed"), "{told}");
    assert!(told.contains("not-serializable") && told.contains("flockwork replay"), "{told}");
}

#[test]
fn go_test() {
    let Some((passed, told)) = run("go-test.md", &["go"]) else { return };
    assert!(!passed && told.contains("--- FAIL: TestTwoIncrements"), "{told}");
    assert!(told.contains("under control"), "{told}");
    assert!(!told.contains("--- FAIL: TestReadingWhileItCounts"), "{told}");
    assert!(told.contains("not-serializable") && told.contains("flockwork replay"), "{told}");
}

#[test]
fn bats() {
    let Some((passed, told)) = run("bats.md", &["bats"]) else { return };
    assert!(!passed && told.contains("not ok 1 two increments"), "{told}");
    assert!(told.contains("ok 2 reading while it counts") && !told.contains("not ok 2"), "{told}");
    assert!(told.contains("not-serializable") && told.contains("flockwork replay"), "{told}");
    // The mend that the guide names.
    let (place, command) = laid_out("bats.md");
    let counter = place.path().join("counter");
    let text = fs::read_to_string(&counter).expect("it is there");
    let lock = "[ \"$1\" != inc ] || { exec 9>>count.lock; flock 9; }\nn=0\n";
    fs::write(&counter, text.replace("n=0\n", lock)).expect("written");
    let (passed, told) = shell(place.path(), &command.expect("it says how it is run"));
    assert!(passed, "{told}");
    let (passed, told) = shell(place.path(), "sh races.sh");
    assert!(passed, "{told}");
}

/// The steps of the workflow as a runner runs them, but for those of others and the installation.
#[test]
fn github_actions() {
    let guide = "github-actions.md";
    if std::env::var_os("FLOCKWORK_LONG").is_none() {
        println!("skipped: the guide {guide} is run with FLOCKWORK_LONG=1");
        return;
    }
    let (place, _) = laid_out(guide);
    let (counter, _) = laid_out("bats.md");
    fs::copy(counter.path().join("counter"), place.path().join("counter")).expect("copied");
    let workflow = blocks(guide).into_iter().find(|block| block.language == "yaml").expect("a workflow");
    let workflow = yaml_rust2::YamlLoader::load_from_str(&workflow.text).expect("YAML");
    let steps = workflow[0]["jobs"]["race"]["steps"].as_vec().expect("steps");
    let commands: Vec<&str> = steps
        .iter()
        .filter_map(|step| step["run"].as_str())
        .filter(|run| !run.starts_with("cargo install"))
        .collect();
    let [doctor, race] = commands[..] else { panic!("{commands:?}") };
    let (_, told) = shell(place.path(), doctor);
    assert!(told.contains("kernel"), "{told}");
    let (passed, told) = shell(place.path(), &format!("GITHUB_RUN_ID=7\n{race}"));
    assert!(!passed && told.contains("::error"), "{told}");
    assert!(place.path().join("races.xml").is_file() && place.path().join("results").is_dir(), "{told}");
}
