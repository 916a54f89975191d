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

/// What it says.
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
    window: Option<IgnoredAny>,
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
        Some(Ok(name)) if Kind::named(&name).is_some() => Sort::Object,
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
        return Err(format!("no header but {found}; {EXPECTED}"));
    };
    let version = whole("flockwork_history", version, 0..=u64::MAX)?;
    if version > FORMAT_VERSION {
        return Err(format!(
            "version {version} of the format is newer than this flockwork, which reads version {FORMAT_VERSION}"
        ));
    }
    if version != FORMAT_VERSION {
        return Err(format!(
            "version {version} of the format has containers only; expected \"flockwork_history\":{FORMAT_VERSION} for an object"
        ));
    }
    if fields.window.is_some() {
        return Err(
            "window: a history of objects has to be whole: what was cut away cannot be made up for".into()
        );
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
        let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        return Err(format!(
            "model is missing; expected one of {}, or a model named to the judge",
            kinds.join(", ")
        ));
    };
    let kind = word("model", raw, Kind::ALL, Kind::as_str)?;
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
    let Some(raw) = fields.fails else { return Ok(model) };
    let expected = "fails: expected operations and never, busy or any, such as {\"add\":\"never\"}";
    let entries: Entries<'_> =
        serde_json::from_str(raw.get()).map_err(|_| format!("{expected}, found {}", shown(raw.get())))?;
    for (name, raw) in entries.0 {
        let Some(op) = Op::named(&name).filter(|op| kind.operations().contains(op)) else {
            return Err(format!("fails: a {kind} has no operation {name:?}"));
        };
        model.fails.insert(op, word(&format!("fails: {op}"), raw, Fails::ALL, Fails::as_str)?);
    }
    Ok(model)
}
