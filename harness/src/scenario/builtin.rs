//! The built-in suite: the repository's scenarios, compiled in by the build script.

use std::path::Path;

/// A scenario of the built-in suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// Its path below `scenarios/`.
    pub path: &'static str,
    /// The text of the scenario's file, compiled in.
    pub text: &'static str,
}

impl Builtin {
    /// Its name: its file's, without folder and `.toml`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        Path::new(self.path).file_stem().and_then(|stem| stem.to_str()).unwrap_or(self.path)
    }
}

const LIST: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/builtin_scenarios.rs"));

/// The built-in suite, in the order in which it runs.
pub const BUILTIN: &[Builtin] = &{
    let mut suite = [Builtin { path: "", text: "" }; LIST.len()];
    let mut index = 0;
    while index < LIST.len() {
        suite[index] = Builtin { path: LIST[index].0, text: LIST[index].1 };
        index += 1;
    }
    suite
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::scenario::{Scenario, find};

    #[test]
    fn the_suite_is_the_folder() {
        let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
        let mut on_disk = BTreeSet::new();
        for folder in ["", "history", "regressions"] {
            let Ok(entries) = fs::read_dir(scenarios.join(folder)) else { continue };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "toml") {
                    let relative = Path::new(folder).join(path.file_name().unwrap());
                    on_disk.insert((relative.display().to_string(), fs::read_to_string(path).unwrap()));
                }
            }
        }
        let compiled: BTreeSet<_> =
            BUILTIN.iter().map(|builtin| (builtin.path.to_owned(), builtin.text.to_owned())).collect();
        assert_eq!(compiled, on_disk);
    }

    #[test]
    fn names_are_unique_and_every_scenario_parses() {
        let names: BTreeSet<_> = BUILTIN.iter().map(Builtin::name).collect();
        assert_eq!(names.len(), BUILTIN.len());
        for found in find(&[]).unwrap() {
            if let Err(problems) = Scenario::parse(&found, &[]) {
                panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
            }
        }
    }
}
