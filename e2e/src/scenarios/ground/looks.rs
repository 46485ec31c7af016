//! What there is to see: answers, files, and what happened.

use chronoplane::cluster::CONTROL_PLANE;
use client::Rest;
use pki::{Certificate, kubeconfig::Kubeconfig};
use serde_json::Value;
use world::Event;

use super::{Ground, World};
use crate::{scenarios::raw, story::StoryError};

impl Ground {
    /// A plain GET by the administrator on the workstation: status (0: no answer) and body, or why there is none.
    pub async fn get(&self, path: &str) -> (u16, String) {
        raw(self.admin(), path).await
    }

    /// A client on `host` with the credentials of a kubeconfig there, as a program that starts now would have it.
    ///
    /// # Errors
    /// The kubeconfig is not there or not usable.
    pub fn client(&self, host: &str, kubeconfig: &str, agent: &str) -> Result<Rest, StoryError> {
        let host = self.host(host)?;
        let config = Kubeconfig::load(host.disk(), kubeconfig).map_err(StoryError::new)?;
        Rest::from_kubeconfig(&host, &config, self.settings.profile.go(), agent).map_err(StoryError::new)
    }

    /// A client of the administrator with no connection yet, on the workstation.
    ///
    /// # Errors
    /// The kubeconfig is not usable.
    pub fn fresh_admin(&self) -> Result<Rest, StoryError> {
        let (host, go) = (self.workstation(), self.settings.profile.go());
        Rest::from_kubeconfig(&host, self.kubeconfig(), go, "kubectl").map_err(StoryError::new)
    }

    /// The first certificate in a PEM file or a kubeconfig of a host.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn certificate(&self, host: &str, path: &str) -> Result<Certificate, StoryError> {
        Ok(chronoplane::expirations::certificate(&self.host(host)?, path)?)
    }

    /// What happened so far, on all hosts.
    pub fn events(&self) -> Vec<Event> {
        match &self.world {
            World::Simulated(cluster) => cluster.sim().events(),
            World::Real(cluster) => cluster.events(),
        }
    }

    /// What `actor` on `host` has said since the beginning, one line for each record of that kind: its values, joined.
    pub fn log(&self, host: &str, actor: &str, kind: &str) -> Vec<String> {
        let said = |e: &&Event| e.host == host && e.actor == actor && e.kind == kind;
        let line = |e: &Event| e.fields.iter().map(|(_, v)| v.as_str()).collect::<Vec<_>>().join(" ");
        self.events().iter().filter(said).map(line).collect()
    }

    /// Waits until every node that should be there is Ready.
    ///
    /// # Errors
    /// Not within five minutes; says which.
    pub async fn nodes_ready(&self) -> Result<(), StoryError> {
        match &self.world {
            World::Simulated(cluster) => Ok(cluster.nodes_ready().await?),
            World::Real(cluster) => Ok(cluster.nodes_ready().await?),
        }
    }

    /// The status of one of a node's conditions, and its reason: `("True", "KubeletReady")`. Empty when there is none.
    pub async fn condition(&self, node: &str, kind: &str) -> (String, String) {
        let nodes = client::Resource::core("nodes");
        let Ok(node) = self.admin().get(&nodes, None, node).await else { return <_>::default() };
        let all = node.pointer("/status/conditions").and_then(Value::as_array);
        let found = all.into_iter().flatten().find(|c| c["type"] == kind);
        let text = |key: &str| found.and_then(|c| c[key].as_str()).unwrap_or_default().to_owned();
        (text("status"), text("reason"))
    }

    /// How many controller managers have come to lead so far.
    pub fn leaders(&self) -> usize {
        let elections = self.log(CONTROL_PLANE, "kube-controller-manager", "election");
        elections.iter().filter(|line| line.ends_with("became leader")).count()
    }

    /// How often a kube-apiserver has made itself a certificate so far: the first thing that it does.
    pub fn starts(&self) -> usize {
        self.log(CONTROL_PLANE, "kube-apiserver", "certificate").len()
    }
}
