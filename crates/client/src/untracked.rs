//! An object read without its managed fields: they are a third of it, and who only reads has no use for them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// See the module.
#[derive(Default)]
pub(crate) struct Untracked(Value);

impl From<Untracked> for Value {
    fn from(object: Untracked) -> Self {
        object.0
    }
}

/// Which map of the object is read.
#[derive(Clone, Copy)]
enum Level {
    Object,
    Metadata,
}

impl<'de> Deserialize<'de> for Untracked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Level::Object.deserialize(deserializer).map(Self)
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "an object",
            Self::Metadata => "an object's metadata",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = match (self, key.as_str()) {
                (Self::Object, "metadata") => map.next_value_seed(Self::Metadata)?,
                (Self::Metadata, "managedFields") => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => map.next_value()?,
            };
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_managed_fields_of_the_object_itself_are_left_out() {
        let tracked = json!({
            "kind": "X",
            "metadata": {"name": "a", "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}], "uid": "u"},
            "spec": {"metadata": {"managedFields": [1]}, "managedFields": [1.5, null], "text": "\u{e9}"},
        });
        let mut without = tracked.clone();
        without["metadata"].as_object_mut().unwrap().shift_remove("managedFields");
        let Untracked(read) = serde_json::from_str(&tracked.to_string()).unwrap();
        assert_eq!(read.to_string(), without.to_string());
        for bad in ["null", "[]", r#"{"metadata":[]}"#, r#"{"metadata":{"managedFields":[}}"#] {
            assert!(serde_json::from_str::<Untracked>(bad).is_err(), "{bad}");
        }
    }
}
