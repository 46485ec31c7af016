//! Room that is left, and how evenly it is used (`plugins/noderesources`).

use api::object::ObjectExt as _;
use serde_json::Value;

use super::super::{
    around::Around,
    resources::{Amounts, amounts, requests, scored},
};
use super::MAX;

const COUNTED: [&str; 2] = ["cpu", "memory"];

/// What the pod adds.
pub(super) struct Fit {
    scored: Amounts,
    requests: Amounts,
}

impl Fit {
    pub(super) fn of(pod: &Value) -> Self {
        Self { scored: scored(pod), requests: requests(pod) }
    }

    /// The mean over cpu and memory of what stays free, in hundredths.
    pub(super) fn least_allocated(&self, node: &Value, around: &Around) -> i64 {
        let room = amounts(node.pointer("/status/allocatable"));
        let taken: Vec<Amounts> = around.on(node.name()).iter().map(|p| scored(p)).collect();
        let of = |name: &str| {
            let total = room.get(name).copied().unwrap_or(0);
            let used: i128 = taken.iter().chain([&self.scored]).filter_map(|amounts| amounts.get(name)).sum();
            if total == 0 || used > total { 0 } else { (total - used) * i128::from(MAX) / total }
        };
        let free: i128 = COUNTED.iter().map(|name| of(name)).sum();
        i64::try_from(free / COUNTED.len() as i128).unwrap_or(0)
    }

    /// The closer the shares of cpu and memory, the better. A pod that asks for neither is not counted.
    pub(super) fn balanced(&self, node: &Value, around: &Around) -> i64 {
        if COUNTED.iter().all(|name| self.requests.get(*name).copied().unwrap_or(0) == 0) {
            return 0;
        }
        let room = amounts(node.pointer("/status/allocatable"));
        let taken: Vec<Amounts> = around.on(node.name()).iter().map(|p| requests(p)).collect();
        let share = |name: &str| {
            let total = room.get(name).copied().unwrap_or(0);
            let used: i128 =
                taken.iter().chain([&self.requests]).filter_map(|amounts| amounts.get(name)).sum();
            if total == 0 { 0.0 } else { (used as f64 / total as f64).min(1.0) }
        };
        let [cpu, memory] = COUNTED.map(share);
        ((1.0 - (cpu - memory).abs() / 2.0) * MAX as f64) as i64
    }
}
