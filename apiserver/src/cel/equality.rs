//! Which values are the same, and which comes first.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::Value as Json;

use super::{
    Decl, Value,
    decl::ListKind,
    eval::EvalError,
    session::{Session, work},
    table::Key,
};

type Same = Result<bool, EvalError>;

impl Value<'_> {
    /// Numbers compare across their types, lists of schemas that are sets or maps in any order.
    pub(super) fn equals(&self, other: &Value<'_>, session: &Session<'_>) -> Same {
        session.walk(1)?;
        work(1);
        Ok(match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (
                Value::Int(_) | Value::Uint(_) | Value::Double(_),
                Value::Int(_) | Value::Uint(_) | Value::Double(_),
            ) => self.compare(other) == Some(Ordering::Equal),
            (Value::String(a), Value::String(b)) => same_bytes(a.as_bytes(), b.as_bytes(), session)?,
            (Value::Bytes(a), Value::Bytes(b)) => same_bytes(a, b, session)?,
            (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Value::Type(a), Value::Type(b)) => a == b,
            (Value::Quantity(a), Value::Quantity(b)) => a.nanos() == b.nanos(),
            (Value::Ip(a), Value::Ip(b)) => a == b,
            (Value::Cidr(a), Value::Cidr(b)) => a == b,
            (Value::Url(a), Value::Url(b)) => same_bytes(a.text.as_bytes(), b.text.as_bytes(), session)?,
            (Value::Semver(a), Value::Semver(b)) => {
                session.walk_bytes(a.length().min(b.length()))?;
                a == b
            }
            (Value::Format(a), Value::Format(b)) => a == b,
            (Value::Message(a), Value::Message(b)) => {
                a.name == b.name
                    && a.fields.len() == b.fields.len()
                    && all(a.fields.iter(), |(name, value)| match b.get(name) {
                        Some(other) => value.equals(other, session),
                        None => Ok(false),
                    })?
            }
            (Value::Optional(a), Value::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => a.equals(b, session)?,
                (a, b) => a.is_none() && b.is_none(),
            },
            (Value::Items(a, decl), Value::Items(b, other)) => same_lists((a, decl), (b, other), session)?,
            (Value::Fields(..) | Value::Map(_), Value::Fields(..) | Value::Map(_)) => {
                self.same_map(other, session)?
            }
            _ => match (self.items(), other.items()) {
                (Some(a), Some(b)) if a.len() == b.len() => {
                    all(a.iter().zip(b.iter()), |(a, b)| a.equals(&b, session))?
                }
                _ => false,
            },
        })
    }

    fn same_map(&self, other: &Value<'_>, session: &Session<'_>) -> Same {
        if self.count() != other.count() {
            return Ok(false);
        }
        all(self.entries().into_iter().flatten(), |(key, value)| {
            session.walk(1 + key.weight())?;
            match other.entry(&key) {
                Some(there) => value.equals(&there, session),
                None => Ok(false),
            }
        })
    }

    /// `None` for what has no order.
    pub(super) fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
            (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Value::Int(a), Value::Double(b)) => compare_float(i128::from(*a), *b),
            (Value::Uint(a), Value::Double(b)) => compare_float(i128::from(*a), *b),
            (Value::Double(a), Value::Int(b)) => compare_float(i128::from(*b), *a).map(Ordering::reverse),
            (Value::Double(a), Value::Uint(b)) => compare_float(i128::from(*b), *a).map(Ordering::reverse),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::String(a), Value::String(b)) => {
                work(a.len().min(b.len()));
                Some((**a).cmp(&**b))
            }
            (Value::Bytes(a), Value::Bytes(b)) => {
                work(a.len().min(b.len()));
                Some(a.cmp(b))
            }
            (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
            (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
            (Value::Quantity(a), Value::Quantity(b)) => Some(a.nanos().cmp(&b.nanos())),
            (Value::Semver(a), Value::Semver(b)) => Some(a.compare(b)),
            _ => None,
        }
    }
}

/// Whether something holds for all of them, or is too much to find out.
fn all<T>(of: impl Iterator<Item = T>, mut holds: impl FnMut(T) -> Same) -> Same {
    for item in of {
        if !holds(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_bytes(a: &[u8], b: &[u8], session: &Session<'_>) -> Same {
    if a.len() != b.len() {
        return Ok(false);
    }
    session.walk_bytes(a.len())?;
    work(a.len());
    Ok(a == b)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "what lies beyond a double's precision is far from any other double"
)]
fn compare_float(whole: i128, float: f64) -> Option<Ordering> {
    (whole as f64).partial_cmp(&float)
}

/// An element by the keys of its list, as text.
pub(super) fn by_keys(item: &Json, keys: &[String]) -> String {
    let of = |key: &String| item.get(key).map(Json::to_string).unwrap_or_default();
    keys.iter().map(of).collect::<Vec<_>>().join("\0")
}

fn same_lists<'a>(
    (a, decl): (&'a [Json], &'a Decl),
    (b, other): (&'a [Json], &'a Decl),
    session: &Session<'_>,
) -> Same {
    if a.len() != b.len() {
        return Ok(false);
    }
    let (mine, theirs) = (Value::element_of(decl), Value::element_of(other));
    match &decl.list {
        ListKind::Atomic => {
            all(a.iter().zip(b), |(x, y)| Value::read(x, mine).equals(&Value::read(y, theirs), session))
        }
        ListKind::Set => {
            let mut there = BTreeSet::new();
            let mut others = Vec::new();
            for y in b {
                let y = Value::read(y, theirs);
                session.walk(1 + y.weight())?;
                match Key::of(&y) {
                    Some(key) => _ = there.insert(key),
                    None => others.push(y),
                }
            }
            all(a.iter(), |x| {
                let x = Value::read(x, mine);
                session.walk(1 + x.weight())?;
                match Key::of(&x) {
                    Some(key) => Ok(there.contains(&key)),
                    None => any_equal(others.iter(), &x, session),
                }
            })
        }
        ListKind::Map(keys) => {
            let mut there = BTreeMap::new();
            for y in b {
                let key = by_keys(y, keys);
                session.walk_bytes(1 + key.len())?;
                there.entry(key).or_insert(y);
            }
            all(a.iter(), |x| {
                let key = by_keys(x, keys);
                session.walk_bytes(1 + key.len())?;
                match there.get(&key) {
                    Some(y) => Value::read(x, mine).equals(&Value::read(y, theirs), session),
                    None => Ok(false),
                }
            })
        }
    }
}

/// Whether one of them is that value.
pub(super) fn any_equal<'v, 'a: 'v>(
    of: impl Iterator<Item = &'v Value<'a>>,
    wanted: &Value<'_>,
    session: &Session<'_>,
) -> Same {
    Ok(position(of, wanted, session)?.is_some())
}

/// Where among them the first such value is.
pub(super) fn position<'v, 'a: 'v>(
    of: impl Iterator<Item = &'v Value<'a>>,
    wanted: &Value<'_>,
    session: &Session<'_>,
) -> Result<Option<usize>, EvalError> {
    for (at, item) in of.enumerate() {
        if item.equals(wanted, session)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}
