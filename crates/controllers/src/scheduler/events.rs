//! What happens in the cluster, and which waiting pods it may help (`pkg/scheduler/eventhandlers.go` and
//! the plugins' queueing hints, coarser).

use std::sync::Arc;

use api::object::ObjectExt as _;
use client::{Change, Informer};
use serde_json::Value;

use super::{Scheduler, filter, is_over, is_waiting, neighbours, preemption::priority, volumes};

/// Feeds the queue from now on.
pub(super) fn follow(scheduler: &Arc<Scheduler>) {
    let this = scheduler.clone();
    scheduler.pods.on(move |change| this.pod_changed(change));
    let this = scheduler.clone();
    scheduler.nodes.on(move |change| match change {
        Change::Updated { old, new } if !filter::matters(old, new) => {}
        Change::Deleted(_) => {}
        _ => this.queue.retry(|_| true),
    });
    for informer in [&scheduler.claims, &scheduler.volumes, &scheduler.classes] {
        follow_storage(scheduler, informer);
    }
    let this = scheduler.clone();
    scheduler.namespaces.on(move |change| match change {
        Change::Updated { old, new }
            if old.pointer("/metadata/labels") == new.pointer("/metadata/labels") => {}
        _ => this.retry(neighbours::concern),
    });
}

fn follow_storage(scheduler: &Arc<Scheduler>, informer: &Informer) {
    let this = scheduler.clone();
    informer.on(move |_| this.retry(volumes::concern));
}

/// Whether a pod with a node has just got it, or other labels.
fn is_new_neighbour(old: &Value, new: &Value) -> bool {
    old.pointer("/spec/nodeName") != new.pointer("/spec/nodeName")
        || old.pointer("/metadata/labels") != new.pointer("/metadata/labels")
}

/// Whether a pod that waits asks for something else than before: what the scheduler itself writes about
/// it is no reason to try again.
fn asks_anew(old: &Value, new: &Value) -> bool {
    ["/spec", "/metadata/labels", "/metadata/annotations"].iter().any(|at| old.pointer(at) != new.pointer(at))
}

impl Scheduler {
    fn retry(&self, concerned: impl Fn(&Value) -> bool) {
        self.queue.retry(|key| self.pods.get_key(key).is_some_and(|pod| concerned(&pod)));
    }

    fn pod_changed(&self, change: &Change) {
        let pod = change.object();
        if is_waiting(pod) && !matches!(change, Change::Deleted(_)) {
            match change {
                Change::Updated { old, new } if is_waiting(old) && !asks_anew(old, new) => {}
                _ => self.queue.add(change.key(), priority(pod)),
            }
            return;
        }
        self.queue.remove(&change.key());
        self.assumed.lock().remove(pod.uid());
        match change {
            // Room, or a promise that nobody keeps any more.
            Change::Deleted(_) => self.queue.retry(|_| true),
            Change::Updated { old, new } if is_over(new) != is_over(old) || shrank(old, new) => {
                self.queue.retry(|_| true);
            }
            Change::Updated { old, new } if !is_new_neighbour(old, new) => {}
            // Somebody may wait for company.
            _ => self.retry(neighbours::concern),
        }
    }
}

/// Whether the containers of a pod that has its node were resized.
fn shrank(old: &Value, new: &Value) -> bool {
    !old.str_at("/spec/nodeName").is_empty()
        && old.pointer("/spec/containers") != new.pointer("/spec/containers")
}
