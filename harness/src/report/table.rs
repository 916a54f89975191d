//! Tables and numbers as people read them.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A table of columns without lines. The first column and the last are words, those between are numbers where
/// `numbers` says so.
#[must_use]
pub fn render(header: &[&str], rows: &[Vec<String>], numbers: std::ops::Range<usize>) -> String {
    render_columns(header, rows, |column| numbers.contains(&column))
}

/// The same, where any column may be of numbers.
#[must_use]
pub fn render_columns<H: AsRef<str>>(
    header: &[H],
    rows: &[Vec<String>],
    is_number: impl Fn(usize) -> bool,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(AsRef::as_ref));
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        // No margin on the left, two blanks between.
        column.set_padding((0, 2));
        if is_number(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Leaves out columns, in the order in which they are named, until a table fits; what is left may still be too wide.
#[must_use]
pub fn fitting<H: AsRef<str>>(
    header: &[H],
    rows: &[Vec<String>],
    width: Option<u16>,
    dispensable: &[&str],
) -> (Vec<String>, Vec<Vec<String>>) {
    let mut header: Vec<String> = header.iter().map(|name| name.as_ref().to_owned()).collect();
    let mut rows = rows.to_vec();
    let Some(width) = width else { return (header, rows) };
    for name in dispensable {
        if wide(&header, &rows) <= usize::from(width) {
            break;
        }
        let Some(column) = header.iter().position(|known| known == name) else { continue };
        header.remove(column);
        for row in &mut rows {
            row.remove(column);
        }
    }
    (header, rows)
}

fn wide(header: &[String], rows: &[Vec<String>]) -> usize {
    let columns = (0..header.len()).map(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.chain([&header[column]]).map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    // Two blanks between.
    columns.sum::<usize>() + 2 * header.len().saturating_sub(1)
}

/// Operations a second, to three digits.
#[must_use]
pub fn rate(per_second: f64) -> String {
    match per_second {
        0.0..1e3 => format!("{per_second:.0}/s"),
        1e3..1e6 => format!("{:.1}k/s", per_second / 1e3),
        _ => format!("{:.2}M/s", per_second / 1e6),
    }
}

/// Bytes, to a digit after the point.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!(rate(999.0), "999/s");
        assert_eq!(rate(312_400.0), "312.4k/s");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }

    #[test]
    fn columns_are_left_out_until_the_rest_fits() {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        let rows = [row(["name", "12", "345", "clean"])];
        let header = ["scenario", "rate", "kills", "verdict"];
        let left = |width| fitting(&header, &rows, width, &["kills", "rate"]).0;
        assert_eq!(left(None), header);
        assert_eq!(left(Some(30)), header);
        assert_eq!(left(Some(29)), ["scenario", "rate", "verdict"]);
        assert_eq!(left(Some(5)), ["scenario", "verdict"]);
    }

    #[test]
    fn columns_line_up_without_trailing_blanks() {
        let rows =
            vec![vec!["a".into(), "1".into(), "clean".into()], vec!["bcd".into(), "100".into(), "x".into()]];
        assert_eq!(
            render(&["name", "n", "verdict"], &rows, 1..2),
            "name    n  verdict\na       1  clean\nbcd   100  x\n"
        );
    }
}
