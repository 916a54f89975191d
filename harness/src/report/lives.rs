//! Generations as people count them. A generation is a number taken from a clock, so that no two are ever the same; of a
//! container's lives in one run a reader wants the first and the second. Programs, and whoever asks for details, get
//! the number.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::history::History;

/// The lives of a container that words mention: each generation with its place among those of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lives(BTreeMap<u64, u64>);

const GENERATION: &str = "generation ";
const REVISION: &str = " revision ";

impl Lives {
    /// Those of a container's generations in a history that these texts mention.
    #[must_use]
    pub fn of<'t>(
        history: &History,
        container: Option<u32>,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Self {
        let told: BTreeSet<u64> = texts.into_iter().flat_map(mentioned).collect();
        let Some(container) = container.filter(|_| !told.is_empty()) else { return Self::default() };
        let mut lives = Self::all(history, container);
        lives.0.retain(|generation, _| told.contains(generation));
        lives
    }

    /// All lives of a container in a history.
    #[must_use]
    pub fn all(history: &History, container: u32) -> Self {
        let own = history.records.iter().filter(|record| record.container() == Some(container));
        let generations: BTreeSet<u64> = own.filter_map(|record| record.generation).map(u64::from).collect();
        Self(generations.into_iter().zip(1..).collect())
    }

    /// Whether nothing is known of any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `generation 1795… revision 3` as `life 1, save 3`. A generation that is not known stays.
    #[must_use]
    pub fn tell(&self, text: &str) -> String {
        let mut told = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(GENERATION) {
            let (before, after) = rest.split_at(at);
            told.push_str(before);
            let number = &after[GENERATION.len()..];
            let (generation, behind) = digits(number);
            let Some(life) = generation.and_then(|generation| self.0.get(&generation)) else {
                told.push_str(GENERATION);
                rest = number;
                continue;
            };
            write!(told, "life {life}").expect("a String takes all");
            rest = behind;
            if let Some(revision) = behind.strip_prefix(REVISION)
                && revision.starts_with(|c: char| c.is_ascii_digit())
            {
                told.push_str(", save ");
                rest = revision;
            }
        }
        told + rest
    }
}

/// The generations that a text mentions.
fn mentioned(text: &str) -> impl Iterator<Item = u64> {
    text.split(GENERATION).skip(1).filter_map(|rest| digits(rest).0)
}

/// The number that a text begins with, and what comes behind it.
fn digits(text: &str) -> (Option<u64>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].parse().ok(), &text[end..])
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use flockwork::Operation;

    use super::*;
    use crate::history::Record;

    fn history(generations: &[u64]) -> History {
        let mut history = History::default();
        history.containers.push("c1".into());
        for (number, generation) in generations.iter().enumerate() {
            let mut record = Record::invoked(0, Some(0), Operation::Pause, number as u64);
            record.generation = NonZeroU64::new(*generation);
            history.records.push(record);
        }
        history
    }

    #[test]
    fn lives_are_counted_among_all_of_the_run() {
        let history = history(&[400, 100, 900, 400]);
        let text =
            "two saves claim generation 400 revision 3; then generation 900, and generation 12, generations";
        let lives = Lives::of(&history, Some(0), [text]);
        assert_eq!(
            lives.tell(text),
            "two saves claim life 2, save 3; then life 3, and generation 12, generations"
        );
        assert_eq!(Lives::of(&history, Some(1), [text]).tell(text), text);
    }

    #[test]
    fn words_without_a_number_stay() {
        let lives = Lives::of(&history(&[7]), Some(0), ["generation 7"]);
        let odd = "a generation is a number; generation revision 3; generation 7 revision";
        assert_eq!(lives.tell(odd), "a generation is a number; generation revision 3; life 1 revision");
        assert!(Lives::of(&history(&[7]), Some(0), ["nothing"]).is_empty());
    }

    #[test]
    fn they_are_stored_and_read_back() {
        let lives = Lives::of(&history(&[7, 9]), Some(0), ["generation 9"]);
        let text = serde_json::to_string(&lives).unwrap();
        assert_eq!(text, r#"{"9":2}"#);
        assert_eq!(serde_json::from_str::<Lives>(&text).unwrap(), lives);
    }
}
