//! Whether what is compared can show anything at all: a comparison that sees nothing finds nothing wrong, and its "clean" would
//! be said of nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::baseline::{Baseline, NoBaseline, SequentialOrder};
use super::orders::Step;
use super::outcome::{Ending, Outcome, Who};
use super::sheet::{Place, Sheet, Value, When};
use super::site::Site;
use super::text::WILDCARD;
use crate::ground::Capture;
use crate::plan::race::RacePlan;

/// Why the comparison sees nothing; none where it sees something, or there is nothing to see. What is right when none of the
/// commands runs is learnt for that, where it is not known.
pub(crate) fn blindness(
    baseline: &mut Baseline,
    site: &mut Site,
    plan: &RacePlan,
    initial: &[Capture],
) -> Result<Option<String>, NoBaseline> {
    let compare = baseline.comparator.compare;
    let observes = compare.observe && site.observe.is_some();
    // What is left of containers is compared whole. Where files are, and none is left out, each change is seen.
    let is_whole = compare.files && plan.masks.is_empty() && plan.ignore.is_empty();
    let checks_itself = compare.files && !plan.then.is_empty();
    if plan.oci.is_some() || (is_whole && !observes) || (checks_itself && !observes) {
        return Ok(None);
    }
    let Some(first) = baseline.first.as_ref().map(|first| first.outcome.clone()) else { return Ok(None) };
    let everything: BTreeSet<Step> = site.steps().into_iter().collect();
    let nothing: Vec<SequentialOrder> = baseline.orders(site, &everything)?.to_vec();
    let orders = baseline.orders(site, &BTreeSet::new())?;
    if observes {
        return Ok(sees_nothing(orders.iter().chain(&nothing)).then(|| unobserved(plan, &first)));
    }
    let is_blind = first.folders != initial && plan.then.is_empty() && tells_nothing(orders, &nothing);
    Ok(is_blind.then(|| uncompared(&first, initial)))
}

/// Whether what tells the state prints nothing, whatever ran.
fn sees_nothing<'a>(orders: impl Iterator<Item = &'a SequentialOrder>) -> bool {
    let observed = |sheet: &Sheet| sheet.get(&Place::Stdout(Who::Observe)).is_none_or(is_blank);
    orders.flat_map(SequentialOrder::sheets).all(observed)
}

/// Whether every order comes to what lies there when none of the commands runs, and no command says anything by what it prints
/// or how it ends.
fn tells_nothing(orders: &[SequentialOrder], nothing: &[SequentialOrder]) -> bool {
    let Some(untouched) = nothing.first().and_then(|order| order.sheets().next()) else { return false };
    let endings = |order: &SequentialOrder| -> Option<BTreeMap<Place, Value>> {
        let sheet = order.sheets().next()?;
        let endings = sheet.iter().filter(|(place, _)| matches!(place, Place::Ending(Who::Command { .. })));
        Some(endings.map(|(place, value)| (place.clone(), value.clone())).collect())
    };
    let Some(first) = orders.first() else { return false };
    let is_silent = |order: &SequentialOrder| {
        order.sheets().flatten().all(|(place, value)| !is_output(place) || is_blank(value))
    };
    let is_untouched = |order: &SequentialOrder| {
        let differences = order.expected(When::AllEnded).map(|expected| expected.differences(untouched));
        differences.is_some_and(|all| all.iter().all(|difference| is_of_command(&difference.place)))
    };
    let is_blind =
        |order: &SequentialOrder| endings(order) == endings(first) && is_silent(order) && is_untouched(order);
    orders.iter().all(is_blind)
}

fn is_output(place: &Place) -> bool {
    matches!(place, Place::Stdout(_) | Place::Stderr(_))
}

fn is_of_command(place: &Place) -> bool {
    !matches!(place, Place::Entry(_))
}

/// Whether nothing is left of a text but what may be anything.
fn is_blank(value: &Value) -> bool {
    let text = value.text.as_deref().unwrap_or_default();
    String::from_utf8_lossy(text).replace(WILDCARD, "").trim().is_empty()
}

fn unobserved(plan: &RacePlan, first: &Outcome) -> String {
    let text = plan.observe.as_deref().unwrap_or_default();
    let how = first.observed.as_ref().filter(|done| done.ending != Ending::Exited(0)).map(|done| {
        let said = String::from_utf8_lossy(&done.stderr.text);
        let said = said.lines().next().map(|line| format!(": {line}")).unwrap_or_default();
        format!(" ({}{said})", done.ending)
    });
    format!(
        "--observe {text:?} prints nothing, whether the commands run or not{}, so no state was compared; let it print the state, \
         or a word where there is none",
        how.unwrap_or_default()
    )
}

fn uncompared(first: &Outcome, initial: &[Capture]) -> String {
    let mut changed = BTreeSet::new();
    for (before, after) in initial.iter().zip(&first.folders) {
        let names = before.entries.keys().chain(after.entries.keys());
        changed.extend(names.filter(|name| before.entries.get(*name) != after.entries.get(*name)));
    }
    let names: Vec<&str> = changed.iter().map(|name| name.as_str()).filter(|name| !name.is_empty()).collect();
    format!(
        "nothing that the commands change is compared ({}), and they print nothing that is: that they end alike proves nothing; \
         leave out less with --compare, --ignore and --mask, or let --then CMD check what they leave",
        names.join(", ")
    )
}
