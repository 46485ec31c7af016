//! Plain HTTP: health, version and metrics, as etcd serves them on its client and its metrics URLs.

use http::{Method, Response, StatusCode, Uri};
use wire::{Body, body};

use super::api::{Api, VERSION};

/// Answers a request that is not gRPC.
pub(super) async fn answer(api: &Api, method: &Method, uri: &Uri) -> Response<Body> {
    let text = "text/plain; charset=utf-8";
    if !matches!(*method, Method::GET | Method::HEAD) {
        return reply(StatusCode::METHOD_NOT_ALLOWED, text, "Method Not Allowed\n".to_owned());
    }
    match uri.path() {
        "/health" => match failure(api).await {
            None => reply(StatusCode::OK, text, r#"{"health":"true","reason":""}"#.to_owned()),
            Some(why) => {
                let said = serde_json::json!({"health": "false", "reason": why}).to_string();
                reply(StatusCode::SERVICE_UNAVAILABLE, text, said)
            }
        },
        // etcd 3.6 has the checks that Kubernetes has; each of its checks comes down to a read here.
        "/livez" | "/readyz" => {
            let checks: &[&str] = match uri.path() {
                "/livez" => &["serializable_read"],
                _ => &["data_corruption", "serializable_read", "linearizable_read", "non_learner"],
            };
            let verbose = uri.query().is_some_and(|query| query.split('&').any(|q| q.starts_with("verbose")));
            let why = failure(api).await;
            let lines = checks.iter().map(|check| match &why {
                None => format!("[+]{check} ok\n"),
                Some(why) => format!("[-]{check} failed: {why}\n"),
            });
            let said = match &why {
                None if !verbose => "ok\n".to_owned(),
                None => lines.collect::<String>() + "ok\n",
                Some(_) => lines.collect::<String>() + "failed\n",
            };
            reply(if why.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text, said)
        }
        "/version" => {
            let said = serde_json::json!({"etcdserver": VERSION, "etcdcluster": "3.6.0"}).to_string();
            reply(StatusCode::OK, "application/json", said)
        }
        "/metrics" => reply(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics(api).await),
        _ => reply(StatusCode::NOT_FOUND, text, "404 page not found\n".to_owned()),
    }
}

async fn failure(api: &Api) -> Option<String> {
    api.store.revision().await.err().map(|e| format!("RANGE ERROR:{e}"))
}

async fn metrics(api: &Api) -> String {
    let status = api.store.status().await.ok();
    let (revision, size, oldest) = status.map_or((0, 0, 0), |s| (s.revision, s.size, s.oldest));
    let rows = [
        ("etcd_server_has_leader", "gauge", 1),
        ("etcd_server_is_leader", "gauge", 1),
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
