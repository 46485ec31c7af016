//! The services `Maintenance` and `Cluster`: how the member is, and who the members are.

use tonic::Status;

use super::api::{Api, VERSION};
use crate::proto;

impl Api {
    pub(super) async fn status(&self, _: proto::StatusRequest) -> Result<proto::StatusResponse, Status> {
        let status = self.store.status().await?;
        let size = i64::try_from(status.size).unwrap_or(i64::MAX);
        let index = status.revision.unsigned_abs();
        Ok(proto::StatusResponse {
            header: self.header_at(status.revision),
            version: VERSION.to_owned(),
            db_size: size,
            leader: self.member_id,
            raft_index: index,
            raft_term: 2,
            raft_applied_index: index,
            errors: Vec::new(),
            db_size_in_use: size,
            is_learner: false,
        })
    }

    pub(super) async fn alarm(&self, _: proto::AlarmRequest) -> Result<proto::AlarmResponse, Status> {
        Ok(proto::AlarmResponse { header: self.header().await? })
    }

    pub(super) async fn member_list(
        &self,
        _: proto::MemberListRequest,
    ) -> Result<proto::MemberListResponse, Status> {
        let member = proto::Member {
            id: self.member_id,
            name: self.options.name.clone(),
            peer_urls: self.options.advertise_peer.clone(),
            client_urls: self.options.advertise_client.clone(),
            is_learner: false,
        };
        Ok(proto::MemberListResponse { header: self.header().await?, members: vec![member] })
    }
}
