//! The columns that `kubectl get` prints, and the cells of one object.
//!
//! The server prints, the client only lays out: whoever asks for a `Table` gets column definitions
//! and rows. Cells of wide columns (`-o wide`, [`Column::priority`] above 0) are always sent; clients
//! leave them out. Kinds without a printer of their own show name and creation time; custom resources
//! show what their definition says ([`custom`]).

pub mod custom;
pub mod jsonpath;

mod access;
mod cluster;
mod config;
mod devices;
mod duration;
mod events;
mod network;
mod nodes;
mod pods;
mod storage;
mod text;
mod workloads;

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{kinds::Kind, object::ObjectExt};
pub use duration::{ago, human};

/// The head of a column: `metav1.TableColumnDefinition`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The title, printed in capitals.
    pub name: Cow<'static, str>,
    /// OpenAPI type of the cells: `string`, `integer`, `boolean`, `number` or `date`.
    pub kind: Cow<'static, str>,
    /// `name` marks the column that identifies the object.
    pub format: Cow<'static, str>,
    /// What the column shows.
    pub description: Cow<'static, str>,
    /// 0 is always shown, anything above only with `-o wide`.
    pub priority: i32,
}

impl Column {
    /// The definition as the `Table` object holds it.
    pub fn to_value(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.kind,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        })
    }

    const fn new(
        name: &'static str,
        kind: &'static str,
        format: &'static str,
        description: &'static str,
    ) -> Column {
        Column {
            name: Cow::Borrowed(name),
            kind: Cow::Borrowed(kind),
            format: Cow::Borrowed(format),
            description: Cow::Borrowed(description),
            priority: 0,
        }
    }

    const fn text(name: &'static str, description: &'static str) -> Column {
        Column::new(name, "string", "", description)
    }

    const fn number(name: &'static str, description: &'static str) -> Column {
        Column::new(name, "integer", "", description)
    }

    const fn flag(name: &'static str, description: &'static str) -> Column {
        Column::new(name, "boolean", "", description)
    }

    const fn wide(mut self) -> Column {
        self.priority = 1;
        self
    }

    const fn id(name: &'static str, description: &'static str) -> Column {
        Column::new(name, "string", "name", description)
    }
}

const NAME: Column = Column::id("Name", "Name of the object, unique within its namespace.");
const AGE: Column = Column::text("Age", "Time since the object was created.");
const CONTAINERS: Column = Column::text("Containers", "Names of the containers in the template.").wide();
const IMAGES: Column = Column::text("Images", "Images of the containers in the template.").wide();
const SELECTOR: Column = Column::text("Selector", "Labels that the pods must have.").wide();

/// The columns of one kind, and how an object fills them.
#[derive(Debug)]
pub struct Printer {
    group: &'static str,
    kind: &'static str,
    columns: &'static [Column],
    row: fn(&Value, Timestamp) -> Vec<Value>,
}

impl Printer {
    /// The heads.
    pub fn columns(&self) -> &'static [Column] {
        self.columns
    }

    /// The cells of an object, one per column.
    pub fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        (self.row)(object, now)
    }
}

static PRINTERS: &[&[Printer]] = &[
    pods::PRINTERS,
    workloads::PRINTERS,
    nodes::PRINTERS,
    network::PRINTERS,
    config::PRINTERS,
    access::PRINTERS,
    events::PRINTERS,
    storage::PRINTERS,
    cluster::PRINTERS,
    devices::PRINTERS,
];

static DEFAULT: Printer = Printer {
    group: "",
    kind: "",
    columns: &[NAME, Column::new("Created At", "date", "", "When the object was created.")],
    row: |object, _| vec![object.name().into(), object.str_at("/metadata/creationTimestamp").into()],
};

/// The printer of a kind, by group and kind; also of the kinds that only subresources have (`Scale`).
pub fn printer(group: &str, kind: &str) -> &'static Printer {
    PRINTERS.iter().copied().flatten().find(|p| p.group == group && p.kind == kind).unwrap_or(&DEFAULT)
}

/// The columns of a kind.
pub fn columns(kind: &Kind) -> &'static [Column] {
    printer(kind.group, kind.kind).columns()
}

/// The cells of one object of a kind.
pub fn row(kind: &Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    printer(kind.group, kind.kind).row(object, now)
}

/// Where the row of an object stands among others: lower is first, equals stay as they are. Flow
/// schemas stand in the order in which they are asked; all else stands by name.
pub fn rank(kind: &Kind, object: &Value) -> i64 {
    match (kind.group, kind.kind) {
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => {
            object.i64_at("/spec/matchingPrecedence").unwrap_or(0)
        }
        _ => 0,
    }
}

/// `conditions` of the row: clients that hide what has completed look here. Only pods have any.
pub fn row_conditions(object: &Value) -> Vec<Value> {
    if (object.api_version(), object.kind()) != ("v1", "Pod") {
        return Vec::new();
    }
    let message = match object.str_at("/status/phase") {
        "Succeeded" => "The pod has completed successfully.",
        "Failed" => "The pod failed.",
        _ => return Vec::new(),
    };
    vec![
        json!({"type": "Completed", "status": "True", "reason": object.str_at("/status/phase"), "message": message}),
    ]
}

fn age(object: &Value, now: Timestamp) -> Value {
    since(object, "/metadata/creationTimestamp", now).into()
}

/// How long ago the time at a pointer was, `<unknown>` if there is none.
fn since(object: &Value, pointer: &str, now: Timestamp) -> String {
    object.time_at(pointer).map_or_else(|| "<unknown>".into(), |then| ago(then, now))
}

#[cfg(test)]
mod tests;
