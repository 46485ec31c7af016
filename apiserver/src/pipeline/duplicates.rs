//! Which fields a JSON body names twice. A parsed object no longer knows: the last one wins.

use std::{collections::BTreeSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// So many are told of.
const MOST: usize = 100;

/// Paths of the fields that stand in one object more than once (`spec.a`, `spec.list[0].b`).
pub(super) fn duplicates(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    // What is no JSON is somebody else's complaint.
    let _ = Look { path: String::new(), found: &mut found }.deserialize(&mut reader);
    found
}

struct Look<'f> {
    path: String,
    found: &'f mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            let look = Look { path: format!("{}[{index}]", self.path), found: &mut *self.found };
            if list.next_element_seed(look)?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if !seen.insert(key) && self.found.len() < MOST && !self.found.contains(&path) {
                self.found.push(path.clone());
            }
            map.next_value_seed(Look { path, found: &mut *self.found })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::duplicates;

    #[test]
    fn fields_that_come_twice_are_found_where_they_are() {
        #[track_caller]
        fn check(text: &str, expected: &[&str]) {
            assert_eq!(duplicates(text.as_bytes()), expected, "{text}");
        }
        check(r#"{"a": 1, "b": {"a": 1}}"#, &[]);
        check(r#"{"a": 1, "a": 2, "a": 3}"#, &["a"]);
        check(
            r#"{"spec": {"a": 1.5, "list": [{}, {"b": null, "b": true}], "a": "x"}}"#,
            &["spec.list[1].b", "spec.a"],
        );
        check("nonsense", &[]);
        check(r#"{"a": 1, "a": "#, &["a"]);
    }
}
