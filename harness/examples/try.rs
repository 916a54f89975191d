use flockwork::Operation;
use flockwork_harness::engine::explore;
use flockwork_harness::plan::*;
use flockwork_harness::process::Zygote;
use std::sync::atomic::AtomicBool;
fn main() {
    let mut zygote = Zygote::fork().unwrap();
    let args: Vec<String> = std::env::args().collect();
    let subject = match args[1].as_str() {
        "library" => SubjectPlan::Library { lock: args.get(4).cloned().unwrap_or("fs2".into()), wait: "block".into(), read: "shared".into(), write: "rename".into(), sandbox: "inert".into() },
        name => SubjectPlan::Replica { replica: name.into(), fail_create: None },
    };
    let parse = |text: &str| -> Vec<Call> { text.split('+').map(|op| Call { operation: op.parse().unwrap(), container: 0 }).collect() };
    let setup = if args[2] == "-" { vec![] } else { parse(&args[2]) };
    let processes: Vec<_> = args[3].split(',').map(parse).collect();
    let faults = args.get(5).map(|f| f.split(',').map(|f| f.parse().unwrap()).collect()).unwrap_or_default();
    let root = tempfile::tempdir_in("/dev/shm").unwrap();
    let plan = ExplorePlan { subject, root: root.path().into(), seed: 1, containers: vec!["c1".into()], setup, processes, strategy: StrategyPlan::Exhaustive { preemptions: None }, faults, fault_bound: 1, budget: ExploreBudget { schedules: 200_000, time_ns: 60_000_000_000 }, payload_bytes: 0, step_ns: 5_000_000_000, steps_max: 10_000, lanes: std::env::var("LANES").map_or(1, |n| n.parse().unwrap()) };
    match explore::run(&mut zygote, &plan, &AtomicBool::new(false), &()) {
        Err(error) => println!("{error}"),
        Ok(run) => {
            for d in &run.discoveries { println!("--- schedule {} with {} preemptions", d.number, d.preemptions); for v in &d.violations { println!("  {}: {}", v.class, v.message); } for line in &d.schedule.lines { println!("    {line}"); } }
            println!("{} schedules ({} faulted, {} redundant) {} steps {} blocked {:?} repeated {} in {:.3} s = {:.0}/s, {:.2} us/step", run.schedules, run.faulted, run.redundant, run.steps, run.blocked, run.coverage, run.repeated, run.duration_ns as f64/1e9, run.schedules as f64 / (run.duration_ns as f64/1e9), run.duration_ns as f64/1e3/run.steps as f64);
        }
    }
}
