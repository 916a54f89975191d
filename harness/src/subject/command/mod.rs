//! A user's command as subject: what its placeholders stand for, which values it is given, and how its answer is read.
//!
//! Pure: nothing here starts a process.

pub mod answer;
pub mod fill;
pub mod history;
pub mod values;

/// A pattern of paths below the state folder: a star matches within one name.
pub fn glob(pattern: &str) -> Result<globset::GlobMatcher, globset::Error> {
    let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build()?;
    Ok(glob.compile_matcher())
}
