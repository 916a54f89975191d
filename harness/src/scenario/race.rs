//! The `[race]` table: commands whose own sequential behaviour is what is right. `flockwork race` makes the same value of its
//! flags, and `--save` writes it.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::stress::{DAY_NS, MS_NS, S_NS};
use crate::document::reader::Reader;
use crate::document::source::{Place, Problem};
use crate::document::tree::{Node, Value};
use crate::plan::race::Compare;
use crate::plan::race::{Busy, Mode, RaceBudget, RacePlan};
use crate::plan::schedule::Fault;
use crate::race::{self, RaceError};
use crate::words::nearest;
use crate::words::units::{duration_range_ns, show_exact_ns};

/// Most processes of one race.
pub const PROCESSES_MAX: usize = 8;
/// How long a race takes at most, unless it says otherwise.
pub const BUDGET_NS: u64 = 60 * S_NS;
/// How long a command may take, unless a race says otherwise.
pub const TIME_LIMIT_NS: u64 = 10 * S_NS;
const EXECUTIONS: RangeInclusive<u64> = 1..=1_000_000_000;
const TIME_LIMIT: RangeInclusive<u64> = 10 * MS_NS..=DAY_NS;
/// A process that is stopped for longer than this is not perturbed but halted.
pub const PERTURB_NS_MAX: u64 = 10 * S_NS;

/// A race: a plan that has no folders of its own and no seed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Race {
    /// The command lines of each process.
    pub processes: Vec<Vec<String>>,
    /// The state folders, as they were written.
    pub state: Vec<PathBuf>,
    /// Where commands start, as it was written.
    pub folder: PathBuf,
    /// What commands find set in their environment.
    pub environment: Vec<(String, String)>,
    /// Run once, before the initial state is taken.
    pub setup: Vec<String>,
    /// What tells the state.
    pub observe: Option<String>,
    /// Run after each execution.
    pub then: Vec<String>,
    /// When a command did not run.
    pub busy: Vec<Busy>,
    /// What is compared; none: what is usual.
    pub compare: Option<Compare>,
    /// What may go wrong.
    pub faults: Vec<Fault>,
    /// Whether what a killed command leaves behind is a violation.
    pub strict: bool,
    /// Paths that are not compared.
    pub ignore: Vec<String>,
    /// Regular expressions: what matches is not compared.
    pub masks: Vec<String>,
    /// How executions are made to differ.
    pub mode: Mode,
    /// How much is done at most.
    pub budget: RaceBudget,
    /// How long a command may take, in nanoseconds.
    pub time_limit_ns: u64,
}

impl Default for Race {
    fn default() -> Self {
        Self {
            processes: Vec::new(),
            state: Vec::new(),
            folder: PathBuf::from("."),
            environment: Vec::new(),
            setup: Vec::new(),
            observe: None,
            then: Vec::new(),
            busy: Vec::new(),
            compare: None,
            faults: Vec::new(),
            strict: false,
            ignore: Vec::new(),
            masks: Vec::new(),
            mode: Mode::Auto,
            budget: RaceBudget { time_ns: BUDGET_NS, executions: None },
            time_limit_ns: TIME_LIMIT_NS,
        }
    }
}

impl Race {
    /// The plan of one race. `leaves_out` are folders that are no part of the state though they may lie in it. Paths are those of
    /// the folder that flockwork runs in.
    #[must_use]
    pub fn plan(&self, seed: u64, leaves_out: Vec<PathBuf>) -> RacePlan {
        // What is not there is told when it is looked at.
        let absolute = |path: &Path| {
            path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
        };
        RacePlan {
            processes: self.processes.clone(),
            state: self.state.iter().map(|path| absolute(path)).collect(),
            in_place: false,
            leaves_out,
            folder: absolute(&self.folder),
            environment: self.environment.clone(),
            setup: self.setup.clone(),
            observe: self.observe.clone(),
            then: self.then.clone(),
            busy: self.busy.clone(),
            compare: self.compare.unwrap_or(race::compared(self.observe.is_some())),
            faults: self.faults.clone(),
            strict: self.strict,
            ignore: self.ignore.clone(),
            masks: self.masks.clone(),
            mode: self.mode.clone(),
            strategy: None,
            allow_uncontrolled: false,
            budget: self.budget,
            seed,
            time_limit_ns: self.time_limit_ns,
        }
    }

    /// Checks what can be checked without running anything.
    pub fn check(&self) -> Result<(), RaceError> {
        let usage = |why: String| Err(RaceError::Usage(why));
        let count = self.processes.len();
        if !(2..=PROCESSES_MAX).contains(&count) {
            return usage(format!(
                "a race takes 2 to {PROCESSES_MAX} processes, and this has {count}: expected command lines, such as './tool \
                 add a' './tool add b'"
            ));
        }
        if self.processes.iter().any(Vec::is_empty) {
            return usage("a process has no command".into());
        }
        if self.state.is_empty() && self.observe.is_none() {
            return usage("name the folder that the commands share with --state DIR".into());
        }
        if self.compare.is_some_and(|compare| compare.observe) && self.observe.is_none() {
            return usage("--compare observe: there is nothing to observe with; give --observe CMD".into());
        }
        if self.strict && self.faults.is_empty() {
            return usage(
                "--strict is about what a killed command leaves behind: expected --faults kill with it"
                    .into(),
            );
        }
        for (name, _) in &self.environment {
            if name.is_empty() || name.contains('\0') {
                return usage("--env: expected NAME=VALUE".into());
            }
        }
        if self.state.iter().any(|path| path.to_str().is_none()) {
            return usage("--state: expected a path in UTF-8".into());
        }
        race::check(&self.plan(0, Vec::new()))
    }

    /// A scenario of it.
    #[must_use]
    pub fn to_toml(&self, about: &str, expect: &[String]) -> String {
        let mut text = format!("about = {}\nkind = \"race\"\n\n[race]\n", quoted(about));
        let mut key =
            |name: &str, value: String| writeln!(text, "{name} = {value}").expect("a String takes all");
        let list = |texts: &[String]| {
            format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
        };
        let processes: Vec<String> = self.processes.iter().map(|commands| list(commands)).collect();
        key("processes", format!("[{}]", processes.join(", ")));
        let paths: Vec<String> = self.state.iter().map(|path| path.display().to_string()).collect();
        key("state", list(&paths));
        if self.folder != Path::new(".") {
            key("cwd", quoted(&self.folder.display().to_string()));
        }
        for (name, texts) in
            [("setup", &self.setup), ("then", &self.then), ("ignore", &self.ignore), ("mask", &self.masks)]
        {
            if !texts.is_empty() {
                key(name, list(texts));
            }
        }
        if let Some(observe) = &self.observe {
            key("observe", quoted(observe));
        }
        let busy: Vec<String> = self.busy.iter().map(show_busy).collect();
        if !busy.is_empty() {
            key("busy", list(&busy));
        }
        if let Some(compare) = self.compare {
            let words: Vec<String> =
                COMPARED.iter().filter(|(_, is)| is(compare)).map(|(word, _)| (*word).to_owned()).collect();
            key("compare", list(&words));
        }
        if !self.faults.is_empty() {
            let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
            key("faults", list(&faults));
        }
        if self.strict {
            key("strict", "true".into());
        }
        match &self.mode {
            Mode::Auto => {}
            Mode::Free => key("free", "true".into()),
            Mode::Perturbed(range) => {
                let (least, most) = (show_exact_ns(*range.start()), show_exact_ns(*range.end()));
                key("perturb", quoted(&format!("{least}..{most}")));
            }
        }
        let executions =
            self.budget.executions.map(|count| format!(", executions = {count}")).unwrap_or_default();
        key("budget", format!("{{ time = {}{executions} }}", quoted(&show_exact_ns(self.budget.time_ns))));
        key("time_limit", quoted(&show_exact_ns(self.time_limit_ns)));
        if !self.environment.is_empty() {
            key("env", {
                let pairs = self
                    .environment
                    .iter()
                    .map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)));
                format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
            });
        }
        if !expect.is_empty() {
            writeln!(text, "\n[expect]\nviolations = {}", list(expect)).expect("a String takes all");
        }
        text
    }
}

/// A text as TOML spells it, on one line.
fn quoted(text: &str) -> String {
    let plain = toml::Value::String(text.to_owned()).to_string();
    if plain.contains('\n') { serde_json::Value::String(text.to_owned()).to_string() } else { plain }
}

type Compared = (&'static str, fn(Compare) -> bool);

/// What can be compared.
const COMPARED: [Compared; 4] = [
    ("files", |compare| compare.files),
    ("output", |compare| compare.output),
    ("stderr", |compare| compare.stderr),
    ("observe", |compare| compare.observe),
];

/// Reads what is compared: `files,output`.
pub fn parse_compare<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Compare, String> {
    let mut compare = Compare { files: false, output: false, stderr: false, observe: false };
    for word in words {
        match word.trim() {
            "files" => compare.files = true,
            "output" => compare.output = true,
            "stderr" => compare.stderr = true,
            "observe" => compare.observe = true,
            other => {
                let known = COMPARED.map(|(word, _)| word);
                let near = nearest(other, known)
                    .map(|near| format!("; the nearest is {near:?}"))
                    .unwrap_or_default();
                return Err(format!("expected {}, found {other:?}{near}", known.join(", ")));
            }
        }
    }
    Ok(compare)
}

/// Reads a rule: `exit:75`, `stdout:REGEX`, `stderr:REGEX`.
pub fn parse_busy(rule: &str) -> Result<Busy, String> {
    const FORM: &str = "exit:CODE, stderr:REGEX or stdout:REGEX";
    let wrong = || format!("expected {FORM}, found {rule:?}");
    match rule.split_once(':').ok_or_else(wrong)? {
        ("exit", code) => match code.parse() {
            Ok(code @ 0..=255) => Ok(Busy::Exit(code)),
            _ => Err(format!("expected an exit code from 0 to 255, found {code:?}")),
        },
        ("stdout", regex) => Ok(Busy::Stdout(regex.to_owned())),
        ("stderr", regex) => Ok(Busy::Stderr(regex.to_owned())),
        _ => Err(wrong()),
    }
}

fn show_busy(busy: &Busy) -> String {
    match busy {
        Busy::Exit(code) => format!("exit:{code}"),
        Busy::Stdout(regex) => format!("stdout:{regex}"),
        Busy::Stderr(regex) => format!("stderr:{regex}"),
    }
}

/// Reads what may go wrong.
pub fn parse_fault(word: &str) -> Result<Fault, String> {
    match word.trim() {
        "kill" => Ok(Fault::Kill),
        other => Err(format!("expected kill, found {other:?}")),
    }
}

/// Reads how long a process is stopped: `0..2ms`. A bare 0 is a time, too.
pub fn parse_perturb(text: &str) -> Result<RangeInclusive<u64>, String> {
    let with_unit = text.strip_prefix("0..").map(|rest| format!("0us..{rest}"));
    let range = duration_range_ns(with_unit.as_deref().unwrap_or(text));
    match range {
        Some(range) if *range.end() > 0 && *range.end() <= PERTURB_NS_MAX => Ok(range),
        _ => Err(format!("expected times such as 0..2ms, at most 10s, found {text:?}")),
    }
}

/// Reads the table.
pub fn read(mut reader: Reader<'_>) -> Option<Race> {
    let usual = Race::default();
    let processes = read_processes(&mut reader)?;
    let state = texts(&mut reader, "state").into_iter().map(PathBuf::from).collect();
    let folder = reader.text("cwd").map_or(usual.folder, |(text, _)| text.into());
    let environment = read_environment(&mut reader);
    let observe = reader.text("observe").map(|(text, _)| text.to_owned());
    let busy = parsed(&mut reader, "busy", parse_busy);
    let faults = parsed(&mut reader, "faults", parse_fault);
    let compare = read_compare(&mut reader);
    let mode = read_mode(&mut reader);
    let mut section = reader.section("budget", "budget");
    let time_ns = section.duration_ns("time", MS_NS..=7 * DAY_NS).unwrap_or(usual.budget.time_ns);
    let executions = section.count("executions", EXECUTIONS, "executions");
    section.finish();
    let time_limit_ns = reader.duration_ns("time_limit", TIME_LIMIT).unwrap_or(usual.time_limit_ns);
    let race = Race {
        processes,
        state,
        folder,
        environment,
        setup: texts(&mut reader, "setup"),
        observe,
        then: texts(&mut reader, "then"),
        busy,
        compare,
        faults,
        strict: reader.truth("strict").unwrap_or(false),
        ignore: texts(&mut reader, "ignore"),
        masks: texts(&mut reader, "mask"),
        mode,
        budget: RaceBudget { time_ns, executions },
        time_limit_ns,
    };
    if let Err(error) = race.check() {
        let place = reader.place().clone();
        reader.complain(Problem::new(&place, error.to_string()));
    }
    reader.finish();
    Some(race)
}

fn read_processes(reader: &mut Reader<'_>) -> Option<Vec<Vec<String>>> {
    const EXAMPLE: &str =
        "a list of command lines for each process, such as [[\"./tool add a\"], [\"./tool add b\"]]";
    if reader.take("processes").is_none() {
        reader.missing("processes", EXAMPLE);
        return None;
    }
    let (_, nodes) = reader.list("processes", EXAMPLE)?;
    let mut processes = Vec::new();
    for node in nodes {
        let commands = match &node.value {
            Value::Text(text) => Some(vec![text.clone()]),
            Value::Array(items) => items.iter().map(text_of).collect(),
            _ => None,
        };
        let Some(commands) = commands else {
            let message = format!("processes: expected {EXAMPLE}, found {}", node.value.describe());
            reader.complain(Problem::new(&node.place, message));
            return None;
        };
        processes.push(commands);
    }
    Some(processes)
}

fn text_of(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// The texts of a list, with their places.
fn placed<'a>(reader: &mut Reader<'a>, key: &'static str) -> Vec<(String, &'a Place)> {
    let Some((_, nodes)) = reader.list(key, "a list of texts") else { return Vec::new() };
    let mut texts = Vec::new();
    for node in nodes {
        if let Some(text) = text_of(node) {
            texts.push((text, &node.place));
        } else {
            let message = format!("{key}: expected a text, found {}", node.value.describe());
            reader.complain(Problem::new(&node.place, message));
        }
    }
    texts
}

fn texts(reader: &mut Reader<'_>, key: &'static str) -> Vec<String> {
    placed(reader, key).into_iter().map(|(text, _)| text).collect()
}

fn parsed<T>(
    reader: &mut Reader<'_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut values = Vec::new();
    for (text, place) in placed(reader, key) {
        match parse(&text) {
            Ok(value) => values.push(value),
            Err(why) => reader.complain(Problem::new(place, format!("{key}: {why}"))),
        }
    }
    values
}

fn read_compare(reader: &mut Reader<'_>) -> Option<Compare> {
    let listed = placed(reader, "compare");
    let (_, place) = listed.first()?;
    match parse_compare(listed.iter().map(|(text, _)| text.as_str())) {
        Ok(compare) => Some(compare),
        Err(why) => {
            reader.complain(Problem::new(place, format!("compare: {why}")));
            None
        }
    }
}

fn read_mode(reader: &mut Reader<'_>) -> Mode {
    let is_free = reader.truth("free").unwrap_or(false);
    let Some((text, place)) = reader.text("perturb") else {
        return if is_free { Mode::Free } else { Mode::Auto };
    };
    let place = place.clone();
    let problem = match parse_perturb(text) {
        Ok(_) if is_free => "perturb: what runs freely is not perturbed: leave out free".to_owned(),
        Ok(range) => return Mode::Perturbed(range),
        Err(why) => format!("perturb: {why}"),
    };
    reader.complain(Problem::new(&place, problem));
    Mode::Auto
}

fn read_environment(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let mut environment = Vec::new();
    let mut section = reader.section("env", "env");
    for entry in section.take_all() {
        if let Some(value) = text_of(&entry.node) {
            environment.push((entry.key.clone(), value));
        } else {
            let message =
                format!("env: {}: expected a text, found {}", entry.key, entry.node.value.describe());
            section.complain(Problem::new(&entry.node.place, message));
        }
    }
    section.finish();
    environment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Found, Scenario, Work};

    fn read(text: &str) -> Result<Race, String> {
        let found = Found { argument: "a.toml".into(), text: text.into() };
        let scenario = Scenario::parse(&found, &[])
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        match scenario.work {
            Work::Race(race) => Ok(*race),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_saved_reads_back_as_it_was() {
        let race = Race {
            processes: vec![
                vec!["./tool 'a b'".into(), "./tool \"c\"".into()],
                vec!["printf 'x\\n'\n>f".into()],
            ],
            state: vec!["./state".into(), "b".into()],
            folder: "work".into(),
            environment: vec![("TOOL_DIR".into(), "{state}".into()), ("A.B".into(), "=".into())],
            setup: vec!["true".into()],
            observe: Some("cat f".into()),
            then: vec!["./tool list".into()],
            busy: vec![Busy::Exit(75), Busy::Stderr("lock.*".into())],
            compare: Some(Compare { files: true, output: false, stderr: true, observe: true }),
            faults: vec![Fault::Kill],
            strict: true,
            ignore: vec!["*.log".into()],
            masks: vec![r"\d+".into()],
            mode: Mode::Perturbed(0..=2_000_000),
            budget: RaceBudget { time_ns: 1_500_000_000, executions: Some(7) },
            time_limit_ns: 2 * S_NS,
        };
        let text = race.to_toml("It's \"so\".", &["not-serializable".into()]);
        assert_eq!(read(&text).unwrap_or_else(|error| panic!("{error}\n{text}")), race);
        let plain = Race {
            processes: vec![vec!["a".into()], vec!["b".into()]],
            state: vec!["s".into()],
            mode: Mode::Free,
            ..Race::default()
        };
        assert_eq!(read(&plain.to_toml("", &[])), Ok(plain));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let head = "kind = \"race\"\n[race]\nstate = [\"s\"]\nprocesses = [[\"a\"], [\"b\"]]\n";
        for (line, told) in [
            ("busy = [\"exit:x\"]", "expected an exit code from 0 to 255, found \"x\""),
            ("busy = [\"code:7\"]", "expected exit:CODE, stderr:REGEX or stdout:REGEX"),
            ("busy = [\"stderr:(\"]", "no regular expression"),
            ("faults = [\"EIO\"]", "expected kill, found \"EIO\""),
            ("compare = [\"file\"]", "the nearest is \"files\""),
            ("perturb = \"2\"", "expected times such as 0..2ms"),
            ("perturb = \"0..2ms\"\nfree = true", "leave out free"),
            ("strict = true", "expected --faults kill"),
            ("mask = [\"[\"]", "no regular expression"),
            ("stat = 1", "state"),
            ("env = { A = 1 }", "env: A: expected a text"),
            ("compare = [\"observe\"]", "give --observe CMD"),
        ] {
            let error = read(&format!("{head}{line}\n")).expect_err(line);
            assert!(error.contains(told), "{line}: {error}");
        }
        for (processes, told) in [
            ("[[\"a\"]]", "takes 2 to 8 processes, and this has 1"),
            ("[[\"a\"], []]", "a process has no command"),
            ("[[\"a\"], [\"b {stat}\"]]", "the nearest is {state}"),
            ("[[\"a\"], [1]]", "expected a list of command lines"),
        ] {
            let text = format!("kind = \"race\"\n[race]\nstate = [\"s\"]\nprocesses = {processes}\n");
            let error = read(&text).expect_err(processes);
            assert!(error.contains(told), "{processes}: {error}");
        }
    }
}
