//! Findings of runs of commands.

use serde_json::json;

use super::{AROUND, Finding, Glimpse, SCHEMA_VERSION, WINDOW_MAX};
use crate::engine::command::{Entry, Unusual};
use crate::plan::command::CommandPlan;
use crate::signature::fnv1a;
use crate::violation::Violation;

impl Finding {
    /// Makes a finding of a violation of a run of commands, whose records are indexes into `entries`.
    #[must_use]
    pub fn of_commands(plan: &CommandPlan, entries: &[Entry], violation: &Violation, subject: &str) -> Self {
        let mut window = violation.records.clone();
        if let (Some(&first), Some(&last)) = (window.iter().min(), window.iter().max()) {
            let is_near = |index: &usize| {
                let (entry, decisive) = (&entries[*index], &entries[first]);
                entry.round == decisive.round && entry.object == decisive.object
            };
            window.extend((0..first).rev().filter(is_near).take(AROUND));
            window.extend((last + 1..entries.len()).filter(is_near).take(AROUND));
        }
        window.sort_unstable();
        window.dedup();
        window.truncate(WINDOW_MAX);
        let origin_ns = entries.first().map_or(0, |entry| entry.invoke_ns);
        let object = violation.records.first().map(|&index| plan.objects[entries[index].object].clone());
        Self {
            schema_version: SCHEMA_VERSION,
            signature: signature(plan, entries, violation, subject),
            class: violation.class,
            subject: subject.to_owned(),
            container: object,
            message: violation.message.clone(),
            window: window
                .into_iter()
                .map(|index| glimpse(plan, &entries[index], index, violation, origin_ns))
                .collect(),
            exploration: None,
            race: None,
            crash: None,
        }
    }
}

/// The class, and a hash of the class, the subject, and the kinds of the decisive operations.
fn signature(plan: &CommandPlan, entries: &[Entry], violation: &Violation, subject: &str) -> String {
    let kind = |&index: &usize| {
        let entry = &entries[index];
        format!("{} {}", plan.operations[entry.operation].op, entry.outcome.as_str())
    };
    let mut kinds: Vec<String> = violation.records.iter().map(kind).collect();
    kinds.sort();
    kinds.dedup();
    if kinds.is_empty() {
        // Without operations the words decide, but for what differs from run to run.
        kinds.push(violation.message.chars().filter(|character| !character.is_ascii_digit()).collect());
    }
    let text = format!("{}\n{subject}\n{}", violation.class, kinds.join("\n"));
    format!("{}-{:08x}", violation.class, fnv1a(text.as_bytes()) as u32)
}

fn glimpse(
    plan: &CommandPlan,
    entry: &Entry,
    index: usize,
    violation: &Violation,
    origin_ns: u64,
) -> Glimpse {
    let ms = |at_ns: u64| at_ns.saturating_sub(origin_ns) as f64 / 1e6;
    let operation = &plan.operations[entry.operation];
    let value = entry.value.as_ref().map(|value| format!(" {value}")).unwrap_or_default();
    let saw = entry.saw.as_ref().map(|saw| format!(", saw {saw}")).unwrap_or_default();
    let reason = entry.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let killed = if entry.unusual == Some(Unusual::Killed) { ", killed" } else { "" };
    let told = entry.message.as_ref().map(|message| format!(" ({message})")).unwrap_or_default();
    Glimpse {
        index,
        decisive: violation.records.contains(&index),
        invoke_ms: ms(entry.invoke_ns),
        return_ms: entry.return_ns.map(ms),
        operation: json!({
            "process": entry.process + 1,
            "op": operation.name,
            "object": plan.objects[entry.object],
            "round": entry.round + 1,
            "value": entry.value,
            "saw": entry.saw,
            "outcome": entry.outcome.as_str(),
        }),
        ending: format!(
            "{}{value}: {}{reason}{saw}{killed}{told}",
            plan.objects[entry.object],
            entry.outcome.as_str()
        ),
    }
}
