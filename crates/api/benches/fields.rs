//! What entering a write into managed fields costs: of a heartbeat, of a node's status, of a create, of
//! an apply.
//!
//! `cargo bench -p chronoplane-api`
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has failed")]
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::borrow::Cow;

use api::{
    fields::{Applying, Reset, Root, Updating, Versions, apply, update},
    object::ObjectExt,
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde_json::{Map, Value, json};

struct One(Root);

impl Versions for One {
    fn schema(&self, _: &str) -> Option<Root> {
        Some(self.0.clone())
    }

    fn convert<'v>(&self, object: &'v Value, _: &str) -> Option<Cow<'v, Value>> {
        Some(Cow::Borrowed(object))
    }
}

/// A node as kubelets keep it: labels, conditions, images.
fn node(beat: usize) -> Value {
    let conditions: Vec<Value> = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"]
        .iter()
        .map(|kind| {
            json!({"type": kind, "status": "False", "reason": "r", "message": "m",
                "lastHeartbeatTime": beat, "lastTransitionTime": 0})
        })
        .collect();
    let labels: Map<String, Value> =
        (0..12).map(|n| (format!("example.com/label-{n}"), "v".into())).collect();
    let images: Vec<Value> =
        (0..50).map(|n| json!({"names": [format!("image-{n}")], "sizeBytes": n})).collect();
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n", "labels": labels},
        "spec": {"podCIDR": "10.244.0.0/24"},
        "status": {"conditions": conditions, "images": images, "capacity": {"cpu": "4", "memory": "8Gi"}},
    })
}

fn schema() -> One {
    let text = json!({"type": "string"});
    let any = json!({"x-kubernetes-preserve-unknown-fields": true});
    let mut root = Root::structural(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"podCIDR": text}},
        "status": {"type": "object", "properties": {
            "conditions": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                "items": {"type": "object", "properties": {"type": text, "status": text, "reason": text,
                    "message": text, "lastHeartbeatTime": any, "lastTransitionTime": any}}},
            "images": {"type": "array", "items": any},
            "capacity": {"type": "object", "additionalProperties": text},
        }},
    }}));
    std::sync::Arc::get_mut(&mut root.schema).expect("nobody else has it").may_change = false;
    One(root)
}

fn written(of: &One, live: Option<&Value>, mut new: Value, manager: &str) -> Value {
    let with = Updating {
        versions: of,
        api_version: "v1",
        manager,
        subresource: "",
        now: "2026-01-01T00:00:00Z",
        reset: &Reset::Nothing,
    };
    update(&with, live, &mut new);
    new
}

fn fields(c: &mut Criterion) {
    let of = schema();
    let live = written(&of, None, node(0), "kubelet");
    let lists = live.list_at("/metadata/managedFields").to_vec();
    let mut write = |name: &str, live: Option<&Value>, new: &Value| {
        c.bench_function(name, |b| {
            b.iter_batched(|| new.clone(), |new| written(&of, live, new, "kubelet"), BatchSize::SmallInput);
        });
    };
    write("create", None, &node(0));
    let mut beat = node(1);
    beat.set_at("/metadata/managedFields", lists.clone());
    write("status of its own", Some(&live), &beat);
    let mut same = node(0);
    same.set_at("/metadata/managedFields", lists);
    write("nothing new", Some(&live), &same);
    let mut label = same.clone();
    label.set_label("example.com/another", "v");
    write("a new field", Some(&live), &label);
    let config = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {"a": "b"}}});
    let with = Applying {
        versions: &of,
        api_version: "v1",
        manager: "me",
        subresource: "",
        now: "2026-01-01T00:00:00Z",
        reset: &Reset::Nothing,
        force: false,
    };
    c.bench_function("apply", |b| b.iter(|| apply(&with, Some(&live), &config).expect("applied")));
}

criterion_group!(benches, fields);
criterion_main!(benches);
