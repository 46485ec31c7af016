//! The services `Maintenance` and `Cluster`: how the member is, and who the members are.

use http::{Response, StatusCode};
use tonic::Status;
use wire::{Body, body};

use super::{
    api::{Api, VERSION},
    cluster::Entry,
};
use crate::{StoreError, proto};

impl From<Entry> for proto::Member {
    fn from(member: Entry) -> Self {
        Self {
            id: member.id,
            name: member.name,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
            is_learner: member.learner,
        }
    }
}

impl Api {
    pub(super) async fn status(&self, _: proto::StatusRequest) -> Result<proto::StatusResponse, Status> {
        let status = self.store.status().await?;
        let size = i64::try_from(status.size).unwrap_or(i64::MAX);
        let index = status.revision.unsigned_abs();
        let (leader, raft_term) = self.leader();
        let errors = if leader.is_none() { vec![StoreError::NoLeader.to_string()] } else { Vec::new() };
        Ok(proto::StatusResponse {
            header: self.header_at(status.revision),
            version: VERSION.to_owned(),
            db_size: size,
            leader: leader.unwrap_or(0),
            raft_index: index,
            raft_term,
            raft_applied_index: index,
            errors,
            db_size_in_use: size,
            is_learner: self.member.as_ref().is_some_and(|member| member.is_learner()),
        })
    }

    pub(super) async fn alarm(&self, _: proto::AlarmRequest) -> Result<proto::AlarmResponse, Status> {
        Ok(proto::AlarmResponse { header: self.header().await? })
    }

    pub(super) async fn member_list(
        &self,
        request: proto::MemberListRequest,
    ) -> Result<proto::MemberListResponse, Status> {
        let agreed = if request.linearizable { &*self.store } else { self.local() };
        let header = self.header_at(agreed.revision().await?);
        Ok(proto::MemberListResponse { header, members: self.members() })
    }

    pub(super) async fn member_add(
        &self,
        request: proto::MemberAddRequest,
    ) -> Result<proto::MemberAddResponse, Status> {
        let added = self.membership()?.add(request.peer_urls, request.is_learner).await?;
        // A voter that has not come yet may just have taken the majority with it.
        let header = self.header_at(self.local().revision().await?);
        Ok(proto::MemberAddResponse { header, member: Some(added.into()), members: self.members() })
    }

    pub(super) async fn member_remove(
        &self,
        request: proto::MemberRemoveRequest,
    ) -> Result<proto::MembersResponse, Status> {
        self.membership()?.remove(request.id).await?;
        // The member may just have removed itself: nobody is left to ask for agreement.
        let header = self.header_at(self.local().revision().await?);
        Ok(proto::MembersResponse { header, members: self.members() })
    }

    pub(super) async fn member_promote(
        &self,
        request: proto::MemberPromoteRequest,
    ) -> Result<proto::MembersResponse, Status> {
        self.membership()?.promote(request.id).await?;
        Ok(proto::MembersResponse { header: self.header().await?, members: self.members() })
    }

    fn membership(&self) -> Result<&super::cluster::Member, Status> {
        self.member.as_deref().ok_or_else(|| {
            Status::unimplemented(
                "a member in the real gear is alone: the members of one cluster share their history in the \
                 simulated gear only",
            )
        })
    }

    fn members(&self) -> Vec<proto::Member> {
        if let Some(member) = &self.member {
            return member.members().into_iter().map(Into::into).collect();
        }
        vec![proto::Member {
            id: self.member_id,
            name: self.options.name.clone(),
            peer_urls: self.options.advertise_peer.clone(),
            client_urls: self.options.advertise_client.clone(),
            is_learner: false,
        }]
    }

    /// What a peer may ask for by plain HTTP: who the members are (`server/etcdserver/api/etcdhttp/peer.go`).
    pub(super) fn answer_peer(&self, path: &str) -> Response<Body> {
        if path != "/members" {
            let mut response = Response::new(body::full("404 page not found\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
        let member = |member: proto::Member| {
            let mut value = serde_json::json!({
                "id": member.id,
                "peerURLs": member.peer_urls,
                "name": member.name,
                "clientURLs": member.client_urls,
            });
            if member.is_learner {
                value["isLearner"] = true.into();
            }
            value
        };
        let members: Vec<_> = self.members().into_iter().map(member).collect();
        let mut response = Response::new(body::full(serde_json::Value::from(members).to_string()));
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        if let Ok(id) = http::HeaderValue::try_from(format!("{:x}", self.cluster_id)) {
            headers.insert("x-etcd-cluster-id", id);
        }
        response
    }
}
