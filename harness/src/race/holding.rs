//! What a machine that holds commands is told of a site, and what its errors mean where nothing but control will do.

use std::path::Path;
use std::time::Duration;

use super::error::RaceError;
use super::pool::Turn;
use super::site::Site;
use crate::explore::observe::{Observer, Scene};
use crate::tracee::{Options, Settings, TraceeError, any_processor};

/// What a machine is to hold: these processes of a site.
pub(crate) fn machine_settings(
    site: &Site,
    root: &Path,
    members: &[usize],
    options: Options,
) -> std::io::Result<Settings> {
    let scratch = root.join("control");
    std::fs::create_dir_all(&scratch)?;
    let options = Options {
        time_limit: site.time_limit * 2 + Duration::from_secs(10),
        step_limit: site.time_limit,
        patience: site.time_limit,
        ..options
    };
    Ok(Settings {
        marker: site.marker.clone(),
        environment: site.environment.clone(),
        binds: site.binds.clone(),
        network: site.network,
        processes: members.iter().map(|process| site.command_lines(*process)).collect(),
        folders: site.places(),
        scratch,
        processor: any_processor(),
        options,
    })
}

/// Looks at containers before what commands left behind is ended, and has somebody else look on besides.
pub(crate) struct Looking<'a> {
    observer: &'a mut dyn Observer,
    site: &'a mut Site,
    /// The turn of the execution at hand, where several have to take turns.
    turn: Option<Turn<'a>>,
    looked: Result<(), RaceError>,
}

impl<'a> Looking<'a> {
    pub fn in_turn(observer: &'a mut dyn Observer, site: &'a mut Site, turn: Option<Turn<'a>>) -> Self {
        Self { observer, site, turn, looked: Ok(()) }
    }

    /// Whether containers could be looked at. Whoever had the turn has it no longer.
    pub fn told(self) -> Result<(), RaceError> {
        self.looked
    }
}

impl Observer for Looking<'_> {
    fn looks_on(&self) -> bool {
        self.observer.looks_on()
    }

    fn before(&mut self, scene: &Scene<'_>) {
        self.observer.before(scene);
    }

    fn over(&mut self) {
        self.observer.over();
        if let Some(turn) = self.turn.take() {
            turn.leave();
        }
        self.looked = self.site.look();
    }
}

/// An error of the machine where nothing but control will do.
pub(crate) fn refusal(error: TraceeError) -> RaceError {
    match error {
        TraceeError::Io(error) => RaceError::Failed(format!("control: {error}")),
        TraceeError::Spawner(why) => RaceError::Failed(why),
        TraceeError::Unsupported(why) => RaceError::Unsupported(format!("{why}; see `flockwork doctor`")),
        error => RaceError::Refused(error.to_string()),
    }
}
