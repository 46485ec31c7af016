//! A webhook's JSON patch on an object; what cannot be done is said in the words of upstream's library.

use api::{object::ObjectExt as _, patch::json_patch};
use serde_json::Value;

/// The object after the patch.
///
/// # Errors
/// What is wrong with the first operation that cannot be carried out.
pub(super) fn apply(object: &Value, patch: &Value) -> Result<Value, String> {
    json_patch(object, patch).map_err(|status| match status.code {
        422 => explain(object, patch),
        _ => status.message,
    })
}

/// Carries the operations out one by one, until one cannot be.
fn explain(object: &Value, patch: &Value) -> String {
    let mut object = object.clone();
    for operation in patch.as_array().into_iter().flatten() {
        match json_patch(&object, &Value::Array(vec![operation.clone()])) {
            Ok(next) => object = next,
            Err(_) => return words(&object, operation),
        }
    }
    "the patched object is too large".to_owned()
}

fn words(object: &Value, operation: &Value) -> String {
    let (name, path) = (operation.str_at("/op"), operation.str_at("/path"));
    let (parent, key) = path.rsplit_once('/').unwrap_or(("", path));
    let has = |pointer: &str| object.pointer(pointer).is_some();
    let into_list = object.pointer(parent).is_some_and(Value::is_array);
    match name {
        "test" if !has(path) && !has(parent) => {
            format!("test operation does not apply: is missing path: {path}: missing value")
        }
        "test" => format!("testing value {path} failed: test failed"),
        "move" | "copy" if !has(operation.str_at("/from")) => {
            let from = operation.str_at("/from");
            format!("{name} operation does not apply: doc is missing from path: {from:?}: missing value")
        }
        "replace" if has(parent) => {
            format!("replace operation does not apply: doc is missing key: {path}: missing value")
        }
        "replace" => format!("replace operation does not apply: doc is missing path: {path}: missing value"),
        "remove" if into_list => {
            let why = format!("Unable to access invalid index: {key}: invalid index referenced");
            format!("error in remove for path: '{path}': {why}")
        }
        "remove" if has(parent) => {
            format!(
                "error in remove for path: '{path}': Unable to remove nonexistent key: {key}: missing value"
            )
        }
        "add" if into_list => {
            let why = format!("Unable to access invalid index: {key}: invalid index referenced");
            format!("error in add for path: '{path}': {why}")
        }
        _ => format!("{name} operation does not apply: doc is missing path: {path:?}: missing value"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_done_is_named() {
        let object = json!({"metadata": {"name": "p"}, "list": ["a"]});
        for (operation, expected) in [
            (
                json!({"op": "add", "path": "/metadata/labels/a", "value": "b"}),
                "add operation does not apply: doc is missing path: \"/metadata/labels/a\": missing value",
            ),
            (
                json!({"op": "add", "path": "/list/7", "value": "b"}),
                "error in add for path: '/list/7': Unable to access invalid index: 7: invalid index referenced",
            ),
            (
                json!({"op": "remove", "path": "/metadata/labels"}),
                "error in remove for path: '/metadata/labels': Unable to remove nonexistent key: labels: missing value",
            ),
            (
                json!({"op": "remove", "path": "/spec/a"}),
                "remove operation does not apply: doc is missing path: \"/spec/a\": missing value",
            ),
            (
                json!({"op": "replace", "path": "/metadata/uid", "value": "b"}),
                "replace operation does not apply: doc is missing key: /metadata/uid: missing value",
            ),
            (
                json!({"op": "replace", "path": "/spec/uid", "value": "b"}),
                "replace operation does not apply: doc is missing path: /spec/uid: missing value",
            ),
            (
                json!({"op": "test", "path": "/metadata/name", "value": "b"}),
                "testing value /metadata/name failed: test failed",
            ),
            (
                json!({"op": "move", "from": "/spec", "path": "/status"}),
                "move operation does not apply: doc is missing from path: \"/spec\": missing value",
            ),
        ] {
            // The operation before it can be carried out, and is.
            let first = json!({"op": "add", "path": "/first", "value": 1});
            let patch = json!([first, operation]);
            assert_eq!(apply(&object, &patch).unwrap_err(), expected, "{operation}");
        }
        let fine = json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]);
        assert_eq!(apply(&object, &fine).unwrap().pointer("/metadata/labels/a"), Some(&json!("b")));
    }
}
