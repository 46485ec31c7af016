//! JSON patch (RFC 6902), with the bounds that a server needs.

use json_patch::PatchOperation;
use serde_json::Value;

use super::{PatchError, bounded};
use crate::status::Status;

/// How many operations a patch may have.
pub const MAX_OPERATIONS: usize = 10_000;
/// How much the `copy` operations of one patch may add; each of them can double the object.
const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// Applies a list of operations, all or none.
pub fn json_patch(current: &Value, patch: &Value) -> Result<Value, Status> {
    Ok(apply(current, patch).map_err(|failure| failure.error)?)
}

/// The same for a patch that need not fit: `None` if one of its tests fails.
///
/// # Errors
/// Everything else that is wrong with it.
pub fn tested_json_patch(current: &Value, patch: &Value) -> Result<Option<Value>, PatchError> {
    match apply(current, patch) {
        Ok(object) => Ok(Some(object)),
        Err(failure) if failure.by_test => Ok(None),
        Err(failure) => Err(failure.error),
    }
}

/// Why a patch was not applied.
struct Failure {
    error: PatchError,
    /// It said itself that it was not to be.
    by_test: bool,
}

impl From<PatchError> for Failure {
    fn from(error: PatchError) -> Self {
        Failure { error, by_test: false }
    }
}

fn apply(current: &Value, patch: &Value) -> Result<Value, Failure> {
    let Value::Array(list) = patch else {
        return Err(PatchError::Decode { why: "a JSON patch is a list of operations".into() }.into());
    };
    if list.len() > MAX_OPERATIONS {
        return Err(PatchError::TooManyOperations { got: list.len(), limit: MAX_OPERATIONS }.into());
    }
    let operations = list
        .iter()
        .map(|operation| serde_json::from_value::<PatchOperation>(operation.clone()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| PatchError::Decode { why: error.to_string() })?;

    let mut object = current.clone();
    let mut copied = 0;
    for (index, operation) in operations.iter().enumerate() {
        let refused = |why: String| PatchError::Operation { index, path: operation.path().to_string(), why };
        if let PatchOperation::Copy(copy) = operation {
            copied += object.pointer(copy.from.as_str()).map_or(0, |value| value.to_string().len());
            if copied > MAX_COPIED_BYTES {
                return Err(PatchError::CopyTooLarge { got: copied, limit: MAX_COPIED_BYTES }.into());
            }
        }
        json_patch::patch_unsafe(&mut object, std::slice::from_ref(operation)).map_err(|error| Failure {
            by_test: matches!(error.kind, json_patch::PatchErrorKind::TestFailed),
            error: refused(error.kind.to_string()),
        })?;
    }
    if !object.is_object() {
        return Err(PatchError::Operation {
            index: operations.len(),
            path: String::new(),
            why: "no object is left".into(),
        }
        .into());
    }
    Ok(bounded(object)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(patch: Value, expected: Result<Value, (u16, &str)>) {
        let current = json!({"spec": {"replicas": 1, "list": ["a", "b"]}});
        let got = json_patch(&current, &patch);
        match expected {
            Ok(value) => assert_eq!(got, Ok(value)),
            Err((code, message)) => {
                let status = got.expect_err("a refusal");
                assert_eq!((status.code, status.message.as_str()), (code, message));
            }
        }
    }

    const REJECTED: (u16, &str) = (422, "the server rejected our request due to an error in our request");

    #[test]
    fn operations() {
        check(
            json!([{"op": "test", "path": "/spec/replicas", "value": 1},
                   {"op": "replace", "path": "/spec/replicas", "value": 2},
                   {"op": "add", "path": "/spec/list/-", "value": "c"},
                   {"op": "remove", "path": "/spec/list/0"},
                   {"op": "copy", "from": "/spec/list/0", "path": "/first"},
                   {"op": "move", "from": "/first", "path": "/spec/moved"}]),
            Ok(json!({"spec": {"replicas": 2, "list": ["b", "c"], "moved": "b"}})),
        );
        check(json!([]), Ok(json!({"spec": {"replicas": 1, "list": ["a", "b"]}})));
    }

    #[test]
    fn an_operation_that_does_not_apply_is_422() {
        check(json!([{"op": "test", "path": "/spec/replicas", "value": 2}]), Err(REJECTED));
        check(json!([{"op": "remove", "path": "/spec/nothing"}]), Err(REJECTED));
        check(json!([{"op": "replace", "path": "/spec/nothing", "value": 1}]), Err(REJECTED));
        check(json!([{"op": "add", "path": "/no/parent", "value": 1}]), Err(REJECTED));
        check(json!([{"op": "add", "path": "/spec/list/7", "value": 1}]), Err(REJECTED));
        check(json!([{"op": "replace", "path": "", "value": 1}]), Err(REJECTED));
    }

    #[test]
    fn what_is_no_json_patch_is_400() {
        check(json!({"spec": {}}), Err((400, "error decoding patch: a JSON patch is a list of operations")));
        for bad in [
            json!([{"op": "grow", "path": "/a"}]),
            json!([{"path": "/a"}]),
            json!([{"op": "add", "path": "a", "value": 1}]),
            json!([7]),
        ] {
            let status = json_patch(&json!({}), &bad).unwrap_err();
            assert_eq!(status.code, 400, "{bad}");
            assert!(status.message.starts_with("error decoding patch: "), "{}", status.message);
        }
    }

    #[test]
    fn the_number_of_operations_is_bounded() {
        let operation = json!({"op": "add", "path": "/a", "value": 1});
        let most = Value::Array(vec![operation.clone(); MAX_OPERATIONS]);
        assert_eq!(json_patch(&json!({}), &most), Ok(json!({"a": 1})));
        let status = json_patch(&json!({}), &Value::Array(vec![operation; MAX_OPERATIONS + 1])).unwrap_err();
        assert_eq!(status.code, 413);
        assert_eq!(
            status.message,
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
        );
    }

    #[test]
    fn copies_cannot_blow_an_object_up() {
        let double = json!({"op": "copy", "from": "/a", "path": "/a/-"});
        let status = json_patch(&json!({"a": ["x"]}), &Value::Array(vec![double; 60])).unwrap_err();
        assert_eq!(status.code, 422);
    }

    #[test]
    fn depth_is_bounded() {
        let deepen = |levels: usize| {
            let path = |depth| "/a".repeat(depth);
            (1..=levels)
                .map(|depth| json!({"op": "add", "path": path(depth), "value": {}}))
                .collect::<Vec<_>>()
        };
        assert!(json_patch(&json!({}), &deepen(90).into()).is_ok());
        assert_eq!(json_patch(&json!({}), &deepen(120).into()).unwrap_err().code, 422);
    }
}
