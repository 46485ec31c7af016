//! The lease by which one apiserver tells the others that it lives.

use std::time::Duration;

use api::object::ObjectExt;
use client::{ClientError, DeleteParams, Resource};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use world::Wall;

use crate::context::Ctx;

const DURATION_SECONDS: i64 = 3600;
const RENEW: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(7);
pub(super) const NAMESPACE: &str = "kube-system";
/// The leases of apiservers, among those of others.
pub(super) const SELECTOR: &str = "apiserver.kubernetes.io/identity=kube-apiserver";
pub(super) const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");

pub(super) async fn run(ctx: Ctx) -> Result<(), String> {
    let holder = format!("{}_{}", name(&ctx), ctx.host.entropy().uuid());
    let keeper = ctx.clone();
    ctx.host.spawn(async move {
        let mut backoff = RETRY;
        loop {
            if keeper.lifecycle.is_stopping() {
                return;
            }
            match renew(&keeper, &holder).await {
                Ok(()) => {
                    backoff = RETRY;
                    keeper.host.recur(keeper.host.entropy().jitter(RENEW, 0.04)).await;
                }
                Err(error) => {
                    tracing::warn!("failed to ensure the identity lease exists: {error}");
                    keeper.host.clock().sleep(backoff).await;
                    backoff = (backoff * 2).min(LONGEST_RETRY);
                }
            }
        }
    });
    Ok(())
}

/// `apiserver-` and the host name's digest in the alphabet of names.
fn name(ctx: &Ctx) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = Sha256::digest(ctx.host.name().as_bytes());
    let mut bits = 0u32;
    let mut have = 0;
    let mut text = String::from("apiserver-");
    for byte in digest.iter().take(16) {
        bits = (bits << 8) | u32::from(*byte);
        have += 8;
        while have >= 5 {
            have -= 5;
            text.push(char::from(ALPHABET[((bits >> have) & 31) as usize]));
        }
    }
    text.push(char::from(ALPHABET[((bits << (5 - have)) & 31) as usize]));
    text
}

fn micro_time(at: Wall) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

async fn renew(ctx: &Ctx, holder: &str) -> Result<(), ClientError> {
    let (name, now) = (name(ctx), micro_time(ctx.host.clock().wall()));
    match ctx.rest.get_opt(&LEASES, Some(NAMESPACE), &name).await? {
        Some(mut lease) => {
            lease.set_at("/spec/renewTime", now);
            lease.set_at("/spec/holderIdentity", holder);
            ctx.rest.update(&LEASES, Some(NAMESPACE), &name, &lease).await.map(drop)
        }
        None => {
            if ctx.informers.namespaces.get(None, NAMESPACE).is_none() {
                super::ensure_namespace(&ctx.rest, NAMESPACE).await?;
            }
            let lease: Value = json!({
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {
                    "name": name,
                    "namespace": NAMESPACE,
                    "labels": {
                        "apiserver.kubernetes.io/identity": "kube-apiserver",
                        "kubernetes.io/hostname": ctx.host.name(),
                    },
                },
                "spec": {
                    "holderIdentity": holder,
                    "leaseDurationSeconds": DURATION_SECONDS,
                    "renewTime": now,
                },
            });
            super::ensure(&ctx.rest, &LEASES, Some(NAMESPACE), &lease).await
        }
    }
}

/// Gives the lease back: the pre-shutdown hook.
pub(crate) async fn release(ctx: &Ctx) {
    let _ = ctx.rest.delete(&LEASES, Some(NAMESPACE), &name(ctx), &DeleteParams::default()).await;
}
