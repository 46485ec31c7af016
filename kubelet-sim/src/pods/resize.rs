//! In-place resize: what a pod's containers may use follows what its spec asks for, if the node has it
//! (`pkg/kubelet/allocation`).

use std::{collections::BTreeMap, time::Duration};

use api::{object::ObjectExt as _, quantity::Quantity};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use world::rfc3339;

use super::{
    state::{RESIZE_IN_PROGRESS, RESIZE_PENDING, Resize, State},
    worker::Worker,
};

/// How long the runtime takes; upstream looks at the cgroups with the next relist.
const TAKES: Duration = Duration::from_secs(1);
/// How often what had no room is tried again.
const RETRY: Duration = Duration::from_secs(180);
/// The first release whose kubelet tells of each step of a resize (kubernetes/kubernetes#133528, #134825).
const EVENTS_SINCE: u16 = 35;
/// What can be resized, in the order in which it is looked at.
const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// Processor time and memory in billionths of their units.
type Amounts = [i128; 2];

/// What the pods of a node have been granted, by UID.
#[derive(Default)]
pub(super) struct Grants {
    pods: Mutex<BTreeMap<String, Amounts>>,
    changed: Notify,
}

impl Grants {
    fn set(&self, uid: &str, amounts: Amounts) {
        self.pods.lock().insert(uid.to_owned(), amounts);
        self.changed.notify_waiters();
    }

    pub(super) fn forget(&self, uid: &str) {
        self.pods.lock().remove(uid);
        self.changed.notify_waiters();
    }

    /// What all but `uid` have.
    fn others(&self, uid: &str) -> Amounts {
        let mut sum = [0; 2];
        for (_, amounts) in self.pods.lock().iter().filter(|(other, _)| *other != uid) {
            sum.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount);
        }
        sum
    }
}

fn amount(amounts: Option<&Value>, name: &str) -> i128 {
    let amount = amounts.and_then(|a| a.get(name)).and_then(|a| Quantity::from_value(a).ok());
    amount.map_or(0, Quantity::nanos)
}

fn add(sum: &mut Amounts, requests: Option<&Value>) {
    sum.iter_mut().zip(RESOURCES).for_each(|(sum, name)| *sum += amount(requests, name));
}

/// Whether both say the same amounts.
fn same(a: &Value, b: &Value) -> bool {
    ["/requests", "/limits"]
        .iter()
        .all(|kind| RESOURCES.iter().all(|name| amount(a.at(kind), name) == amount(b.at(kind), name)))
}

impl Worker {
    /// Follows what the spec asks for, for ever.
    pub(super) async fn keep_size(&self) {
        if self.look(|s| s.finished) {
            return;
        }
        self.node().grants.set(&self.uid(), self.granted());
        if !self.node().options.profile.in_place_pod_resize() || self.is_static() {
            return;
        }
        // By then a kubelet that has just started knows what its other pods have.
        self.host().clock().sleep(TAKES).await;
        loop {
            let pod = self.pod();
            if self.differing(&pod).is_empty() {
                if self.look(|s| s.resize.is_some()) {
                    self.edit(|s| s.resize = None);
                }
                self.until_updated(|pod| !self.differing(pod).is_empty()).await;
                continue;
            }
            let Some((reason, message)) = self.hindrance(&pod) else {
                self.resize(&pod).await;
                continue;
            };
            if self.tell(RESIZE_PENDING, reason, message.clone()) {
                let event = if reason == "Infeasible" { "ResizeInfeasible" } else { "ResizeDeferred" };
                self.announce(event, &format!("Pod resize {reason}"), &pod, &message);
            }
            let more = self.node().grants.changed.notified();
            tokio::select! {
                biased;
                () = more => {}
                () = self.until_updated(|now| now.resource_version() != pod.resource_version()) => {}
                () = self.host().recur(RETRY) => {}
            }
        }
    }

    /// The sum of what its containers have been granted.
    fn granted(&self) -> Amounts {
        let pod = self.pod();
        let mut sum = [0; 2];
        for spec in pod.list_at("/spec/containers") {
            let granted = self.look(|s| resources(s, spec.str_at("/name")).cloned());
            add(&mut sum, granted.as_ref().or(spec.at("/resources")).and_then(|r| r.at("/requests")));
        }
        sum
    }

    /// Names of containers for which the spec asks for something else than what they have, and what.
    fn differing(&self, pod: &Value) -> Vec<(String, Value)> {
        let none = json!({});
        let all = pod.list_at("/spec/containers").iter().chain(pod.list_at("/spec/initContainers"));
        self.look(|s| {
            all.filter_map(|spec| {
                let wanted = spec.at("/resources").unwrap_or(&none);
                let granted = resources(s, spec.str_at("/name"))?;
                (!same(granted, wanted)).then(|| (spec.str_at("/name").to_owned(), wanted.clone()))
            })
            .collect()
        })
    }

    /// Why the node cannot give what is asked for: the reason and message of PodResizePending.
    fn hindrance(&self, pod: &Value) -> Option<(&'static str, String)> {
        let mut wanted = [0; 2];
        pod.list_at("/spec/containers")
            .iter()
            .for_each(|spec| add(&mut wanted, spec.at("/resources/requests")));
        let whole = crate::node::allocatable(&self.node().options);
        let others = self.node().grants.others(&self.uid());
        for (i, name) in RESOURCES.into_iter().enumerate() {
            let (all, wanted) = (amount(Some(&whole), name), wanted[i]);
            if wanted > all {
                // Thousandths of processors, and bytes.
                let unit = if name == "cpu" { 1_000_000 } else { 1_000_000_000 };
                let message = format!(
                    "Node didn't have enough capacity: {name}, requested: {}, capacity: {}",
                    wanted / unit,
                    all / unit
                );
                return Some(("Infeasible", message));
            }
            if wanted + others[i] > all {
                return Some(("Deferred", format!("Node didn't have enough resource: {name}")));
            }
        }
        None
    }

    /// Writes the condition; whether it says something else than before.
    fn tell(&self, kind: &'static str, reason: &'static str, message: String) -> bool {
        let now = rfc3339(self.host().clock().wall());
        let mut is_news = false;
        self.edit(|s| {
            let same = |r: &Resize| (r.kind, r.reason, &r.message) == (kind, reason, &message);
            is_news = !s.resize.as_ref().is_some_and(same);
            let since = match &s.resize {
                Some(before) if before.kind == kind => before.since.clone(),
                _ => now,
            };
            s.was_resized = true;
            s.resize = Some(Resize { kind, reason, message, since });
        });
        is_news
    }

    /// An event about a resize, a warning if there is an error.
    fn announce(&self, reason: &str, words: &str, pod: &Value, error: &str) {
        if self.node().options.profile.minor() < EVENTS_SINCE {
            return;
        }
        let message = format!("{words}: {}", summary(pod, error));
        if error.is_empty() { self.normal(reason, message) } else { self.warning(reason, message) }
    }

    /// Grants what is asked for and has the runtime do it: in place, or by a restart where a container wants it so.
    async fn resize(&self, pod: &Value) {
        let changes = self.differing(pod);
        let mut sum = [0; 2];
        pod.list_at("/spec/containers").iter().for_each(|spec| add(&mut sum, spec.at("/resources/requests")));
        self.node().grants.set(&self.uid(), sum);
        self.tell(RESIZE_IN_PROGRESS, "", String::new());
        self.announce("ResizeStarted", "Pod resize started", pod, "");
        self.host().clock().sleep(TAKES).await;
        for (name, wanted) in changes {
            let before = self.look(|s| resources(s, &name).cloned()).unwrap_or_default();
            let spec = super::worker::containers_of(pod).find(|spec| spec.str_at("/name") == name);
            let restarts = spec.is_some_and(|spec| wants_restart(spec, &before, &wanted));
            let mut running = None;
            self.edit(|s| {
                if let Some(container) = s.containers.iter_mut().find(|c| c.name == name) {
                    container.resources = Some(wanted);
                    running = container.running.clone();
                }
            });
            if let Some(run) = running.filter(|_| restarts) {
                run.resize_by_restart();
            }
        }
        self.edit(|s| s.resize = None);
        self.announce("ResizeCompleted", "Pod resize completed", pod, "");
    }
}

/// What a pod's containers ask for, as events show it (`pkg/kubelet/events/resize.go`).
fn summary<'a>(pod: &'a Value, error: &'a str) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Summary<'s> {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        init_containers: Vec<Allocation<'s>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        containers: Vec<Allocation<'s>>,
        generation: i64,
        #[serde(skip_serializing_if = "str::is_empty")]
        error: &'s str,
    }
    #[derive(Serialize)]
    struct Allocation<'s> {
        name: &'s str,
        resources: Resources<'s>,
    }
    #[derive(Serialize)]
    struct Resources<'s> {
        #[serde(skip_serializing_if = "Option::is_none")]
        limits: Option<&'s Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        requests: Option<&'s Value>,
    }
    let of = |list: &str| {
        let allocation = |spec: &'a Value| Allocation {
            name: spec.str_at("/name"),
            resources: Resources {
                limits: spec.at("/resources/limits"),
                requests: spec.at("/resources/requests"),
            },
        };
        pod.list_at(list).iter().map(allocation).collect()
    };
    let summary = Summary {
        init_containers: of("/spec/initContainers"),
        containers: of("/spec/containers"),
        generation: pod.generation(),
        error,
    };
    serde_json::to_string(&summary).unwrap_or_default()
}

fn resources<'a>(state: &'a State, name: &str) -> Option<&'a Value> {
    state.containers.iter().find(|c| c.name == name)?.resources.as_ref()
}

/// Whether the container that `spec` describes does not survive the change.
fn wants_restart(spec: &Value, before: &Value, wanted: &Value) -> bool {
    spec.list_at("/resizePolicy").iter().any(|policy| {
        let name = policy.str_at("/resourceName");
        let changes = ["/requests", "/limits"]
            .iter()
            .any(|kind| amount(before.at(kind), name) != amount(wanted.at(kind), name));
        policy.str_at("/restartPolicy") == "RestartContainer" && changes
    })
}
