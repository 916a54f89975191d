//! The interleaving of a finding that was seen under control: a column a process, a row a step, and what lay in the files
//! before and after the step that is looked at.

use maud::{Markup, PreEscaped, html};

use super::timeline::json;
use crate::finding::moments::Walk;

/// Its part of the page. The script that walks is in the page once: [`script`].
#[must_use]
pub fn show(walk: &Walk) -> Markup {
    let held = walk.moments.as_ref().and_then(|moments| moments.held.as_ref());
    // A column that is empty says nothing that a sentence does not.
    let locks = held.filter(|held| held.iter().any(|held| !held.is_empty()));
    html! {
        p.lines { (walk.sentence) }
        div.walk data-walk="" {
            p.faint { "Click a step, or walk with ↑ and ↓ (Home and End lead to the first and the last)." }
            div.wide { table {
                thead { tr { th.number { "step" } @for process in &walk.processes { th { (process) } }
                    @if locks.is_some() { th { "locks held before it" } } } }
                tbody { @for (number, step) in walk.steps.iter().enumerate() {
                    tr class=[step.decisive.then_some("decisive")] tabindex="-1" {
                        td.number { @if step.decisive { "▶ " } (number + 1) }
                        @for process in 0..walk.processes.len() {
                            td { @if process == step.process { (step.text) } }
                        }
                        @if let Some(locks) = locks {
                            td.held { @match locks.get(number) {
                                Some(held) => { (held.join(", ")) }
                                None => { "not seen" }
                            } }
                        }
                    }
                } }
            } }
            p.faint {
                "▶ marks the steps that the violation rests on."
                @if held.is_some() && locks.is_none() { " No process held a file lock (flock, fcntl) before any of them." }
                @if held.is_none() { " Locks were not recorded." }
            }
            @if let Some(moments) = &walk.moments {
                div.tools role="toolbar" aria-label="Steps" {
                    button type="button" data-go="-1" { "◀ step" }
                    button type="button" data-go="1" { "step ▶" }
                    strong data-step="" role="status" aria-live="polite" {}
                }
                div.files {
                    section { h4 { "Files before the step" } div data-files="" {} }
                    section { h4 { "Files after the step" } div data-files="" {} }
                }
                script type="application/json" { (PreEscaped(json(moments))) }
            } @else {
                p.faint { "The content of files was not recorded." }
            }
        }
    }
}

/// The script that walks, for all interleavings of a page.
#[must_use]
pub fn script() -> Markup {
    html! { script { (PreEscaped(include_str!("timeline/walk.js"))) } }
}
