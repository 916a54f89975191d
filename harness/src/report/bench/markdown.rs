//! The table in Markdown.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::columns::{self, Remark};
use crate::measure::view::View;

pub fn show(view: &View<'_>) -> String {
    let mut text = String::new();
    if !view.constant.is_empty() {
        writeln!(text, "Everywhere: {}.\n", escaped(&view.constants())).expect("a String takes all");
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    let header = columns::header(view);
    table.set_header(header.iter().cloned().chain([String::new()]));
    for (row, remarks) in view.rows.iter().zip(columns::remarks(view)) {
        let remarks: Vec<String> = remarks.iter().map(shown).collect();
        let cells = columns::row(view, row).into_iter().chain([remarks.join(", ")]);
        table.add_row(cells.map(|cell| escaped(&cell)));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        if index < header.len() && columns::is_number(view, index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    text.push_str(&aligned(&table.to_string(), header.len(), |column| columns::is_number(view, column)));
    text
}

fn shown(remark: &Remark) -> String {
    match remark {
        Remark::Best(_) | Remark::Worst(_) => format!("**{}**", remark.words()),
        _ => remark.words(),
    }
}

/// The rule below the heading says which columns stand at the right.
fn aligned(table: &str, columns: usize, is_number: impl Fn(usize) -> bool) -> String {
    let mut text = String::new();
    for (index, line) in table.lines().enumerate() {
        if index == 1 {
            let rules: Vec<String> = line
                .trim_matches('|')
                .split('|')
                .enumerate()
                .map(|(column, rule)| {
                    let is_right = column < columns && is_number(column);
                    if is_right { format!("{}:", &rule[..rule.len() - 1]) } else { rule.to_owned() }
                })
                .collect();
            writeln!(text, "|{}|", rules.join("|")).expect("a String takes all");
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// What would end a cell, or be taken for something else.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}
