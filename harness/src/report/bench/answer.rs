//! The answer of a benchmark in a sentence: what is fastest up to how many processes, by how much at the least, and from when on
//! nobody is fair. Nothing is said that an interval does not carry.

use std::collections::BTreeMap;

use crate::measure::statistics::{CellStatistics, is_bound};
use crate::measure::view::{View, named};
use crate::measure::{Axis, Metric, Point};
use crate::words::{grouped, plural};

/// Below this index of Jain the shares are not called fair.
const FAIR: f64 = 0.9;

/// What was measured of one contender, by the number of processes.
type Cells<'v> = BTreeMap<u64, &'v CellStatistics>;

/// A sentence for each group of cells that compare.
#[must_use]
pub fn sentences(view: &View<'_>) -> Vec<String> {
    // Only cells under the same conditions compare; the number of processes has words of its own.
    let varying = || view.varying.iter().copied().filter(|axis| *axis != Axis::Processes);
    let (conditions, choices): (Vec<Axis>, Vec<Axis>) = varying().partition(|axis| axis.is_condition());
    let mut groups: BTreeMap<String, BTreeMap<String, Cells<'_>>> = BTreeMap::new();
    let mut refused: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (row, statistics) in view.valid() {
        if is_bound(row.cell) {
            continue;
        }
        let point = &row.cell.point;
        let group = under(point, &conditions);
        let processes = match point.get(Axis::Processes) {
            Some(crate::measure::Value::Number(processes)) => *processes,
            _ => 1,
        };
        let failed = refused.entry(group.clone()).or_default();
        failed.0 += statistics.refused;
        failed.1 += statistics.acquisitions;
        groups
            .entry(group)
            .or_default()
            .entry(named(point, &choices))
            .or_default()
            .insert(processes, statistics);
    }
    let many = groups.len() > 1;
    let told = groups.iter().filter_map(|(group, contenders)| {
        let mut parts = match contenders.len() {
            0 => return None,
            1 => contenders.values().next().map(scaling).unwrap_or_default(),
            _ => ranking(contenders),
        };
        parts.extend(fairness(contenders));
        if let Some((failed, all)) = refused.get(group).filter(|(failed, _)| *failed > 0) {
            parts.push(format!(
                "{} of {} were refused or failed",
                grouped(*failed),
                plural(*all, "operation")
            ));
        }
        let place = if many { group.as_str() } else { "" };
        (!parts.is_empty()).then(|| format!("answer: {place}{}", parts.join("; ")))
    });
    told.collect()
}

/// Under which conditions a cell was measured, as a sentence begins: `on ext4, with work pause, `.
fn under(point: &Point, conditions: &[Axis]) -> String {
    let mut words = String::new();
    for axis in conditions.iter().filter(|axis| point.get(**axis).is_some()) {
        words.push_str(if *axis == Axis::Root { "on " } else { "with " });
        words.push_str(&named(point, &[*axis]));
        words.push_str(", ");
    }
    words
}

/// How the throughput of the only contender depends on the number of processes.
fn scaling(cells: &Cells<'_>) -> Vec<String> {
    let throughput = |processes: &u64| cells[processes].get(Metric::Throughput);
    let Some((&first, _)) = cells.first_key_value() else { return Vec::new() };
    if cells.len() < 2 {
        return Vec::new();
    }
    let best = cells.keys().filter_map(|processes| Some((*processes, throughput(processes)?)));
    let Some((best, estimate)) = best.max_by(|(_, one), (_, other)| one.value.total_cmp(&other.value)) else {
        return Vec::new();
    };
    let over = |base: u64| estimate.over(throughput(&base)?)?.interval;
    let mut parts = Vec::new();
    match over(first) {
        None => return vec!["one round each cannot show what is faster: measure more rounds".into()],
        Some(interval) if best != first && interval.lower > 1.0 => parts.push(format!(
            "throughput is highest with {}, at least {:.1} times that with {first}",
            plural(best, "process"),
            interval.lower
        )),
        Some(_) => parts.push(format!("no gain over {} is certain", plural(first, "process"))),
    }
    let Some((&last, _)) = cells.last_key_value() else { return parts };
    if let Some(interval) = over(last).filter(|interval| last != best && interval.lower > 1.0) {
        parts.push(format!(
            "throughput with {last} is at most {:.0}% of that with {best}",
            100.0 / interval.lower
        ));
    }
    parts
}

/// Who is fastest, for each stretch of numbers of processes.
fn ranking(contenders: &BTreeMap<String, Cells<'_>>) -> Vec<String> {
    let mut counts: Vec<u64> = contenders.values().flat_map(BTreeMap::keys).copied().collect();
    counts.sort_unstable();
    counts.dedup();
    let mut stretches: Vec<(u64, u64, Lead)> = Vec::new();
    for processes in counts {
        let Some(lead) = Lead::of(contenders, processes) else { continue };
        match stretches.last_mut() {
            Some((_, to, known)) if known.first == lead.first && known.next == lead.next => {
                *to = processes;
                known.times = known.times.min(lead.times);
            }
            _ => stretches.push((processes, processes, lead)),
        }
    }
    let last = stretches.len().saturating_sub(1);
    let tell = |(number, (from, to, lead)): (usize, &(u64, u64, Lead))| {
        let when = match number {
            _ if from == to => format!("at {}", plural(*from, "process")),
            0 => format!("up to {to} processes"),
            number if number == last => format!("from {from} processes on"),
            _ => format!("from {from} to {to} processes"),
        };
        format!("{when} {}", lead.words())
    };
    stretches.iter().enumerate().map(tell).collect()
}

/// Who is ahead at one number of processes.
struct Lead {
    /// Those of which none is shown to be slower than the quickest.
    first: Vec<String>,
    /// The quickest of the others.
    next: Option<String>,
    /// How many times as much as that each of the first does, at the least.
    times: f64,
}

impl Lead {
    /// None where intervals are missing.
    fn of(contenders: &BTreeMap<String, Cells<'_>>, processes: u64) -> Option<Self> {
        let mut all: Vec<_> = contenders
            .iter()
            .filter_map(|(name, cells)| Some((name, cells.get(&processes)?.get(Metric::Throughput)?)))
            .collect();
        if all.len() < 2 {
            return None;
        }
        all.sort_by(|(_, one), (_, other)| other.value.total_cmp(&one.value));
        let (_, best) = all[0];
        let mut first = Vec::new();
        let mut next = None;
        for (name, estimate) in &all {
            if best.over(estimate)?.interval?.lower <= 1.0 {
                first.push((*name, *estimate));
            } else if next.is_none() {
                next = Some((*name, *estimate));
            }
        }
        let mut lead =
            Self { first: first.iter().map(|(name, _)| (*name).clone()).collect(), next: None, times: 0.0 };
        lead.first.sort();
        if let Some((name, estimate)) = next {
            let times = first.iter().map(|(_, one)| Some(one.over(estimate)?.interval?.lower));
            lead.times = times.collect::<Option<Vec<f64>>>()?.into_iter().fold(f64::INFINITY, f64::min);
            // What is said of several holds for each of them.
            lead.next = (lead.times > 1.0).then(|| name.clone());
        }
        Some(lead)
    }

    fn words(&self) -> String {
        let first = and(&self.first);
        let next =
            self.next.as_ref().map(|next| format!("at least {:.2} times as fast as {next}", self.times));
        match (self.first.len(), next) {
            (1, None) => format!("{first} is fastest"),
            (1, Some(next)) => format!("{first} is fastest, {next}"),
            (_, None) => format!("the intervals do not separate {first}"),
            (_, Some(next)) => format!("the intervals do not separate {first}, which are each {next}"),
        }
    }
}

/// A list as a sentence has it: `a`, `a and b`, `a, b and c`; names with commas are parted by semicolons.
fn and(names: &[String]) -> String {
    let separator = if names.iter().any(|name| name.contains(',')) { "; " } else { ", " };
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(separator)),
    }
}

/// From when on nobody is fair.
fn fairness(contenders: &BTreeMap<String, Cells<'_>>) -> Option<String> {
    let mut unfair: BTreeMap<u64, bool> = BTreeMap::new();
    for (processes, statistics) in contenders.values().flatten().filter(|(processes, _)| **processes > 1) {
        let interval = statistics.get(Metric::Jain).and_then(|jain| jain.interval);
        let is_unfair = interval.is_some_and(|interval| interval.upper < FAIR);
        let all = unfair.entry(*processes).or_insert(true);
        *all &= is_unfair;
    }
    let from = unfair.iter().rev().take_while(|(_, is_unfair)| **is_unfair).last().map(|(from, _)| *from)?;
    let none = if contenders.len() == 1 { "it is not fair" } else { "none is fair" };
    Some(format!("from {} on {none}", plural(from, "process")))
}
