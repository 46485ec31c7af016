//! One write against the quotas of its namespace: refused, or what the quotas hold with it.

use std::{collections::BTreeSet, sync::Arc};

use api::{object::ObjectExt as _, quantity::Quantity, status::Status};
use serde_json::{Map, Value};

use super::{limited::Limited, usage};
use crate::admission::{
    Operation, Review,
    amounts::{self, Amounts},
    refusal::forbidden,
};

/// A quota that counts what the write is about.
struct Pertinent<'q> {
    quota: &'q Arc<Value>,
    hard: Amounts,
    used: Amounts,
    /// What the write adds to it.
    delta: Amounts,
}

/// The quotas that the write changes, with their new usage.
///
/// # Errors
/// The refusal of the first quota that it exceeds, or that does not know what it holds; that nothing limits
/// what the configuration wants limited.
pub(super) fn evaluate(
    review: &Review<'_>,
    quotas: &[Arc<Value>],
    limited: &Limited,
) -> Result<Vec<Value>, Status> {
    let Some(object) = review.new_object() else { return Ok(Vec::new()) };
    let mut pertinent = Vec::new();
    let mut covered = BTreeSet::new();
    for quota in quotas {
        let hard = amounts::read(quota.at("/status/hard"));
        let counted: Vec<&String> = hard.keys().filter(|name| usage::counts(review, name)).collect();
        if counted.is_empty() || !usage::in_scope(review, quota, object) {
            continue;
        }
        if let Some(why) = usage::unspecified(review, &counted, object) {
            return Err(forbidden(review, format_args!("failed quota: {}: {why}", quota.name())));
        }
        let used = amounts::read(quota.at("/status/used"));
        if counted.iter().any(|name| !used.contains_key(*name)) {
            let names = counted.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(",");
            let why = format!("status unknown for quota: {}, resources: {names}", quota.name());
            return Err(forbidden(review, why));
        }
        covered.extend(counted.into_iter().cloned());
        pertinent.push(Pertinent { quota, hard, used, delta: Amounts::new() });
    }

    let usage = usage::of(review, object);
    let negative: Vec<&str> =
        usage.iter().filter(|(_, amount)| amount.is_negative()).map(|(name, _)| name.as_str()).collect();
    if !negative.is_empty() {
        let why = format!("quota usage is negative for resource(s): {}", negative.join(","));
        return Err(forbidden(review, why));
    }
    // What an update takes over from a quota that already counted the object is no addition to it.
    let before = review
        .old
        .filter(|old| review.operation == Operation::Update && !old.resource_version().is_empty())
        .map(|old| (old, usage::of(review, old)));
    let mut delta = usage.clone();
    if let Some((_, held)) = &before {
        subtract(&mut delta, held);
    }
    drop_zeros(&mut delta);
    for pertinent in &mut pertinent {
        let counted_before =
            before.as_ref().is_some_and(|(old, _)| usage::in_scope(review, pertinent.quota, old));
        pertinent.delta = if counted_before { delta.clone() } else { usage.clone() };
        drop_zeros(&mut pertinent.delta);
    }
    pertinent.retain(|pertinent| !pertinent.delta.is_empty());
    if pertinent.is_empty() && (!covered.is_empty() || delta.is_empty()) {
        return Ok(Vec::new());
    }
    limited.check(review, object, &usage, &covered, quotas)?;
    pertinent.into_iter().filter_map(|pertinent| add(review, pertinent).transpose()).collect()
}

fn subtract(from: &mut Amounts, held: &Amounts) {
    for (name, amount) in held {
        if let Some(left) = from.get_mut(name) {
            *left -= *amount;
        }
    }
}

/// What becomes less is given back by the controller, not here.
fn drop_zeros(amounts: &mut Amounts) {
    amounts.retain(|_, amount| !amount.is_zero() && !amount.is_negative());
}

fn add(review: &Review<'_>, pertinent: Pertinent<'_>) -> Result<Option<Value>, Status> {
    let Pertinent { quota, hard, used, mut delta } = pertinent;
    delta.retain(|name, _| hard.contains_key(name));
    if delta.is_empty() {
        return Ok(None);
    }
    let mut total = used.clone();
    amounts::add(&mut total, &delta);
    let exceeded: Vec<&String> = delta.keys().filter(|name| total.get(*name) > hard.get(*name)).collect();
    if !exceeded.is_empty() {
        let why = format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            quota.name(),
            print(&delta, &exceeded),
            print(&used, &exceeded),
            print(&hard, &exceeded),
        );
        return Err(forbidden(review, why));
    }
    let mut quota = Value::clone(quota);
    let total: Map<String, Value> = total.iter().map(|(n, q)| (n.clone(), q.to_string().into())).collect();
    quota.set_at("/status/used", total);
    Ok(Some(quota))
}

/// `pods=1,requests.cpu=100m`
fn print(amounts: &Amounts, names: &[&String]) -> String {
    let part = |name: &&String| amounts.get(*name).map(|q: &Quantity| format!("{name}={q}"));
    names.iter().filter_map(part).collect::<Vec<_>>().join(",")
}
