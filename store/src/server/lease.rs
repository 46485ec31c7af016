//! The service `Lease`.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::api::Api;
use crate::{StoreError, proto};

/// etcd lets no lease be shorter than one and a half election timeouts, in whole seconds.
const SHORTEST: i64 = 2;

fn seconds(d: Duration) -> i64 {
    i64::try_from(d.as_secs()).unwrap_or(i64::MAX)
}

impl Api {
    pub(super) async fn lease_grant(
        &self,
        request: proto::LeaseGrantRequest,
    ) -> Result<proto::LeaseGrantResponse, Status> {
        let ttl = Duration::from_secs(request.ttl.max(SHORTEST).unsigned_abs());
        let lease = self.store.lease_grant(request.id, ttl).await?;
        let header = self.header().await?;
        Ok(proto::LeaseGrantResponse { header, id: lease.id, ttl: seconds(lease.ttl), error: String::new() })
    }

    pub(super) async fn lease_revoke(
        &self,
        request: proto::LeaseRevokeRequest,
    ) -> Result<proto::LeaseRevokeResponse, Status> {
        let revision = self.store.lease_revoke(request.id).await?;
        Ok(proto::LeaseRevokeResponse { header: self.header_at(revision) })
    }

    pub(super) async fn lease_time_to_live(
        &self,
        request: proto::LeaseTimeToLiveRequest,
    ) -> Result<proto::LeaseTimeToLiveResponse, Status> {
        let header = self.header().await?;
        let id = request.id;
        Ok(match self.store.lease_status(id).await {
            Ok(lease) => proto::LeaseTimeToLiveResponse {
                header,
                id,
                ttl: seconds(lease.remaining),
                granted_ttl: seconds(lease.granted),
                keys: if request.keys { lease.keys } else { Vec::new() },
            },
            Err(StoreError::LeaseNotFound { .. }) => {
                proto::LeaseTimeToLiveResponse { header, id, ttl: -1, ..Default::default() }
            }
            Err(e) => return Err(e.into()),
        })
    }

    async fn keep_alive_once(&self, id: i64) -> Result<proto::LeaseKeepAliveResponse, Status> {
        let ttl = match self.store.lease_keepalive(id).await {
            Ok(ttl) => seconds(ttl),
            Err(StoreError::LeaseNotFound { .. }) => 0,
            Err(e) => return Err(e.into()),
        };
        Ok(proto::LeaseKeepAliveResponse { header: self.header().await?, id, ttl })
    }
}

/// Answers each request of the stream.
pub(super) fn keep_alive(
    api: Arc<Api>,
    requests: Streaming<proto::LeaseKeepAliveRequest>,
) -> impl Stream<Item = Result<proto::LeaseKeepAliveResponse, Status>> {
    requests.then(move |request| {
        let api = api.clone();
        async move { api.keep_alive_once(request?.id).await }
    })
}
