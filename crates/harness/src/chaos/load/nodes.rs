//! Somebody with a node's credentials tries what is not the node's business.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use client::{ClientError, DeleteParams, Patch, Resource, Rest};
use pki::kubeconfig::Kubeconfig;
use serde_json::{Value, json};
use world::Host;

use super::super::{
    invariants::NODES,
    scene::{ACCOUNTS, LEASES, NS, SECRET, SECRETS, Scene},
};
use crate::cluster::CONTROL_PLANE;

/// Whose credentials.
pub(super) const NODE: &str = "node1";
const CONF: &str = "/etc/kubernetes/kubelet.conf";
/// What it points to, renewed by the kubelet.
const CERTIFICATE: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const PODS: Resource = Resource::core("pods");
const ALL_NODES: Resource = Resource::core("nodes");
const TRIALS: u64 = 6;

/// See the module.
pub(super) struct NodeActor {
    scene: Arc<Scene>,
    host: Host,
    /// With the credentials of the last turn, and the certificate among them: their files may be away for a moment.
    rest: Option<(Rest, Vec<u8>)>,
}

impl NodeActor {
    pub(super) fn new(scene: &Arc<Scene>) -> Self {
        Self { scene: scene.clone(), host: scene.host(NODE), rest: None }
    }

    pub(super) async fn run(mut self) {
        while self.scene.tempo.turn(&self.host).await {
            self.steal();
            let Some((rest, _)) = &self.rest else { continue };
            let which = self.host.entropy().below(TRIALS);
            // Who may not do what is its own business has no credentials that are good at this moment.
            if rest.get(&ALL_NODES, None, NODE).await.is_err() {
                continue;
            }
            let (what, outcome) = self.intrude(rest, which).await;
            self.scene.judge.check(NODES, outcome.is_err(), || format!("{NODE} {what}"));
            if outcome.is_err_and(|e| e.is_forbidden()) {
                self.scene.figures.forbidden.fetch_add(1, Relaxed);
            }
        }
    }

    /// Takes the node's credentials, if they are others than last time.
    fn steal(&mut self) {
        let Ok(certificate) = self.host.disk().read(CERTIFICATE) else { return };
        if self.rest.as_ref().is_some_and(|(_, before)| *before == certificate) {
            return;
        }
        let go = self.scene.cluster.options().profile.go();
        let conf = Kubeconfig::load(self.host.disk(), CONF).ok();
        let rest = conf.and_then(|c| Rest::from_kubeconfig(&self.host, &c, go, "thief").ok());
        self.rest = rest.map(|rest| (rest, certificate)).or_else(|| self.rest.take());
    }

    async fn intrude(&self, rest: &Rest, which: u64) -> (&'static str, Result<Value, ClientError>) {
        let mark = json!({"metadata": {"annotations": {"chaos.example/by": NODE}}});
        let other = CONTROL_PLANE;
        match which {
            0 => {
                let done = rest.patch(&ALL_NODES, None, other, Patch::Merge(&mark), None).await;
                ("changed another node", done)
            }
            1 => {
                let done = rest.patch(&ALL_NODES, None, other, Patch::Merge(&mark), Some("status")).await;
                ("changed another node's status", done)
            }
            2 => {
                let leases = Some("kube-node-lease");
                (
                    "changed another node's lease",
                    rest.patch(&LEASES, leases, other, Patch::Merge(&mark), None).await,
                )
            }
            3 => {
                ("read a secret of no pod of its own", rest.get(&SECRETS, Some("kube-system"), SECRET).await)
            }
            4 => {
                let pod = format!("etcd-{other}");
                let deleted = rest.delete(&PODS, Some("kube-system"), &pod, &DeleteParams::default()).await;
                ("deleted another node's pod", deleted)
            }
            _ => {
                let request =
                    json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {}});
                let got = rest.create_sub(&ACCOUNTS, NS, "default", "token", &request).await;
                ("got a token that is bound to no pod of its own", got)
            }
        }
    }
}
