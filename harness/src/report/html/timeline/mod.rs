//! The timeline of a history: a lane a process, a bar an operation.
//!
//! A million operations fit in one file because they are stored as columns of small numbers, and are looked at quickly
//! because only what is visible is drawn. What would make the file too large is thinned out, and the page says so.

mod encode;
mod strip;

use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use crate::history::History;
use crate::words::grouped;
use encode::Encoded;
pub use strip::Locks;
use strip::Strip;

/// What a timeline shows.
#[derive(Clone, Debug)]
pub struct Timeline<'a> {
    /// The history whose operations are drawn.
    pub history: &'a History,
    /// The violations that are jumped to, in this order.
    pub violations: &'a [Spot],
    /// How many processes worked; those with higher numbers looked on, or examined what was left.
    pub workers: u32,
    /// Who held which lock when.
    pub locks: Locks<'a>,
}

/// A violation on a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The class of the violation, as reports spell it.
    pub class: String,
    /// What was seen, in a sentence for people.
    pub message: String,
    /// The operations that it rests on: process and time of invocation.
    pub decisive: Vec<(u32, u64)>,
}

/// A violation as the page's script takes it.
#[derive(Debug, Serialize)]
struct Finding<'a> {
    class: &'a str,
    message: &'a str,
    /// Lane and place in it.
    records: Vec<(usize, usize)>,
    from: u64,
    to: u64,
}

/// A moment that is marked across all lanes: the kill of a process.
#[derive(Debug, Serialize)]
struct Mark {
    at: u64,
}

/// All that the script knows besides the operations.
#[derive(Debug, Serialize)]
struct About<'a> {
    lanes: Vec<String>,
    containers: &'a [String],
    operations: Vec<&'static str>,
    reasons: Vec<&'static str>,
    statuses: Vec<&'static str>,
    messages: Vec<&'a str>,
    /// The time of the last moment, since the first operation, in nanoseconds.
    end: u64,
    /// How many operations there are, whether drawn or not.
    total: usize,
    findings: Vec<Finding<'a>>,
    marks: Vec<Mark>,
    #[serde(flatten)]
    strip: Strip,
}

/// Its part of the page, with the script that draws it.
#[must_use]
pub fn show(timeline: &Timeline<'_>) -> Markup {
    let Encoded { about, data, drawn } = encode::encode(timeline);
    let total = about.total;
    let lanes = about.lanes.len();
    html! {
        p.faint #timeline-keys {
            "Drag to move, Ctrl and wheel (or the wheel once it has the focus) to zoom. Keys: ← → move, + − zoom, 0 shows \
             all, n and p go to the next and the previous violation, ↑ ↓ change the process, comma and full stop go from \
             operation to operation."
        }
        @if drawn < total {
            p.doubtful { (grouped(drawn as u64)) " of " (grouped(total as u64)) " operations are on this page: all around violations, and an even share of the others. history.jsonl.zst has them all." }
        }
        (of_locks(timeline, &about.strip))
        div.tools role="toolbar" aria-label="Timeline" {
            @for (action, words) in [("previous", "◀ violation"), ("next", "violation ▶"), ("in", "zoom in"), ("out", "zoom out"),
                ("left", "◀ move"), ("right", "move ▶"), ("whole", "all")] {
                @if !(timeline.violations.is_empty() && matches!(action, "previous" | "next")) {
                    button type="button" data-timeline=(action) { (words) }
                }
            }
        }
        div #timeline {
            canvas tabindex="0" role="application" aria-label=(format!("Timeline of {} operations by {lanes} processes", grouped(total as u64)))
                aria-describedby="timeline-keys timeline-details" {}
        }
        p.faint #timeline-place aria-live="off" {}
        p #timeline-details role="status" aria-live="polite" {}
        ul.legend aria-label="Outcomes" {
            li { span.swatch.ok {} "ok: half height, filled" }
            li { span.swatch.refused {} "refused: low, hollow" }
            li { span.swatch.failed {} "failed: full height, filled, with !" }
            li { span.swatch.unknown {} "unknown: full height, striped; ✕ marks the kill" }
            li { span.swatch.mark {} "▼ and a frame: the violation rests on it" }
            @if !about.strip.locks.is_empty() {
                li { span.swatch.lock {} "lock held, with its holder; hollow: shared by readers" }
                li { span.swatch.failed {} "in a lock's row: held by two at once" }
            }
        }
        noscript { p.doubtful { "A script draws the timeline. The tables show the same around each violation." } }
        script type="application/json" #timeline-about { (PreEscaped(json(&about))) }
        script type="text/plain" #timeline-data { (PreEscaped(&data)) }
        script type="text/plain" #timeline-holds { (PreEscaped(&about.strip.data)) }
        script { (PreEscaped(include_str!("timeline.js"))) }
    }
}

/// What the strip of locks shows, and what it does not.
fn of_locks(timeline: &Timeline<'_>, strip: &Strip) -> Markup {
    let holds = match &timeline.locks {
        Locks::Seen(holds) => holds,
        Locks::NotSeen(why) => {
            return html! { p.doubtful #timeline-locks { "The holders of locks are not shown, because " (why) "." } };
        }
    };
    let (drawn, total) = strip.drawn;
    let shown = |count: usize| grouped(count as u64);
    html! {
        p.faint #timeline-locks {
            @if strip.locks.is_empty() {
                "No process reported that it held a lock."
            } @else {
                "The rows above the processes show who held each container's lock, as the subject reported it."
            }
            @if strip.held > strip.locks.len() {
                " They are those of " (shown(strip.locks.len())) " of " (shown(strip.held)) " containers."
            }
            @if drawn < total {
                " Of " (shown(total)) " holds " (shown(drawn)) " are on this page: all around violations, and an even share of the others."
            }
            @if holds.missing > 0 { " " (grouped(holds.missing)) " more were not recorded: there was no room." }
        }
    }
}

/// JSON that can stand inside of a script element: nothing in it ends that element or begins another.
#[must_use]
pub fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("strings and numbers");
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '&' => safe.push_str("\\u0026"),
            '\u{2028}' => safe.push_str("\\u2028"),
            '\u{2029}' => safe.push_str("\\u2029"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_a_page_ends_no_element_and_reads_back() {
        let hostile = ["</script><script>alert(1)</script>", "<!--", "]]>", "\u{2028}&amp;"];
        let text = json(&hostile);
        assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), hostile);
    }
}
