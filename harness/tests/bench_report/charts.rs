//! Charts: documents that any reader of XML takes, with units, and without anything from elsewhere.

use flockwork_harness::measure::{Axis, BenchRecord, Value};
use flockwork_harness::report::bench::chart::Kind as ChartKind;
use flockwork_harness::report::bench::{BenchReport, Chart};

use crate::generator::{Kind, grid, record, word};

fn charts(record: &BenchRecord) -> Vec<Chart> {
    BenchReport::of(record, &[]).charts()
}

fn texts(chart: &Chart) -> String {
    let document =
        roxmltree::Document::parse(&chart.svg).unwrap_or_else(|error| panic!("{}: {error}", chart.name));
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "svg");
    assert!(root.attribute("viewBox").is_some(), "{} has no size of its own", chart.name);
    for node in document.descendants() {
        let attributes = node.attributes().map(|attribute| (attribute.name(), attribute.value()));
        for (name, value) in attributes {
            assert!(name != "href" && !value.contains("url("), "{}: {name}={value}", chart.name);
            assert!(!value.contains("NaN") && !value.contains("inf"), "{}: {name}={value}", chart.name);
        }
        assert!(!["script", "image", "foreignObject"].contains(&node.tag_name().name()), "{}", chart.name);
    }
    let texts =
        document.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text")));
    texts.filter_map(|node| node.text()).map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_grid_has_every_kind_of_chart_and_each_names_its_units() {
    let charts = charts(&grid());
    for kind in [ChartKind::Metric, ChartKind::Percentiles, ChartKind::Shares, ChartKind::Handoffs] {
        assert!(charts.iter().any(|chart| chart.kind == kind), "{kind:?}");
    }
    for chart in &charts {
        let text = texts(chart);
        let units = match chart.kind {
            ChartKind::Metric if chart.name.starts_with("throughput") => "acquisitions a second",
            ChartKind::Metric if chart.name.starts_with("fairness") => "Jain's index",
            ChartKind::Metric | ChartKind::Percentiles => "time (lower is better)",
            ChartKind::Shares => "multiples of an equal part",
            ChartKind::Handoffs => "as shares of",
        };
        assert!(text.contains(units), "{}: no {units:?} in\n{text}", chart.name);
        assert!(chart.svg.contains("prefers-color-scheme:dark"), "{}", chart.name);
    }
    let mut names: Vec<&str> = charts.iter().map(|chart| chart.name.as_str()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "two charts have one name");
}

#[test]
fn the_legend_names_the_lines() {
    let charts = charts(&grid());
    let throughput = charts.iter().find(|chart| chart.name == "throughput-by-processes").unwrap();
    let text = texts(throughput);
    for words in ["std", "lockfile", "processes", "Throughput against processes"] {
        assert!(text.lines().any(|line| line == words), "{words:?} in\n{text}");
    }
}

#[test]
fn many_lines_are_divided_among_charts_and_none_is_lost() {
    let mut record = record(1, &vec![("fs2", Kind { rounds: 2, ..Kind::default() }); 48]);
    let (locks, roots) = (["a", "b", "c", "d"], ["tmpfs", "ext4", "xfs"]);
    for (index, cell) in record.cells.iter_mut().enumerate() {
        let processes = [1, 2, 4, 8][index / 12];
        cell.point = cell
            .point
            .clone()
            .with(Axis::Lock, word(locks[index % 4]))
            .with(Axis::Root, word(roots[index / 4 % 3]))
            .with(Axis::Processes, Value::Number(processes));
    }
    let charts = charts(&record);
    let throughput: Vec<_> =
        charts.iter().filter(|chart| chart.name.starts_with("throughput-by-processes")).collect();
    assert_eq!(throughput.len(), 3, "a chart a root");
    for chart in throughput {
        let text = texts(chart);
        assert!(locks.iter().all(|lock| text.lines().any(|line| line == *lock)), "{text}");
    }
}

#[test]
fn without_numbers_to_draw_along_there_are_bars() {
    let kind = Kind::default();
    let charts = charts(&record(1, &[("std", kind), ("fs2", kind), ("a <b> & \"c\"", kind)]));
    let bars = charts.iter().find(|chart| chart.name == "throughput-by-cell").unwrap();
    let text = texts(bars);
    assert!(text.contains("a <b> & \"c\"") && text.contains("acquisitions a second"), "{text}");
}

#[test]
fn odd_records_draw_no_nonsense() {
    let kind = Kind::default();
    let mut empty = record(1, &[("std", kind), ("fs2", kind)]);
    empty.cells[0].rounds.clear();
    empty.cells[1].rounds.iter_mut().for_each(|round| {
        round.shares = vec![0, 0];
        round.handoff_matrix.iter_mut().for_each(|row| row.fill(0));
    });
    let alone = charts(&record(1, &[("std", Kind { processes: 1, rounds: 1, ..kind })]));
    for chart in charts(&empty).iter().chain(&charts(&record(1, &[]))).chain(&alone) {
        texts(chart);
    }
}
