//! What a control plane in one's own process costs: until it is ready, and per request over TLS and
//! HTTP/2.
//!
//! `cargo bench -p chronoplane`
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has failed")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use chronoplane::{ControlPlane, ControlPlaneOptions};
use client::{ListParams, Resource, Rest};
use criterion::{Criterion, criterion_group, criterion_main};
use pki::{KeyAlgorithm, PrivateKey, csr::Csr};
use serde_json::{Value, json};
use world::sim::{Config, run};

const CONFIG_MAPS: Resource = Resource::core("configmaps");
const CSRS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
const NAMESPACE: Option<&str> = Some("default");
const OBJECTS: u64 = 500;

fn config_map(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": {"text": "x".repeat(1000)},
    })
}

/// As a kubelet asks for its certificate; the server checks the signature.
fn signing_request() -> Value {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let organizations = ["system:nodes".to_owned()];
    let pem = Csr::create(&key, "system:node:bench", &organizations, &[], &[]).expect("a request");
    json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "csr-"},
        "spec": {
            "request": STANDARD.encode(pem),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
        },
    })
}

/// Measures `turn`, one after the other, with the administrator's client of a new control plane that
/// holds [`OBJECTS`] objects.
fn request(c: &mut Criterion, name: &str, turn: impl AsyncFn(&Rest, u64)) {
    c.bench_function(name, |b| {
        b.iter_custom(|turns| {
            let took: std::io::Result<Duration> = run(Config::default(), async |sim| {
                let plane = ControlPlane::start(&sim.host("cp1"), ControlPlaneOptions::default())
                    .await
                    .expect("a control plane");
                let admin = plane.admin(&sim.host("client")).expect("a client");
                for n in 0..OBJECTS {
                    let object = config_map(&format!("held-{n}"));
                    admin.create(&CONFIG_MAPS, NAMESPACE, &object).await.expect("created");
                }
                let began = Instant::now();
                for n in 0..turns {
                    turn(&admin, n).await;
                }
                began.elapsed()
            });
            took.expect("a runtime")
        });
    });
}

fn plane(c: &mut Criterion) {
    c.bench_function("control plane ready", |b| {
        b.iter(|| {
            run(Config::default(), async |sim| {
                let options = ControlPlaneOptions::default();
                ControlPlane::start(&sim.host("cp1"), options).await.expect("a control plane");
            })
        });
    });
    request(c, "get", async |admin, _| {
        admin.get(&CONFIG_MAPS, NAMESPACE, "held-1").await.expect("an object");
    });
    request(c, "create", async |admin, n| {
        admin.create(&CONFIG_MAPS, NAMESPACE, &config_map(&format!("new-{n}"))).await.expect("created");
    });
    let request_object = signing_request();
    request(c, "certificate signing request", async |admin, _| {
        admin.create(&CSRS, None, &request_object).await.expect("created");
    });
    request(c, "list of 500", async |admin, _| {
        let list = admin.list(&CONFIG_MAPS, NAMESPACE, &ListParams::default()).await.expect("a list");
        assert!(list.items.len() as u64 >= OBJECTS);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = plane
}
criterion_main!(benches);
