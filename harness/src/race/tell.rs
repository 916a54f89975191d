//! What was found, in words.

use super::Discovery;
use super::baseline::told_of;
use super::expected::Difference;
use super::judge::Broken;
use super::outcome::Who;
use super::run::Call;
use super::sheet::Place;
use crate::plan::race::RacePlan;
use crate::power::{Lost, steps};
use crate::violation::Class;
use crate::words::plural;

/// How many places are told in full.
const PLACES_MAX: usize = 8;
/// How many lines of one place.
const LINES_MAX: usize = 12;
/// How much of a line.
const CHARACTERS_MAX: usize = 160;
/// How many turns of processes are told.
const TURNS_MAX: usize = 24;
/// How many calls of one turn.
const CALLS_MAX: usize = 8;
/// How much of a value in a sentence.
const WORDS_MAX: usize = 40;

/// How many commands each process has.
fn counts(plan: &RacePlan) -> Vec<usize> {
    plan.processes.iter().map(Vec::len).collect()
}

/// The sequential order that a discovery comes nearest to, in words.
#[must_use]
pub fn nearest(plan: &RacePlan, broken: &Broken) -> String {
    told_of(&broken.nearest, &counts(plan))
}

/// A discovery in one or two sentences.
#[must_use]
pub fn message(plan: &RacePlan, discovery: &Discovery) -> String {
    match &discovery.lost {
        Some(lost) => lost_message(&discovery.broken, lost),
        None => broken_message(plan, &discovery.broken),
    }
}

/// The first places that differ, in a sentence's words.
pub(crate) fn differences(broken: &Broken) -> String {
    let told: Vec<String> = broken.differences.iter().take(2).map(sentence).collect();
    let more = broken.differences.len().saturating_sub(told.len()) as u64;
    let more = if more > 0 { format!("; and {}", plural(more, "more difference")) } else { String::new() };
    format!("{}{more}", told.join("; "))
}

/// What a power loss left, in one or two sentences.
#[must_use]
pub fn lost_message(broken: &Broken, lost: &Lost) -> String {
    let told = broken.told.first().cloned().unwrap_or_else(|| differences(broken));
    if lost.is_undone {
        format!("{}: what was acknowledged is gone after a power loss: {told}", lost.why)
    } else {
        format!("{}: {told}", lost.why)
    }
}

/// What was broken, in one or two sentences.
#[must_use]
pub fn broken_message(plan: &RacePlan, broken: &Broken) -> String {
    if broken.class == Class::Deadlock {
        let alone = if broken.also_alone { "; also alone: the same happens one after the other" } else { "" };
        let waiting = if broken.waiting.is_empty() {
            "the reason is unknown".into()
        } else {
            broken.waiting.join("; ")
        };
        return format!("a command did not end: {waiting}{alone}");
    }
    if let Some(told) = broken.told.first() {
        return told.clone();
    }
    let busy = named(plan, &broken.busy, "said that it did not run");
    let killed = named(plan, &broken.killed, "was killed");
    let told = format!(
        "no sequential order of the commands gives this{killed}{busy}; the nearest, {}, differs: {}",
        nearest(plan, broken),
        differences(broken)
    );
    if plan.oci.is_some() { of_a_runtime(&told) } else { told }
}

/// What tells the state of containers is the runtime's own `state`, and what comes after its own delete.
pub(super) fn of_a_runtime(text: &str) -> String {
    [
        ("observe printed ", "state tells "),
        ("observe stdout", "what state tells"),
        ("then 1 printed ", "delete --force leaves "),
        ("then 1 stdout", "what delete --force leaves"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (words, spoken)| text.replace(words, spoken))
}

fn named(plan: &RacePlan, steps: &[(usize, usize)], did: &str) -> String {
    let who = |&(process, index): &(usize, usize)| {
        Who::Command { process, index, alone: plan.processes[process].len() == 1 }.to_string()
    };
    let names: Vec<String> = steps.iter().map(who).collect();
    if names.is_empty() { String::new() } else { format!(" (where {} {did})", names.join(" and ")) }
}

pub(crate) fn sentence(difference: &Difference) -> String {
    let place = &difference.place;
    match (place, &difference.expected, &difference.found) {
        (Place::Ending(who), Some(expected), Some(found)) => format!("{who}: {found} rather than {expected}"),
        (Place::Stdout(who), Some(expected), Some(found)) => {
            format!("{who} printed {} rather than {}", brief(found), brief(expected))
        }
        (Place::Entry(_), Some(expected), Some(found)) => {
            let (expected, found) = without_kind(expected, found);
            format!("{place} holds {} rather than {}", brief(found), brief(expected))
        }
        (Place::Entry(_), None, Some(_)) => format!("{place} is there"),
        (Place::Entry(_), Some(_), None) => format!("{place} is missing"),
        (_, expected, found) => {
            let words = |text: &Option<String>| text.as_deref().map_or_else(|| "nothing".into(), brief);
            format!("{place} is {} rather than {}", words(found), words(expected))
        }
    }
}

/// Two values without the line that says what they are, where both are the same.
fn without_kind<'t>(one: &'t str, other: &'t str) -> (&'t str, &'t str) {
    match (one.split_once('\n'), other.split_once('\n')) {
        (Some((kind, one)), Some((same, other))) if kind == same => (one, other),
        _ => (one, other),
    }
}

/// A value in a few characters.
fn brief(text: &str) -> String {
    let text = text.trim_end_matches('\n');
    if text.is_empty() {
        return "nothing".into();
    }
    if text.chars().all(|character| character == '\0') {
        return plural(text.len() as u64, "zero byte");
    }
    let line: String = text.lines().next().unwrap_or_default().chars().take(WORDS_MAX).collect();
    let cut = if line.len() < text.len() { "…" } else { "" };
    format!("\"{line}{cut}\"")
}

/// What differs, place by place, and how it was seen: a line each.
#[must_use]
pub fn story(plan: &RacePlan, discovery: &Discovery) -> Vec<String> {
    let broken = &discovery.broken;
    let mut lines = changed(&broken.differences, &nearest(plan, broken));
    if plan.oci.is_some() {
        lines = lines.iter().map(|line| of_a_runtime(line)).collect();
    }
    lines.extend(discovery.lost.as_deref().map(steps).unwrap_or_default());
    lines.extend(broken.told.iter().skip(1).cloned());
    lines.extend(broken.waiting.iter().cloned());
    let counts = counts(plan);
    for ((process, index), (begun_ns, ended_ns)) in discovery.seen.spans() {
        let who = Who::Command { process, index, alone: counts[process] == 1 };
        let (begun_ms, ended_ms) = (begun_ns as f64 / 1e6, ended_ns as f64 / 1e6);
        let text = &plan.processes[process][index];
        lines.push(match ended_ns {
            u64::MAX => format!("{who} ran from {begun_ms:.1} ms, and did not end: {text}"),
            _ => format!("{who} ran from {begun_ms:.1} ms to {ended_ms:.1} ms: {text}"),
        });
    }
    lines.extend(order_of_calls(discovery.seen.calls()));
    lines
}

/// Calls in the order in which they were let go, a line for each time that the process changes.
fn order_of_calls(calls: &[Call]) -> Vec<String> {
    let mut lines = Vec::new();
    if !calls.is_empty() {
        lines.push("calls, in the order in which they began:".to_owned());
    }
    let turns = calls.chunk_by(|one, next| one.process == next.process);
    for turn in turns.clone().take(TURNS_MAX) {
        let calls: Vec<&str> = turn.iter().take(CALLS_MAX).map(|call| call.label.as_str()).collect();
        let more = turn.len().saturating_sub(calls.len()) as u64;
        let more = if more > 0 { format!(", and {}", plural(more, "more call")) } else { String::new() };
        lines.push(format!("  p{}: {}{more}", turn[0].process + 1, calls.join(", ")));
    }
    let more = turns.count().saturating_sub(TURNS_MAX) as u64;
    if more > 0 {
        lines.push(format!("  and {}, in table.txt", plural(more, "more turn")));
    }
    lines
}

/// Differences, place by place: what was expected as this leaves it, and what was found.
pub(crate) fn changed(differences: &[Difference], nearest: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if !differences.is_empty() {
        lines.push(format!("- as {nearest} leaves it   + as it was left here"));
    }
    for difference in differences.iter().take(PLACES_MAX) {
        lines.push(difference.place.to_string());
        lines.extend(changed_lines(difference));
    }
    let more = differences.len().saturating_sub(PLACES_MAX);
    if more > 0 {
        lines.push(format!("and {}", plural(more as u64, "more place")));
    }
    lines
}

fn changed_lines(difference: &Difference) -> Vec<String> {
    let expected = difference.expected.as_deref().unwrap_or_default();
    let found = difference.found.as_deref().unwrap_or_default();
    let (expected, found) = match (&difference.expected, &difference.found) {
        (Some(_), Some(_)) => without_kind(expected, found),
        _ => (expected, found),
    };
    let diff = similar::TextDiff::from_lines(expected, found);
    let mut lines = Vec::new();
    for change in diff.iter_all_changes() {
        let mark = match change.tag() {
            similar::ChangeTag::Delete => '-',
            similar::ChangeTag::Insert => '+',
            similar::ChangeTag::Equal => continue,
        };
        let text: String = change.value().trim_end_matches('\n').chars().take(CHARACTERS_MAX).collect();
        lines.push(format!("  {mark} {text}"));
    }
    // Something that differs only in how it ends.
    if lines.is_empty() {
        lines.push(format!("  - {expected:?}"));
        lines.push(format!("  + {found:?}"));
    }
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(format!("  and {}", plural(more as u64, "more line")));
    }
    lines
}
