//! What is going on at the priority levels: `/debug/api_priority_and_fairness/dump_*`, and metrics.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use async_trait::async_trait;
use http::Response;
use wire::Body;

use super::{Fairness, level::Rejection};
use crate::{
    metrics::Text,
    pipeline::{Page, Pages},
    respond,
};

const ROOT: &str = "/debug/api_priority_and_fairness/";

/// Answers the dumps.
#[derive(Debug)]
pub(crate) struct FlowPage(pub(crate) Arc<Fairness>);

#[async_trait]
impl Pages for FlowPage {
    fn paths(&self) -> Vec<String> {
        ["dump_priority_levels", "dump_queues", "dump_requests"].map(|name| format!("{ROOT}{name}")).into()
    }

    async fn answer(&self, page: &Page<'_>) -> Option<Response<Body>> {
        let levels = self.0.plan.read().levels.clone();
        let rows: Vec<Vec<String>> = match page.path.strip_prefix(ROOT)? {
            "dump_priority_levels" => {
                let head = [
                    "PriorityLevelName",
                    "ActiveQueues",
                    "IsIdle",
                    "IsQuiescing",
                    "WaitingRequests",
                    "ExecutingRequests",
                    "DispatchedRequests",
                    "RejectedRequests",
                    "TimedoutRequests",
                    "CancelledRequests",
                ];
                let mut rows = vec![head.map(str::to_owned).to_vec()];
                for level in &levels {
                    let (executing, waiting) = level.load();
                    let count =
                        |why: Rejection| level.rejected.get(why as usize).map_or(0, |c| c.load(Relaxed));
                    let rejected = count(Rejection::ConcurrencyLimit) + count(Rejection::QueueFull);
                    rows.push(vec![
                        level.name.clone(),
                        level.queues().len().to_string(),
                        (executing + waiting == 0).to_string(),
                        "false".to_owned(),
                        waiting.to_string(),
                        executing.to_string(),
                        level.dispatched.load(Relaxed).to_string(),
                        rejected.to_string(),
                        count(Rejection::TimeOut).to_string(),
                        "0".to_owned(),
                    ]);
                }
                rows
            }
            "dump_queues" => {
                let mut rows =
                    vec![["PriorityLevelName", "Flow", "PendingRequests"].map(str::to_owned).to_vec()];
                for level in &levels {
                    let queues = level.queues().into_iter();
                    rows.extend(
                        queues.map(|(flow, length)| vec![level.name.clone(), flow, length.to_string()]),
                    );
                }
                rows
            }
            "dump_requests" => {
                let mut rows =
                    vec![["PriorityLevelName", "Flow", "RequestIndexInQueue"].map(str::to_owned).to_vec()];
                for level in &levels {
                    for (flow, length) in level.queues() {
                        rows.extend(
                            (0..length).map(|n| vec![level.name.clone(), flow.clone(), n.to_string()]),
                        );
                    }
                }
                rows
            }
            _ => return None,
        };
        Some(respond::text(200, table(&rows)))
    }
}

/// Columns side by side, a comma after all but the last.
fn table(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len() + 1);
        }
    }
    let mut out = String::new();
    for row in rows {
        for (n, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if n + 1 == row.len() {
                out.push_str(cell);
            } else {
                let (cell, width) = (format!("{cell},"), *width);
                out.push_str(&format!("{cell:width$} "));
            }
        }
        out.push('\n');
    }
    out
}

/// Writes the levels' metrics.
pub(crate) fn write(fairness: &Fairness, text: &mut Text) {
    let mut levels = fairness.plan.read().levels.clone();
    levels.sort_by(|a, b| a.name.cmp(&b.name));
    let mut each = |name: &str, kind: &str, help: &str, value: &dyn Fn(&super::Level) -> f64| {
        text.family(name, kind, help);
        for level in &levels {
            text.sample(name, &[("priority_level", &level.name)], value(level));
        }
    };
    each(
        "apiserver_flowcontrol_current_executing_requests",
        "gauge",
        "[BETA] Requests that are carried out now.",
        &|level| level.load().0 as f64,
    );
    each("apiserver_flowcontrol_current_inqueue_requests", "gauge", "[BETA] Requests that wait.", &|level| {
        level.load().1 as f64
    });
    each(
        "apiserver_flowcontrol_dispatched_requests_total",
        "counter",
        "[BETA] Requests that were given a seat.",
        &|level| level.dispatched.load(Relaxed) as f64,
    );
    each(
        "apiserver_flowcontrol_nominal_limit_seats",
        "gauge",
        "[BETA] Seats by the level's shares.",
        &|level| level.nominal as f64,
    );
    let name = "apiserver_flowcontrol_rejected_requests_total";
    text.family(name, "counter", "[BETA] Requests that were sent away.");
    for level in &levels {
        for (why, count) in Rejection::ALL.iter().zip(&level.rejected) {
            let count = count.load(Relaxed);
            if count > 0 {
                text.sample(name, &[("priority_level", &level.name), ("reason", why.name())], count as f64);
            }
        }
    }
}
