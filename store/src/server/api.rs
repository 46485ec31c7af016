//! What all calls share, and which path leads to which.

use std::sync::Arc;

use tonic::Status;
use wire::Body;
use world::Host;

use super::{cluster::Member, flags::Options, health, rpc};
use crate::{Store, proto};

/// The version of etcd whose API this is: Kubernetes 1.36 runs it.
pub(super) const VERSION: &str = "3.6.8";

/// gRPC's own framing and metadata of a request, beside its keys and values (as etcd has it).
const OVERHEAD: usize = 512 * 1024;

/// One member of etcd.
pub(super) struct Api {
    pub(super) host: Host,
    pub(super) store: Arc<dyn Store>,
    pub(super) options: Options,
    pub(super) cluster_id: u64,
    pub(super) member_id: u64,
    /// Who it is among others; `None` where members are alone.
    pub(super) member: Option<Arc<Member>>,
}

/// The term of a member that is alone.
pub(super) const FIRST_TERM: u64 = 2;

impl Api {
    pub(super) fn new(
        host: &Host,
        options: Options,
        store: Arc<dyn Store>,
        member: Option<Arc<Member>>,
    ) -> Self {
        let (cluster_id, member_id) = match &member {
            Some(member) => (member.cluster_id(), member.id()),
            None => (options.cluster_id(), options.member_id(&options.name)),
        };
        Self { host: host.clone(), store, options, cluster_id, member_id, member }
    }

    pub(super) fn header_at(&self, revision: i64) -> Option<proto::ResponseHeader> {
        Some(proto::ResponseHeader {
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            revision,
            raft_term: self.leader().1,
        })
    }

    /// A header that tells the store's present revision.
    pub(super) async fn header(&self) -> Result<Option<proto::ResponseHeader>, Status> {
        Ok(self.header_at(self.store.revision().await?))
    }

    /// The leader's id, if this member knows of one, and the term.
    pub(super) fn leader(&self) -> (Option<u64>, u64) {
        self.member.as_ref().map_or((Some(self.member_id), FIRST_TERM), |member| member.leader())
    }

    /// The store without agreement of the others: what a `serializable` request asks for.
    pub(super) fn local(&self) -> &dyn Store {
        self.member.as_ref().map_or(&*self.store, |member| member.local())
    }

    fn max_request(&self) -> usize {
        self.options.limits.request_bytes.saturating_add(OVERHEAD)
    }

    /// Answers one HTTP request on a client URL.
    pub(super) async fn answer(self: Arc<Self>, request: http::Request<Body>) -> http::Response<Body> {
        if !is_grpc(&request) {
            return health::answer(&self, request.method(), request.uri()).await;
        }
        let max = self.max_request();
        let api = &self;
        match request.uri().path() {
            proto::path::RANGE => rpc::unary(request, max, |m| api.range(m)).await,
            proto::path::PUT => rpc::unary(request, max, |m| api.put(m)).await,
            proto::path::DELETE_RANGE => rpc::unary(request, max, |m| api.delete_range(m)).await,
            proto::path::TXN => rpc::unary(request, max, |m| api.txn(m)).await,
            proto::path::COMPACT => rpc::unary(request, max, |m| api.compact(m)).await,
            proto::path::WATCH => {
                rpc::streaming(request, max, |m| super::watch::serve(self.clone(), m)).await
            }
            proto::path::LEASE_GRANT => rpc::unary(request, max, |m| api.lease_grant(m)).await,
            proto::path::LEASE_REVOKE => rpc::unary(request, max, |m| api.lease_revoke(m)).await,
            proto::path::LEASE_TIME_TO_LIVE => rpc::unary(request, max, |m| api.lease_time_to_live(m)).await,
            proto::path::LEASE_KEEP_ALIVE => {
                rpc::streaming(request, max, |m| super::lease::keep_alive(self.clone(), m)).await
            }
            proto::path::STATUS => rpc::unary(request, max, |m| api.status(m)).await,
            proto::path::ALARM => rpc::unary(request, max, |m| api.alarm(m)).await,
            proto::path::MEMBER_LIST => rpc::unary(request, max, |m| api.member_list(m)).await,
            proto::path::MEMBER_ADD => rpc::unary(request, max, |m| api.member_add(m)).await,
            proto::path::MEMBER_REMOVE => rpc::unary(request, max, |m| api.member_remove(m)).await,
            proto::path::MEMBER_PROMOTE => rpc::unary(request, max, |m| api.member_promote(m)).await,
            other => rpc::unimplemented(other),
        }
    }
}

fn is_grpc(request: &http::Request<Body>) -> bool {
    let content = request.headers().get(http::header::CONTENT_TYPE);
    content.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
