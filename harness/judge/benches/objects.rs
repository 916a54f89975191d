//! How fast histories of objects are read and judged: 1,000,000 operations by 64 processes of each model.
//!
//! `cargo bench -p flockwork-judge --bench objects`: one line a model: reading, judging, both with the certificate, median
//! and range of several rounds by the clock, and the peak of the process, each model in a process of its own.
//! `-- MODEL` measures one, `-- judge FILE` a file; `-- write MODEL FILE [OPERATIONS [PROCESSES]]` writes a history, which
//! may also be one of `set-members`: additions of unique elements, and one operation of fifty that lists all.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use flockwork_judge::check::search::Budget;
use flockwork_judge::history::AnyHistory;
use flockwork_judge::history::read::{Limits, read_any};
use flockwork_judge::judge::{AnyJudged, Checker, judge_any};
use flockwork_judge::model::AnyModel;
use flockwork_judge::model::object::{ObjectModel, parse};
use flockwork_judge::verdict::Verdict;

const OPERATIONS: u64 = 1_000_000;
const PROCESSES: u64 = 64;
const ROUNDS: usize = 7;
const MODELS: [&str; 11] = [
    "register",
    "register-cas",
    "counter",
    "counter-untold",
    "set",
    "log",
    "lock",
    "queue-fifo",
    "queue-any",
    "table",
    "table-wide",
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => {
            println!(
                "{OPERATIONS} operations by {PROCESSES} processes, one object, {ROUNDS} rounds: median (range), peak"
            );
            for model in MODELS {
                let own = std::env::current_exe().expect("it runs");
                let status = Command::new(own).arg(model).status().expect("it starts");
                assert!(status.success(), "{model}");
            }
        }
        ["write", model, path] => write(model, path, OPERATIONS, PROCESSES),
        ["write", model, path, operations] => write(model, path, number(operations), PROCESSES),
        ["write", model, path, operations, processes] => {
            write(model, path, number(operations), number(processes));
        }
        ["judge", path] => println!("{}", judge(std::path::Path::new(path), None)),
        [model] => measure(model),
        _ => panic!("expected nothing, MODEL, or write MODEL FILE [OPERATIONS [PROCESSES]]"),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a whole number")
}

fn write(model: &str, path: &str, operations: u64, processes: u64) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).expect("it can be written"));
    file.write_all(history(model, operations, processes).as_bytes()).expect("it can be written");
    file.flush().expect("it can be written");
}

/// A history as an object that works leaves it: all processes always have an operation under way, and each acts at a
/// random instant of its interval.
fn history(model: &str, operations: u64, processes: u64) -> String {
    let (name, more) = match model {
        "queue-fifo" => ("queue", ",\"order\":\"fifo\""),
        "queue-any" => ("queue", ",\"order\":\"any\""),
        "register-cas" => ("register", ""),
        "counter-untold" => ("counter", ""),
        "set-members" => ("set", ""),
        name => (name, ""),
    };
    let mut random = Random(7);
    // (instant, invoked, returned, process), by instant.
    let mut spans = Vec::new();
    for process in 0..processes {
        let mut now = random.below(1000);
        for _ in 0..operations / processes {
            let until = now + 200 + random.below(1000);
            spans.push((now + random.below(until - now), now, until, process));
            now = until + 1 + random.below(100);
        }
    }
    spans.sort_unstable();
    // A table is named to the judge.
    let mut text = match table(model) {
        Some(_) => "{\"flockwork_history\":2}\n".to_owned(),
        None => format!("{{\"flockwork_history\":2,\"model\":\"{name}\"{more}}}\n"),
    };
    let mut object = Object::default();
    for (_, invoked, returned, process) in spans {
        let deed = object.act(model, process, &mut random);
        write!(
            text,
            "{{\"process\":{process},\"object\":\"x\",{deed},\"invoke_ns\":{invoked},\"return_ns\":{returned}"
        )
        .expect("a String takes all");
        text += if deed.contains("\"reason\"") {
            ",\"outcome\":\"refused\"}\n"
        } else {
            ",\"outcome\":\"ok\"}\n"
        };
    }
    text
}

/// The table that a model of this name is: four statuses as containers have them, or a dial of two hundred.
fn table(model: &str) -> Option<ObjectModel> {
    let statuses: Vec<String> = match model {
        "table" => (0..4).map(|number| format!("\"s{number}\"")).collect(),
        "table-wide" => (0..200).map(|number| format!("\"s{number}\"")).collect(),
        _ => return None,
    };
    let all = statuses.join(", ");
    let mut text = format!("kind = \"table\"\ninitial = \"s0\"\nstatuses = [{all}]\n[operations]\n");
    writeln!(text, "look = {{ from = [{all}], to = \"same\" }}").expect("a String takes all");
    for (number, status) in statuses.iter().enumerate() {
        let next = &statuses[(number + 1) % statuses.len()];
        writeln!(text, "turn{number} = {{ from = {status}, to = {next} }}").expect("a String takes all");
    }
    Some(parse("table.toml", text).unwrap_or_else(|problems| panic!("{problems:?}")))
}

/// All that an object is, whatever its model.
#[derive(Default)]
struct Object {
    next: u64,
    value: u64,
    list: std::collections::VecDeque<u64>,
    there: std::collections::HashSet<u64>,
    holder: Option<u64>,
}

impl Object {
    fn act(&mut self, model: &str, process: u64, random: &mut Random) -> String {
        let is_first = random.below(2) == 0;
        match model {
            "register" if is_first => {
                self.next += 1;
                self.value = self.next;
                format!("\"op\":\"write\",\"value\":{}", self.value)
            }
            "register-cas" if is_first => {
                self.next += 1;
                let from = std::mem::replace(&mut self.value, self.next);
                format!("\"op\":\"cas\",\"value\":{{\"from\":{from},\"to\":{}}}", self.value)
            }
            "counter" | "counter-untold" if is_first => {
                self.value += 1;
                let saw = if model == "counter" { format!(",\"saw\":{}", self.value) } else { String::new() };
                format!("\"op\":\"add\",\"value\":1{saw}")
            }
            "register" | "register-cas" | "counter" | "counter-untold" => {
                format!("\"op\":\"read\",\"saw\":{}", self.value)
            }
            "set" => {
                let element = random.below(10_000);
                match random.below(3) {
                    0 if self.there.insert(element) => format!("\"op\":\"add\",\"value\":{element}"),
                    0 => format!("\"op\":\"add\",\"value\":{element},\"reason\":\"exists\""),
                    1 if self.there.remove(&element) => format!("\"op\":\"remove\",\"value\":{element}"),
                    1 => format!("\"op\":\"remove\",\"value\":{element},\"reason\":\"absent\""),
                    _ => format!(
                        "\"op\":\"contains\",\"value\":{element},\"saw\":{}",
                        self.there.contains(&element)
                    ),
                }
            }
            "table" | "table-wide" => {
                let count = if model == "table" { 4 } else { 200 };
                // Half of the turns fit: the others are refused.
                let chosen = if random.below(2) == 0 { self.value } else { random.below(count) };
                match is_first {
                    false => format!("\"op\":\"look\",\"status\":\"s{}\"", self.value),
                    true if chosen == self.value => {
                        self.value = (self.value + 1) % count;
                        format!("\"op\":\"turn{chosen}\",\"status\":\"s{}\"", self.value)
                    }
                    true => format!("\"op\":\"turn{chosen}\",\"reason\":\"status\""),
                }
            }
            "set-members" if random.below(50) > 0 => {
                self.next += 1;
                self.list.push_back(self.next);
                format!("\"op\":\"add\",\"value\":{}", self.next)
            }
            "set-members" => format!("\"op\":\"members\",\"saw\":{:?}", self.list),
            "log" => {
                self.next += 1;
                // Whole lists are long: few are read.
                if self.next.is_multiple_of(100_000) {
                    return format!("\"op\":\"read\",\"saw\":{:?}", self.list);
                }
                self.list.push_back(self.next);
                let saw = if is_first { format!(",\"saw\":{}", self.list.len() - 1) } else { String::new() };
                format!("\"op\":\"append\",\"value\":{}{saw}", self.next)
            }
            "lock" => match self.holder {
                None => {
                    self.holder = Some(process);
                    format!("\"op\":\"{}\"", if is_first { "acquire" } else { "try" })
                }
                Some(holder) if holder == process => {
                    self.holder = None;
                    "\"op\":\"release\"".to_owned()
                }
                Some(_) => "\"op\":\"try\",\"reason\":\"held\"".to_owned(),
            },
            _ if is_first => {
                self.next += 1;
                self.list.push_back(self.next);
                format!("\"op\":\"push\",\"value\":{}", self.next)
            }
            _ => {
                let popped = if model == "queue-any" {
                    let at = random.below(self.list.len().max(1) as u64) as usize;
                    self.list.swap_remove_back(at)
                } else {
                    self.list.pop_front()
                };
                match popped {
                    Some(value) => format!("\"op\":\"pop\",\"saw\":{value}"),
                    None => "\"op\":\"pop\",\"reason\":\"empty\"".to_owned(),
                }
            }
        }
    }
}

struct Random(u64);

impl Random {
    /// The next number below an end, by `SplitMix64` (Steele, Lea and Flood 2014).
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % end
    }
}

/// Makes the model's history, reads and judges it several times.
fn measure(model: &str) {
    let path = std::env::temp_dir().join(format!("flockwork-objects-{}-{model}.jsonl", std::process::id()));
    // Made in another process, so that its memory does not count.
    let own = std::env::current_exe().expect("it runs");
    let status = Command::new(own).args(["write", model]).arg(&path).status().expect("it starts");
    assert!(status.success());
    let told = judge(&path, table(model).map(AnyModel::Object).as_ref());
    std::fs::remove_file(&path).expect("it was there");
    println!("{model:<16} {told}");
}

/// Reads and judges a history several times.
fn judge(path: &std::path::Path, model: Option<&AnyModel>) -> String {
    let (mut reads, mut rulings, mut wholes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let input = flockwork_judge::history::read::open(path).expect("it is there");
        let history = read_any(input, model, Limits::NONE).expect("well-formed");
        let read = start.elapsed();
        let AnyHistory::Object(object) = &history else { panic!("a history of an object") };
        let of = AnyModel::Object(object.model.clone().expect("a reader gives it"));
        let judged = judge_any(&history, &of, Checker::Auto, Budget::default()).expect("it fits");
        let whole = start.elapsed();
        let AnyJudged::Object(judged) = judged else { panic!("judged as an object") };
        assert_eq!(judged.ruling().verdict(), Verdict::Clean, "{:?}", judged.objects[0].why());
        reads.push(read);
        rulings.push(whole.saturating_sub(read));
        wholes.push(whole);
    }
    format!("read {}, judged {}, both {}, {} MB", spread(reads), spread(rulings), spread(wholes), peak_mb())
}

fn spread(mut rounds: Vec<Duration>) -> String {
    rounds.sort();
    let ms = |at: usize| rounds[at].as_secs_f64() * 1e3;
    if ms(rounds.len() / 2) < 10.0 {
        return format!("{:.3} ms ({:.3} to {:.3})", ms(rounds.len() / 2), ms(0), ms(rounds.len() - 1));
    }
    format!("{:.0} ms ({:.0} to {:.0})", ms(rounds.len() / 2), ms(0), ms(rounds.len() - 1))
}

/// The most memory that this process has had.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
}
