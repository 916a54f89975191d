//! The first line of a history of objects: version, model and its options, and first values.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::history::object::Op;
use crate::history::object::value::Entries;
use crate::history::read::value::{shown, syntax, text, whole, word};
use crate::model::object::{Fails, Kind, ObjectModel, QueueOrder};
use crate::words::units;

/// What belongs there.
pub const EXPECTED: &str =
    "expected a header {\"flockwork_history\":2,\"model\":\"counter\",\"initial\":{\"x\":0}}";
/// Version of the stored form.
const FORMAT_VERSION: u64 = 2;

/// What the first line of a history of objects says of those that follow.
#[derive(Debug)]
pub struct Header<'a> {
    pub model: ObjectModel,
    /// In the order in which the header has them.
    pub initial: Vec<(String, &'a str)>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    flockwork_history: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    initial: Option<&'a RawValue>,
    #[serde(borrow)]
    order: Option<&'a RawValue>,
    #[serde(borrow)]
    lease: Option<&'a RawValue>,
    #[serde(borrow)]
    fails: Option<&'a RawValue>,
    #[serde(borrow)]
    within: Option<&'a RawValue>,
    window: Option<IgnoredAny>,
    #[serde(borrow)]
    deaths: Option<&'a RawValue>,
    op: Option<IgnoredAny>,
}

/// What a history is of, as far as its first line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Containers, by a table.
    Table,
    /// Objects that hold values.
    Object,
    /// Either: it names no model.
    Either,
}

/// What a history with this first line is of. What is malformed is left to whoever reads it.
pub fn sort(line: &str) -> Sort {
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(line) else { return Sort::Either };
    match fields.model.map(|raw| text("model", raw)) {
        Some(Ok(name)) if Kind::of_name(&name).is_some() => Sort::Object,
        Some(_) => Sort::Table,
        None => Sort::Either,
    }
}

/// Reads the first line; `own` is the model that is to judge, where whoever asks has one.
pub fn parse<'a>(line: &'a str, own: Option<&ObjectModel>) -> Result<Header<'a>, String> {
    let fields: Fields<'_> =
        serde_json::from_str(line).map_err(|error| format!("{}; {EXPECTED}", syntax(line, &error)))?;
    let Some(version) = fields.flockwork_history else {
        let found = if fields.op.is_some() { "an operation" } else { "an object without flockwork_history" };
        return Err(format!("found {found}; {EXPECTED}"));
    };
    let version = whole("flockwork_history", version, 0..=u64::MAX)?;
    if version > FORMAT_VERSION {
        return Err(format!(
            "version {version} of the format is newer than this flockwork, which reads version {FORMAT_VERSION}"
        ));
    }
    let is_own_table = own.is_some_and(|own| own.kind == Kind::Table);
    if version != FORMAT_VERSION && !is_own_table {
        return Err(format!(
            "version {version} of the format has containers only; expected \"flockwork_history\":{FORMAT_VERSION} for an object"
        ));
    }
    if fields.window.is_some() {
        return Err("window: a history of objects must be whole".into());
    }
    if let Some(raw) = fields.deaths.filter(|raw| raw.get() != "\"never\"") {
        let found = shown(raw.get());
        return Err(format!(
            "deaths: only containers have them; expected \"never\" or nothing, found {found}"
        ));
    }
    let model = match own {
        Some(model) => model.clone(),
        None => model(&fields)?,
    };
    let initial = match fields.initial {
        Some(raw) => {
            let entries: Entries<'a> = serde_json::from_str(raw.get()).map_err(|_| {
                let found = shown(raw.get());
                format!(
                    "initial: expected objects and their first values, such as {{\"x\":0}}, found {found}"
                )
            })?;
            entries.0.into_iter().map(|(name, raw)| (name, raw.get())).collect()
        }
        None => Vec::new(),
    };
    Ok(Header { model, initial })
}

fn model(fields: &Fields<'_>) -> Result<ObjectModel, String> {
    let Some(raw) = fields.model else {
        let kinds: Vec<&str> = Kind::whole().into_iter().map(Kind::as_str).collect();
        return Err(format!(
            "model is missing; expected one of {}, or a model named to the judge",
            kinds.join(", ")
        ));
    };
    let kind = word("model", raw, &Kind::whole(), Kind::as_str)?;
    let mut model = ObjectModel::of(kind);
    match (kind, fields.order) {
        (Kind::Queue, Some(raw)) => model.order = word("order", raw, QueueOrder::ALL, QueueOrder::as_str)?,
        (_, Some(_)) => return Err(format!("order: only a queue has one, and this is a {kind}")),
        (_, None) => {}
    }
    match (kind, fields.lease) {
        (Kind::Lock, Some(raw)) => {
            let lease = text("lease", raw)?;
            let lease_ns = units::duration_ns(&lease).filter(|&ns| ns > 0);
            model.lease_ns =
                Some(lease_ns.ok_or_else(|| format!("lease: expected {}", units::DURATION_FORM))?);
        }
        (_, Some(_)) => return Err(format!("lease: only a lock has one, and this is a {kind}")),
        (_, None) => {}
    }
    for (op, raw) in by_operation("fails", fields.fails, kind, "{\"add\":\"never\"}")? {
        model.fails.insert(op, word(&format!("fails: {op}"), raw, Fails::ALL, Fails::as_str)?);
    }
    for (op, raw) in by_operation("within", fields.within, kind, "{\"add\":\"2s\"}")? {
        let field = format!("within: {op}");
        let within_ns = units::duration_ns(&text(&field, raw)?).filter(|&ns| ns > 0);
        let within_ns = within_ns.ok_or_else(|| format!("{field}: expected {}", units::DURATION_FORM))?;
        model.within_ns.insert(op, within_ns);
    }
    Ok(model)
}

/// What is said of each operation of a kind.
fn by_operation<'a>(
    field: &str,
    raw: Option<&'a RawValue>,
    kind: Kind,
    example: &str,
) -> Result<Vec<(Op, &'a RawValue)>, String> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    let entries: Entries<'a> = serde_json::from_str(raw.get()).map_err(|_| {
        format!("{field}: expected operations, such as {example}, found {}", shown(raw.get()))
    })?;
    let operation = |(name, raw): (String, &'a RawValue)| {
        let op = Op::named(&name).filter(|op| kind.operations().contains(op));
        op.map(|op| (op, raw)).ok_or_else(|| format!("{field}: a {kind} has no operation {name:?}"))
    };
    entries.0.into_iter().map(operation).collect()
}
