//! How an identity is spelled: as a word that can be a part of a file's name, or a link's target.

use std::fmt;
use std::str::FromStr;

use super::view::boot_of;
use super::{ProcessIdentity, View};

/// A text that names no process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not name a process")]
pub struct NoIdentity(pub String);

impl fmt::Display for ProcessIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, start_time, view, inode } = self;
        write!(f, "{pid}.{start_time}")?;
        if let Some(View { boot, pid_namespace, time_namespace }) = view {
            write!(f, ".{boot:032x}.{pid_namespace}.{time_namespace}.{}", inode.unwrap_or_default())?;
        }
        Ok(())
    }
}

impl FromStr for ProcessIdentity {
    type Err = NoIdentity;

    /// Reads an identity; one that does not say from where it was read is `<pid>.<start time>`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| NoIdentity(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<ProcessIdentity> {
    let fields: Vec<&str> = text.split('.').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let (view, inode) = match fields.len() {
        2 => (None, None),
        6 => {
            let (boot, pid_namespace, time_namespace) = (boot_of(fields[2])?, number(3)?, number(4)?);
            (Some(View { boot, pid_namespace, time_namespace }), Some(number(5)?).filter(|inode| *inode != 0))
        }
        _ => return None,
    };
    Some(ProcessIdentity { pid: fields[0].parse().ok()?, start_time: number(1)?, view, inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let view = Some(View { boot: 255, pid_namespace: 3, time_namespace: 4 });
        for (view, inode, text) in [
            (None, None, "1.2"),
            (view, None, "1.2.000000000000000000000000000000ff.3.4.0"),
            (view, Some(5), "1.2.000000000000000000000000000000ff.3.4.5"),
        ] {
            let identity = ProcessIdentity { pid: 1, start_time: 2, view, inode };
            assert_eq!(identity.to_string(), text);
            assert_eq!(text.parse(), Ok(identity));
        }
    }

    #[test]
    fn what_names_no_process_is_an_error() {
        let boot = "000000000000000000000000000000ff";
        for bad in [
            String::new(),
            "1".to_owned(),
            "1.".to_owned(),
            "1.2.3".to_owned(),
            "-1.2".to_owned(),
            "1.x".to_owned(),
            format!("1.2.{boot}"),
            format!("1.2.{boot}.3"),
            format!("1.2.{boot}.3.4"),
            "1.2.ff.3.4.5".to_owned(),
            format!("1.2.{boot}.x.4.5"),
            format!("1.2.{boot}.3.4.x"),
            format!("1.2.{boot}.3.x.5"),
            format!("1.2.{boot}.3.4.5.6"),
            "/etc/passwd".to_owned(),
        ] {
            assert_eq!(bad.parse::<ProcessIdentity>(), Err(NoIdentity(bad.clone())));
        }
    }
}
