//! What each runtime does when its commands follow each other: a model of its own, beside that of the specification.
//!
//! Races are judged by these, so that a runtime's habits are not taken for races. Each line that differs from the
//! specification says why; `docs/findings/conformance.md` tells them to people, and a test performs every operation on
//! every status and holds what comes of it against the profile.

use super::Runtime;
use crate::model::{Model, parse};

/// The text of a runtime's profile.
#[must_use]
pub const fn text(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Runc => include_str!("profiles/runc.toml"),
        Runtime::Crun => include_str!("profiles/crun.toml"),
        Runtime::Youki => include_str!("profiles/youki.toml"),
        Runtime::Runsc => include_str!("profiles/runsc.toml"),
    }
}

/// The model of a runtime's profile.
#[must_use]
pub fn model(runtime: Runtime) -> Model {
    parse(&format!("{runtime}.toml"), text(runtime).to_owned())
        .expect("the profiles compiled in are sound; a test reads each")
}

#[cfg(test)]
mod tests {
    use flockwork::Operation;

    use super::*;

    #[test]
    fn every_profile_is_a_model_of_every_operation() {
        for runtime in Runtime::ALL {
            let model = model(runtime);
            assert_eq!(model.name(), runtime.as_str());
            for operation in Runtime::operations() {
                assert!(model.rules().rule(operation).is_some(), "{runtime}: {operation}");
            }
        }
    }

    #[test]
    fn profiles_differ_where_runtimes_do() {
        use flockwork::Status::{Created, Paused};
        let rule = |runtime, operation| model(runtime).rules().rule(operation).unwrap().clone();
        assert!(rule(Runtime::Crun, Operation::Pause).idle.contains(&Some(Paused)));
        assert!(rule(Runtime::Runc, Operation::Pause).from.contains(&Some(Created)));
        assert!(!rule(Runtime::Runsc, Operation::Pause).from.contains(&Some(Created)));
    }
}
