//! JSON merge patch (RFC 7396): maps are merged, null deletes, everything else replaces.

use serde_json::Value;

use super::{PatchError, bounded};
use crate::status::Status;

/// Merges `patch` into the current object.
pub fn merge_patch(current: &Value, patch: &Value) -> Result<Value, Status> {
    if !patch.is_object() {
        return Err(PatchError::NotAnObject.into());
    }
    let mut object = current.clone();
    json_patch::merge(&mut object, patch);
    Ok(bounded(object)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn rows() {
        #[track_caller]
        fn check(patch: Value, expected: Value) {
            let current = json!({"a": {"b": 1, "c": [1, 2]}, "d": "x"});
            assert_eq!(merge_patch(&current, &patch), Ok(expected));
        }
        check(json!({}), json!({"a": {"b": 1, "c": [1, 2]}, "d": "x"}));
        check(json!({"a": {"b": 2}}), json!({"a": {"b": 2, "c": [1, 2]}, "d": "x"}));
        check(json!({"a": {"c": [3]}}), json!({"a": {"b": 1, "c": [3]}, "d": "x"}));
        check(json!({"a": null, "none": null}), json!({"d": "x"}));
        check(json!({"d": {"e": null, "f": 1}}), json!({"a": {"b": 1, "c": [1, 2]}, "d": {"f": 1}}));
    }

    #[test]
    fn a_merge_patch_is_a_map() {
        let status = merge_patch(&json!({}), &json!([1])).unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (400, "Invalid JSON Patch"));
    }

    proptest! {
        #[test]
        fn an_object_merged_into_itself_stays(object in crate::patch::strategic::tests::object()) {
            prop_assert_eq!(merge_patch(&object, &object), Ok(object));
        }
    }
}
