//! One step of a path into an object.

use std::{cmp::Ordering, fmt};

use serde_json::{Map, Number, Value};

/// A plain value in a path: of a key, or of a set.
#[derive(Clone, Debug)]
pub enum Scalar {
    /// A number.
    Number(Number),
    /// Text.
    Text(Box<str>),
    /// A boolean.
    Bool(bool),
    /// JSON's null.
    Null,
}

impl Scalar {
    /// The value, unless it is a list or a map.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.as_str().into()),
            Value::Bool(is) => Self::Bool(*is),
            Value::Null => Self::Null,
            Value::Array(_) | Value::Object(_) => return None,
        })
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.to_string()),
            Self::Bool(is) => Value::Bool(*is),
            Self::Null => Value::Null,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Text(_) => 1,
            Self::Bool(_) => 2,
            Self::Null => 3,
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)),
            },
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

/// One step. The order is that of `fieldsV1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// A field of a struct or an entry of a map.
    Field(Box<str>),
    /// An element of a list whose elements are told apart by keys, sorted by their names.
    Key(Box<[(Box<str>, Scalar)]>),
    /// An element of a set.
    Value(Scalar),
    /// An element of a list by its place.
    Index(i64),
}

impl Element {
    /// A field by its name.
    pub fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    /// As `fieldsV1` spells it: `f:spec`, `k:{"name":"a"}`, `v:"x"`, `i:0`.
    pub fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => {
                let map: Map<String, Value> =
                    keys.iter().map(|(name, value)| (name.to_string(), value.to_value())).collect();
                format!("k:{}", Value::Object(map))
            }
            Self::Value(value) => format!("v:{}", value.to_value()),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads what [`Element::encode`] writes; keys may come in any order.
    pub fn decode(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::field(rest)),
            "i" => rest.parse().ok().map(Self::Index),
            "v" => Scalar::of(&serde_json::from_str(rest).ok()?).map(Self::Value),
            "k" => {
                let map: Map<String, Value> = serde_json::from_str(rest).ok()?;
                let keys: Option<Vec<_>> = map
                    .iter()
                    .map(|(name, value)| Some((Box::from(name.as_str()), Scalar::of(value)?)))
                    .collect();
                keys.filter(|keys| !keys.is_empty()).map(Self::keys)
            }
            _ => None,
        }
    }

    pub(super) fn keys(mut keys: Vec<(Box<str>, Scalar)>) -> Self {
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        Self::Key(keys.into())
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_value())
    }
}

/// As messages show it: `.spec`, `[name="a"]`, `[="x"]`, `[0]`.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                f.write_str("[")?;
                for (place, (name, value)) in keys.iter().enumerate() {
                    if place > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{name}={value}")?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_and_shown() {
        #[track_caller]
        fn check(encoded: &str, shown: &str) {
            let element = Element::decode(encoded).unwrap();
            assert_eq!((element.encode().as_str(), element.to_string().as_str()), (encoded, shown));
        }
        check("f:spec", ".spec");
        check("f:a:b", ".a:b");
        check("f:", ".");
        check(r#"k:{"name":"a"}"#, r#"[name="a"]"#);
        check(r#"k:{"containerPort":80,"protocol":"TCP"}"#, r#"[containerPort=80,protocol="TCP"]"#);
        check(r#"v:"x""#, r#"[="x"]"#);
        check("v:1", "[=1]");
        check("v:true", "[=true]");
        check("i:3", "[3]");
    }

    #[test]
    fn keys_come_in_any_order() {
        let (a, b) = (r#"k:{"protocol":"TCP","port":80}"#, r#"k:{"port":80,"protocol":"TCP"}"#);
        assert_eq!(Element::decode(a), Element::decode(b));
    }

    #[test]
    fn what_is_no_element_is_none() {
        for text in ["", "x", "g:a", "i:x", "v:", "v:[1]", "v:{}", "k:", "k:1", "k:{}", r#"k:{"a":[]}"#, "."]
        {
            assert_eq!(Element::decode(text), None, "{text}");
        }
    }

    #[test]
    fn fields_come_before_keys_before_values_before_places() {
        let order = [
            "f:a",
            "f:b",
            r#"k:{"a":2}"#,
            r#"k:{"a":10}"#,
            r#"k:{"a":"1"}"#,
            "v:2",
            "v:10",
            "v:\"a\"",
            "i:0",
        ];
        let elements: Vec<_> = order.iter().map(|text| Element::decode(text).unwrap()).collect();
        assert!(elements.is_sorted(), "{elements:?}");
    }
}
