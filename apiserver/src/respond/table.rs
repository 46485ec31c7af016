//! Tables and metadata-only forms of objects.

use std::sync::Arc;

use api::{object::ObjectExt, table::Column};
use serde_json::{Value, json};
use world::Wall;

use super::Include;
use crate::catalog::{Nature, Served};

/// `columnDefinitions` of a kind.
pub fn columns(served: &Served) -> Value {
    match &served.nature {
        Nature::BuiltIn(kind) => api::table::columns(kind).iter().map(Column::to_value).collect(),
        Nature::Custom(custom) => custom.columns().iter().map(Column::to_value).collect(),
    }
}

/// One row.
pub fn row(served: &Served, object: &Value, include: Include, now: Wall) -> Value {
    let cells = match &served.nature {
        Nature::BuiltIn(kind) => api::table::row(kind, object, now),
        Nature::Custom(custom) => custom.row(object, now),
    };
    let shown = match include {
        Include::None => Value::Null,
        Include::Metadata => partial(object),
        Include::Object => object.clone(),
    };
    json!({ "cells": cells, "object": shown })
}

/// The rows of a list, in the order in which tables of the kind stand.
pub fn rows(served: &Served, mut objects: Vec<Arc<Value>>, include: Include, now: Wall) -> Vec<Value> {
    if let Nature::BuiltIn(kind) = &served.nature {
        objects.sort_by_key(|object| api::table::rank(kind, object));
    }
    objects.iter().map(|object| row(served, object, include, now)).collect()
}

/// A table around rows. `columns` absent: the reader has them already.
pub fn table(columns: Option<Value>, metadata: Value, rows: Vec<Value>) -> Value {
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns.unwrap_or(Value::Null),
        "rows": rows,
    })
}

/// The object's metadata as a PartialObjectMetadata.
pub fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.at("/metadata").cloned().unwrap_or_else(|| json!({})),
    })
}
