//! A small extension API server on a host of its own, and the objects that make it known.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::{ObjectExt, base64};
use client::Resource;
use futures::StreamExt;
use http::{HeaderValue, Request, Response, StatusCode, header};
use pki::{Authority, CertifiedKey};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::{Body, Peer, Server, body, upgrade};
use world::{Host, sim::Sim};

use crate::{
    plane::Plane,
    trust::{DAY, authority, issue, serving},
};

pub const PORT: u16 = 8443;
pub const SERVICE: &str = "v1.flower.example.org";
pub const ROSES: &str = "/apis/flower.example.org/v1/namespaces/default/roses";
const NAME: &str = "flowers.kube-system.svc";

pub struct Extension {
    pub host: Host,
    ca: Authority,
    pair: CertifiedKey,
    server: Option<Server>,
}

/// A plane with a front-proxy certificate, and an extension server that serves nothing yet.
pub async fn plane_and_extension(sim: &Sim, lasts: Duration) -> (Plane, Extension) {
    plane_with_and_extension(sim, &[], lasts).await
}

/// As [`plane_and_extension`], with more flags.
pub async fn plane_with_and_extension(sim: &Sim, more: &[&str], lasts: Duration) -> (Plane, Extension) {
    let cp = sim.host("cp");
    let front = issue(&authority(&cp, "front-proxy-ca"), &cp, "front-proxy-client", 365 * DAY);
    cp.disk().write("/etc/proxy.crt", front.chain_pem(), 0o644).unwrap();
    cp.disk().write("/etc/proxy.key", front.key_pem(), 0o600).unwrap();
    let mut flags = vec!["--proxy-client-cert-file=/etc/proxy.crt", "--proxy-client-key-file=/etc/proxy.key"];
    flags.extend(more);
    let plane = Plane::start(sim, &flags).await;
    let host = sim.host("ext");
    let ca = authority(&host, "flower-ca");
    let pair = issue(&ca, &host, NAME, lasts);
    (plane, Extension { host, ca, pair, server: None })
}

impl Extension {
    pub async fn serve(&mut self) {
        let listener = self.host.net().listen(([0, 0, 0, 0], PORT).into()).await.unwrap();
        let host = self.host.clone();
        let handler = move |peer: Arc<Peer>, request: Request<Body>| answer(host.clone(), peer, request);
        self.server =
            Some(Server::spawn(&self.host, listener, serving(&self.host, &self.pair), Arc::new(handler)));
    }

    /// The process ends and another one begins, with whatever certificate there is now.
    pub async fn restart(&mut self) {
        self.server.take().unwrap().shutdown(&self.host, Duration::from_secs(1)).await;
        self.serve().await;
    }

    pub fn renew(&mut self) {
        self.pair = issue(&self.ca, &self.host, NAME, 365 * DAY);
    }

    /// Service, endpoints, API service.
    pub async fn register(&self, plane: &Plane) {
        let service = json!({ "metadata": { "name": "flowers" }, "spec": { "ports": [{ "port": 443 }] } });
        let ns = Some("kube-system");
        plane.admin.create(&Resource::core("services"), ns, &service).await.unwrap();
        let ip = self.host.net().address().to_string();
        let endpoints = json!({
            "metadata": { "name": "flowers" },
            "subsets": [{ "addresses": [{ "ip": ip }], "ports": [{ "port": PORT }] }],
        });
        plane.admin.create(&Resource::core("endpoints"), ns, &endpoints).await.unwrap();
        let service = json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": { "name": SERVICE },
            "spec": {
                "group": "flower.example.org",
                "version": "v1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64(self.ca.certificate.to_pem().as_bytes()),
                "service": { "namespace": "kube-system", "name": "flowers" },
            },
        });
        plane.admin.create(&services(), None, &service).await.unwrap();
    }
}

pub fn services() -> Resource {
    Resource::new("apiregistration.k8s.io", "v1", "apiservices")
}

/// Status, reason and message of the condition Available.
pub async fn available(plane: &Plane) -> (String, String, String) {
    let seen = plane.admin.get(&services(), None, SERVICE).await.unwrap();
    let conditions = seen.list_at("/status/conditions");
    let found = conditions.iter().find(|c| c.str_at("/type") == "Available").cloned().unwrap_or_default();
    let text = |pointer: &str| found.str_at(pointer).to_owned();
    (text("/status"), text("/reason"), text("/message"))
}

async fn answer(host: Host, peer: Arc<Peer>, mut request: Request<Body>) -> Response<Body> {
    let list = json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "flower.example.org/v1",
        "resources": [{ "name": "roses", "singularName": "rose", "namespaced": true, "kind": "Rose",
            "verbs": ["get", "list", "watch"] }] });
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    match path.as_str() {
        "/apis/flower.example.org/v1" => document(&list),
        "/openapi/v3" => document(&json!({ "paths": { "apis/flower.example.org/v1":
            { "serverRelativeURL": "/openapi/v3/apis/flower.example.org/v1?hash=ABC" } } })),
        "/openapi/v3/apis/flower.example.org/v1" => document(&json!({ "openapi": "3.0.0", "asked": query })),
        "/openapi/v2" => document(&json!({
            "paths": { "/apis/flower.example.org/v1/roses": {}, "/apis/other.example.org/v1/x": {} },
            "definitions": { "org.example.Rose": { "type": "object" } },
        })),
        ROSES if query == "watch=1" => {
            let frames = ["{\"type\":\"ADDED\"}\n", "{\"type\":\"DELETED\"}\n"];
            let frames = frames.map(|frame| Ok(bytes::Bytes::from_static(frame.as_bytes())));
            Response::new(body::stream(futures::stream::iter(frames)))
        }
        // Begins, and has no end.
        ROSES if query == "endless" => {
            let first = futures::stream::iter([Ok(bytes::Bytes::from_static(b"once upon a time"))]);
            Response::new(body::stream(first.chain(futures::stream::pending())))
        }
        // Begins, and breaks off when the beginning has long been read.
        ROSES if query == "broken" => {
            let clock = host.clock().clone();
            let first = futures::stream::iter([Ok(bytes::Bytes::from_static(b"once"))]);
            let end = futures::stream::once(async move {
                clock.sleep(Duration::from_secs(1)).await;
                Err::<bytes::Bytes, wire::BoxError>("the pen is broken".into())
            });
            Response::new(body::stream(first.chain(end)))
        }
        ROSES if query == "length" => {
            let length = body::collect(request.into_body(), 64 << 20).await.unwrap().len();
            document(&json!({ "length": length }))
        }
        _ if request.headers().contains_key(header::UPGRADE) => {
            let pending = upgrade::of_request(&mut request);
            host.spawn(async move {
                let mut stream = pending.await.unwrap();
                let mut five = [0; 5];
                stream.read_exact(&mut five).await.unwrap();
                stream.write_all(&five).await.unwrap();
                stream.shutdown().await.unwrap();
            });
            let mut response = Response::new(body::empty());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("echo"));
            response
        }
        ROSES if query.starts_with("moved") => {
            let mut response = Response::new(body::empty());
            *response.status_mut() = StatusCode::FOUND;
            let to = if query == "moved=here" { "/there" } else { "https://elsewhere/" };
            response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(to));
            response
        }
        ROSES => {
            let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (name, value) in request.headers() {
                headers.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
            }
            let peer = peer.certificates.first().map(|leaf| leaf.subject_cn().to_owned());
            document(&json!({ "peer": peer, "sni": "", "headers": headers }))
        }
        _ => {
            let mut response = Response::new(body::full("404 page not found\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

fn document(value: &Value) -> Response<Body> {
    let mut response = Response::new(body::full(value.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
