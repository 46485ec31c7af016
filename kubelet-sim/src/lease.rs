//! The heartbeat: a Lease in kube-node-lease, renewed at a quarter of its duration
//! (component-helpers `apimachinery/lease`).

use std::{sync::Arc, time::Duration};

use client::{ClientError, Resource, Rest};
use serde_json::{Value, json};
use wire::HttpClient;
use world::{Host, Wall};

use crate::{kubelet::Registered, node::HEARTBEAT_TIMEOUT, options::Options};

const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");
const NAMESPACE: &str = "kube-node-lease";
const RETRIES: u32 = 5;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(7);

/// Renews the lease of one node.
pub(crate) struct Heart {
    host: Host,
    options: Arc<Options>,
    rest: Rest,
    http: HttpClient,
    /// As the server last had it: nobody else writes it, so the next renewal builds on it unread.
    latest: Option<Value>,
}

impl Heart {
    pub(crate) fn new(host: &Host, options: Arc<Options>, rest: &Rest, http: HttpClient) -> Self {
        let limit = HEARTBEAT_TIMEOUT.min(Duration::from_secs(options.lease_seconds));
        Self { host: host.clone(), options, rest: rest.with_timeout(limit), http, latest: None }
    }

    /// For ever, once the node is registered: the lease names it as its owner.
    pub(crate) async fn run(mut self, registered: Arc<Registered>) {
        let uid = registered.wait().await;
        let renew = Duration::from_secs(self.options.lease_seconds) / 4;
        loop {
            // Boxed: between two beats it takes no room.
            Box::pin(self.sync(&uid)).await;
            self.host.recur(self.host.entropy().jitter(renew, 0.04)).await;
        }
    }

    async fn sync(&mut self, uid: &str) {
        if let Some(lease) = self.latest.take() {
            match self.renew(lease, uid).await {
                Ok(()) => return,
                Err(e) => tracing::error!(
                    "Failed to update lease using latest lease, fallback to ensure lease: {e}"
                ),
            }
        }
        let (lease, created) = self.ensure(uid).await;
        if created {
            self.latest = Some(lease);
        } else if let Err(e) = self.renew(lease, uid).await {
            tracing::error!("Will retry updating lease: {e}");
        }
    }

    /// Five tries at once. A second failure closes the connections, which may hang.
    async fn renew(&mut self, mut lease: Value, uid: &str) -> Result<(), ClientError> {
        let name = self.options.node_name.clone();
        let mut tries = 0;
        loop {
            self.fill(&mut lease, uid);
            let error = match self.rest.update(&LEASES, Some(NAMESPACE), &name, &lease).await {
                Ok(renewed) => {
                    self.latest = Some(renewed);
                    return Ok(());
                }
                Err(e) => e,
            };
            tracing::error!("Failed to update lease: {error}");
            if error.is_conflict() {
                lease = self.ensure(uid).await.0;
            } else if tries > 0 {
                self.http.close_connections();
            }
            tries += 1;
            if tries == RETRIES {
                return Err(error);
            }
        }
    }

    /// The lease as it is, or a new one; whether it is new.
    async fn ensure(&self, uid: &str) -> (Value, bool) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.get_or_create(uid).await {
                Ok(found) => return found,
                Err(e) => {
                    tracing::error!("Failed to ensure lease exists, will retry: {e}");
                    self.host.clock().sleep(backoff).await;
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                }
            }
        }
    }

    async fn get_or_create(&self, uid: &str) -> Result<(Value, bool), ClientError> {
        if let Some(lease) = self.rest.get_opt(&LEASES, Some(NAMESPACE), &self.options.node_name).await? {
            return Ok((lease, false));
        }
        let mut lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.options.node_name, "namespace": NAMESPACE},
            "spec": {},
        });
        self.fill(&mut lease, uid);
        self.rest.create(&LEASES, Some(NAMESPACE), &lease).await.map(|lease| (lease, true))
    }

    fn fill(&self, lease: &mut Value, uid: &str) {
        lease["spec"]["holderIdentity"] = self.options.node_name.as_str().into();
        // Upstream's, whatever the pace: a record outlives the pace at which it was written.
        lease["spec"]["leaseDurationSeconds"] = self.options.lease_seconds.min(i32::MAX as u64).into();
        lease["spec"]["renewTime"] = micro_time(self.host.clock().wall()).into();
        // So that the lease is collected with the node.
        if lease.pointer("/metadata/ownerReferences").is_none() {
            lease["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "v1", "kind": "Node", "name": self.options.node_name, "uid": uid}]);
        }
    }
}

/// RFC 3339 with six decimals, as `metav1.MicroTime`.
fn micro_time(at: Wall) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
