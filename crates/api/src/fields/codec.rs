//! `fieldsV1`: a set as JSON. A path that ends is an empty map, one that ends and goes on holds `.`.

use serde_json::{Map, Value};

use super::{
    element::Element,
    set::{Node, Set},
};

/// What is no `fieldsV1`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    /// A key that is none.
    #[error("unknown path element {0:?}")]
    Element(String),
    /// Something else than a map.
    #[error("a set of fields is written as maps, found {0}")]
    NotAMap(String),
}

impl Set {
    /// The set as JSON.
    pub fn encode(&self) -> Value {
        Value::Object(self.encode_map(false))
    }

    fn encode_map(&self, member: bool) -> Map<String, Value> {
        let mut map = Map::new();
        let goes_on = self.nodes().next().is_some();
        if member && goes_on {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, node) in self.nodes() {
            map.insert(element.encode(), Value::Object(node.below.encode_map(node.member)));
        }
        map
    }

    /// Reads a set.
    ///
    /// # Errors
    /// What cannot be a set.
    pub fn decode(json: &Value) -> Result<Self, FieldsError> {
        Ok(decode(json)?.0)
    }
}

/// The set below, and whether `.` stands in it.
fn decode(json: &Value) -> Result<(Set, bool), FieldsError> {
    let Value::Object(map) = json else { return Err(FieldsError::NotAMap(json.to_string())) };
    let mut set = Set::default();
    let mut dot = false;
    for (key, inner) in map {
        if key == "." {
            dot = true;
            continue;
        }
        let element = Element::decode(key).ok_or_else(|| FieldsError::Element(key.clone()))?;
        let (below, dotted) = decode(inner)?;
        set.put(element, Node { member: dotted || below.is_empty(), below });
    }
    Ok((set, dot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sets_are_read_and_written() {
        #[track_caller]
        fn check(json: Value, lines: &str) {
            let set = Set::decode(&json).unwrap();
            assert_eq!(set.to_string(), lines);
            assert_eq!(set.encode(), json);
            assert_eq!(set.encode().to_string(), json.to_string(), "in order");
        }
        check(json!({}), "");
        check(json!({"f:spec": {"f:replicas": {}}}), ".spec.replicas");
        check(
            json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}}}),
            ".metadata.labels\n.metadata.labels.app",
        );
        check(
            json!({"f:c": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}, "f:set": {"v:\"x\"": {}}, "f:z": {}}),
            ".z\n.c[name=\"a\"]\n.c[name=\"a\"].image\n.set[=\"x\"]",
        );
    }

    #[test]
    fn what_is_no_set_is_refused() {
        #[track_caller]
        fn check(json: Value, why: &str) {
            assert_eq!(Set::decode(&json).unwrap_err().to_string(), why);
        }
        check(json!({"x:a": {}}), "unknown path element \"x:a\"");
        check(json!({"f:a": 1}), "a set of fields is written as maps, found 1");
        check(json!([]), "a set of fields is written as maps, found []");
    }
}
