//! The service `KV`.

use std::cmp::Ordering;

use bytes::Bytes;
use tonic::{Code, Status};

use super::api::Api;
use crate::{
    Compare, ListOptions, Listing, Op, OpResult, Range, StoreError, Txn, TxnResult,
    proto::{self, Request, Response, SortOrder, SortTarget},
};

impl Api {
    pub(super) async fn range(&self, request: proto::RangeRequest) -> Result<proto::RangeResponse, Status> {
        let (range, options) = plan(&request)?;
        let store = if request.serializable { self.local() } else { &*self.store };
        let listing = store.list(range, options).await?;
        // An old revision was read, but the header tells the present one.
        let now = if options.at.is_some() { store.revision().await? } else { listing.revision };
        let mut response = finish(&request, listing);
        response.header = self.header_at(now);
        Ok(response)
    }

    pub(super) async fn put(&self, request: proto::PutRequest) -> Result<proto::PutResponse, Status> {
        let done = self.store.txn(Txn::unconditional(vec![put(&request)?])).await?;
        match self.results(&[Request::Put(request)], done).pop() {
            Some(Response::Put(response)) => Ok(response),
            _ => Err(Status::internal("a put without a result")),
        }
    }

    pub(super) async fn delete_range(
        &self,
        request: proto::DeleteRangeRequest,
    ) -> Result<proto::DeleteRangeResponse, Status> {
        let done = self.store.txn(Txn::unconditional(vec![delete(&request)?])).await?;
        match self.results(&[Request::DeleteRange(request)], done).pop() {
            Some(Response::DeleteRange(response)) => Ok(response),
            _ => Err(Status::internal("a deletion without a result")),
        }
    }

    pub(super) async fn txn(&self, request: proto::TxnRequest) -> Result<proto::TxnResponse, Status> {
        let compares = request.compare.into_iter().map(Compare::try_from).collect::<Result<_, _>>()?;
        let (success, failure) = (requests(request.success)?, requests(request.failure)?);
        let ops = |requests: &[Request]| requests.iter().map(op).collect::<Result<Vec<_>, _>>();
        let txn = Txn { compares, success: ops(&success)?, failure: ops(&failure)? };
        let done = self.store.txn(txn).await?;
        let (succeeded, revision) = (done.succeeded, done.revision);
        let results = self.results(if succeeded { &success } else { &failure }, done);
        let responses = results.into_iter().map(|r| proto::ResponseOp { response: Some(r) }).collect();
        Ok(proto::TxnResponse { header: self.header_at(revision), succeeded, responses })
    }

    pub(super) async fn compact(
        &self,
        request: proto::CompactionRequest,
    ) -> Result<proto::CompactionResponse, Status> {
        self.store.compact(request.revision).await?;
        Ok(proto::CompactionResponse { header: self.header().await? })
    }

    fn results(&self, requests: &[Request], done: TxnResult) -> Vec<Response> {
        let header = self.header_at(done.revision);
        let pairs = requests.iter().zip(done.results);
        let response = |(request, result): (&Request, OpResult)| match (request, result) {
            (Request::Put(request), OpResult::Put { prev }) => {
                let prev_kv = prev.filter(|_| request.prev_kv).map(Into::into);
                Some(Response::Put(proto::PutResponse { header, prev_kv }))
            }
            (Request::DeleteRange(request), OpResult::Delete { prev }) => {
                let deleted = prev.len() as i64;
                let prev_kvs =
                    if request.prev_kv { prev.into_iter().map(Into::into).collect() } else { Vec::new() };
                Some(Response::DeleteRange(proto::DeleteRangeResponse { header, deleted, prev_kvs }))
            }
            (Request::Range(request), OpResult::Get(listing)) => {
                let response = finish(request, listing);
                Some(Response::Range(proto::RangeResponse { header, ..response }))
            }
            // The store answers each operation with its own kind.
            _ => None,
        };
        pairs.filter_map(response).collect()
    }
}

fn requests(ops: Vec<proto::RequestOp>) -> Result<Vec<Request>, Status> {
    let missing = || Status::new(Code::InvalidArgument, "etcdserver: key not found");
    ops.into_iter().map(|op| op.request.ok_or_else(missing)).collect()
}

fn op(request: &Request) -> Result<Op, Status> {
    match request {
        Request::Put(request) => put(request),
        Request::DeleteRange(request) => delete(request),
        Request::Range(request) => plan(request).map(|(range, options)| Op::Get { range, options }),
        Request::Txn(_) => {
            Err(Status::unimplemented("a transaction within a transaction is not supported here"))
        }
    }
}

fn put(request: &proto::PutRequest) -> Result<Op, Status> {
    if request.ignore_value || request.ignore_lease {
        return Err(Status::unimplemented("ignore_value and ignore_lease are not supported here"));
    }
    // Copied: as received they are slices of a larger buffer, which they would keep alive.
    let [key, value] = [&request.key, &request.value].map(|bytes| Bytes::copy_from_slice(bytes));
    Ok(Op::Put { key, value, lease: request.lease })
}

fn delete(request: &proto::DeleteRangeRequest) -> Result<Op, Status> {
    range(&request.key, &request.range_end).map(|range| Op::Delete { range })
}

fn range(key: &Bytes, end: &Bytes) -> Result<Range, Status> {
    if key.is_empty() {
        return Err(StoreError::EmptyKey.into());
    }
    Ok(Range::from_etcd(key.clone(), end.clone()))
}

/// Whether the request sorts or filters: then everything is read, and cut off afterwards.
fn is_refined(request: &proto::RangeRequest) -> bool {
    let bounds = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    bounds.iter().any(|bound| *bound != 0)
        || request.sort_order() == SortOrder::Descend
        || request.sort_target() != SortTarget::Key
}

fn plan(request: &proto::RangeRequest) -> Result<(Range, ListOptions), Status> {
    let range = range(&request.key, &request.range_end)?;
    if SortOrder::try_from(request.sort_order).is_err() || SortTarget::try_from(request.sort_target).is_err()
    {
        return Err(Status::invalid_argument("etcdserver: invalid sort option"));
    }
    let refined = is_refined(request);
    let limit = if refined { 0 } else { usize::try_from(request.limit).unwrap_or(0) };
    let at = (request.revision > 0).then_some(request.revision);
    // Values are left out when refined below, because they may be sorted by.
    let keys_only = request.keys_only && !refined;
    Ok((range, ListOptions { at, limit, keys_only, count_only: request.count_only }))
}

fn finish(request: &proto::RangeRequest, mut listing: Listing) -> proto::RangeResponse {
    if is_refined(request) {
        let within = |at: i64, min: i64, max: i64| (min == 0 || at >= min) && (max == 0 || at <= max);
        listing.kvs.retain(|kv| {
            within(kv.mod_revision, request.min_mod_revision, request.max_mod_revision)
                && within(kv.create_revision, request.min_create_revision, request.max_create_revision)
        });
        listing.kvs.sort_by(|a, b| {
            let order = match request.sort_target() {
                SortTarget::Key => a.key.cmp(&b.key),
                SortTarget::Version => a.version.cmp(&b.version),
                SortTarget::Create => a.create_revision.cmp(&b.create_revision),
                SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
                SortTarget::Value => a.value.cmp(&b.value),
            };
            if request.sort_order() == SortOrder::Descend { order.reverse() } else { order }
        });
        let limit = usize::try_from(request.limit).unwrap_or(0);
        if limit > 0 && listing.kvs.len().cmp(&limit) == Ordering::Greater {
            listing.kvs.truncate(limit);
            listing.more = true;
        }
        if request.keys_only {
            listing.kvs.iter_mut().for_each(|kv| kv.value = Bytes::new());
        }
    }
    proto::RangeResponse {
        header: None,
        kvs: listing.kvs.into_iter().map(Into::into).collect(),
        more: listing.more,
        count: listing.count as i64,
    }
}
