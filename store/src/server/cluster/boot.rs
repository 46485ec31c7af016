//! How a member finds its cluster: in its data directory, among those that begin with it (`--initial-cluster-state`
//! new), or by asking a peer (existing), as etcd does (`server/etcdserver/bootstrap.go`).

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use http::Request;
use parking_lot::Mutex;
use pki::{ClientTls, FileIdentity, Roots};
use serde_json::Value;
use wire::{HttpClient, body};
use world::{Commons, Host};

use super::{Cluster, Entry, Member, State};
use crate::{
    Medium, StoreError,
    memory::disk_error,
    mvcc::History,
    server::{Options, StartError},
};

/// Go as etcd 3.6 is built with it: whose words TLS errors have.
const GO: pki::GoVersion = (1, 24);
/// How long a peer may take to answer; the most that its answer may hold.
const PEER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 1 << 20;

/// What a data directory holds: whose it is.
#[derive(Debug, Default)]
struct Seat(OnceLock<(u64, Arc<Cluster>)>);

/// All clusters of a world by the peer URLs of their members.
#[derive(Debug, Default)]
struct Registry(Mutex<BTreeMap<String, Weak<Cluster>>>);

impl Registry {
    fn find(&self, url: &str) -> Option<Arc<Cluster>> {
        self.0.lock().get(url).and_then(Weak::upgrade)
    }

    fn enter(&self, urls: &[String], cluster: &Arc<Cluster>) {
        let mut clusters = self.0.lock();
        clusters.retain(|_, cluster| cluster.strong_count() > 0);
        for url in urls {
            clusters.insert(url.clone(), Arc::downgrade(cluster));
        }
    }
}

impl Member {
    /// The member whose data is in `options.data_dir`, or a new one.
    ///
    /// # Errors
    /// The flags do not fit the cluster, or the disk refuses.
    pub(in crate::server) async fn boot(
        host: &Host,
        commons: &Commons,
        options: &Options,
    ) -> Result<Self, StartError> {
        let dir = options.data_dir.join("member");
        let (id, cluster) = match seat(host, &dir, false)?.as_deref().and_then(|seat| seat.0.get()) {
            Some((id, cluster)) => (*id, cluster.clone()),
            None => {
                let registry = commons.get::<Registry>();
                let cluster = match options.existing {
                    true => existing(host, &registry, options).await?,
                    false => begin(&registry, options),
                };
                let id = cluster.claim(options)?;
                registry.enter(&options.advertise_peer, &cluster);
                if let Some(seat) = seat(host, &dir, true)? {
                    // A seat that was empty a moment ago, in a directory that no other process works in.
                    let _ = seat.0.set((id, cluster.clone()));
                }
                (id, cluster)
            }
        };
        if cluster.state.lock().removed.contains(&id) {
            return Err(StartError::Membership(REMOVED.into()));
        }
        if cluster.medium.recover() {
            let image = cluster.medium.image();
            host.record("etcd", vec![("begins_at", image.revision.to_string())]);
            cluster.history.begin_again(image, host.clock().monotonic());
        }
        Ok(Self::new(host, id, cluster, &dir))
    }
}

/// What etcd says when its member is no more.
pub(in crate::server) const REMOVED: &str = "the member has been permanently removed from the cluster";

/// The directory's seat, made only if asked for: who fails to find its cluster leaves nothing.
fn seat(host: &Host, dir: &Path, make: bool) -> Result<Option<Arc<Seat>>, StoreError> {
    let path = dir.join("memory");
    if !make && !host.disk().exists(&path) {
        host.disk().probe(dir).map_err(|e| disk_error(e, dir))?;
        return Ok(None);
    }
    host.disk().resident(&path, Seat::default).map_err(|e| disk_error(e, dir))
}

/// The cluster of those that begin together; the first of them makes it.
fn begin(registry: &Registry, options: &Options) -> Arc<Cluster> {
    let id = options.cluster_id();
    let others = options.initial_cluster.iter().filter(|(name, _)| *name != options.name);
    let begun = others.filter_map(|(_, url)| registry.find(url)).find(|cluster| cluster.id == id);
    if let Some(cluster) = begun {
        return cluster;
    }
    let mut state = State::default();
    for (name, url) in &options.initial_cluster {
        let id = options.member_id(name);
        let entry = state.members.entry(id).or_insert_with(|| Entry {
            id,
            name: name.clone(),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
            learner: false,
            bootstrapped: false,
        });
        entry.peer_urls.push(url.clone());
    }
    Arc::new(Cluster {
        id,
        medium: Medium::default(),
        history: History::new(options.limits),
        state: Mutex::new(state),
    })
}

/// The cluster that a peer says it is of, if it knows of all members that the flags name.
async fn existing(host: &Host, registry: &Registry, options: &Options) -> Result<Arc<Cluster>, StartError> {
    let others = options.initial_cluster.iter().filter(|(name, _)| *name != options.name);
    let mut failures = Vec::new();
    for (_, url) in others {
        let known = match peer_urls(host, options, url).await {
            Ok(known) => known,
            Err(why) => {
                failures.push(format!("{url}: {why}"));
                continue;
            }
        };
        let said = |why: &str| {
            StartError::Membership(format!("error validating peerURLs {}: {why}", known.join(",")))
        };
        if known.len() != options.initial_cluster.len() {
            return Err(said("member count is unequal"));
        }
        if let Some((_, url)) = options.initial_cluster.iter().find(|(_, url)| !known.contains(url)) {
            return Err(said(&format!("unmatched member while checking PeerURLs ({url})")));
        }
        if let Some(cluster) = registry.find(url) {
            return Ok(cluster);
        }
        failures.push(format!("{url}: answers, but is no member of this simulated world"));
    }
    Err(StartError::Membership(format!(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs ({})",
        failures.join("; ")
    )))
}

/// The peer URLs of all members as the peer at `url` has them.
async fn peer_urls(host: &Host, options: &Options, url: &str) -> Result<Vec<String>, String> {
    let files = &options.peer_tls;
    let mut tls = ClientTls::new(host, GO);
    if let Some(ca) = &files.trusted_ca {
        let pem = host.disk().read(ca).map_err(|e| e.to_string())?;
        tls = tls.roots(Roots::from_pem(&pem).map_err(|e| e.to_string())?);
    }
    if let (Some(cert), Some(key)) = (&files.cert, &files.key) {
        let identity = FileIdentity::new(host.disk(), cert, key);
        identity.refresh().map_err(|e| e.to_string())?;
        tls = tls.identity(Arc::new(identity));
    }
    let http = HttpClient::new(host, url, Some(tls)).map_err(|e| e.to_string())?;
    let request = Request::get("/members").body(body::empty()).map_err(|e| e.to_string())?;
    let response = http.send_within(PEER_TIMEOUT, request).await.map_err(|e| e.to_string())?;
    let status = response.status();
    let text = body::collect(response.into_body(), MAX_ANSWER).await.map_err(|e| e.to_string())?;
    let members: Vec<Value> =
        serde_json::from_slice(&text).map_err(|e| format!("{status}, not a list of members: {e}"))?;
    let urls = members.iter().flat_map(|m| m.get("peerURLs").and_then(Value::as_array).into_iter().flatten());
    Ok(urls.filter_map(Value::as_str).map(str::to_owned).collect())
}

impl Cluster {
    /// Takes the place that the cluster keeps for this member.
    fn claim(&self, options: &Options) -> Result<u64, StartError> {
        let mut state = self.state.lock();
        let own =
            |member: &&mut Entry| member.peer_urls.iter().any(|url| options.advertise_peer.contains(url));
        let Some(member) = state.members.values_mut().find(own) else {
            return Err(StartError::Membership(format!(
                "--initial-cluster has {}={} but the cluster has no member with that peer URL",
                options.name,
                options.advertise_peer.join(",")
            )));
        };
        if member.bootstrapped {
            return Err(StartError::Membership(format!(
                "member {:x} has already been bootstrapped",
                member.id
            )));
        }
        member.bootstrapped = true;
        member.name.clone_from(&options.name);
        Ok(member.id)
    }
}
