//! Plain HTTP: health, version and metrics, as etcd serves them on its client and its metrics URLs.

use http::{Method, Response, StatusCode, Uri};
use wire::{Body, body};

use super::api::{Api, VERSION};
use crate::StoreError;

/// Answers a request that is not gRPC.
pub(super) async fn answer(api: &Api, method: &Method, uri: &Uri) -> Response<Body> {
    let text = "text/plain; charset=utf-8";
    if !matches!(*method, Method::GET | Method::HEAD) {
        return reply(StatusCode::METHOD_NOT_ALLOWED, text, "Method Not Allowed\n".to_owned());
    }
    match uri.path() {
        "/health" => match unhealthy(api, uri.query()).await {
            None => reply(StatusCode::OK, text, r#"{"health":"true","reason":""}"#.to_owned()),
            Some(why) => {
                let said = serde_json::json!({"health": "false", "reason": why}).to_string();
                reply(StatusCode::SERVICE_UNAVAILABLE, text, said)
            }
        },
        "/livez" | "/readyz" => {
            let verbose = uri.query().is_some_and(|query| query.split('&').any(|q| q.starts_with("verbose")));
            let checks: &[Check] =
                if uri.path() == "/livez" { &[Check::SerializableRead] } else { Check::OF_READYZ };
            let mut failed = false;
            let mut said = String::new();
            for check in checks {
                let line = match check.failure(api).await {
                    None => format!("[+]{} ok\n", check.name()),
                    Some(why) => {
                        failed = true;
                        format!("[-]{} failed: {why}\n", check.name())
                    }
                };
                said.push_str(&line);
            }
            match failed {
                false if !verbose => reply(StatusCode::OK, text, "ok\n".to_owned()),
                false => reply(StatusCode::OK, text, said + "ok\n"),
                true => reply(StatusCode::SERVICE_UNAVAILABLE, text, said + "failed\n"),
            }
        }
        "/version" => {
            let said = serde_json::json!({"etcdserver": VERSION, "etcdcluster": "3.6.0"}).to_string();
            reply(StatusCode::OK, "application/json", said)
        }
        "/metrics" => reply(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics(api).await),
        _ => reply(StatusCode::NOT_FOUND, text, "404 page not found\n".to_owned()),
    }
}

/// Why `/health` says no (`server/etcdserver/api/etcdhttp/health.go`).
async fn unhealthy(api: &Api, query: Option<&str>) -> Option<String> {
    let serializable = query.is_some_and(|query| query.split('&').any(|q| q == "serializable=true"));
    if !serializable && api.leader().0.is_none() {
        return Some("RAFT NO LEADER".into());
    }
    let store = if serializable { api.local() } else { &*api.store };
    store.revision().await.err().map(|e| format!("RANGE ERROR:{e}"))
}

/// The checks that etcd 3.6 has as Kubernetes has them.
#[derive(Clone, Copy)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

impl Check {
    const OF_READYZ: &[Self] =
        &[Self::DataCorruption, Self::SerializableRead, Self::LinearizableRead, Self::NonLearner];

    fn name(self) -> &'static str {
        match self {
            Self::DataCorruption => "data_corruption",
            Self::SerializableRead => "serializable_read",
            Self::LinearizableRead => "linearizable_read",
            Self::NonLearner => "non_learner",
        }
    }

    async fn failure(self, api: &Api) -> Option<String> {
        let read = match self {
            Self::SerializableRead | Self::DataCorruption => api.local().revision().await,
            Self::LinearizableRead => api.store.revision().await,
            Self::NonLearner => {
                let learner = api.member.as_ref().is_some_and(|member| member.is_learner());
                return learner.then(|| StoreError::Learner.to_string());
            }
        };
        read.err().map(|e| e.to_string())
    }
}

async fn metrics(api: &Api) -> String {
    let status = api.store.status().await.ok();
    let (revision, size, oldest) = status.map_or((0, 0, 0), |s| (s.revision, s.size, s.oldest));
    let (leader, _) = api.leader();
    let rows = [
        ("etcd_server_has_leader", "gauge", u64::from(leader.is_some())),
        ("etcd_server_is_leader", "gauge", u64::from(leader == Some(api.member_id))),
        (
            "etcd_server_is_learner",
            "gauge",
            u64::from(api.member.as_ref().is_some_and(|member| member.is_learner())),
        ),
        ("etcd_debugging_mvcc_current_revision", "gauge", revision.unsigned_abs()),
        ("etcd_debugging_mvcc_compact_revision", "gauge", oldest.unsigned_abs()),
        ("etcd_mvcc_db_total_size_in_bytes", "gauge", size),
        ("etcd_mvcc_db_total_size_in_use_in_bytes", "gauge", size),
    ];
    rows.iter().map(|(name, kind, value)| format!("# TYPE {name} {kind}\n{name} {value}\n")).collect()
}

fn reply(status: StatusCode, content_type: &'static str, said: String) -> Response<Body> {
    let mut response = Response::new(body::full(said));
    *response.status_mut() = status;
    let value = http::HeaderValue::from_static(content_type);
    response.headers_mut().insert(http::header::CONTENT_TYPE, value);
    response
}
