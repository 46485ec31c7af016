//! Lists, and lists as sets.

use std::cmp::Ordering;

use jiff::SignedDuration;

use super::super::{
    Value,
    decl::ListKind,
    eval::{EvalError, Found},
};

/// The longest list that an expression may make out of nothing.
const LONGEST: i64 = 100_000;

/// Two lists in one. Lists whose schema makes them sets or maps stay so: of the same element, or of
/// elements with the same keys, the later one stands at the earlier one's place.
pub(super) fn concat<'a>(a: &Value<'a>, b: &Value<'a>) -> Option<Found<'a>> {
    let (first, second) = (a.items()?, b.items()?);
    let mut list = first.to_vec();
    let kind = match a {
        Value::Items(_, decl) => &decl.list,
        _ => &ListKind::Atomic,
    };
    for item in second.iter() {
        let place = match kind {
            ListKind::Atomic => None,
            ListKind::Set => list.iter().position(|held| held.equals(&item)),
            ListKind::Map(keys) => list.iter().position(|held| same_keys(held, &item, keys)),
        };
        match place.and_then(|at| list.get_mut(at)) {
            Some(held) => *held = item,
            None => list.push(item),
        }
    }
    Some(Ok(Value::list(list)))
}

fn same_keys(a: &Value<'_>, b: &Value<'_>, keys: &[String]) -> bool {
    match (a, b) {
        (Value::Fields(a, _), Value::Fields(b, _)) => keys.iter().all(|key| a.get(key) == b.get(key)),
        _ => false,
    }
}

pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Option<Found<'a>> {
    if let ("lists.range", [Value::Int(n)]) = (name, values) {
        if *n > LONGEST {
            return Some(Err(EvalError::failed(format!("lists.range() size exceeds {LONGEST}"))));
        }
        return Some(Ok(Value::list((0..*n).map(Value::Int).collect())));
    }
    let (list, rest) = values.split_first()?;
    let items = list.items()?;
    Some(match (name, rest) {
        ("isSorted", []) => {
            let list = items.to_vec();
            let sorted = list.windows(2).all(|pair| match pair {
                [a, b] => a.compare(b) != Some(Ordering::Greater),
                _ => true,
            });
            Ok(Value::Bool(sorted))
        }
        ("sum", []) => sum(items.to_vec()),
        ("min" | "max", []) => {
            let wanted = if name == "min" { Ordering::Less } else { Ordering::Greater };
            let best = items.iter().reduce(
                |best, item| {
                    if item.compare(&best) == Some(wanted) { item } else { best }
                },
            );
            best.ok_or_else(|| EvalError::failed(format!("{name} called on empty list")))
        }
        ("indexOf", [wanted]) => {
            Ok(items.iter().position(|item| item.equals(wanted)).map_or(Value::Int(-1), Value::size))
        }
        ("lastIndexOf", [wanted]) => {
            let found = items.to_vec().iter().rposition(|item| item.equals(wanted));
            Ok(found.map_or(Value::Int(-1), Value::size))
        }
        ("reverse", []) => Ok(Value::list(items.to_vec().into_iter().rev().collect())),
        ("sort", []) => {
            let mut list = items.to_vec();
            sort_by(&mut list, |item| item).map(|()| Value::list(list))
        }
        ("distinct", []) => {
            let mut kept: Vec<Value<'a>> = Vec::new();
            for item in items.iter() {
                if !kept.iter().any(|held| held.equals(&item)) {
                    kept.push(item);
                }
            }
            Ok(Value::list(kept))
        }
        ("flatten", []) => Ok(Value::list(flat(items.to_vec(), 1))),
        ("flatten", [Value::Int(depth)]) => Ok(Value::list(flat(items.to_vec(), *depth))),
        ("first", []) => Ok(items.get(0).map_or(Value::Optional(None), Value::some)),
        ("last", []) => {
            let last = items.len().checked_sub(1).and_then(|at| items.get(at));
            Ok(last.map_or(Value::Optional(None), Value::some))
        }
        ("slice", [Value::Int(from), Value::Int(to)]) => {
            let bounds = usize::try_from(*from).ok().zip(usize::try_from(*to).ok());
            match bounds.filter(|(from, to)| from <= to && *to <= items.len()) {
                Some((from, to)) => Ok(Value::list((from..to).filter_map(|i| items.get(i)).collect())),
                None => Err(EvalError::failed(format!(
                    "cannot slice({from}, {to}), list is length {}",
                    items.len()
                ))),
            }
        }
        ("sets.contains", [other]) => {
            let wanted = other.items()?;
            Ok(Value::Bool(wanted.iter().all(|w| items.iter().any(|item| item.equals(&w)))))
        }
        ("sets.intersects", [other]) => {
            let wanted = other.items()?;
            Ok(Value::Bool(wanted.iter().any(|w| items.iter().any(|item| item.equals(&w)))))
        }
        ("sets.equivalent", [other]) => {
            let wanted = other.items()?;
            let there = wanted.iter().all(|w| items.iter().any(|item| item.equals(&w)));
            let back = items.iter().all(|item| wanted.iter().any(|w| w.equals(&item)));
            Ok(Value::Bool(there && back))
        }
        _ => return None,
    })
}

fn flat(list: Vec<Value<'_>>, depth: i64) -> Vec<Value<'_>> {
    let mut out = Vec::new();
    for item in list {
        match item.items() {
            Some(items) if depth > 0 => out.extend(flat(items.to_vec(), depth - 1)),
            _ => out.push(item),
        }
    }
    out
}

fn sum(list: Vec<Value<'_>>) -> Found<'_> {
    let mut total: Option<Value<'_>> = None;
    for item in list {
        total = Some(match total {
            None => item,
            Some(total) => {
                super::numbers::call("_+_", &[total, item]).unwrap_or_else(|| Err(EvalError::overload()))?
            }
        });
    }
    Ok(match total {
        None => Value::Int(0),
        Some(Value::Duration(d)) if d == SignedDuration::ZERO => Value::Duration(d),
        Some(total) => total,
    })
}

/// Sorts by keys that have an order among them. By others a sort could panic.
///
/// # Errors
/// Some key does not compare with the first.
pub(in crate::cel) fn sort_by<'a, T>(
    list: &mut [T],
    key: impl Fn(&T) -> &Value<'a>,
) -> Result<(), EvalError> {
    if let Some(first) = list.first()
        && list.iter().any(|item| key(item).compare(key(first)).is_none())
    {
        return Err(EvalError::overload());
    }
    list.sort_by(|a, b| key(a).compare(key(b)).unwrap_or(Ordering::Equal));
    Ok(())
}
