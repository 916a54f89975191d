//! Which interleavings are tried: the strategy, and the keys that belong to one strategy only.

use crate::document::reader::Reader;
use crate::document::source::Problem;
use crate::document::tree::Value;
use crate::plan::schedule::{Line, Schedule};
use crate::plan::{StrategyKind, StrategyPlan};

/// The keys that one strategy has and the others have not.
const KEYS: [(&str, StrategyKind); 3] = [
    ("preemptions", StrategyKind::Exhaustive),
    ("pct_depth", StrategyKind::Pct),
    ("schedule", StrategyKind::Replay),
];
const PREEMPTIONS_MAX: u32 = 64;
const DEPTH_MAX: u32 = 32;
const DEPTH_DEFAULT: u32 = 3;

/// Reads the strategy and its keys. `processes` is how many there are, where that is known.
pub(super) fn read(reader: &mut Reader<'_>, processes: Option<usize>) -> Option<StrategyPlan> {
    let has_key = reader.take("strategy").is_some();
    let word = reader.word("strategy", &StrategyKind::ALL.map(StrategyKind::as_str));
    let preemptions = reader.count_u32("preemptions", 0..=PREEMPTIONS_MAX, "preemptions");
    let depth = reader.count_u32("pct_depth", 1..=DEPTH_MAX, "ordering constraints").unwrap_or(DEPTH_DEFAULT);
    let schedule = read_schedule(reader, processes);
    if word.is_none() && has_key {
        // That it is unknown has been said; which keys belong to it nobody can say.
        return None;
    }
    let kind = word.and_then(StrategyKind::named).unwrap_or(StrategyKind::Exhaustive);
    refuse_foreign_keys(reader, kind);
    match kind {
        StrategyKind::Random => Some(StrategyPlan::Random),
        StrategyKind::Pct => Some(StrategyPlan::Pct { depth }),
        StrategyKind::Pos => Some(StrategyPlan::Pos),
        StrategyKind::Replay => replay(reader, schedule),
        StrategyKind::Exhaustive => Some(StrategyPlan::Exhaustive { preemptions }),
    }
}

fn replay(reader: &mut Reader<'_>, schedule: Option<Schedule>) -> Option<StrategyPlan> {
    if reader.take("schedule").is_none() {
        reader.missing("schedule", "the lines of the schedule that is replayed");
    }
    schedule.map(StrategyPlan::Replay)
}

fn refuse_foreign_keys(reader: &mut Reader<'_>, strategy: StrategyKind) {
    for (key, owner) in KEYS {
        if owner != strategy
            && let Some(entry) = reader.take(key)
        {
            let (owner, strategy) = (owner.as_str(), strategy.as_str());
            let message = format!("{key} belongs to strategy {owner:?}, and this one is {strategy:?}");
            let place = entry.key_place.clone();
            reader.complain(Problem::new(&place, message));
        }
    }
}

fn read_schedule(reader: &mut Reader<'_>, processes: Option<usize>) -> Option<Schedule> {
    reader.take("schedule")?;
    let (_, nodes) = reader
        .list("schedule", "the lines of a schedule, such as [\"p1 rename c1/meta.json.tmp c1/meta.json\"]")?;
    let mut lines = Vec::new();
    for node in nodes {
        let parsed = match &node.value {
            Value::Text(text) => text.parse::<Line>().map_err(|error| error.to_string()),
            other => Err(format!("expected a line of a schedule, found {}", other.describe())),
        };
        let known = parsed.and_then(|line| match processes {
            Some(count) if line.process >= count => {
                Err(format!("p{} is none of the {count} processes", line.process + 1))
            }
            _ => Ok(line),
        });
        match known {
            Ok(line) => lines.push(line),
            Err(why) => reader.complain(Problem::new(&node.place, format!("schedule: {why}"))),
        }
    }
    (lines.len() == nodes.len()).then_some(Schedule::from(lines))
}
