//! What lies in `deploy/`: the array script on a real Slurm, and the manifests by what Kubernetes takes from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flockwork_harness::report::exit::Exit;
use yaml_rust2::{Yaml, YamlLoader};

use crate::support::{Place, ends_with, json, skip};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path).canonicalize().unwrap()
}

fn yaml(path: &str) -> Yaml {
    let text = fs::read_to_string(repository(path)).unwrap();
    YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}")).remove(0)
}

/// Two creates, one of which may be killed: sets of faults enough for four shards.
const SCENARIO: &str = r#"
about = "Two creates, one of which may be killed."
kind = "explore"

[subject]
name = "library"

[explore]
processes = [["create c1"], ["create c1"]]
faults = ["kill"]
preemptions = 1
"#;

/// What the cluster runs: an array of four, of which one task is killed and put into the queue again; then the merge.
const CAMPAIGN: &str = r#"
set -euo pipefail
job=$(sbatch --parsable --array=0-3 --chdir="$PLACE" "$DEPLOY/flockwork.sbatch" "$PLACE/campaign" 7 \
    "$PLACE/shared.toml" --seeds 2 --root "$PLACE/root")
# One of them is cut short as soon as it has begun, and begins again.
until ls "$PLACE"/campaign/shard-2/*/run.json >/dev/null 2>&1; do sleep 0.1; done
scontrol requeue "${job}_2" || true
# Slurm lets it wait two minutes, in case its node was the reason.
scontrol update JobId="${job}_2" StartTime=now || true
while [ -n "$(squeue --noheader --job "$job" 2>/dev/null)" ]; do sleep 0.5; done
after=$(sbatch --parsable --chdir="$PLACE" "$DEPLOY/collect.sbatch" "$PLACE/campaign")
while [ -n "$(squeue --noheader --job "$after" 2>/dev/null)" ]; do sleep 0.2; done
scontrol show job "$after" | grep -q 'ExitCode=0:0' || { cat "$PLACE"/slurm-*.out >&2; exit 1; }
"#;

#[test]
fn an_array_of_four_on_slurm_comes_to_what_one_machine_comes_to_though_one_task_is_killed() {
    const TEST: &str = "an_array_of_four_on_slurm";
    let has = |program: &str| Command::new("which").arg(program).output().is_ok_and(|it| it.status.success());
    if !nix::unistd::geteuid().is_root() {
        return skip(TEST, "a Slurm cluster needs root");
    }
    if !["slurmctld", "slurmd", "sbatch", "munged"].iter().all(|program| has(program)) {
        return skip(TEST, "Slurm and MUNGE are not installed (Debian: slurm-wlm, munge)");
    }
    let place = Place::new();
    place.file("shared.toml", SCENARIO);
    let cluster = place.path().join("cluster");
    let mut command = Command::new(repository("deploy/slurm/cluster.sh"));
    command
        .arg(&cluster)
        .args(["bash", "-c", CAMPAIGN])
        .env("PLACE", place.path())
        .env("DEPLOY", repository("deploy/slurm"))
        .env("FLOCKWORK", assert_cmd::cargo::cargo_bin!("flockwork"));
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");

    let words = ["shared.toml", "--seed", "7", "--seeds", "2", "--format", "json"];
    let whole = json(&ends_with(&mut place.run(&words), 0));
    let merged = fs::read_dir(place.path().join("campaign/merged")).unwrap();
    let merged =
        merged.map(|entry| entry.unwrap().path().join("merge.json")).find(|path| path.exists()).unwrap();
    let merged: serde_json::Value = serde_json::from_slice(&fs::read(merged).unwrap()).unwrap();
    for key in ["verdict", "schedules", "faulted", "operations", "coverage", "steps", "expected"] {
        let one = &merged["report"]["scenarios"][0][key];
        assert!(!one.is_null() && *one == whole["scenarios"][0][key], "{key}: {one}\n{told}");
    }
    assert!(place.path().join("campaign/junit.xml").exists());
}

#[test]
fn the_kubernetes_job_shares_out_the_work_and_tells_results_from_accidents() {
    let job = yaml("deploy/kubernetes/flockwork.yaml");
    assert_eq!((job["apiVersion"].as_str(), job["kind"].as_str()), (Some("batch/v1"), Some("Job")));
    let spec = &job["spec"];
    assert_eq!(spec["completionMode"].as_str(), Some("Indexed"));
    assert!(spec["backoffLimitPerIndex"].as_i64() >= Some(1), "an index is tried again on its own");
    assert!(spec["backoffLimit"].is_badvalue(), "a limit for all would end the others");
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["restartPolicy"].as_str(), Some("Never"), "podFailurePolicy needs it");
    let container = &pod["containers"][0];
    let environment = container["env"].as_vec().unwrap();
    let variable = |name: &str| environment.iter().find(|it| it["name"].as_str() == Some(name));
    let shards = variable("FLOCKWORK_SHARDS").and_then(|it| it["value"].as_str()).unwrap();
    let number = shards.parse::<i64>().ok();
    assert_eq!((spec["completions"].as_i64(), spec["parallelism"].as_i64()), (number, number));
    let path = variable("JOB_COMPLETION_INDEX").unwrap()["valueFrom"]["fieldRef"]["fieldPath"].as_str();
    assert_eq!(path, Some("metadata.annotations['batch.kubernetes.io/job-completion-index']"));

    let rules = spec["podFailurePolicy"]["rules"].as_vec().unwrap();
    let rule = |action: &str| rules.iter().find(|it| it["action"].as_str() == Some(action)).unwrap();
    assert_eq!(rule("Ignore")["onPodConditions"][0]["type"].as_str(), Some("DisruptionTarget"));
    let codes = &rule("FailIndex")["onExitCodes"];
    assert_eq!(codes["containerName"].as_str(), container["name"].as_str());
    assert_eq!(codes["operator"].as_str(), Some("In"));
    let codes: Vec<i64> = codes["values"].as_vec().unwrap().iter().map(|it| it.as_i64().unwrap()).collect();
    for exit in Exit::ALL {
        // The harness's own failure is tried again, and success is none.
        let is_result = !matches!(exit, Exit::AsExpected | Exit::HarnessFailed);
        assert_eq!(codes.contains(&i64::from(exit.code())), is_result, "{exit:?}");
    }
    assert!(codes.is_sorted(), "Kubernetes takes them in order only");

    // Every mount is of a volume, and what is written survives the pod.
    let volumes = pod["volumes"].as_vec().unwrap();
    for mount in container["volumeMounts"].as_vec().unwrap() {
        assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]), "{mount:?}");
    }
    let results = volumes.iter().find(|volume| volume["name"].as_str() == Some("results")).unwrap();
    let claim = results["persistentVolumeClaim"]["claimName"].as_str();
    assert!(claim.is_some());
    let collect = yaml("deploy/kubernetes/collect.yaml");
    let other = &collect["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"];
    assert_eq!(other.as_str(), claim, "what is merged is what was written");
}

/// The words of a container's command, as they would be typed.
fn words(container: &Yaml) -> Vec<String> {
    let list = |key: &str| container[key].as_vec().unwrap().iter().map(|it| it.as_str().unwrap().to_owned());
    list("command").chain(list("args")).collect()
}

#[test]
fn what_the_pods_run_is_a_command_line_that_flockwork_takes() {
    let place = Place::new();
    place.file("shared.toml", SCENARIO);
    for index in ["0", "7"] {
        let job = yaml("deploy/kubernetes/flockwork.yaml");
        let words = words(&job["spec"]["template"]["spec"]["containers"][0]);
        let here = |word: &String| {
            let word = word.replace("$(JOB_COMPLETION_INDEX)", index).replace("=/containers", "=root");
            word.replace("=/results", "=campaign").replace("--seeds=100", "--seeds=1")
        };
        let words: Vec<String> = words[1..].iter().map(here).collect();
        let mut command = place.flockwork(&words.iter().map(String::as_str).collect::<Vec<_>>());
        command.arg("shared.toml").env("JOB_COMPLETION_INDEX", index).env("FLOCKWORK_SHARDS", "8");
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let number: u32 = index.parse::<u32>().unwrap() + 1;
        assert!(told.contains(&format!("shard {number}/8, from Kubernetes")), "{told}");
        assert!(matches!(output.status.code(), Some(0 | 102)), "{told}");
    }
    let collect = yaml("deploy/kubernetes/collect.yaml");
    let words = words(&collect["spec"]["template"]["spec"]["containers"][0]);
    let words: Vec<String> = words[1..].iter().map(|word| word.replace("/results", "campaign")).collect();
    // Six of eight are missing, so it is inconclusive, and there is a report all the same.
    ends_with(&mut place.flockwork(&words.iter().map(String::as_str).collect::<Vec<_>>()), 102);
    assert!(place.path().join("campaign/junit.xml").exists());
}

#[test]
fn the_action_is_one_and_runs_what_flockwork_takes() {
    let action = yaml("action.yml");
    assert_eq!(action["runs"]["using"].as_str(), Some("composite"));
    let inputs = action["inputs"].as_hash().unwrap();
    let steps = action["runs"]["steps"].as_vec().unwrap();
    let text = fs::read_to_string(repository("action.yml")).unwrap();
    for (name, input) in inputs {
        let name = name.as_str().unwrap();
        assert!(input["description"].as_str().is_some(), "{name} has no description");
        assert!(text.contains(&format!("inputs.{name}")), "{name} is of no use");
    }
    for step in steps.iter().filter(|step| !step["run"].is_badvalue()) {
        assert!(step["shell"].as_str().is_some(), "a composite action's step says its shell: {step:?}");
        // What others may write is never pasted into a script.
        assert!(!step["run"].as_str().unwrap().contains("${{"), "{step:?}");
    }
    let run = steps.iter().find(|step| step["id"].as_str() == Some("run")).unwrap();
    let place = Place::new();
    place.file("shared.toml", SCENARIO);
    let binary = assert_cmd::cargo::cargo_bin!("flockwork");
    let summary = place.path().join("summary.md");
    let output = Command::new("bash")
        .args(["-c", run["run"].as_str().unwrap()])
        .current_dir(place.path())
        .env("PATH", format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap()))
        .env("GITHUB_STEP_SUMMARY", &summary)
        .env("GITHUB_OUTPUT", place.path().join("output"))
        .env("INPUT_PATHS", "shared.toml")
        .env("INPUT_ARGUMENTS", "--seed 7 --root root")
        .env("INPUT_JUNIT", "out.xml")
        .env("INPUT_BUDGET", "")
        .env("INPUT_SHARD", "1/1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(place.path().join("out.xml").exists() && summary.exists(), "{told}");
    assert!(fs::read_to_string(place.path().join("output")).unwrap().contains("exit-code=0"));
}
