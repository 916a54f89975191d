//! What grids come of axes.

use super::*;
use crate::measure::{Axis, Value as Number};
use crate::scenario::{Found, Scenario, Work as Kind};

fn bench(axes: &str) -> Bench {
    let text = format!("kind = \"bench\"\n[bench]\n{axes}");
    let found = Found { argument: "b.toml".into(), text };
    match Scenario::parse(&found, &[]).unwrap_or_else(|problems| panic!("{}", problems[0])).work {
        Kind::Bench(bench) => *bench,
        Kind::Stress(_)
        | Kind::Command(_)
        | Kind::Rounds(_)
        | Kind::Explore(_)
        | Kind::Race(_)
        | Kind::Crash(_) => {
            panic!("it is another kind")
        }
    }
}

fn points(axes: &str) -> (Vec<String>, u64) {
    let grid = Grid::of(&bench(axes).axes, &["tmpfs"]);
    (grid.cells.iter().map(|cell| cell.point.to_string()).collect(), grid.left_out)
}

#[test]
fn an_axis_that_means_nothing_is_no_part_of_a_point() {
    let (points, left_out) =
        points("lock = [\"fs2\", \"mutex\", \"none\"]\ndescriptor = [\"kept\", \"opened\"]\nprocesses = 2");
    assert_eq!(
        points,
        [
            "lock=fs2 wait=block descriptor=kept work=nothing processes=2 containers=1 load=closed 0us root=tmpfs",
            "lock=fs2 wait=block descriptor=opened work=nothing processes=2 containers=1 load=closed 0us root=tmpfs",
            "lock=mutex wait=block work=nothing processes=2 containers=1 load=closed 0us root=tmpfs",
            "lock=none work=nothing processes=2 containers=1 load=closed 0us root=tmpfs",
        ]
    );
    assert_eq!(left_out, 2);
}

#[test]
fn operations_have_the_policies_that_they_use() {
    let (points, _) = points("work = [\"read\", \"pause\", \"mixed\"]\nreads = [1, 9]\nprocesses = 1");
    let has = |axis: &str, point: &str| point.split(' ').any(|word| word.starts_with(&format!("{axis}=")));
    let used = |axis: &str| points.iter().filter(|point| has(axis, point)).count();
    assert_eq!(points.len(), 4, "{points:?}");
    assert_eq!((used("read"), used("write"), used("reads"), used("skew")), (3, 3, 2, 0), "{points:?}");
}

#[test]
fn a_replica_has_no_choices_and_a_value_that_comes_twice_counts_once() {
    let axes = "subject = [\"gvisor-2018\", \"gvisor-2018\"]\nwork = \"pause\"\nlock = [\"fs2\", \"ofd\"]\nwrite = [\"rename\", \"fsync\"]\nprocesses = 1";
    let (points, left_out) = points(axes);
    assert_eq!((points.len(), left_out), (1, 3), "{points:?}");
    assert!(
        points[0].starts_with("subject=gvisor-2018 wait=block descriptor=opened work=pause"),
        "{points:?}"
    );
}

#[test]
fn cheap_locks_are_timed_now_and_then_and_others_always() {
    let axes = "lock = [\"fs2\", \"mutex\", \"none\", \"lockfile\"]\ndescriptor = [\"kept\", \"checked\"]\nwork = [\"nothing\", \"spin 50us\"]\nprocesses = 1";
    for cell in Grid::of(&bench(axes).axes, &["tmpfs"]).cells {
        let word = |axis| cell.point.get(axis).map_or_else(String::new, Number::to_string);
        let is_cheap = word(Axis::Work) == "nothing"
            && (word(Axis::Descriptor) == "kept" || ["mutex", "none"].contains(&word(Axis::Lock).as_str()));
        assert_eq!(cell.timed_every > 1, is_cheap, "{}", cell.point);
    }
}

#[test]
fn thresholds_are_read_and_a_mistake_in_one_is_told_with_its_place() {
    let good = "lock = [\"fs2\", \"ofd\"]\nprocesses = 1\n[thresholds]\n\"wait.p99\" = \"< 5ms\"\n\"throughput\" = \"> 0.9 * lock:ofd\"";
    let texts: Vec<String> = bench(good).thresholds.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["wait.p99 < 5ms", "throughput > 0.9 * lock:ofd"]);
    let bad = "kind = \"bench\"\n[bench]\nprocesses = 1\n[thresholds]\n\"wait.p99\" = \"< 5 apples\"";
    let found = Found { argument: "a.toml".into(), text: bad.into() };
    let problems = Scenario::parse(&found, &[]).unwrap_err();
    let told = problems.iter().map(ToString::to_string).collect::<String>();
    assert!(told.contains("apples") && told.contains("a.toml:"), "{told}");
}

#[test]
fn a_threshold_relative_to_what_no_cell_has_is_told_at_once() {
    let told = |bound: &str| {
        let text = format!(
            "kind = \"bench\"\n[bench]\nlock = [\"fs2\", \"ofd\"]\nprocesses = 1\n[thresholds]\n\"throughput\" = \"> 0.9 * {bound}\""
        );
        let found = Found { argument: "a.toml".into(), text };
        Scenario::parse(&found, &[]).map(|_| ()).map_err(|problems| problems[0].to_string())
    };
    assert!(told("lock:ofd").is_ok());
    assert!(told("root:tmpfs").is_ok(), "roots are named on the command line");
    let near = told("lock:odf").unwrap_err();
    assert!(near.contains("no cell of the grid has lock = odf") && near.contains("lock:ofd?"), "{near}");
    let itself = told("processes:1").unwrap_err();
    assert!(itself.contains("each would be compared with itself"), "{itself}");
    let other = told("lock:mutex").unwrap_err();
    assert!(other.contains("there are fs2, ofd") && other.contains("a.toml:6"), "{other}");
}

#[test]
fn the_scenarios_of_the_repository_have_cells() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/bench");
    for found in crate::scenario::find(&[folder]).unwrap() {
        let scenario = Scenario::parse(&found, &[]).unwrap_or_else(|problems| panic!("{}", problems[0]));
        let bench = scenario.bench().unwrap_or_else(|| panic!("{} is of another kind", scenario.name));
        let plan = bench.plan(&[("tmpfs".into(), "/".into())], 1);
        assert!(!plan.cells.is_empty() && plan.estimate_ns() <= bench.budget_ns, "{}", scenario.name);
    }
}
