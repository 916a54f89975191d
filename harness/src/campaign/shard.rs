//! Shards: which of several machines this is, from the command line or from what the machines' scheduler says.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of several equal shares of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    /// Which of the shards this is, from 0; people count from 1.
    index: u32,
    /// How many there are; at least one.
    of: u32,
}

/// More shards than these nobody has machines for.
const SHARDS_MAX: u32 = 1_000_000;

/// A shard that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ShardError(String);

impl Shard {
    /// All of the work.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// The shard of this number, from 0.
    pub fn new(index: u32, of: u32) -> Result<Self, ShardError> {
        if of == 0 || of > SHARDS_MAX {
            return Err(ShardError(format!("expected from 1 to {SHARDS_MAX} shards, found {of}")));
        }
        if index >= of {
            let number = u64::from(index) + 1;
            return Err(ShardError(format!("there is no shard {number} of {of}: they are numbered from 1")));
        }
        Ok(Self { index, of })
    }

    /// Its number, from 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.index + 1
    }

    /// How many there are.
    #[must_use]
    pub const fn of(self) -> u32 {
        self.of
    }

    /// Whether it is the only one.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Whether the case of this number, from 0, belongs to it. Every case belongs to one shard.
    #[must_use]
    pub const fn owns(self, case: u64) -> bool {
        case % self.of as u64 == self.index as u64
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number(), self.of)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let wrong = || ShardError(format!("expected I/N, such as 1/4 for the first of four, found {text:?}"));
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let (number, of): (u32, u32) =
            (number.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
        let Some(index) = number.checked_sub(1) else {
            return Err(ShardError("there is no shard 0: they are numbered from 1".into()));
        };
        Self::new(index, of)
    }
}

impl TryFrom<String> for Shard {
    type Error = ShardError;

    fn try_from(text: String) -> Result<Self, ShardError> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

/// A scheduler that says which machine this is.
struct Scheduler {
    name: &'static str,
    /// The variable without which it is not there.
    index: &'static str,
    count: &'static str,
    /// The number of the first machine.
    base: Base,
    /// The step from one number to the next, where it can be another than 1.
    step: Option<&'static str>,
    /// The variable with the path of a file that says to it, by being there, that the work is shared.
    acknowledged_by: Option<&'static str>,
}

enum Base {
    Zero,
    One,
    /// A variable says it.
    Variable(&'static str),
}

const SCHEDULERS: [Scheduler; 6] = [
    Scheduler {
        name: "Slurm",
        index: "SLURM_ARRAY_TASK_ID",
        count: "SLURM_ARRAY_TASK_COUNT",
        base: Base::Variable("SLURM_ARRAY_TASK_MIN"),
        step: Some("SLURM_ARRAY_TASK_STEP"),
        acknowledged_by: None,
    },
    // Kubernetes tells an indexed job's pods their number, and not how many there are.
    Scheduler {
        name: "Kubernetes",
        index: "JOB_COMPLETION_INDEX",
        count: "FLOCKWORK_SHARDS",
        base: Base::Zero,
        step: None,
        acknowledged_by: None,
    },
    Scheduler {
        name: "GitLab",
        index: "CI_NODE_INDEX",
        count: "CI_NODE_TOTAL",
        base: Base::One,
        step: None,
        acknowledged_by: None,
    },
    Scheduler {
        name: "Buildkite",
        index: "BUILDKITE_PARALLEL_JOB",
        count: "BUILDKITE_PARALLEL_JOB_COUNT",
        base: Base::Zero,
        step: None,
        acknowledged_by: None,
    },
    Scheduler {
        name: "Bazel",
        index: "TEST_SHARD_INDEX",
        count: "TEST_TOTAL_SHARDS",
        base: Base::Zero,
        step: None,
        acknowledged_by: Some("TEST_SHARD_STATUS_FILE"),
    },
    // GitHub tells these to expressions only: the workflow hands them on.
    Scheduler {
        name: "GitHub",
        index: "FLOCKWORK_JOB_INDEX",
        count: "FLOCKWORK_JOB_TOTAL",
        base: Base::Zero,
        step: None,
        acknowledged_by: None,
    },
];

/// A shard that the environment names, and where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// The shard that the environment names.
    pub shard: Shard,
    /// The scheduler whose variables were found, as messages call it.
    pub scheduler: &'static str,
    /// The variable that says the number.
    pub variable: &'static str,
    /// The variable with the path of a file, where the scheduler takes a share for done only if that is made.
    pub acknowledged_by: Option<&'static str>,
}

/// The shard that the environment names; `None` where no scheduler is recognised. What contradicts itself is an error.
pub fn recognise(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Recognised>, ShardError> {
    let mut found: Option<Recognised> = None;
    for scheduler in &SCHEDULERS {
        let Some(recognised) = scheduler.recognise(&variable)? else { continue };
        // Within a job of one scheduler, another's may run: one machine of one says nothing.
        match found {
            Some(other) if other.shard.is_whole() => found = Some(recognised),
            Some(other) if !recognised.shard.is_whole() && other.shard != recognised.shard => {
                return Err(ShardError(format!(
                    "{} says shard {} and {} says shard {}: say which by --shard I/N",
                    other.scheduler, other.shard, recognised.scheduler, recognised.shard
                )));
            }
            Some(_) => {}
            None => found = Some(recognised),
        }
    }
    Ok(found)
}

/// A number that somebody gave this machine without saying, in the variable that is ours to be set, of how many: it is
/// no shard then, and whoever meant one should hear of it.
pub fn without_count(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let is_set = |name: &str| variable(name).is_some_and(|text| !text.is_empty());
    let mut ours = SCHEDULERS.iter().filter(|it| it.count.starts_with("FLOCKWORK_"));
    let lone = ours.find(|it| is_set(it.index) && !is_set(it.count))?;
    let Scheduler { name, index, count, .. } = lone;
    Some(format!(
        "{name} gives this job's number ({index}), but {count} does not say how many jobs there are: running everything"
    ))
}

impl Scheduler {
    fn recognise(
        &self,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Recognised>, ShardError> {
        let Some(id) = number(variable, self.index)? else { return Ok(None) };
        // Without a number of machines there is nothing to be shared.
        let Some(count) = number(variable, self.count)? else { return Ok(None) };
        let base = match self.base {
            Base::Zero => 0,
            Base::One => 1,
            Base::Variable(name) => number(variable, name)?.unwrap_or(0),
        };
        let step = self.step.map_or(Ok(None), |name| number(variable, name))?.unwrap_or(1).max(1);
        let impossible = || {
            let (index, counted) = (self.index, self.count);
            ShardError(format!(
                "{}: {index}={id}, but {counted}={count} machines are numbered from {base} in steps of {step}",
                self.name
            ))
        };
        let steps = id.checked_sub(base).ok_or_else(impossible)?;
        if steps % step != 0 {
            return Err(impossible());
        }
        let shard = Shard::new(steps / step, count).map_err(|_| impossible())?;
        let Self { name: scheduler, index: variable, acknowledged_by, .. } = *self;
        Ok(Some(Recognised { shard, scheduler, variable, acknowledged_by }))
    }
}

fn number(variable: &impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<u32>, ShardError> {
    let Some(text) = variable(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let read = text.parse().map_err(|_| ShardError(format!("{name}: expected a number, found {text:?}")));
    read.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let look = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        recognise(look)
            .map(|found| found.map(|found| found.shard.to_string()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_case_belongs_to_one_shard() {
        for of in [1, 2, 3, 7] {
            let shards: Vec<Shard> = (0..of).map(|index| Shard::new(index, of).unwrap()).collect();
            for case in 0..100 {
                assert_eq!(shards.iter().filter(|shard| shard.owns(case)).count(), 1);
            }
        }
    }

    #[test]
    fn shards_are_read_as_they_are_written() {
        assert_eq!("2/4".parse::<Shard>().unwrap().to_string(), "2/4");
        for (text, told) in [
            ("0/4", "there is no shard 0"),
            ("7/4", "there is no shard 7 of 4"),
            ("1/0", "expected from 1 to"),
            ("4", "expected I/N"),
            ("a/b", "expected I/N"),
            ("-1/4", "expected I/N"),
        ] {
            let error = text.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn each_scheduler_has_its_base() {
        for (variables, shard) in [
            (
                vec![
                    ("SLURM_ARRAY_TASK_ID", "0"),
                    ("SLURM_ARRAY_TASK_COUNT", "4"),
                    ("SLURM_ARRAY_TASK_MIN", "0"),
                ],
                "1/4",
            ),
            (
                vec![
                    ("SLURM_ARRAY_TASK_ID", "4"),
                    ("SLURM_ARRAY_TASK_COUNT", "4"),
                    ("SLURM_ARRAY_TASK_MIN", "1"),
                ],
                "4/4",
            ),
            (
                vec![
                    ("SLURM_ARRAY_TASK_ID", "14"),
                    ("SLURM_ARRAY_TASK_COUNT", "3"),
                    ("SLURM_ARRAY_TASK_MIN", "10"),
                    ("SLURM_ARRAY_TASK_STEP", "2"),
                ],
                "3/3",
            ),
            (vec![("JOB_COMPLETION_INDEX", "0"), ("FLOCKWORK_SHARDS", "8")], "1/8"),
            (vec![("JOB_COMPLETION_INDEX", "7"), ("FLOCKWORK_SHARDS", "8")], "8/8"),
            (vec![("CI_NODE_INDEX", "1"), ("CI_NODE_TOTAL", "4")], "1/4"),
            (vec![("CI_NODE_INDEX", "4"), ("CI_NODE_TOTAL", "4")], "4/4"),
            (vec![("BUILDKITE_PARALLEL_JOB", "0"), ("BUILDKITE_PARALLEL_JOB_COUNT", "5")], "1/5"),
            (vec![("BUILDKITE_PARALLEL_JOB", "4"), ("BUILDKITE_PARALLEL_JOB_COUNT", "5")], "5/5"),
            (vec![("TEST_SHARD_INDEX", "0"), ("TEST_TOTAL_SHARDS", "2")], "1/2"),
            (vec![("TEST_SHARD_INDEX", "1"), ("TEST_TOTAL_SHARDS", "2")], "2/2"),
            (vec![("FLOCKWORK_JOB_INDEX", "0"), ("FLOCKWORK_JOB_TOTAL", "3")], "1/3"),
            (vec![("FLOCKWORK_JOB_INDEX", "2"), ("FLOCKWORK_JOB_TOTAL", "3")], "3/3"),
        ] {
            assert_eq!(of(&variables), Ok(Some(shard.to_owned())), "{variables:?}");
        }
    }

    #[test]
    fn without_a_scheduler_there_is_no_shard() {
        assert_eq!(of(&[]), Ok(None));
        // GitLab tells the number of machines to every job, and a job that is not shared has no number.
        assert_eq!(of(&[("CI_NODE_TOTAL", "1")]), Ok(None));
        assert_eq!(of(&[("JOB_COMPLETION_INDEX", "3")]), Ok(None));
        let lone = |name: &str| (name == "JOB_COMPLETION_INDEX").then(|| "3".to_owned());
        assert!(without_count(lone).is_some_and(|it| it.contains("FLOCKWORK_SHARDS")));
        assert_eq!(without_count(|_| None), None);
        assert_eq!(without_count(|name| name.starts_with("CI_NODE_INDEX").then(|| "3".to_owned())), None);
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        for variables in [
            [("CI_NODE_INDEX", "7"), ("CI_NODE_TOTAL", "4")],
            [("CI_NODE_INDEX", "0"), ("CI_NODE_TOTAL", "4")],
            [("BUILDKITE_PARALLEL_JOB", "4"), ("BUILDKITE_PARALLEL_JOB_COUNT", "4")],
            [("TEST_SHARD_INDEX", "0"), ("TEST_TOTAL_SHARDS", "0")],
        ] {
            let error = of(&variables).unwrap_err();
            assert!(error.contains(variables[0].0) && error.contains("are numbered from"), "{error}");
        }
        assert!(
            of(&[("TEST_SHARD_INDEX", "one"), ("TEST_TOTAL_SHARDS", "2")]).unwrap_err().contains("\"one\"")
        );
        let both = [
            ("CI_NODE_INDEX", "1"),
            ("CI_NODE_TOTAL", "4"),
            ("TEST_SHARD_INDEX", "1"),
            ("TEST_TOTAL_SHARDS", "2"),
        ];
        assert!(of(&both).unwrap_err().contains("--shard"));
    }

    #[test]
    fn one_machine_of_one_is_no_contradiction() {
        let both = [
            ("CI_NODE_INDEX", "1"),
            ("CI_NODE_TOTAL", "1"),
            ("TEST_SHARD_INDEX", "1"),
            ("TEST_TOTAL_SHARDS", "2"),
        ];
        assert_eq!(of(&both), Ok(Some("2/2".into())));
    }
}
