//! What a violation seen under control is seen again by: subject, setup, programs and schedule.
//!
//! It has two stored forms: a part of `finding.json`, and a scenario (`schedule.toml`) that any command takes. Both are
//! read by way of the scenario, so that there is one reader and one set of rules.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::measure::machine::Machine;
use crate::plan::schedule::{Fault, Schedule};
use crate::plan::{ExplorePlan, FailCreateAt, PowerPlan, SubjectPlan};
use crate::scenario::race::POWER_LOSS;
use crate::scenario::{describe_subject, show_program};
use crate::violation::Class;
use crate::words::plural;
use crate::words::units::show_exact_ns;

/// All that it takes to follow a schedule again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exploration {
    /// The subject, with every choice.
    pub subject: SubjectPlan,
    /// What is done first, as scenarios spell it.
    pub setup: Vec<String>,
    /// What each process does, as scenarios spell it.
    pub processes: Vec<Vec<String>>,
    /// The schedule, with its faults.
    pub schedule: Schedule,
    /// How many times a process is interrupted in it that could have gone on.
    pub preemptions: u32,
    /// The other classes that the same schedule shows.
    #[serde(default)]
    pub also: Vec<Class>,
    /// Size of the payload of each save, in bytes.
    pub payload_bytes: u32,
    /// Longest that one process may run between two of its stops, in nanoseconds.
    pub step_ns: u64,
    /// Most steps of one execution.
    pub steps_max: usize,
    /// The power losses that are tried after it, where one shows the violation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<PowerPlan>,
    /// The seed of the run that found it.
    pub seed: u64,
    /// Version of flockwork that found it, and of the library it was found in.
    pub flockwork: String,
    /// The kernel it was found on.
    pub kernel: String,
}

impl Exploration {
    /// Of a plan and a schedule of its processes.
    #[must_use]
    pub fn of(plan: &ExplorePlan, schedule: &Schedule, preemptions: u32) -> Self {
        let show = |program: &Vec<_>| show_program(program, &plan.containers);
        Self {
            subject: plan.subject.clone(),
            setup: show(&plan.setup),
            processes: plan.processes.iter().map(show).collect(),
            schedule: schedule.clone(),
            preemptions,
            also: Vec::new(),
            payload_bytes: plan.payload_bytes,
            step_ns: plan.step_ns,
            steps_max: plan.steps_max,
            power: plan.power.clone(),
            seed: plan.seed,
            flockwork: env!("CARGO_PKG_VERSION").into(),
            kernel: Machine::observe().kernel,
        }
    }

    /// A scenario that replays it and expects the class.
    #[must_use]
    pub fn scenario(&self, class: Class) -> String {
        let mut text = self.head(&self.about(class));
        let mut line =
            |words: std::fmt::Arguments<'_>| writeln!(text, "{words}").expect("a String takes all");
        line(format_args!("strategy = \"replay\"\npayload = {}", self.payload_bytes));
        if self.power.is_some() {
            line(format_args!("faults = [\"{POWER_LOSS}\"]"));
        }
        let limit = show_exact_ns(self.step_ns);
        line(format_args!("step_limit = \"{limit}\"\nsteps = {}\nschedule = [", self.steps_max));
        for step in &self.schedule.lines {
            line(format_args!("    {},", quoted(&step.to_string())));
        }
        line(format_args!("]\n\n[expect]\nviolations = [\"{class}\"]"));
        if !self.also.is_empty() {
            let also = list(self.also.iter().map(|class| quoted(class.as_str())));
            line(format_args!("also = {also}"));
        }
        text
    }

    /// A scenario that explores the same programs, with the same faults, and expects them to break nothing: what tests that
    /// the bug is gone, and stays so.
    #[must_use]
    pub fn regression(&self, class: Class) -> String {
        let about = format!("Every order of {}: a {class} was found here.", self.programs());
        let mut text = self.head(&about);
        let mut line =
            |words: std::fmt::Arguments<'_>| writeln!(text, "{words}").expect("a String takes all");
        let (faults, bound) = self.faults();
        let all = faults.iter().copied().chain(self.power.iter().map(|_| POWER_LOSS));
        let all = list(all.map(quoted));
        match (bound, &self.power) {
            (0, None) => {}
            (0, Some(_)) => line(format_args!("faults = {all}")),
            _ => line(format_args!("faults = {all}\nfault_bound = {bound}")),
        }
        line(format_args!("payload = {}", self.payload_bytes));
        let limit = show_exact_ns(self.step_ns);
        line(format_args!("step_limit = \"{limit}\"\nsteps = {}", self.steps_max));
        line(format_args!("\n[expect]\nviolations = []"));
        text
    }

    /// What both scenarios begin with.
    fn head(&self, about: &str) -> String {
        let mut text = format!("about = {}\nkind = \"explore\"\n\n", quoted(about));
        text.push_str(&subject(&self.subject));
        let setup = list(self.setup.iter().map(|call| quoted(call)));
        let processes =
            list(self.processes.iter().map(|program| list(program.iter().map(|call| quoted(call)))));
        writeln!(text, "[explore]\nsetup = {setup}\nprocesses = {processes}").expect("a String takes all");
        if let Some(PowerPlan { disk, is_durable, without_fsync, late_fsync }) = &self.power {
            writeln!(text, "disk = {}\ndurable = {is_durable}", quoted(disk)).expect("a String takes all");
            for (key, names) in [("without_fsync", without_fsync), ("late_fsync", late_fsync)] {
                if !names.is_empty() {
                    let names = list(names.iter().map(|name| quoted(&String::from(name.clone()))));
                    writeln!(text, "{key} = {names}").expect("a String takes all");
                }
            }
        }
        text
    }

    /// The faults of the schedule, as scenarios spell their kinds, and how many there are.
    fn faults(&self) -> (BTreeSet<&'static str>, usize) {
        let met = self.schedule.lines.iter().filter_map(|line| line.fault);
        let word = |fault: Fault| match fault {
            Fault::Kill => "kill",
            Fault::KillOne => "kill-one",
            Fault::Error(error) => error.as_str(),
            Fault::ShortWrite | Fault::ShortWriteKill => "short-write",
        };
        (met.clone().map(word).collect(), met.count())
    }

    fn programs(&self) -> String {
        let programs: Vec<String> = self.processes.iter().map(|program| program.join(", ")).collect();
        programs.join(" beside ")
    }

    /// What it is about, in words that are the same whenever it is found.
    fn about(&self, class: Class) -> String {
        let preemptions = plural(u64::from(self.preemptions), "preemption");
        let subject = describe_subject(&self.subject);
        format!("{class} on {subject}: {}, with {preemptions}.", self.programs())
    }
}

fn subject(plan: &SubjectPlan) -> String {
    let mut text = String::from("[subject]\n");
    let mut key = |key: &str, value: &str| writeln!(text, "{key} = {value}").expect("a String takes all");
    match plan {
        SubjectPlan::Library(plan) => {
            key("name", "\"library\"");
            key("lock", &quoted(plan.lock.as_str()));
            key("wait", &quoted(&plan.wait.to_string()));
            key("read", &quoted(plan.read.as_str()));
            key("write", &quoted(plan.write.as_str()));
            key("sandbox", &quoted(plan.sandbox.as_str()));
        }
        SubjectPlan::Replica { replica, fail_create } => {
            key("name", "\"replica\"");
            key("replica", &quoted(replica.as_str()));
            if let Some(fail) = fail_create {
                key("fail_create", &format!("{:?}", fail.share));
                let at = match fail.at {
                    FailCreateAt::Start => "\"start\"",
                    FailCreateAt::End => "\"end\"",
                };
                key("fail_create_at", at);
            }
        }
        // It is not explored; whoever does so one day finds it by its name.
        SubjectPlan::Oci(oci) => {
            key("name", "\"oci\"");
            key("runtime", &quoted(oci.runtime.as_str()));
        }
        // No scenario can name it: its program explores it again.
        SubjectPlan::Custom { word } => {
            key("name", "\"custom\"");
            key("word", &quoted(word));
        }
    }
    text.push('\n');
    text
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A text as TOML spells it, on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(control)).expect("a String takes all");
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::StrategyPlan;
    use crate::scenario::{Found, Plan, Scenario, Work};

    const TEXT: &str = r#"
about = "An exploration that has everything."
kind = "explore"

[subject]
name = "replica"
replica = "gvisor-2024"
fail_create = 0.5
fail_create_at = "end"

[explore]
setup = ["create c1"]
processes = [["pause c1", "list"], ["force-delete other"]]
payload = "2KiB"
step_limit = "20ms"
steps = 500
"#;

    fn parse(text: &str) -> Scenario {
        Scenario::parse(&Found { argument: "a.toml".into(), text: text.into() }, &[]).expect(text)
    }

    fn plan(scenario: &Scenario) -> ExplorePlan {
        let Plan::Explore(plan) = scenario.plan(Path::new("/r"), 7) else { panic!("it is an exploration") };
        plan
    }

    #[test]
    fn as_a_scenario_it_means_the_same() {
        let lines = ["p1 read c1/meta.json", "p2 unlink other/meta.json ! EIO", "p1 exit ! kill"];
        let schedule = Schedule::try_from(lines.map(str::to_owned).to_vec()).unwrap();
        let original = plan(&parse(TEXT));
        let also = vec![Class::TornRead];
        let exploration = Exploration { also, ..Exploration::of(&original, &schedule, 2) };
        let text = exploration.scenario(Class::LostUpdate);
        assert!(text.contains("step_limit = \"20ms\""), "{text}");
        let read = parse(&text);
        let replayed = ExplorePlan { strategy: StrategyPlan::Replay(schedule), ..original };
        assert_eq!(plan(&read), replayed);
        assert_eq!(
            (read.expect.violations, read.expect.also),
            (vec![Class::LostUpdate], vec![Class::TornRead])
        );
        assert_eq!(
            read.about,
            "lost-update on gvisor-2024: pause c1, list beside force-delete other, with 2 preemptions."
        );
        assert!(matches!(read.work, Work::Explore(_)));
    }

    #[test]
    fn what_stays_as_a_test_explores_the_same_and_expects_nothing_broken() {
        let lines = ["p1 write c1/meta.json ! short-write-kill", "p2 unlink other/meta.json ! EIO"];
        let schedule = Schedule::try_from(lines.map(str::to_owned).to_vec()).unwrap();
        let original = plan(&parse(TEXT));
        let text = Exploration::of(&original, &schedule, 2).regression(Class::LostUpdate);
        let read = parse(&text);
        assert!(read.expect.violations.is_empty() && read.expect.also.is_empty(), "{text}");
        let explored = plan(&read);
        assert_eq!((&explored.setup, &explored.processes), (&original.setup, &original.processes));
        assert!(explored.faults.contains(&Fault::ShortWriteKill), "{text}");
        assert_eq!(explored.fault_bound, 2);
        assert_eq!(
            read.about,
            "Every order of pause c1, list beside force-delete other: a lost-update was found here."
        );
    }

    #[test]
    fn odd_characters_are_spelled_out() {
        let odd = "a \"b\" \\ c\u{7}\nd";
        let table: toml::Table = toml::from_str(&format!("x = {}", quoted(odd))).unwrap();
        assert_eq!(table["x"].as_str(), Some(odd));
        assert_eq!(quoted(odd).lines().count(), 1);
    }
}
