//! A folder with a tool in it and a state beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::program;
use super::support::{Place, json, stderr, stdout};

/// Says which command came first: whoever finds the door closed says `second`. One after the other both say `first`; at
/// once they never do, as the first holds the door long enough.
pub const DOOR: &str = r"#!/bin/sh
exec 9>>door
if flock -n 9; then sleep 0.3; echo first; else echo second; fi
";

/// A counter that waits for its turn.
pub const SOUND: &str = r"#!/bin/sh
exec 9>>state/lock
flock 9
read -r n <state/count
sleep 0.05
echo $((n + 1)) >state/count
";

pub struct Workshop {
    pub place: Place,
}

impl Workshop {
    /// With this tool, and a state folder that holds a count.
    pub fn new(tool: &str) -> Self {
        let place = Place::new();
        let workshop = Self { place };
        workshop.program("tool", tool);
        workshop.place.file("state/count", "0\n");
        workshop
    }

    pub fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        program::write(&path, text);
        path
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The binary, to be run here, with its own records beside the state.
    pub fn flockwork(&self, words: &[&str]) -> Command {
        let mut command = self.place.flockwork(words);
        command.env("XDG_STATE_HOME", self.path().join("home"));
        command
    }

    /// `flockwork race`, with copies below this workshop's root.
    pub fn race(&self, words: &[&str]) -> Command {
        let mut command = self.flockwork(&["race", "--root", "root"]);
        command.args(words);
        command
    }

    /// The same of two commands that share the state, as JSON.
    pub fn json(&self, flags: &[&str], commands: &[&str], code: i32) -> serde_json::Value {
        let words = [&["--state", "state", "--format", "json"], flags, &["--"], commands].concat();
        let output = super::support::ends_with(&mut self.race(&words), code);
        json(&output)
    }
}

/// Every file below a folder with what it holds, to see that nothing has changed.
pub fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut contents = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                contents.push((path.clone(), fs::read(path).unwrap()));
            }
        }
    }
    contents.sort();
    contents
}

/// The whole of what a command said.
pub fn said(output: &Output) -> String {
    format!("{}{}", stdout(output), stderr(output))
}
