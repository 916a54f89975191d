//! What is tested, and with which choices: typed, so that a plan that was read needs no further reading.

use std::fmt;
use std::str::FromStr;

use flockwork::{LockKind, ReadPolicy, StoreOptions, Wait, WritePolicy};
use serde::{Deserialize, Serialize};
use strum::{EnumCount, VariantArray};

use super::replica::Replica;
use super::rounds::OciPlan;
use crate::words::every;

/// What is tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "name")]
pub enum SubjectPlan {
    /// The core library, with the choices it offers.
    Library(LibraryPlan),
    /// A replica of a historic gVisor protocol.
    Replica {
        /// The protocol that is replayed.
        replica: Replica,
        /// Lets some creates fail half-way, where it is set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fail_create: Option<FailCreate>,
    },
    /// A container runtime, by its commands.
    Oci(OciPlan),
    /// A subject of a program that uses this crate as a library: no scenario names one.
    Custom {
        /// What that program's own [builder](crate::subject::Builder) makes the subject from.
        word: String,
    },
}

impl SubjectPlan {
    /// The same subject, of which only this many workers' creates fail.
    #[must_use]
    pub fn with_workers(mut self, processes: u32) -> Self {
        if let Self::Replica { fail_create: Some(fail), .. } = &mut self {
            fail.workers = processes;
        }
        self
    }

    /// The container runtime that it is, if it is one.
    #[must_use]
    pub const fn oci(&self) -> Option<&OciPlan> {
        match self {
            Self::Oci(oci) => Some(oci),
            Self::Library(_) | Self::Replica { .. } | Self::Custom { .. } => None,
        }
    }
}

/// The choices that the library offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryPlan {
    /// Which kind of lock file or file lock guards a container.
    pub lock: LockKind,
    /// How it waits for the lock.
    #[serde(with = "word")]
    pub wait: Wait,
    /// Which lock its reading operations take, if any.
    pub read: ReadPolicy,
    /// How metadata is replaced: by rename, with fsync, or in place.
    pub write: WritePolicy,
    /// What stands behind a container.
    pub sandbox: SandboxKind,
}

impl Default for LibraryPlan {
    /// The library as it comes, and nothing behind its containers.
    fn default() -> Self {
        let StoreOptions { lock, wait, read, write, .. } = StoreOptions::default();
        Self { lock, wait, read, write, sandbox: SandboxKind::Inert }
    }
}

/// What stands behind the containers of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumCount, VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxKind {
    /// Nothing stands behind them: pure metadata.
    Inert,
    /// A real process tree each.
    Process,
}

impl SandboxKind {
    /// Both, as scenarios spell them.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As scenarios spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inert => "inert",
            Self::Process => "process",
        }
    }
}

impl fmt::Display for SandboxKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SandboxKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| format!("unknown sandbox {text:?}, expected inert or process"))
    }
}

/// A value as the word or duration by which scenarios spell it.
mod word {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
    where
        D: Deserializer<'de>,
        T: FromStr<Err: Display>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Which creates fail half-way: as with a bad bundle, whatever the state of the container.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailCreate {
    /// Which share of them, from 0 to 1: the request's process and number decide.
    pub share: f64,
    /// Whether a create that fails does so at its start or its end.
    pub at: FailCreateAt,
    /// Only creates of processes with a lower number fail: whoever examines what the workers left is no worker, and is
    /// to see the protocol at its best.
    pub workers: u32,
}

/// Where in its course a create that is to fail does fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailCreateAt {
    /// Behind the check that there is no such container, and before anything is started or saved: a bad bundle.
    Start,
    /// When all is done and saved: a pid file that cannot be written.
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_back_as_it_was_written() {
        let library = LibraryPlan {
            lock: LockKind::Ofd,
            wait: Wait::Bounded(std::time::Duration::from_secs(5)),
            sandbox: SandboxKind::Process,
            ..LibraryPlan::default()
        };
        let plan = SubjectPlan::Library(library);
        let text = serde_json::to_string(&plan).expect("JSON");
        assert_eq!(
            text,
            r#"{"name":"library","lock":"ofd","wait":"5s","read":"shared","write":"rename","sandbox":"process"}"#
        );
        assert_eq!(serde_json::from_str::<SubjectPlan>(&text).expect("a plan"), plan);
        let unknown = text.replace("ofd", "hope");
        assert!(serde_json::from_str::<SubjectPlan>(&unknown).is_err(), "no choice that there is not");
        for kind in SandboxKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }
}
