//! What the admission chain adds to a create: every plugin that is on by default, NodeRestriction as kubeadm
//! turns it on, no webhook and no policy, informers that have what is asked for.
//!
//! `cargo bench -p chronoplane-apiserver --bench admission`
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has failed")]
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::sync::Arc;

use api::profile::Profile;
use apiserver::{
    admission::{Admission, Aside, Enabled, Operation, Review},
    authz::{Authz, Mode},
    identity::User,
    informers::Informers,
    pipeline::Remarks,
};
use client::{Auth, Informer, Rest};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use wire::HttpClient;
use world::sim::{Config, Sim};

fn informers() -> Informers {
    let labels = json!({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "restricted"});
    Informers {
        namespaces: Informer::fixed(vec![
            json!({"metadata": {"name": "ns", "labels": labels}, "status": {"phase": "Active"}}),
        ]),
        service_accounts: Informer::fixed(vec![
            json!({"metadata": {"namespace": "ns", "name": "default", "uid": "u"}}),
        ]),
        limit_ranges: Informer::fixed(vec![json!({
            "metadata": {"namespace": "ns", "name": "r"},
            "spec": {"limits": [{"type": "Container", "default": {"cpu": "200m"}, "max": {"cpu": "1"}}]},
        })]),
        ..Informers::empty()
    }
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "ns", "labels": {"app": "web"}},
        "spec": {"containers": [
            {"name": "web", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {"requests": {"cpu": "100m"}}},
            {"name": "proxy", "image": "envoy"},
        ]},
    })
}

fn chain(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (admission, host) = runtime.block_on(async {
        let sim = Sim::new(Config::default());
        let host = sim.host("master");
        // Nobody listens there: a chain that asks anything fails.
        let http = HttpClient::new(&host, "http://127.0.0.1:1", None).expect("a client");
        let rest = Rest::new(http, Auth::None, "kube-apiserver");
        let informers = informers();
        let authz = Arc::new(Authz::new(Profile::NEWEST, &[Mode::Rbac], &informers).expect("modes"));
        let enabled = Enabled::from_flags(&["NodeRestriction"], &[]).expect("plugins");
        (Admission::new(&host, &informers, &rest, authz, enabled).expect("a chain"), host)
    });
    let user =
        User::new("system:serviceaccount:kube-system:replicaset-controller", &["system:serviceaccounts"]);
    let admit = |mut object: Value, resource: &'static str, kind: &'static str| {
        let (admission, user, now) = (&admission, &user, host.clock().wall());
        async move {
            let remarks = Remarks::default();
            let mut review = Review {
                operation: Operation::Create,
                group: "",
                version: "v1",
                resource,
                subresource: "",
                kind,
                namespace: "ns",
                name: "",
                user,
                object: Some(&mut object),
                old: None,
                dry_run: false,
                now,
                remarks: &remarks,
                aside: Aside::default(),
            };
            admission.mutate(&mut review).await.expect("changed");
            admission.validate(&review).await.expect("let through");
            object
        }
    };
    c.bench_function("admission_of_a_pod", |b| {
        b.to_async(&runtime).iter(|| admit(pod(), "pods", "Pod"));
    });
    let config = json!({"metadata": {"name": "c", "namespace": "ns"}, "data": {"a": "b"}});
    c.bench_function("admission_of_a_config_map", |b| {
        b.to_async(&runtime).iter(|| admit(config.clone(), "configmaps", "ConfigMap"));
    });
}

criterion_group!(benches, chain);
criterion_main!(benches);
