//! A scripted server in place of the loopback's other end, for the unit tests of what asks it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use client::{Auth, Rest};
use http::{Request, Response};
use parking_lot::Mutex;
use pki::{ClientTls, KeyAlgorithm, ServerTls, loopback};
use serde_json::Value;
use wire::{Body, HttpClient, Peer, ServeOptions, Server, body};
use world::{Host, sim::Sim};

pub(crate) const PORT: u16 = 16543;
const HOUR: Duration = Duration::from_secs(3600);

/// Answers by `METHOD /path?query`, of which a client's own limit is no part; everything else is a 404 Status.
/// Remembers what was asked.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) host: Host,
    pub(crate) rest: Rest,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, (u16, Value)>,
    seen: Vec<String>,
    bodies: Vec<Value>,
}

impl Fake {
    /// A server on host `master`, and a client of it there.
    pub(crate) async fn plain(sim: &Sim) -> Self {
        Self::start(sim, ServeOptions::plain(), |host| {
            HttpClient::new(host, &format!("http://127.0.0.1:{PORT}"), None).unwrap()
        })
        .await
    }

    /// The same behind a loopback certificate that ends in an hour.
    pub(crate) async fn loopback(sim: &Sim) -> Self {
        let host = sim.host("master");
        let (shape, algorithm) = (loopback::Shape::CaAndLeaf, KeyAlgorithm::EcdsaP256);
        let now = host.clock().wall();
        let made =
            loopback::loopback_certificate(shape, HOUR, 2 * HOUR, now, host.entropy(), algorithm).unwrap();
        let config = ServerTls::new(&host).sni(loopback::LOOPBACK_NAME, &made.pair).unwrap().config();
        let options = ServeOptions::tls(move || config.clone());
        Self::start(sim, options, |host| {
            let tls = ClientTls::new(host, (1, 24)).roots(made.trust).server_name(loopback::LOOPBACK_NAME);
            HttpClient::new(host, &format!("https://127.0.0.1:{PORT}"), Some(tls)).unwrap()
        })
        .await
    }

    /// A client of whatever listens at the port on `host`.
    pub(crate) fn rest_of(host: &Host) -> Rest {
        let http = HttpClient::new(host, &format!("http://127.0.0.1:{PORT}"), None).unwrap();
        Rest::new(http, Auth::None, "kube-apiserver")
    }

    async fn start(sim: &Sim, options: ServeOptions, http: impl FnOnce(&Host) -> HttpClient) -> Self {
        let host = sim.host("master");
        let state: Arc<Mutex<State>> = Arc::default();
        let listener = host.net().listen(format!("0.0.0.0:{PORT}").parse().unwrap()).await.unwrap();
        let known = state.clone();
        let handler = move |_: Arc<Peer>, request: Request<Body>| {
            let known = known.clone();
            async move { answer(&known, request).await }
        };
        Server::spawn(&host, listener, options, Arc::new(handler));
        let rest = Rest::new(http(&host), Auth::None, "kube-apiserver");
        Self { host, rest, state }
    }

    pub(crate) fn put(&self, line: &str, code: u16, answer: Value) {
        self.state.lock().answers.insert(line.to_owned(), (code, answer));
    }

    /// What was asked since the last call.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().seen)
    }

    /// The bodies of what was asked since the last call.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        std::mem::take(&mut self.state.lock().bodies)
    }
}

async fn answer(state: &Mutex<State>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path_and_query().map(|p| p.as_str()).unwrap_or_default();
    let path = path.split_once("?timeout=").map_or(path, |(path, _)| path);
    let line = format!("{} {path}", request.method());
    let sent = body::collect(request.into_body(), 1 << 20).await.unwrap();
    let (code, value) = {
        let mut state = state.lock();
        state.seen.push(line.clone());
        if !sent.is_empty() {
            state.bodies.push(serde_json::from_slice(&sent).unwrap());
        }
        state.answers.get(&line).cloned().unwrap_or_else(|| {
            let name = line.rsplit('/').next().unwrap_or_default();
            (404, api::status::Status::not_found("things", name).to_value())
        })
    };
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(body::full(value.to_string()))
        .unwrap()
}
