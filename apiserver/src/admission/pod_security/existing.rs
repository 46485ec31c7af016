//! What a namespace is told that begins to enforce more: which of its pods would not pass any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use api::object::ObjectExt as _;
use serde_json::Value;

use super::{checks, config::Config, policy::LevelVersion};
use crate::admission::{Review, Tools};

/// As many are looked at, of each controller one first.
const MOST: usize = 3000;
/// As long is looked at them.
const LONGEST: Duration = Duration::from_secs(1);

/// Warns of the pods in `namespace` that `enforce` would refuse; those with the same faults together.
pub(super) fn warn(
    tools: &Tools,
    review: &Review<'_>,
    config: &Config,
    namespace: &str,
    enforce: LevelVersion,
) {
    let pods = in_order(tools.informers.pods.by_namespace(namespace), config);
    let release = u64::from(tools.profile.minor());
    let clock = tools.host.clock();
    let end = clock.monotonic() + LONGEST;
    let mut checked = 0;
    let mut faults: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for pod in pods.iter().take(MOST) {
        let part = |name: &str| pod.get(name).unwrap_or(&Value::Null);
        let findings = checks::evaluate(enforce, part("metadata"), part("spec"), release);
        if !findings.is_empty() {
            let (first, count) = faults.entry(checks::in_short(&findings)).or_insert((pod.name(), 0));
            *first = (*first).min(pod.name());
            *count += 1;
        }
        checked += 1;
        if clock.monotonic() >= end {
            break;
        }
    }
    let remarks = review.remarks;
    if checked < pods.len() {
        remarks.warn(format!(
            "new PodSecurity enforce level only checked against the first {checked} of {} existing pods",
            pods.len()
        ));
    }
    if !faults.is_empty() {
        remarks.warn(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{enforce}\""
        ));
    }
    let mut lines: Vec<String> = faults
        .iter()
        .map(|(fault, (first, count))| match count {
            1 => format!("{first}: {fault}"),
            2 => format!("{first} (and 1 other pod): {fault}"),
            more => format!("{first} (and {} other pods): {fault}", more - 1),
        })
        .collect();
    lines.sort();
    lines.into_iter().for_each(|line| remarks.warn(line));
}

/// Without those of exempt runtime classes; of one controller's pods the first one before all others.
fn in_order(pods: Vec<Arc<Value>>, config: &Config) -> Vec<Arc<Value>> {
    let mut seen = BTreeSet::new();
    let counts = |pod: &Arc<Value>| !config.runtime_classes.contains(pod.str_at("/spec/runtimeClassName"));
    let (mut first, rest): (Vec<_>, Vec<_>) = pods
        .into_iter()
        .filter(counts)
        .partition(|pod| pod.controller_of().is_none_or(|owner| seen.insert(owner.uid.to_owned())));
    first.extend(rest);
    first
}
