//! What a machine that holds commands is told of a site, and what its errors mean where nothing but control will do.

use std::path::Path;
use std::time::Duration;

use super::error::RaceError;
use super::site::Site;
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
        ..options
    };
    Ok(Settings {
        marker: site.marker.clone(),
        environment: site.environment.clone(),
        binds: site.binds.clone(),
        processes: members.iter().map(|process| site.command_lines(*process)).collect(),
        folders: site.places(),
        scratch,
        processor: any_processor(),
        options,
    })
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
