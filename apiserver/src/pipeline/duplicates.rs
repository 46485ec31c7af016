//! Keys that stand twice in one JSON object. A parser keeps the last of them; a client that asked for
//! field validation wants to hear of it.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Nobody reads a longer list; and a body could be made of nothing else.
const MOST: usize = 64;
/// Characters of a path that are shown.
const LONGEST: usize = 1024;

/// The paths of the repeated keys (`spec.template.spec.containers[0].name`), in the order of the text.
pub fn duplicates(json: &[u8]) -> Vec<String> {
    let mut walk = Walk { path: String::new(), found: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    // What is no JSON is refused by whoever parses it.
    let _ = Step(&mut walk).deserialize(&mut deserializer);
    walk.found
}

/// Whether a key may stand twice in a text, of which `read` is what was read: it has more pairs then. Much sooner known
/// than which.
pub fn suspected(json: &[u8], read: &Value) -> bool {
    let (mut pairs, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b':' if !quoted => pairs += 1,
            _ => {}
        }
    }
    pairs != pairs_of(read)
}

fn pairs_of(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.len() + map.values().map(pairs_of).sum::<usize>(),
        Value::Array(list) => list.iter().map(pairs_of).sum(),
        _ => 0,
    }
}

struct Walk {
    path: String,
    found: Vec<String>,
}

/// One value, with the path that leads to it.
struct Step<'w>(&'w mut Walk);

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let walk = self.0;
        let length = walk.path.len();
        let mut keys: BTreeSet<Cow<'de, str>> = BTreeSet::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if !walk.path.is_empty() {
                walk.path.push('.');
            }
            walk.path.push_str(&key);
            if !keys.insert(key) && walk.found.len() < MOST {
                let path: String = walk.path.chars().take(LONGEST).collect();
                if !walk.found.contains(&path) {
                    walk.found.push(path);
                }
            }
            map.next_value_seed(Step(walk))?;
            walk.path.truncate(length);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let walk = self.0;
        let length = walk.path.len();
        let mut index = 0_usize;
        loop {
            walk.path.push_str(&format!("[{index}]"));
            let next = list.next_element_seed(Step(walk))?;
            walk.path.truncate(length);
            if next.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_keys_are_named_by_path() {
        for (json, expected) in [
            (r#"{"a": 1, "b": {"a": 2}}"#, &[][..]),
            (r#"{"a": 1, "a": 2, "a": 3}"#, &["a"]),
            (
                r#"{"spec": {"x": [1, {"y": null, "z": true, "y": -1.5}]}, "spec": {}}"#,
                &["spec.x[1].y", "spec"],
            ),
            (r#"{"a\u0062": 1, "ab": "x"}"#, &["ab"]),
            (r#"{"a:\"b\\": ":\":{:", "c": ["d:e", {"f": {}}, ":"]}"#, &[]),
            (r#"{"a:\"b\\": ":\":{:", "c": ["d:e", {"f": {}, "f": 1}, ":"]}"#, &["c[1].f"]),
            ("[{}, 1", &[]),
        ] {
            assert_eq!(duplicates(json.as_bytes()), expected, "{json}");
            if let Ok(read) = serde_json::from_str(json) {
                assert_eq!(suspected(json.as_bytes(), &read), !expected.is_empty(), "{json}");
            }
        }
        let many = format!(
            "{{{}\"a\": 0}}",
            (0..1000).map(|n| format!("\"{n}\": 0, \"{n}\": 1,")).collect::<String>()
        );
        assert_eq!(duplicates(many.as_bytes()).len(), MOST);
        let long = format!(r#"{{"{}": {{"a": 0, "a": 0}}}}"#, "x".repeat(5000));
        assert_eq!(duplicates(long.as_bytes()), ["x".repeat(LONGEST)]);
    }
}
