//! The members of the etcd that runs on the control planes, as kubeadm finds, adds and removes them
//! (`cmd/kubeadm/app/util/etcd`).

use std::time::Duration;

use client::{ListParams, Resource, Rest};
use serde_json::Value;
use world::Host;

use crate::{
    config::InitConfig,
    etcd_api::{EtcdApi, Member},
    paths::KUBE_SYSTEM,
    session::{Failure, Result, Session, poll},
};

/// How often a call is tried again, and for how long (`timeouts.etcdAPICall`).
const CALL_POLL: Duration = Duration::from_millis(500);
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it is waited for mirror pods (`StaticPodMirroringDefaultRetry`).
const MIRROR_TIMEOUT: Duration = Duration::from_secs(30);
/// A new member's first answer.
const AVAILABLE_RETRIES: u32 = 8;
const AVAILABLE_POLL: Duration = Duration::from_secs(5);
/// Where an etcd pod says how clients reach it.
pub(crate) const CLIENT_URLS: &str = "kubeadm.kubernetes.io/etcd.advertise-client-urls";

/// A client of all members.
pub(crate) struct EtcdMembers<'a> {
    api: EtcdApi<'a>,
    host: &'a Host,
    endpoints: Vec<String>,
}

/// How long [`EtcdMembers::available`] waits at most, as kubeadm prints it.
pub(crate) fn availability_limit() -> String {
    api::duration::format(AVAILABLE_POLL * AVAILABLE_RETRIES)
}

/// Under which URL the other members reach a host's member.
pub(crate) fn peer_url(config: &InitConfig) -> String {
    url(config, 2380)
}

/// Under which URL clients do.
pub(crate) fn client_url(config: &InitConfig) -> String {
    url(config, 2379)
}

fn url(config: &InitConfig, port: u16) -> String {
    format!("https://{}", std::net::SocketAddr::new(config.advertise_address, port))
}

impl<'a> EtcdMembers<'a> {
    /// Finds the members by their pods, then asks one of them for all (`NewFromCluster`).
    ///
    /// # Errors
    /// No pod says where etcd is, or none answers.
    pub(crate) async fn of_cluster(s: &Session<'a>, rest: &Rest, config: &InitConfig) -> Result<Self> {
        let endpoints = poll(s.host, CALL_POLL, MIRROR_TIMEOUT, async || advertised(rest).await)
            .await
            .map_err(|e| e.within("could not retrieve the list of etcd endpoints"))?;
        let api = EtcdApi::new(s, &config.cluster.certificates_dir)
            .map_err(|e| e.within(&format!("error creating etcd client for {endpoints:?} endpoints")))?;
        let mut this = Self { api, host: s.host, endpoints };
        let members = this.list().await.map_err(|e| e.within("error syncing endpoints with etcd"))?;
        let started = members.into_iter().filter(|member| !member.name.is_empty() && !member.is_learner);
        this.endpoints = started.flat_map(|member| member.client_urls).collect();
        Ok(this)
    }

    async fn retried<T>(&self, call: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        poll(self.host, CALL_POLL, CALL_TIMEOUT, call).await
    }

    pub(crate) async fn list(&self) -> Result<Vec<Member>> {
        self.retried(async || self.api.members(&self.endpoints).await).await
    }

    /// Whether every member answers (`CheckClusterHealth`).
    ///
    /// # Errors
    /// One does not.
    pub(crate) async fn check_health(&self) -> Result<()> {
        for endpoint in &self.endpoints {
            self.retried(async || self.api.status(endpoint).await).await?;
        }
        Ok(())
    }

    /// Announces the member of `name`, unless it is announced already; gives name and peer URL of all.
    ///
    /// # Errors
    /// etcd's words.
    pub(crate) async fn add(
        &mut self,
        name: &str,
        config: &InitConfig,
        learner: bool,
    ) -> Result<Vec<(String, String)>> {
        let own = peer_url(config);
        let there = self.list().await?;
        let members = match there.iter().any(|member| member.peer_urls.contains(&own)) {
            true => there,
            // Announced twice it would be refused, so what a lost answer did is looked up first.
            false => {
                self.retried(async || match self.api.add(&self.endpoints, &own, learner).await {
                    Err(e) if e.0.contains("Peer URLs already exists") => {
                        self.api.members(&self.endpoints).await
                    }
                    answer => answer,
                })
                .await?
            }
        };
        self.endpoints.push(client_url(config));
        let named = |member: Member| {
            let url = member.peer_urls.into_iter().next().unwrap_or_default();
            let name = match member.name {
                _ if url == own => name.to_owned(),
                // One that is just joining too has no name yet.
                name if name.is_empty() => format!("{:x}", member.id),
                name => name,
            };
            (name, url)
        };
        Ok(members.into_iter().map(named).collect())
    }

    /// Lets the member vote once it is in sync.
    ///
    /// # Errors
    /// It is not within two minutes.
    pub(crate) async fn promote(&self, peer_url: &str) -> Result<()> {
        let Some(id) = self.id_of(peer_url).await? else {
            return Err(Failure::new(format!("no member id found for peer URL {peer_url}")));
        };
        // The learner itself answers nothing yet.
        let voters: Vec<String> = self.endpoints.iter().rev().skip(1).rev().cloned().collect();
        self.retried(async || match self.api.promote(&voters, id).await {
            Err(e) if e.0.contains("can only promote a learner member") && !e.0.contains("in sync") => Ok(()),
            outcome => outcome,
        })
        .await
    }

    /// Waits until every member answers (`WaitForClusterAvailable`).
    ///
    /// # Errors
    /// kubeadm's words, and what the last look found.
    pub(crate) async fn available(&self) -> Result<()> {
        let limit = AVAILABLE_POLL * (AVAILABLE_RETRIES - 1);
        poll(self.host, AVAILABLE_POLL, limit, async || {
            for endpoint in &self.endpoints {
                self.api.status(endpoint).await?;
            }
            Ok(())
        })
        .await
        .map_err(|e| e.within("timeout waiting for etcd cluster to be available"))
    }

    /// Takes this host's member out of the cluster, unless it is the last or gone already
    /// (`RemoveStackedEtcdMemberFromCluster`).
    ///
    /// # Errors
    /// etcd's words.
    pub(crate) async fn leave(&self, config: &InitConfig) -> Result<()> {
        let members = self.list().await?;
        if members.len() == 1 && self.endpoints.contains(&client_url(config)) {
            return Ok(());
        }
        let Some(id) = self.id_of(&peer_url(config)).await? else { return Ok(()) };
        self.retried(async || match self.api.remove(&self.endpoints, id).await {
            // An answer was lost: it is out already.
            Err(e) if e.0.contains("member not found") => Ok(()),
            outcome => outcome,
        })
        .await
    }

    async fn id_of(&self, peer_url: &str) -> Result<Option<u64>> {
        let members = self.list().await?;
        let own = members.into_iter().find(|member| member.peer_urls.iter().any(|url| url == peer_url));
        Ok(own.map(|member| member.id))
    }
}

/// Where the etcd pods say that they are reached.
async fn advertised(rest: &Rest) -> Result<Vec<String>> {
    let params = ListParams {
        label_selector: Some("component=etcd,tier=control-plane".into()),
        ..ListParams::default()
    };
    let pods = rest.list(&Resource::core("pods"), Some(KUBE_SYSTEM), &params).await?;
    let annotation = |pod: &Value| {
        let annotations = pod.pointer("/metadata/annotations")?;
        annotations.get(CLIENT_URLS)?.as_str().map(str::to_owned)
    };
    let endpoints: Vec<String> = pods.items.iter().filter_map(|pod| annotation(pod)).collect();
    if endpoints.is_empty() {
        return Err(Failure::new(match pods.items.len() {
            0 => "no etcd Pods were found in the cluster",
            _ => "etcd Pods exist, but no etcd endpoint annotations were found",
        }));
    }
    Ok(endpoints)
}
