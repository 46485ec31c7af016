//! The store of another process, through etcd's v3 API: real etcd, or [`crate::server`].

mod call;
mod watch;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use pki::{ClientTls, FileIdentity, GoVersion, Roots};
use world::Host;

use crate::{
    Kv, Lease, LeaseStatus, ListOptions, Listing, Op, OpResult, Range, Revision, Status, Store, StoreError,
    Txn, TxnResult, Watch, WatchOptions, convert::Asked, proto,
};
use call::{Caller, Repeat};

/// Where etcd is, and who we are to it.
#[derive(Clone, Debug)]
pub struct EtcdOptions {
    /// `https://address:port`, tried in this order (`--etcd-servers`).
    pub endpoints: Vec<String>,
    /// Who signed the servers' certificates (`--etcd-cafile`).
    pub ca: Option<PathBuf>,
    /// Our certificate (`--etcd-certfile`); read again at each handshake, as etcd's client does.
    pub cert: Option<PathBuf>,
    /// Its key (`--etcd-keyfile`).
    pub key: Option<PathBuf>,
    /// Whose words errors have.
    pub go: GoVersion,
}

/// The store behind `options.endpoints`. Dials when it is first used, and again whenever it must.
///
/// # Errors
/// A file or a URL cannot be used.
pub fn etcd(host: &Host, options: &EtcdOptions) -> Result<Arc<dyn Store>, StoreError> {
    let tls = client_tls(host, options)?;
    Ok(Arc::new(Etcd {
        calls: Arc::new(Caller::new(host, &options.endpoints, tls.as_ref())?),
        host: host.clone(),
    }))
}

fn client_tls(host: &Host, options: &EtcdOptions) -> Result<Option<ClientTls>, StoreError> {
    if !options.endpoints.iter().any(|url| url.starts_with("https://")) {
        return Ok(None);
    }
    let io = |path: &PathBuf, why: String| StoreError::Io { op: "open", path: path.clone(), why };
    let mut tls = ClientTls::new(host, options.go);
    if let Some(ca) = &options.ca {
        let pem = host.disk().read(ca).map_err(|e| io(ca, e.to_string()))?;
        tls = tls.roots(Roots::from_pem(&pem).map_err(|e| io(ca, e.to_string()))?);
    }
    if let (Some(cert), Some(key)) = (&options.cert, &options.key) {
        let identity = FileIdentity::new(host.disk(), cert, key);
        identity.refresh().map_err(|e| io(cert, e.to_string()))?;
        tls = tls.identity(Arc::new(identity));
    }
    Ok(Some(tls))
}

struct Etcd {
    host: Host,
    calls: Arc<Caller>,
}

fn revision_of(header: Option<proto::ResponseHeader>) -> Revision {
    header.unwrap_or_default().revision
}

fn seconds(ttl: Duration) -> i64 {
    // etcd counts whole seconds; a lease must not end too early.
    let whole = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0));
    i64::try_from(whole).unwrap_or(i64::MAX)
}

fn duration(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn listing(response: proto::RangeResponse, at: Option<Revision>) -> Listing {
    let revision = at.filter(|at| *at > 0).unwrap_or_else(|| revision_of(response.header));
    Listing {
        kvs: response.kvs.into_iter().map(Kv::from).collect(),
        more: response.more,
        count: usize::try_from(response.count).unwrap_or(0),
        revision,
    }
}

fn result(op: &Op, response: proto::ResponseOp, revision: Revision) -> Option<OpResult> {
    Some(match (response.response?, op) {
        (proto::Response::Put(put), _) => OpResult::Put { prev: put.prev_kv.map(Kv::from) },
        (proto::Response::DeleteRange(deleted), _) => {
            OpResult::Delete { prev: deleted.prev_kvs.into_iter().map(Kv::from).collect() }
        }
        (proto::Response::Range(range), Op::Get { options, .. }) => {
            OpResult::Get(listing(range, options.at.filter(|at| *at > 0).or(Some(revision))))
        }
        (proto::Response::Range(range), _) => OpResult::Get(listing(range, Some(revision))),
    })
}

#[async_trait]
impl Store for Etcd {
    async fn get(&self, key: &[u8], at: Option<Revision>) -> Result<(Option<Kv>, Revision), StoreError> {
        let options = ListOptions { at, ..ListOptions::default() };
        let request = proto::RangeRequest::of(&Range::key(Bytes::copy_from_slice(key)), &options);
        let asked = Asked { revision: at.unwrap_or(0), ..Asked::default() };
        let response: proto::RangeResponse =
            self.calls.unary(proto::path::RANGE, request, Repeat::Always, &asked).await?;
        let revision = revision_of(response.header);
        Ok((response.kvs.into_iter().next().map(Kv::from), revision))
    }

    async fn list(&self, range: Range, options: ListOptions) -> Result<Listing, StoreError> {
        let request = proto::RangeRequest::of(&range, &options);
        let asked = Asked { revision: request.revision, ..Asked::default() };
        let response = self.calls.unary(proto::path::RANGE, request, Repeat::Always, &asked).await?;
        Ok(listing(response, options.at))
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResult, StoreError> {
        let request = proto::TxnRequest::from(&txn);
        let old = txn.success.iter().chain(&txn.failure).filter_map(|op| match op {
            Op::Get { options, .. } => options.at,
            _ => None,
        });
        let lease = txn.success.iter().chain(&txn.failure).filter_map(|op| match op {
            Op::Put { lease, .. } if *lease != 0 => Some(*lease),
            _ => None,
        });
        let asked =
            Asked { revision: old.max().unwrap_or(0), lease: lease.max().unwrap_or(0), ..Asked::default() };
        let response: proto::TxnResponse =
            self.calls.unary(proto::path::TXN, request, Repeat::IfUnsent, &asked).await?;
        let revision = revision_of(response.header);
        let ops = if response.succeeded { &txn.success } else { &txn.failure };
        let results = ops.iter().zip(response.responses);
        Ok(TxnResult {
            revision,
            succeeded: response.succeeded,
            results: results.filter_map(|(op, response)| result(op, response, revision)).collect(),
        })
    }

    async fn watch(&self, range: Range, from: Revision, options: WatchOptions) -> Result<Watch, StoreError> {
        watch::start(&self.host, self.calls.clone(), range, from, options).await
    }

    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        let request = proto::CompactionRequest { revision: at, physical: false };
        let asked = Asked { revision: at, ..Asked::default() };
        let _: proto::CompactionResponse =
            self.calls.unary(proto::path::COMPACT, request, Repeat::IfUnsent, &asked).await?;
        Ok(())
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        // A read of nothing: its header tells the revision, agreed upon by the members.
        let nothing = Range::key(Bytes::from_static(b"\0"));
        let count_only = ListOptions { count_only: true, ..ListOptions::default() };
        Ok(self.list(nothing, count_only).await?.revision)
    }

    async fn lease_grant(&self, id: i64, ttl: Duration) -> Result<Lease, StoreError> {
        let request = proto::LeaseGrantRequest { ttl: seconds(ttl), id };
        let asked = Asked { lease: id, seconds: ttl.as_secs(), ..Asked::default() };
        let response: proto::LeaseGrantResponse =
            self.calls.unary(proto::path::LEASE_GRANT, request, Repeat::IfUnsent, &asked).await?;
        Ok(Lease { id: response.id, ttl: duration(response.ttl) })
    }

    async fn lease_revoke(&self, id: i64) -> Result<Revision, StoreError> {
        let asked = Asked { lease: id, ..Asked::default() };
        let request = proto::LeaseRevokeRequest { id };
        let response: proto::LeaseRevokeResponse =
            self.calls.unary(proto::path::LEASE_REVOKE, request, Repeat::IfUnsent, &asked).await?;
        Ok(revision_of(response.header))
    }

    async fn lease_keepalive(&self, id: i64) -> Result<Duration, StoreError> {
        let asked = Asked { lease: id, ..Asked::default() };
        let request = proto::LeaseKeepAliveRequest { id };
        let response: proto::LeaseKeepAliveResponse =
            self.calls.exchange(proto::path::LEASE_KEEP_ALIVE, request, &asked).await?;
        if response.ttl <= 0 { Err(StoreError::LeaseNotFound { id }) } else { Ok(duration(response.ttl)) }
    }

    async fn lease_status(&self, id: i64) -> Result<LeaseStatus, StoreError> {
        let asked = Asked { lease: id, ..Asked::default() };
        let request = proto::LeaseTimeToLiveRequest { id, keys: true };
        let response: proto::LeaseTimeToLiveResponse =
            self.calls.unary(proto::path::LEASE_TIME_TO_LIVE, request, Repeat::Always, &asked).await?;
        if response.ttl < 0 {
            return Err(StoreError::LeaseNotFound { id });
        }
        let mut keys = response.keys;
        keys.sort();
        let (granted, remaining) = (duration(response.granted_ttl), duration(response.ttl));
        Ok(LeaseStatus { id, granted, remaining, keys })
    }

    async fn status(&self) -> Result<Status, StoreError> {
        let response: proto::StatusResponse = self
            .calls
            .unary(proto::path::STATUS, proto::StatusRequest {}, Repeat::Always, &Asked::default())
            .await?;
        Ok(Status {
            engine: format!("etcd {}", response.version),
            revision: revision_of(response.header),
            // etcd does not tell.
            oldest: 0,
            size: u64::try_from(response.db_size).unwrap_or(0),
        })
    }
}
