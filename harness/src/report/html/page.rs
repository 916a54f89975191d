//! The frame that every page has.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::measure::machine::Machine;

/// A page with a title; `style` comes after what all pages have.
#[must_use]
pub fn page(title: &str, style: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(concat!("flockwork ", env!("CARGO_PKG_VERSION")));
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) (PreEscaped(style)) }
            }
            body { main { (body) } }
        }
    };
    page.into_string()
}

/// Facts, each with its name.
#[must_use]
pub fn facts(facts: &[(&str, String)]) -> Markup {
    html! { dl { @for (name, fact) in facts { dt { (name) } dd { (fact) } } } }
}

/// What a machine is, in words.
#[must_use]
pub fn machine(machine: &Machine) -> Vec<(&'static str, String)> {
    let model = machine.processor_model.clone().unwrap_or_else(|| "unknown".into());
    vec![
        ("Kernel", machine.kernel.clone()),
        ("Processors", format!("{} ({model}, {})", machine.processors, machine.architecture)),
        ("Memory", crate::report::table::bytes(machine.memory_bytes)),
    ]
}
