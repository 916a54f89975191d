//! Which replica is tested. What each of them does is told where it is built, in `subject/replica/`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::{EnumCount, VariantArray};

use crate::words::{every, nearest};

/// A replica: a protocol that once was, or the library's with a rule switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Replica {
    /// What gVisor's runsc did at one commit.
    Gvisor(GvisorCommit),
    /// The library's own protocol in small, whole or without one of its rules.
    Rules {
        /// The rule that is switched off; none: it keeps them all, and nothing must be found in it.
        without: Option<Rule>,
    },
}

/// A commit of gVisor at which the protocol of runsc's metadata was another than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumCount, VariantArray)]
pub enum GvisorCommit {
    /// `b63c4bfe02d1`, September 2018: no lock at all.
    Unlocked,
    /// `b4321f444727`, September 2018: the first lock.
    Of2018,
    /// `ca90dad0e`, October 2019: the flat layout, each method with the right lock file.
    Of2019,
    /// `a4e5f3b68`, August 2024: a create that is refused no longer cleans up.
    Of2024,
    /// `3c5eee17dc45`, August 2026.
    Of2026,
}

impl GvisorCommit {
    /// Every commit that has a replica, the oldest first.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    const fn as_str(self) -> &'static str {
        match self {
            Self::Unlocked => "gvisor-unlocked",
            Self::Of2018 => "gvisor-2018",
            Self::Of2019 => "gvisor-2019",
            Self::Of2024 => "gvisor-2024",
            Self::Of2026 => "gvisor-2026",
        }
    }
}

/// A rule of the library's protocol that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumCount, VariantArray)]
pub enum Rule {
    /// After the lock is taken, the locked inode is compared with the one at the path.
    Recheck,
    /// The status that is checked is read under the lock.
    FreshStatus,
    /// The lock is held until the save is done.
    LockedSave,
    /// A temporary file belongs to one lock.
    OwnTemporary,
    /// A container is deleted under its lock.
    LockedDelete,
    /// A create that fails removes what it made.
    CleanCreate,
    /// What a killed holder left is cleared by the next.
    ClearedLeftovers,
}

impl Rule {
    /// Every rule that can be switched off.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// The replica that does without it, as scenarios spell it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Recheck => "rules-without-recheck",
            Self::FreshStatus => "rules-without-fresh-status",
            Self::LockedSave => "rules-without-locked-save",
            Self::OwnTemporary => "rules-without-own-temporary",
            Self::LockedDelete => "rules-without-locked-delete",
            Self::CleanCreate => "rules-without-clean-create",
            Self::ClearedLeftovers => "rules-without-cleared-leftovers",
        }
    }
}

impl Replica {
    /// Every replica: those of gVisor, the oldest first, then the library's with all rules and without each.
    pub fn all() -> impl Iterator<Item = Self> {
        let rules = std::iter::once(None).chain(Rule::ALL.map(Some));
        GvisorCommit::ALL.map(Self::Gvisor).into_iter().chain(rules.map(|without| Self::Rules { without }))
    }

    /// As scenarios spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gvisor(commit) => commit.as_str(),
            Self::Rules { without: None } => "rules",
            Self::Rules { without: Some(rule) } => rule.as_str(),
        }
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that no replica has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown replica {name:?}: {near}there are {known}",
    near = self.nearest().map(|near| format!("the nearest is {near:?}; ")).unwrap_or_default(),
    known = Replica::all().map(Replica::as_str).collect::<Vec<_>>().join(", "))]
pub struct UnknownReplica {
    name: String,
}

impl UnknownReplica {
    fn nearest(&self) -> Option<&'static str> {
        nearest(&self.name, Replica::all().map(Replica::as_str))
    }
}

impl FromStr for Replica {
    type Err = UnknownReplica;

    fn from_str(name: &str) -> Result<Self, UnknownReplica> {
        let known = Self::all().find(|replica| replica.as_str() == name);
        known.ok_or_else(|| UnknownReplica { name: name.to_owned() })
    }
}

impl TryFrom<String> for Replica {
    type Error = UnknownReplica;

    fn try_from(name: String) -> Result<Self, UnknownReplica> {
        name.parse()
    }
}

impl From<Replica> for String {
    fn from(replica: Replica) -> Self {
        replica.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_reads_back_as_it_is_spelled_and_no_other_name_does() {
        for replica in Replica::all() {
            assert_eq!(replica.as_str().parse(), Ok(replica));
            let json = serde_json::to_string(&replica).expect("JSON");
            assert_eq!(json, format!("{:?}", replica.as_str()));
            assert_eq!(serde_json::from_str::<Replica>(&json).expect("a replica"), replica);
        }
        let error = "gvisor-2017".parse::<Replica>().expect_err("there is none").to_string();
        assert!(error.contains("the nearest is \"gvisor-2018\""), "{error}");
        assert!(error.contains("gvisor-unlocked, gvisor-2018, gvisor-2019"), "{error}");
        assert!(error.ends_with("rules-without-cleared-leftovers"), "{error}");
    }
}
