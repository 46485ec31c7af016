//! A list as the server sends it, and its items as everybody wants them.

use std::sync::Arc;

use api::object::ObjectExt as _;
use serde_json::Value;

/// The answer to a list.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The objects, each with its kind and apiVersion, in the server's order.
    pub items: Vec<Arc<Value>>,
    /// The revision of the list: where a watch goes on.
    pub resource_version: String,
    /// Token of the next page; empty at the end.
    pub cont: String,
}

impl List {
    /// Reads a list object; items without a kind of their own get the list's.
    pub(crate) fn read(mut list: Value) -> Result<Self, String> {
        let Some(of) = list.kind().strip_suffix("List").map(str::to_owned) else {
            return Err(format!("a list was asked for, but its kind is {:?}", list.kind()));
        };
        let api_version = list.api_version().to_owned();
        let (resource_version, cont) =
            (list.resource_version().to_owned(), list.str_at("/metadata/continue").to_owned());
        let items = match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            // Go writes an empty list as null now and then.
            Some(Value::Null) | None => Vec::new(),
            Some(_) => return Err("its items are no array".to_owned()),
        };
        let typed = items.into_iter().map(|mut item| {
            if let Some(object) = item.as_object_mut() {
                if !of.is_empty() && !object.contains_key("kind") {
                    object.shift_insert(0, "kind".to_owned(), of.as_str().into());
                }
                if !object.contains_key("apiVersion") {
                    object.shift_insert(
                        1.min(object.len()),
                        "apiVersion".to_owned(),
                        api_version.as_str().into(),
                    );
                }
            }
            Arc::new(item)
        });
        Ok(Self { items: typed.collect(), resource_version, cont })
    }
}
