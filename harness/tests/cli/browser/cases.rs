//! What a reader does with a page, and what must be there.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::driver::Browser;
use crate::support::{BROKEN, Place, ends_with, json_file, skip};

pub const NONE: &str = "Chromium and chromedriver are not installed (Debian: chromium, chromium-driver)";

/// Two pauses of one container without a lock: found under control.
const EXPLORED: &str = r#"
about = "Two pauses of one running container: exactly one may succeed."
kind = "explore"

[subject]
name = "replica"
replica = "gvisor-unlocked"

[explore]
setup = ["create c1", "start c1"]
processes = [["pause c1"], ["pause c1"]]
preemptions = 2
"#;

const BENCH: &str = r#"
about = "Two locks."
kind = "bench"

[bench]
processes = [1, 2, 4]
lock = ["fs2", "ofd", "std"]
duration = "20ms"
warm_up = "2ms"
rounds = 3

[thresholds]
"throughput" = "> 1"
"#;

pub fn only_run(place: &Place) -> PathBuf {
    place.runs().pop().expect("a run")
}

/// No error, no warning: nothing at all.
pub fn assert_quiet(browser: &Browser) {
    assert_eq!(browser.console(), Vec::<String>::new());
}

/// The page is no wider than the window, whatever is in it.
pub fn assert_fits(browser: &Browser, widths: &[u32]) {
    for &width in widths {
        browser.resize(width, 900);
        let wide = browser.value("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(width), "{wide} px in a window of {width}");
    }
}

/// What nothing is cut off of, on paper as wide as A4.
pub fn assert_prints(browser: &Browser) {
    browser.print_view(true);
    browser.resize(794, 1123);
    let cut = browser.value(
        "[...document.querySelectorAll('main, main *')].filter((it) => {
            const box = it.getBoundingClientRect(), style = getComputedStyle(it);
            if (!box.width || it.closest('svg')) return false;
            return box.right > innerWidth + 1 || (style.overflowX !== 'visible' && it.scrollWidth > it.clientWidth + 1);
         }).map((it) => it.tagName + '.' + it.className + ': ' + it.textContent.slice(0, 60))",
    );
    assert_eq!(cut, serde_json::json!([]), "it is cut off on paper");
    let ink = browser.value("getComputedStyle(document.body).backgroundColor");
    assert_eq!(ink, "rgb(255, 255, 255)", "paper is white");
    assert!(browser.paper().len() > 5_000, "a PDF with something on it");
    browser.print_view(false);
}

/// The same for somebody who likes it dark: paper stays white, and the screen does not.
fn assert_prints_in_the_dark(browser: &Browser) {
    browser.in_the_dark(true);
    let ground = browser.value("getComputedStyle(document.body).backgroundColor");
    assert_ne!(ground, "rgb(255, 255, 255)");
    assert_prints(browser);
    browser.in_the_dark(false);
}

/// Where somebody wants to look at the pages, they are kept there.
pub fn keep_pictures(browser: &Browser, name: &str) {
    let Some(folder) = std::env::var_os("FLOCKWORK_PICTURES") else { return };
    std::fs::create_dir_all(&folder).unwrap();
    for width in [420, 1200, 1600] {
        browser.picture(&Path::new(&folder).join(format!("{name}-{width}.png")), width);
    }
    browser.in_the_dark(true);
    browser.picture(&Path::new(&folder).join(format!("{name}-dark.png")), 1200);
    browser.in_the_dark(false);
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))).unwrap()
}

#[test]
fn a_stress_run_opens_on_its_violation_and_zooms() {
    let Some(browser) = Browser::start() else { return skip("a_stress_run_opens_on_its_violation", NONE) };
    let place = Place::new();
    place.file("broken.toml", BROKEN);
    ends_with(&mut place.run(&["broken.toml", "--seed", "5"]), 100);
    let run = only_run(&place);
    browser.open(&run.join("report.html"));
    assert_quiet(&browser);
    assert_fits(&browser, &[420, 1200, 1600]);
    keep_pictures(&browser, "stress");
    assert_prints_in_the_dark(&browser);
    browser.resize(1200, 900);

    let locks = browser.value("document.getElementById('timeline-locks').textContent");
    assert_eq!(locks, "No process reported that it held a lock.", "it has none");
    // The key figures are those of the run.
    let summary = json_file(&run.join("summary.json"));
    let record = json_file(&run.join("run.json"));
    let page = browser.value("document.body.textContent").as_str().unwrap().to_owned();
    let grouped = |count: &Value| flockwork_harness::words::grouped(count.as_u64().unwrap());
    for (name, figure) in [
        ("Operations", grouped(&summary["operations"])),
        ("Failed operations", grouped(&summary["failed"])),
        ("Processes", summary["processes"].to_string()),
        ("Seed", record["seed"].to_string()),
        ("Kernel", record["kernel"].as_str().unwrap().to_owned()),
    ] {
        let shown = browser.value(&format!(
            "[...document.querySelectorAll('dt')].find((it) => it.textContent === {name:?}).nextElementSibling.textContent"
        ));
        assert_eq!(shown, Value::from(figure), "{name}");
    }
    for violation in summary["violations"].as_array().unwrap() {
        assert!(page.contains(violation["signature"].as_str().unwrap()));
    }
    assert!(page.contains(summary["violations"][0]["reproduce"].as_str().unwrap()));

    // The violation is in view, and not much besides.
    assert_eq!(browser.value("flockwork.finding()"), 0);
    let whole =
        number(&browser.value("JSON.parse(document.getElementById('timeline-about').textContent).end"));
    let view = |browser: &Browser| {
        let view = browser.value("flockwork.view()");
        (number(&view["from"]), number(&view["to"]))
    };
    let about =
        browser.value("JSON.parse(document.getElementById('timeline-about').textContent).findings[0]");
    let (from, to) = view(&browser);
    assert!(from <= number(&about["from"]) && number(&about["to"]) <= to, "{from} {to} {about}");

    // Zoom by wheel, by key and by button; all of it, and back to the next violation.
    let span = |browser: &Browser| view(browser).1 - view(browser).0;
    browser.run("document.querySelector('#timeline canvas').focus()");
    browser.press("0");
    assert!(span(&browser) >= whole, "all of it is in view");
    for zoom in [
        |browser: &Browser| browser.press("+"),
        |browser: &Browser| browser.zoom_by_wheel("#timeline canvas", -200),
        |browser: &Browser| {
            browser.run("document.querySelector('[data-timeline=in]').click()");
        },
    ] {
        let before = span(&browser);
        zoom(&browser);
        assert!(span(&browser) < before * 0.9, "{before} {}", span(&browser));
    }
    let before = view(&browser).0;
    browser.press("\u{e014}");
    assert!(view(&browser).0 > before, "an arrow moves");
    browser.press("n");
    let finding = count(&browser.value("flockwork.finding()"));
    let about = browser.value(&format!(
        "JSON.parse(document.getElementById('timeline-about').textContent).findings[{finding}]"
    ));
    let (from, to) = view(&browser);
    assert!(from <= number(&about["from"]) && number(&about["to"]) <= to);
    let details = browser.value("document.getElementById('timeline-details').textContent");
    assert!(details.as_str().unwrap().contains(about["class"].as_str().unwrap()), "{details}");
    browser.press(".");
    let details = browser.value("document.getElementById('timeline-details').textContent");
    assert!(details.as_str().unwrap().contains(" ms, "), "{details}");

    // Every operation is drawn, and each counts for what it came to.
    let lines = String::from_utf8(
        zstd::decode_all(std::fs::File::open(run.join("history.jsonl.zst")).unwrap()).unwrap(),
    )
    .unwrap();
    let operations = lines.lines().count() - 1;
    assert_eq!(count(&browser.value("flockwork.drawn")), operations);
    for (outcome, name) in ["ok", "refused", "failed", "unknown"].iter().enumerate() {
        let expected = lines.lines().filter(|line| line.contains(&format!("\"outcome\":\"{name}\""))).count();
        assert_eq!(count(&browser.value(&format!("flockwork.count({outcome})"))), expected, "{name}");
    }
    // The picture is no empty rectangle.
    let colours = browser.value(
        "(() => { const it = document.querySelector('#timeline canvas'), data = it.getContext('2d').getImageData(0, 0, it.width, it.height).data,
           seen = new Set(); for (let i = 0; i < data.length; i += 4) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]); return seen.size; })()",
    );
    assert!(number(&colours) > 5.0, "{colours} colours");
    assert_quiet(&browser);
}

#[test]
fn an_interleaving_is_walked_by_keys_with_the_files_beside_it() {
    let Some(browser) = Browser::start() else { return skip("an_interleaving_is_walked_by_keys", NONE) };
    let place = Place::new();
    place.file("explored.toml", EXPLORED);
    ends_with(&mut place.run(&["explored.toml", "--seed", "5"]), 100);
    let run = only_run(&place);
    browser.open(&run.join("report.html"));
    assert_quiet(&browser);
    assert_fits(&browser, &[420, 1200, 1600]);
    keep_pictures(&browser, "explored");
    assert_prints(&browser);
    browser.resize(1200, 900);
    let summary = json_file(&run.join("summary.json"));
    let steps = summary["violations"][0]["control"]["steps"].as_u64().unwrap();
    let rows = browser.value("document.querySelector('[data-walk]').querySelectorAll('tbody tr').length");
    assert_eq!(rows, steps);
    let replays = &summary["violations"][0]["reproduction"];
    assert_eq!((&replays["times"], &replays["of"]), (&5.into(), &5.into()), "it shows every time");
    let words = "document.querySelector('[data-step]').textContent";
    // The step that it opens on is in view, in the table of every finding.
    let hidden = browser.value(
        "[...document.querySelectorAll('tr[aria-current=step]')].filter((it) => {
            const row = it.getBoundingClientRect(), box = it.closest('.wide').getBoundingClientRect();
            return row.top < box.top || row.bottom > box.bottom + 1; }).length",
    );
    assert_eq!(hidden, 0);
    browser.run("document.querySelector('[data-walk] tr[tabindex=\"0\"]').focus()");
    browser.press("\u{e011}");
    assert_eq!(browser.value(words), format!("Step 1 of {steps}"));
    // A save changes the file between two steps, and both contents are there to be read.
    let mut changed = false;
    for step in 2..=steps {
        browser.press("\u{e015}");
        assert_eq!(browser.value(words), format!("Step {step} of {steps}"));
        let files = browser.value("[...document.querySelector('[data-walk]').querySelectorAll('[data-files]')].map((it) => it.innerText)");
        let (before, after) = (files[0].as_str().unwrap(), files[1].as_str().unwrap());
        assert!(before.contains("c1"), "{files}");
        changed |= before.contains("meta.json (changed)")
            && after.contains("meta.json (changed)")
            && before != after;
    }
    assert!(changed, "a pause shows in the files");
    assert_eq!(browser.value("document.activeElement.getAttribute('aria-current')"), "step");
    assert_quiet(&browser);
}

#[test]
fn what_is_not_linearizable_says_how_far_an_order_goes() {
    let Some(browser) = Browser::start() else { return skip("what_is_not_linearizable_says_how_far", NONE) };
    let place = Place::new();
    place.file("explored.toml", EXPLORED);
    ends_with(&mut place.run(&["explored.toml", "--seed", "5"]), 100);
    browser.open(&only_run(&place).join("report.html"));
    let page = browser.value("document.body.textContent").as_str().unwrap().to_owned();
    assert!(page.contains("not-linearizable"), "every order was explored, so it was found: {page}");
    let orders = "[...document.querySelectorAll('details')].filter((it) => it.innerText.startsWith('Why no order is legal')).map((it) => it.querySelector('pre').textContent)";
    let orders: Vec<String> = serde_json::from_value(browser.value(orders)).unwrap();
    assert!(orders.iter().any(|order| order.lines().count() > 1), "{orders:?}");
}

#[test]
fn a_benchmark_fits_and_shows_charts_before_thresholds() {
    let Some(browser) = Browser::start() else { return skip("a_benchmark_fits", NONE) };
    let place = Place::new();
    place.file("bench.toml", BENCH);
    let words = ["bench", "bench.toml", "--seed", "5", "--root", "root"];
    let code = place.flockwork(&words).output().unwrap().status.code();
    assert!(matches!(code, Some(0 | 102 | 103)), "{code:?}");
    browser.open(&only_run(&place).join("report.html"));
    assert_quiet(&browser);
    assert_fits(&browser, &[420, 1200, 1600]);
    keep_pictures(&browser, "bench");
    assert_prints_in_the_dark(&browser);
    let order = browser.value("[...document.querySelectorAll('h2')].map((it) => it.textContent)");
    let place_of = |name: &str| order.as_array().unwrap().iter().position(|it| it == name);
    assert!(place_of("Charts") < place_of("Thresholds"), "{order}");
    // No column is cut: the table is no wider than the room it has.
    for width in [1200, 1600] {
        browser.resize(width, 900);
        let cut = browser.value(
            "[...document.querySelectorAll('.wide')].filter((it) => it.scrollWidth > it.clientWidth + 1).length",
        );
        assert_eq!(cut, 0, "at {width} px");
    }
}
