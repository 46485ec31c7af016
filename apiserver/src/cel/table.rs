//! A map that an expression made, in the order in which it was made, with an index of its keys.

use std::collections::BTreeMap;

use super::{Value, eval::EvalError, library, session::work, text::Text};

/// What a key is found by: numbers are the same key whatever their type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    Bool(bool),
    Whole(i128),
    /// Bits of a number that is not whole.
    Float(u64),
    Text(Text<'a>),
}

impl<'a> Key<'a> {
    /// `None` for what can be no key.
    #[expect(clippy::cast_possible_truncation, reason = "whole, and far within the range")]
    pub(super) fn of(value: &Value<'a>) -> Option<Key<'a>> {
        Some(match value {
            Value::Bool(b) => Key::Bool(*b),
            Value::Int(i) => Key::Whole(i128::from(*i)),
            Value::Uint(u) => Key::Whole(i128::from(*u)),
            Value::Double(d) if d.fract() == 0.0 && d.abs() < 1e30 => Key::Whole(*d as i128),
            Value::Double(d) => Key::Float(d.to_bits()),
            Value::String(text) => Key::Text(text.clone()),
            _ => return None,
        })
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Table<'a> {
    entries: Vec<(Value<'a>, Value<'a>)>,
    index: BTreeMap<Key<'a>, usize>,
}

impl<'a> Table<'a> {
    /// Another entry.
    pub(super) fn insert(&mut self, key: Value<'a>, value: Value<'a>) -> Result<(), EvalError> {
        let Some(found_by) = Key::of(&key) else {
            return Err(EvalError::failed(format!("unsupported key type: {}", key.type_name())));
        };
        work(1);
        if self.index.contains_key(&found_by) {
            let shown = library::shown(&key);
            return Err(EvalError::failed(format!("insert failed: key {shown} already exists")));
        }
        self.index.insert(found_by, self.entries.len());
        self.entries.push((key, value));
        Ok(())
    }

    pub(super) fn get(&self, key: &Value<'a>) -> Option<&Value<'a>> {
        work(1);
        let at = *self.index.get(&Key::of(key)?)?;
        self.entries.get(at).map(|(_, value)| value)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Value<'a>, Value<'a>)> {
        self.entries.iter()
    }
}
