//! Lists, and lists as sets.

use std::{cmp::Ordering, collections::BTreeMap};

use jiff::SignedDuration;

use super::super::{
    Value,
    decl::ListKind,
    equality::{any_equal, position},
    eval::{EvalError, Found},
    session::Session,
    table::Key,
    text::Text,
    value::Items,
};

/// The longest list that an expression may make out of nothing.
const LONGEST: i64 = 100_000;

/// Two lists in one. Lists whose schema makes them sets or maps stay so: of the same element, or of
/// elements with the same keys, the later one stands at the earlier one's place.
pub(super) fn concat<'a>(a: &Value<'a>, b: &Value<'a>, session: &Session<'_>) -> Option<Found<'a>> {
    let (first, second) = (a.items()?, b.items()?);
    let kind = match a {
        Value::Items(_, decl) => &decl.list,
        _ => &ListKind::Atomic,
    };
    Some(merged(&first, &second, kind, session))
}

fn merged<'a>(
    first: &Items<'_, 'a>,
    second: &Items<'_, 'a>,
    kind: &ListKind,
    session: &Session<'_>,
) -> Found<'a> {
    let mut list = first.to_vec(session)?;
    if *kind == ListKind::Atomic {
        list.extend(second.to_vec(session)?);
        return Ok(Value::list(list));
    }
    let key = |item: &Value<'a>| match (kind, item) {
        (ListKind::Map(keys), Value::Fields(map, _)) => {
            let of = |key: &String| map.get(key).map(serde_json::Value::to_string).unwrap_or_default();
            Some(Key::Text(Text::Made(keys.iter().map(of).collect::<Vec<_>>().join("\0").into())))
        }
        (ListKind::Set, item) => Key::of(item),
        _ => None,
    };
    let mut places = BTreeMap::new();
    for (at, item) in list.iter().enumerate() {
        session.walk(1 + item.weight())?;
        places.extend(key(item).map(|key| (key, at)));
    }
    for item in second.iter() {
        session.walk(1 + item.weight())?;
        let place = match key(&item) {
            Some(key) => Some(*places.entry(key).or_insert(list.len())),
            None => position(list.iter(), &item, session)?,
        };
        match place.and_then(|at| list.get_mut(at)) {
            Some(held) => *held = item,
            None => list.push(item),
        }
    }
    Ok(Value::list(list))
}

pub(super) fn call<'a>(name: &str, values: &[Value<'a>], session: &Session<'_>) -> Option<Found<'a>> {
    if let ("lists.range", [Value::Int(n)]) = (name, values) {
        if *n > LONGEST {
            return Some(Err(EvalError::failed(format!("lists.range() size exceeds {LONGEST}"))));
        }
        return Some(Ok(Value::list((0..*n).map(Value::Int).collect())));
    }
    if let ("_+_", [a, b]) = (name, values) {
        return concat(a, b, session);
    }
    let (list, rest) = values.split_first()?;
    let items = list.items()?;
    match rest {
        [] => plain(name, &items, session),
        [Value::Int(depth)] if name == "flatten" => Some(flattened(&items, *depth, session)),
        [Value::Int(from), Value::Int(to)] if name == "slice" => Some(slice(&items, *from, *to)),
        [wanted] if name == "indexOf" => Some(place(items.to_vec(session), wanted, session)),
        [wanted] if name == "lastIndexOf" => {
            let backwards = items.to_vec(session).map(|list| list.into_iter().rev().collect());
            Some(place(backwards, wanted, session).map(|found| match found {
                Value::Int(at) if at >= 0 => Value::Int(last_place(items.len()) - at),
                none => none,
            }))
        }
        [other] if name.starts_with("sets.") => Some(sets(name, &items, &other.items()?, session)),
        _ => None,
    }
}

/// The functions that take a list and nothing else.
fn plain<'a>(name: &str, items: &Items<'_, 'a>, session: &Session<'_>) -> Option<Found<'a>> {
    Some(match name {
        "first" => Ok(items.get(0).map_or(Value::Optional(None), Value::some)),
        "last" => {
            let last = items.len().checked_sub(1).and_then(|at| items.get(at));
            Ok(last.map_or(Value::Optional(None), Value::some))
        }
        "flatten" => flattened(items, 1, session),
        "isSorted" | "sum" | "min" | "max" | "reverse" | "sort" | "distinct" => {
            items.to_vec(session).and_then(|list| whole(name, list, session))
        }
        _ => return None,
    })
}

fn whole<'a>(name: &str, mut list: Vec<Value<'a>>, session: &Session<'_>) -> Found<'a> {
    match name {
        "isSorted" => {
            session.walk(weight(&list))?;
            let sorted = list.windows(2).all(|pair| match pair {
                [a, b] => a.compare(b) != Some(Ordering::Greater),
                _ => true,
            });
            Ok(Value::Bool(sorted))
        }
        "sum" => sum(list),
        "min" | "max" => {
            session.walk(weight(&list))?;
            let wanted = if name == "min" { Ordering::Less } else { Ordering::Greater };
            let better = |best: Value<'a>, item: Value<'a>| match item.compare(&best) {
                Some(order) if order == wanted => item,
                _ => best,
            };
            let best = list.into_iter().reduce(better);
            best.ok_or_else(|| EvalError::failed(format!("{name} called on empty list")))
        }
        "sort" => sort_by(&mut list, |item| item, session).map(|()| Value::list(list)),
        "distinct" => {
            let mut kept: Vec<Value<'a>> = Vec::new();
            for item in list {
                if !any_equal(kept.iter(), &item, session)? {
                    kept.push(item);
                }
            }
            Ok(Value::list(kept))
        }
        _ => Ok(Value::list(list.into_iter().rev().collect())),
    }
}

fn last_place(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX) - 1
}

fn place<'a>(
    list: Result<Vec<Value<'a>>, EvalError>,
    wanted: &Value<'a>,
    session: &Session<'_>,
) -> Found<'a> {
    Ok(position(list?.iter(), wanted, session)?.map_or(Value::Int(-1), Value::size))
}

fn slice<'a>(items: &Items<'_, 'a>, from: i64, to: i64) -> Found<'a> {
    let bounds = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    match bounds.filter(|(from, to)| from <= to && *to <= items.len()) {
        Some((from, to)) => Ok(Value::list((from..to).filter_map(|i| items.get(i)).collect())),
        None => Err(EvalError::failed(format!("cannot slice({from}, {to}), list is length {}", items.len()))),
    }
}

fn sets<'a>(name: &str, items: &Items<'_, 'a>, other: &Items<'_, 'a>, session: &Session<'_>) -> Found<'a> {
    let (mine, theirs) = (items.to_vec(session)?, other.to_vec(session)?);
    let within = |some: &[Value<'a>], all: &[Value<'a>], enough: bool| -> Result<bool, EvalError> {
        for item in some {
            if any_equal(all.iter(), item, session)? == enough {
                return Ok(enough);
            }
        }
        Ok(!enough)
    };
    Ok(Value::Bool(match name {
        "sets.contains" => within(&theirs, &mine, false)?,
        "sets.intersects" => within(&theirs, &mine, true)?,
        "sets.equivalent" => within(&theirs, &mine, false)? && within(&mine, &theirs, false)?,
        _ => return Err(EvalError::overload()),
    }))
}

fn flattened<'a>(items: &Items<'_, 'a>, depth: i64, session: &Session<'_>) -> Found<'a> {
    let mut out = Vec::new();
    flat(items, depth, &mut out, session)?;
    Ok(Value::list(out))
}

fn flat<'a>(
    items: &Items<'_, 'a>,
    depth: i64,
    out: &mut Vec<Value<'a>>,
    session: &Session<'_>,
) -> Result<(), EvalError> {
    for item in items.iter() {
        session.walk(1)?;
        match item.items() {
            Some(inner) if depth > 0 => flat(&inner, depth - 1, out, session)?,
            _ => out.push(item),
        }
    }
    Ok(())
}

/// What comparing all of them with each other once takes.
fn weight(list: &[Value<'_>]) -> u64 {
    list.iter().fold(0, |sum, item| sum.saturating_add(item.weight()))
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
    session: &Session<'_>,
) -> Result<(), EvalError> {
    let weight = list.iter().fold(0_u64, |sum, item| sum.saturating_add(key(item).weight()));
    let rounds = u64::from(list.len().checked_ilog2().unwrap_or(0)) + 1;
    session.walk(weight.saturating_mul(rounds))?;
    if let Some(first) = list.first()
        && list.iter().any(|item| key(item).compare(key(first)).is_none())
    {
        return Err(EvalError::overload());
    }
    list.sort_by(|a, b| key(a).compare(key(b)).unwrap_or(Ordering::Equal));
    Ok(())
}
