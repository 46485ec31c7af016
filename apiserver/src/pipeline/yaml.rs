//! YAML bodies, read as upstream reads them: made JSON first, where the last of equal keys counts and a whole
//! number is an integer however it was written.

use std::{collections::BTreeSet, fmt};

use api::status::quoted;
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, Options, Spanned, options};

/// From here on Go writes a number with an exponent.
const LARGE: f64 = 1e21;

/// The value of a document.
///
/// # Errors
/// What is wrong with it, in one line.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    let options: Options = options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    let mut value = serde_saphyr::from_str_with_options(text, options)
        // It draws the place on further lines.
        .map_err(|e| e.to_string().lines().next().unwrap_or_default().to_owned())?;
    settle_numbers(&mut value);
    Ok(value)
}

/// Makes integers of numbers without a fraction.
pub(crate) fn settle_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < LARGE);
            let Some(whole) = whole.map(|f| f as i128) else { return };
            if let Some(integer) = Number::from_i128(whole) {
                *number = integer;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(settle_numbers),
        Value::Object(map) => map.values_mut().for_each(settle_numbers),
        _ => {}
    }
}

/// What Go's strict reader says of keys that stand twice in one map, if there are any.
pub(crate) fn repeated(text: &str) -> Option<String> {
    let options: Options = options! { duplicate_keys: DuplicateKeyPolicy::PassThrough };
    let tree: Spanned<Tree> = serde_saphyr::from_str_with_options(text, options).ok()?;
    let mut found = Vec::new();
    tree.value.look(&mut found);
    (!found.is_empty()).then(|| format!("yaml: unmarshal errors:\n  {}", found.join("\n  ")))
}

/// Nobody reads a longer list; and a body could be made of nothing else.
const MOST: usize = 64;

/// What is needed of a document to find equal keys.
enum Tree {
    Map(Vec<(Value, Spanned<Tree>)>),
    List(Vec<Spanned<Tree>>),
    Other,
}

impl Tree {
    fn look(&self, found: &mut Vec<String>) {
        match self {
            Self::Map(entries) => {
                // As JSON, in which text stands in quotes: `1` and `'1'` are two keys.
                let mut seen = BTreeSet::new();
                for (key, inner) in entries {
                    inner.value.look(found);
                    if !seen.insert(key.to_string()) && found.len() < MOST {
                        let shown = key.as_str().map_or_else(|| key.to_string(), quoted);
                        found.push(format!(
                            "line {}: key {shown} already set in map",
                            inner.referenced.line()
                        ));
                    }
                }
            }
            Self::List(items) => items.iter().for_each(|item| item.value.look(found)),
            Self::Other => {}
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Other)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_become_the_json_that_upstream_makes_of_them() {
        for (text, expected) in [
            ("a: 1\nb: [x, null, true]\n", json!({"a": 1, "b": ["x", null, true]})),
            // The last of equal keys counts.
            ("a: 1\na: 2\n", json!({"a": 2})),
            ("a: 3.0\nb: 1.5\nc: 1e3\nd: -2.0\n", json!({"a": 3, "b": 1.5, "c": 1000, "d": -2})),
            ("a: '3.0'\n", json!({"a": "3.0"})),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        assert!(read(": [").is_err_and(|why| !why.contains('\n')));
    }

    #[test]
    fn equal_keys_are_named_with_their_lines() {
        for (text, expected) in [
            ("a: 1\nb: {a: 1}\nc: [{a: 1}, {a: 2}]\n", None),
            ("a: 1\nb: 2\na: 3\n", Some("line 3: key \"a\" already set in map")),
            (
                "spec:\n  x: 1\n  x: 2\nspec:\n  y: 1\n",
                Some("line 3: key \"x\" already set in map\n  line 5: key \"spec\" already set in map"),
            ),
            ("l:\n- {a: 1, a: 2}\n", Some("line 2: key \"a\" already set in map")),
            ("{1: a, 1: b}", Some("line 1: key 1 already set in map")),
            ("{1: a, '1': b}", None),
        ] {
            let expected = expected.map(|lines| format!("yaml: unmarshal errors:\n  {lines}"));
            assert_eq!(repeated(text), expected, "{text}");
        }
    }

    #[test]
    fn a_body_of_many_keys_is_read_in_a_time_that_grows_with_it() {
        let body: String = (0..200_000).map(|n| format!("k{n}: 0\n")).collect();
        let (done, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(repeated(&body)));
        // Each key against all before it would take minutes.
        let found = wait.recv_timeout(std::time::Duration::from_secs(40));
        assert_eq!(found, Ok(None));
    }
}
