//! The calls of etcd's v3 API that kubeadm makes: who the members are, and how one of them is
//! (`api/etcdserverpb/rpc.proto`: the numbers are the contract).

use std::{error::Error as _, sync::Arc, time::Duration};

use http::uri::PathAndQuery;
use pki::{ClientTls, FileIdentity, Roots};
use prost::Message;
use tonic::{Status, client::Grpc};
use tonic_prost::ProstCodec;
use world::Host;

use crate::session::{Failure, Result, Session};

/// How long one call may take (`etcdTimeout`).
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Member {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) peer_urls: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(crate) client_urls: Vec<String>,
    #[prost(bool, tag = "5")]
    pub(crate) is_learner: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListRequest {
    #[prost(bool, tag = "1")]
    linearizable: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AddRequest {
    #[prost(string, repeated, tag = "1")]
    peer_urls: Vec<String>,
    #[prost(bool, tag = "2")]
    is_learner: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AddResponse {
    #[prost(message, repeated, tag = "3")]
    members: Vec<Member>,
}

/// Of a removal and of a promotion.
#[derive(Clone, PartialEq, prost::Message)]
struct IdRequest {
    #[prost(uint64, tag = "1")]
    id: u64,
}

/// Of a list, a removal and a promotion.
#[derive(Clone, PartialEq, prost::Message)]
struct MembersResponse {
    #[prost(message, repeated, tag = "2")]
    members: Vec<Member>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusRequest {}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusResponse {
    #[prost(string, tag = "2")]
    version: String,
}

/// A client of etcd with the certificate of health checks.
pub(crate) struct EtcdApi<'a> {
    host: &'a Host,
    tls: ClientTls,
}

impl<'a> EtcdApi<'a> {
    /// With the files of the directory of certificates.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub(crate) fn new(s: &Session<'a>, certificates_dir: &str) -> Result<Self> {
        let dir = format!("{certificates_dir}/etcd");
        let ca = format!("{dir}/ca.crt");
        let roots = Roots::from_pem(&s.disk().read(&ca)?).map_err(|e| Failure::new(format!("{ca}: {e}")))?;
        let file = |kind: &str| format!("{dir}/healthcheck-client.{kind}");
        let identity = FileIdentity::new(s.disk(), file("crt"), file("key"));
        identity.refresh().map_err(|e| Failure::new(e.to_string()))?;
        let tls = ClientTls::new(s.host, s.profile.go()).roots(roots).identity(Arc::new(identity));
        Ok(Self { host: s.host, tls })
    }

    pub(crate) async fn members(&self, endpoints: &[String]) -> Result<Vec<Member>> {
        let request = ListRequest { linearizable: true };
        let answer: MembersResponse =
            self.any(endpoints, "/etcdserverpb.Cluster/MemberList", &request).await?;
        Ok(answer.members)
    }

    /// Announces a member; gives all.
    pub(crate) async fn add(
        &self,
        endpoints: &[String],
        peer_url: &str,
        is_learner: bool,
    ) -> Result<Vec<Member>> {
        let request = AddRequest { peer_urls: vec![peer_url.to_owned()], is_learner };
        let answer: AddResponse = self.any(endpoints, "/etcdserverpb.Cluster/MemberAdd", &request).await?;
        Ok(answer.members)
    }

    pub(crate) async fn promote(&self, endpoints: &[String], id: u64) -> Result<()> {
        let request = IdRequest { id };
        let path = "/etcdserverpb.Cluster/MemberPromote";
        self.any::<_, MembersResponse>(endpoints, path, &request).await.map(drop)
    }

    pub(crate) async fn remove(&self, endpoints: &[String], id: u64) -> Result<()> {
        let request = IdRequest { id };
        let path = "/etcdserverpb.Cluster/MemberRemove";
        self.any::<_, MembersResponse>(endpoints, path, &request).await.map(drop)
    }

    /// Whether the member at `endpoint` answers for itself.
    pub(crate) async fn status(&self, endpoint: &str) -> Result<()> {
        let path = "/etcdserverpb.Maintenance/Status";
        self.call::<_, StatusResponse>(endpoint, path, &StatusRequest {})
            .await
            .map(drop)
            .map_err(|e| e.within(&format!("failed to dial endpoint {endpoint} with maintenance client")))
    }

    /// The first answer of the endpoints in their order, else the last failure.
    async fn any<Req, Resp>(&self, endpoints: &[String], path: &'static str, request: &Req) -> Result<Resp>
    where
        Req: Message + Clone + 'static,
        Resp: Message + Default + 'static,
    {
        let mut last = Failure::new("etcdclient: no available endpoints");
        for endpoint in endpoints {
            match self.call(endpoint, path, request).await {
                Ok(answer) => return Ok(answer),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    async fn call<Req, Resp>(&self, endpoint: &str, path: &'static str, request: &Req) -> Result<Resp>
    where
        Req: Message + Clone + 'static,
        Resp: Message + Default + 'static,
    {
        let channel = wire::grpc::channel(self.host, endpoint, Some(self.tls.clone()))?;
        let mut grpc = Grpc::new(channel);
        let request = tonic::Request::new(request.clone());
        let call = grpc.unary(request, PathAndQuery::from_static(path), ProstCodec::default());
        match self.host.clock().timeout(CALL_TIMEOUT, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(words(&status)),
            Err(_) => Err(Failure::new(format!("{endpoint}: context deadline exceeded"))),
        }
    }
}

/// What etcd said, or why it could not be asked.
fn words(status: &Status) -> Failure {
    let mut source = status.source();
    while let Some(e) = source {
        if let Some(e) = e.downcast_ref::<wire::Error>() {
            return Failure::new(e.to_string());
        }
        source = e.source();
    }
    Failure::new(status.message())
}
