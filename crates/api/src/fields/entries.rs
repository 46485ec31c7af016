//! `metadata.managedFields`, read and written.

use std::collections::BTreeMap;

use serde_json::{Map as JsonMap, Value};

use super::set::Set;
use crate::object::ObjectExt;

/// How a manager came to its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    /// As in the entry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who an entry is about. The version of an applier is not part of it: it keeps its entry when it
/// applies another version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// The name of the manager.
    pub manager: String,
    /// How it wrote.
    pub operation: Operation,
    /// The version it wrote in; empty for appliers.
    pub api_version: String,
    /// Where it wrote; empty for the object itself.
    pub subresource: String,
}

impl Id {
    /// An updater, by the version that it writes in.
    pub fn updater(manager: &str, api_version: &str, subresource: &str) -> Self {
        Self {
            manager: manager.to_owned(),
            operation: Operation::Update,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    /// An applier.
    pub fn applier(manager: &str, subresource: &str) -> Self {
        Self {
            manager: manager.to_owned(),
            operation: Operation::Apply,
            api_version: String::new(),
            subresource: subresource.to_owned(),
        }
    }
}

/// What a manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In which version the fields are written.
    pub api_version: String,
    /// When it last changed something.
    pub time: Option<String>,
    /// Its fields.
    pub set: Set,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managed(pub BTreeMap<Id, Entry>);

impl Managed {
    /// Reads the list.
    ///
    /// # Errors
    /// Why it cannot be read, in upstream's words.
    pub fn decode(list: &[Value]) -> Result<Self, String> {
        let mut managed = Self::default();
        for (place, entry) in list.iter().enumerate() {
            let operation = match entry.str_at("/operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            let api_version = entry.str_at("/apiVersion");
            if api_version.is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            match entry.str_at("/fieldsType") {
                "FieldsV1" => {}
                "" => return Err(format!("missing fieldsType in managed fields entry {place}")),
                other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {place}")),
            }
            let set = match entry.get("fieldsV1") {
                Some(fields) => Set::decode(fields)
                    .map_err(|why| format!("error decoding managed fields entry {place}: {why}"))?,
                None => Set::default(),
            };
            let id = Id {
                manager: entry.str_at("/manager").to_owned(),
                operation,
                api_version: if operation == Operation::Apply {
                    String::new()
                } else {
                    api_version.to_owned()
                },
                subresource: entry.str_at("/subresource").to_owned(),
            };
            let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
            managed.0.insert(id, Entry { api_version: api_version.to_owned(), time, set });
        }
        Ok(managed)
    }

    /// Writes the list, in upstream's order.
    pub fn encode(&self) -> Vec<Value> {
        let mut list: Vec<Value> = self.0.iter().map(|(id, entry)| written(id, entry)).collect();
        sort(&mut list);
        list
    }
}

fn written(id: &Id, entry: &Entry) -> Value {
    let mut map = JsonMap::new();
    if !id.manager.is_empty() {
        map.insert("manager".to_owned(), id.manager.as_str().into());
    }
    map.insert("operation".to_owned(), id.operation.as_str().into());
    map.insert("apiVersion".to_owned(), entry.api_version.as_str().into());
    if let Some(time) = &entry.time {
        map.insert("time".to_owned(), time.as_str().into());
    }
    map.insert("fieldsType".to_owned(), "FieldsV1".into());
    map.insert("fieldsV1".to_owned(), entry.set.encode());
    if !id.subresource.is_empty() {
        map.insert("subresource".to_owned(), id.subresource.as_str().into());
    }
    Value::Object(map)
}

/// Appliers before updaters, the oldest first. Times of one form and zone order as texts do.
pub(super) fn sort(list: &mut [Value]) {
    fn place(entry: &Value) -> [&str; 5] {
        ["/operation", "/time", "/manager", "/apiVersion", "/subresource"].map(|at| entry.str_at(at))
    }
    list.sort_by(|a, b| place(a).cmp(&place(b)));
}

/// Whether two objects differ in nothing but the times of their entries: then nothing was changed.
/// Versions do not count.
pub fn same_but_times(old: &Value, new: &Value) -> bool {
    let (before, after) = (old.list_at(LIST), new.list_at(LIST));
    before.len() == after.len()
        && before.iter().zip(after).all(|(a, b)| same_without(a, b, &["time"], |_, _, _| None))
        && same_without(old, new, &[], |name, a, b| {
            (name == "metadata")
                .then(|| same_without(a, b, &["managedFields", "resourceVersion"], |_, _, _| None))
        })
}

const LIST: &str = "/metadata/managedFields";

/// Equality of maps, apart from some fields; `special` decides a field by its own rule.
fn same_without(
    a: &Value,
    b: &Value,
    ignored: &[&str],
    special: impl Fn(&str, &Value, &Value) -> Option<bool>,
) -> bool {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return a == b };
    let counts = |name: &String| !ignored.contains(&name.as_str());
    let size = |map: &JsonMap<String, Value>| map.keys().filter(|name| counts(name)).count();
    size(a) == size(b)
        && a.iter().filter(|(name, _)| counts(name)).all(|(name, value)| {
            b.get(name).is_some_and(|other| special(name, value, other).unwrap_or_else(|| value == other))
        })
}
