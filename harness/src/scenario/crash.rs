//! The `[crash]` table: a command, and the moments at which it or the machine ends. `flockwork crash` makes the same value of
//! its flags.

use super::race::{POWER_LOSS, Race, check_disk, disk_of, read_surroundings};
use crate::document::reader::Reader;
use crate::document::source::Problem;
use crate::plan::crash::{CrashPlan, Durable};
use crate::race::{self, RaceError};

/// A crash: a plan that has no folders of its own and no seed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Crash {
    /// The command, alone in its process, with all that surrounds it.
    pub race: Race,
    /// Whether SIGKILL is tried at each step.
    pub kill: bool,
    /// Whether a power loss is tried.
    pub power: bool,
    /// The disk model; none: that of the filesystem that the state folder lies on.
    pub disk: Option<String>,
    /// What is acknowledged, where that must last.
    pub durable: Option<Durable>,
}

impl Crash {
    /// The plan of one crash. Paths are those of the folder that flockwork runs in.
    #[must_use]
    pub fn plan(&self, seed: u64) -> CrashPlan {
        let race = self.race.plan(seed, Vec::new());
        let disk = self.disk.clone().or_else(|| Some(disk_of(race.state.first()?).to_owned()));
        CrashPlan { kill: self.kill, disk: disk.filter(|_| self.power), durable: self.durable.clone(), race }
    }

    /// Checks what can be checked without running anything.
    pub fn check(&self) -> Result<(), RaceError> {
        let usage = |why: String| Err(RaceError::Usage(why));
        if self.race.processes.len() != 1 || self.race.processes[0].len() != 1 {
            return usage("a crash takes one command line: expected one, such as './tool save'".into());
        }
        if self.race.state.is_empty() {
            return usage("name the folder that the command changes with --state DIR".into());
        }
        if !self.race.faults.is_empty() || self.race.power {
            return usage(format!(
                "faults belong to a race: a crash is killed and loses power unless kill or power is false; leave out \"kill\" and \
                 {POWER_LOSS:?}"
            ));
        }
        if !self.kill && !self.power {
            return usage(
                "expected a crash of some kind: --kill, --power, or neither of them for both".into(),
            );
        }
        if let Some(disk) = &self.disk {
            check_disk(disk).map_err(RaceError::Usage)?;
        }
        if self.durable.is_some() && !self.power {
            return usage("--durable concerns power losses: leave out --kill".into());
        }
        race::check(&self.race.plan(0, Vec::new()))
    }
}

/// Reads the table.
#[must_use]
pub fn read(mut reader: Reader<'_>) -> Option<Crash> {
    const EXAMPLE: &str = "a command line, such as \"./tool save\"";
    let Some((command, _)) = reader.text("command") else {
        reader.missing("command", EXAMPLE);
        return None;
    };
    let command = command.to_owned();
    let surroundings = read_surroundings(&mut reader);
    let disk = surroundings.disk.clone();
    let race = Race { processes: vec![vec![command]], disk: None, ..surroundings };
    let kill = reader.truth("kill").unwrap_or(true);
    let power = reader.truth("power").unwrap_or(true);
    let said = reader.text("durable_after").map(|(said, _)| Durable::Said(said.to_owned()));
    let ended = reader.truth("durable").unwrap_or(false).then_some(Durable::Ended);
    let crash = Crash { race, kill, power, disk, durable: said.or(ended) };
    if let Err(error) = crash.check() {
        let place = reader.place().clone();
        reader.complain(Problem::new(&place, error.to_string()));
    }
    reader.finish();
    Some(crash)
}

/// The same as a scenario.
#[must_use]
pub fn to_toml(crash: &Crash, about: &str) -> String {
    let text = crash.race.to_toml(about, &[]);
    let command = toml::Value::String(crash.race.processes[0][0].clone());
    let lines = text.lines().map(|line| match line {
        "kind = \"race\"" => "kind = \"crash\"".to_owned(),
        "[race]" => "[crash]".to_owned(),
        line if line.starts_with("processes = ") => format!("command = {command}"),
        line => line.to_owned(),
    });
    let mut lines: Vec<String> = lines.collect();
    let mut extra = Vec::new();
    extra.extend((!crash.kill).then(|| "kill = false".to_owned()));
    extra.extend((!crash.power).then(|| "power = false".to_owned()));
    extra.extend(crash.disk.iter().map(|disk| format!("disk = {disk:?}")));
    extra.extend(crash.durable.iter().map(|durable| match durable {
        Durable::Ended => "durable = true".to_owned(),
        Durable::Said(text) => format!("durable_after = {}", toml::Value::String(text.clone())),
    }));
    let at = lines.iter().position(|line| line == "[crash]").map_or(lines.len(), |at| at + 1);
    lines.splice(at..at, extra);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Found, Scenario, Work};

    fn read(text: &str) -> Result<Crash, String> {
        let found = Found { argument: "a.toml".into(), text: text.into() };
        let scenario = Scenario::parse(&found, &[])
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        match scenario.work {
            Work::Crash(crash) => Ok(*crash),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_saved_reads_back_as_it_was() {
        for (kill, power, disk, durable) in [
            (true, true, None, None),
            (false, true, Some("xfs".to_owned()), Some(Durable::Ended)),
            (true, true, Some("posix".to_owned()), Some(Durable::Said("saved \"it\"".into()))),
        ] {
            let race = Race {
                processes: vec![vec!["./tool 'a' > \"b\"".into()]],
                state: vec!["s".into()],
                then: vec!["./tool get".into()],
                strict: false,
                ..Race::default()
            };
            let crash = Crash { race, kill, power, disk, durable };
            let text = to_toml(&crash, "It's so.");
            assert_eq!(read(&text).unwrap_or_else(|error| panic!("{error}\n{text}")), crash);
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let head = "kind = \"crash\"\n[crash]\ncommand = \"a\"\n";
        for (line, told) in [
            ("state = [\"s\"]\ndisk = \"ext5\"", "the nearest is \"ext4\""),
            ("", "name the folder"),
            ("state = [\"s\"]\nkill = false\npower = false", "expected a crash of some kind"),
            ("state = [\"s\"]\npower = false\ndurable = true", "leave out --kill"),
            ("state = [\"s\"]\nfaults = [\"kill\"]", "faults belong to a race"),
        ] {
            let error = read(&format!("{head}{line}\n")).expect_err(line);
            assert!(error.contains(told), "{line}: {error}");
        }
    }
}
