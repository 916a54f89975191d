//! Fills in the tables of a document: each stands after a comment that says what it shows.
//!
//! `<!-- table locks-wait rows=wait columns=processes show=throughput_per_s -->` up to `<!-- end -->`; with
//! `where=root:ext4` only of cells there, and with `over=work:pause` divided by the cells there; `show=refused` is a part of all.
//! `<!-- machine locks-wait -->` is filled in with the machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use flockwork_harness::report::table::rate;
use flockwork_harness::words::units::show_ns;

use crate::Error;

const END: &str = "<!-- end -->";

/// Fills in every table of a document.
pub fn fill(document: &Path, published: &Path) -> Result<(), Error> {
    let text = fs::read_to_string(document)?;
    let mut filled = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        filled.push_str(line);
        filled.push('\n');
        let Some(words) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) else {
            continue;
        };
        let shown = match words.split_once(' ') {
            Some(("table", asked)) => table(asked, published).map_err(|error| format!("{line}: {error}"))?,
            Some(("machine", name)) => {
                format!("\n{}\n\n", fs::read_to_string(published.join(format!("{name}.txt")))?)
            }
            _ => continue,
        };
        filled.push_str(&shown);
        let found = lines.find(|line| *line == END).ok_or_else(|| format!("{line}: no {END} after it"))?;
        filled.push_str(found);
        filled.push('\n');
    }
    fs::write(document, filled)?;
    Ok(())
}

type Row = BTreeMap<String, String>;

/// What a table shows.
struct Asked {
    rows: String,
    columns: String,
    show: String,
    /// Axis and value that cells must have.
    at: Vec<(String, String)>,
    over: Option<(String, String)>,
}

fn table(asked: &str, published: &Path) -> Result<String, Error> {
    let (name, rest) = asked.split_once(' ').ok_or("expected a name")?;
    let asked = Asked::parse(rest)?;
    let mut reader = csv::Reader::from_path(published.join(format!("{name}.csv")))?;
    let cells: Vec<Row> = reader.deserialize().collect::<Result<_, _>>()?;
    let is_at = |cell: &&Row| asked.at.iter().all(|(axis, value)| cell.get(axis) == Some(value));
    let shown: Vec<&Row> = cells.iter().filter(is_at).collect();
    let (rows, columns) = (order(&shown, &asked.rows), order(&shown, &asked.columns));
    let mut text = format!("\n| {} |", asked.rows);
    for column in &columns {
        write!(text, " {} |", heading(&asked.columns, column))?;
    }
    writeln!(text, "\n|---|{}", "---:|".repeat(columns.len()))?;
    for row in &rows {
        write!(text, "| {} |", row_name(&asked.rows, row))?;
        for column in &columns {
            let is_here = |cell: &&&Row| cell[&asked.rows] == *row && cell[&asked.columns] == *column;
            let shown = shown.iter().find(is_here).and_then(|cell| asked.shown(cell, &cells));
            write!(text, " {} |", shown.unwrap_or_else(|| "-".into()))?;
        }
        text.push('\n');
    }
    text.push('\n');
    Ok(text)
}

impl Asked {
    fn parse(text: &str) -> Result<Self, Error> {
        let mut asked = Self {
            rows: String::new(),
            columns: String::new(),
            show: String::new(),
            at: Vec::new(),
            over: None,
        };
        let pair = |value: &str| {
            value.split_once(':').map(|(axis, value)| (axis.to_owned(), value.replace('_', " ")))
        };
        for word in text.split(' ') {
            match word.split_once('=') {
                Some(("rows", value)) => asked.rows = value.into(),
                Some(("columns", value)) => asked.columns = value.into(),
                Some(("show", value)) => asked.show = value.into(),
                Some(("where", value)) => asked.at.push(pair(value).ok_or("expected where=axis:value")?),
                Some(("over", value)) => asked.over = Some(pair(value).ok_or("expected over=axis:value")?),
                _ => return Err(format!("unknown word {word:?}").into()),
            }
        }
        Ok(asked)
    }

    /// What stands in the table for a cell.
    fn shown(&self, cell: &Row, cells: &[Row]) -> Option<String> {
        if !cell["invalid"].is_empty() {
            return Some("invalid".into());
        }
        if self.show == "refused" {
            let part = number(cell, "acquisitions_refused")? / number(cell, "acquisitions")?;
            return Some(format!("{:.1} %", part * 100.0));
        }
        let value = number(cell, &self.show)?;
        let Some((axis, at)) = &self.over else {
            let half = (number(cell, &format!("{}_upper", self.show))?
                - number(cell, &format!("{}_lower", self.show))?)
                / 2.0;
            return Some(self.written(value, half));
        };
        let is_base = |other: &&Row| {
            let same = |axis: &String| other[axis] == cell[axis];
            let is_there = |(own, value): &(String, String)| own == axis || other[own] == *value;
            other[axis] == *at && same(&self.rows) && same(&self.columns) && self.at.iter().all(is_there)
        };
        let base = cells.iter().find(is_base).and_then(|base| number(base, &self.show))?;
        Some(format!("{:.2}", value / base))
    }

    /// A value with half of its interval of confidence, where that is a part worth telling.
    fn written(&self, value: f64, half: f64) -> String {
        let percent = format!(" ±{:.0}%", half * 100.0 / value.abs().max(f64::MIN_POSITIVE));
        match () {
            () if self.show.ends_with("_per_s") => rate(value) + &percent,
            #[expect(clippy::cast_sign_loss, reason = "times are not negative")]
            () if self.show.ends_with("_ns") => show_ns(value.round() as u64),
            () => format!("{value:.2}"),
        }
    }
}

fn number(cell: &Row, column: &str) -> Option<f64> {
    cell.get(column)?.parse().ok()
}

/// The values on an axis in the order of the file.
fn order(cells: &[&Row], axis: &str) -> Vec<String> {
    let mut values = Vec::new();
    for cell in cells {
        let value = cell.get(axis).cloned().unwrap_or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

fn heading(axis: &str, value: &str) -> String {
    match (axis, value) {
        ("processes", "1") => "1 process".into(),
        ("containers", "1") => "1 container".into(),
        ("reads", "1") => "1 read a write".into(),
        ("payload", bytes) => {
            bytes.parse().map_or_else(|_| bytes.into(), flockwork_harness::measure::view::size)
        }
        ("processes" | "containers", number) => format!("{number} {axis}"),
        ("reads", number) => format!("{number} reads a write"),
        (_, "") => "-".into(),
        (_, word) => word.into(),
    }
}

fn row_name(axis: &str, value: &str) -> String {
    match value.parse::<u64>() {
        Ok(_) => heading(axis, value),
        Err(_) if value.is_empty() => "(no choice)".into(),
        Err(_) => format!("`{value}`"),
    }
}
