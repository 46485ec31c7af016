//! An API server as small as a client's tests allow: objects with revisions, watches from a
//! revision, and answers put in by the test.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use api::{object::ObjectExt as _, status::Status};
use bytes::Bytes;
use client::{Auth, Rest};
use futures::{StreamExt as _, stream};
use http::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use pki::{ClientTls, KeyAlgorithm, ServerTls, loopback};
use serde_json::{Value, json};
use tokio::sync::Notify;
use wire::{Body, HttpClient, Peer, ServeOptions, Server, body};
use world::{
    Host, Process,
    sim::{Config, Sim},
};

pub const PORT: u16 = 6443;
pub const HOUR: Duration = Duration::from_secs(3600);

/// Runs a story in a new world.
pub fn run<F, Fut>(story: F) -> Fut::Output
where
    F: FnOnce(World) -> Fut,
    Fut: Future,
{
    world::sim::run(Config::default(), |sim| async move { story(World::new(sim).await).await }).unwrap()
}

/// Runs a story with one HTTP/2 connection over TLS, as the apiserver's to itself: its certificate
/// ends one hour after the world began.
pub fn run_tls<F, Fut>(story: F) -> Fut::Output
where
    F: FnOnce(World) -> Fut,
    Fut: Future,
{
    world::sim::run(Config::default(), |sim| async move { story(World::with_tls(sim).await).await }).unwrap()
}

/// A server on host `server`, and a client of it on host `client`.
pub struct World {
    pub sim: Sim,
    pub fake: Fake,
    pub host: Host,
    pub rest: Rest,
}

impl World {
    async fn new(sim: Sim) -> Self {
        let fake = Fake::new(&sim, ServeOptions::plain());
        fake.up().await;
        let host = sim.host("client");
        let rest = rest(&host, Auth::None);
        Self { sim, fake, host, rest }
    }

    async fn with_tls(sim: Sim) -> Self {
        let (server, host) = (sim.host("server"), sim.host("client"));
        let now = server.clock().wall();
        let (shape, algorithm) = (loopback::Shape::CaAndLeaf, KeyAlgorithm::EcdsaP256);
        let made =
            loopback::loopback_certificate(shape, HOUR, 2 * HOUR, now, server.entropy(), algorithm).unwrap();
        let config = ServerTls::new(&server).sni(loopback::LOOPBACK_NAME, &made.pair).unwrap().config();
        let fake = Fake::new(&sim, ServeOptions::tls(move || config.clone()));
        fake.up().await;
        let tls = ClientTls::new(&host, (1, 24)).roots(made.trust).server_name(loopback::LOOPBACK_NAME);
        let http = HttpClient::new(&host, &format!("https://server:{PORT}"), Some(tls)).unwrap();
        let rest = Rest::new(http, Auth::None, "test");
        Self { sim, fake, host, rest }
    }

    /// Resets the connections of host `client`.
    pub fn reset(&self) {
        assert!(self.sim.reset_connections("client", "server", PORT) > 0, "nothing to reset");
    }

    pub async fn elapse(&self, seconds: f64) {
        self.sim.elapse(Duration::from_secs_f64(seconds)).await;
    }
}

pub fn rest(host: &Host, auth: Auth) -> Rest {
    Rest::new(http(host), auth, "test")
}

pub fn http(host: &Host) -> HttpClient {
    HttpClient::new(host, &format!("http://server:{PORT}"), None).unwrap()
}

/// A request that arrived, and when, in seconds since the world began.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: f64,
    pub line: String,
    pub headers: http::HeaderMap,
    pub body: Value,
}

/// An answer that the test puts in, once.
pub enum Put {
    /// A refusal.
    Status(Status),
    /// Anything.
    Raw(u16, &'static [(&'static str, &'static str)], String),
    /// A watch that says these lines, and then ends.
    Watch(Vec<Value>),
    /// Half an answer, and then nothing.
    Stall(&'static str),
    /// Bytes in chunks of these lengths, and the rest.
    Cut(Vec<u8>, Vec<usize>),
}

#[derive(Clone)]
pub struct Fake(Arc<Shared>);

struct Shared {
    host: Host,
    options: ServeOptions,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    process: Option<Process>,
    revision: u64,
    /// Watches from before this revision are refused.
    oldest: u64,
    /// By collection path without namespaces, then namespace and name.
    objects: BTreeMap<(String, String, String), Value>,
    history: Vec<(u64, String, Value)>,
    seen: Vec<Seen>,
    puts: VecDeque<(&'static str, Put)>,
}

/// Where a path leads: collection, namespace, name, subresource.
struct Place {
    group: String,
    version: String,
    plural: String,
    namespace: Option<String>,
    name: Option<String>,
    sub: Option<String>,
}

impl Place {
    fn parse(path: &str) -> Option<Self> {
        let mut parts: VecDeque<String> = path.split('/').skip(1).map(str::to_owned).collect();
        let group = match parts.pop_front()?.as_str() {
            "api" => String::new(),
            "apis" => parts.pop_front()?,
            _ => return None,
        };
        let version = parts.pop_front()?;
        let namespace =
            (parts.len() > 2 && parts[0] == "namespaces").then(|| parts.drain(..2).nth(1)).flatten();
        let plural = parts.pop_front()?;
        let (name, sub) = (parts.pop_front(), parts.pop_front());
        Some(Self { group, version, plural, namespace, name, sub })
    }

    fn collection(&self) -> String {
        format!("{}/{}/{}", self.group, self.version, self.plural)
    }

    fn kind(&self) -> &'static str {
        api::kinds::find(&self.group, &self.version, &self.plural).map_or("Foo", |k| k.kind)
    }

    fn key(&self, name: &str) -> (String, String, String) {
        (self.collection(), self.namespace.clone().unwrap_or_default(), name.to_owned())
    }

    fn holds(&self, object: &Value) -> bool {
        self.namespace.as_ref().is_none_or(|ns| object.namespace() == ns)
    }
}

impl Fake {
    fn new(sim: &Sim, options: ServeOptions) -> Self {
        let host = sim.host("server");
        let state = Mutex::new(State { revision: 100, ..State::default() });
        Self(Arc::new(Shared { host, options, state, changed: Notify::new() }))
    }

    /// Starts the process that listens, unless it runs.
    pub async fn up(&self) {
        if self.0.state.lock().process.is_some() {
            return;
        }
        let process = self.0.host.process("fake");
        let at = format!("0.0.0.0:{PORT}").parse().unwrap();
        let listener = process.host().net().listen(at).await.unwrap();
        let fake = self.clone();
        let handler = move |_: Arc<Peer>, request| {
            let fake = fake.clone();
            async move { fake.answer(request).await }
        };
        let _running = Server::spawn(process.host(), listener, self.0.options.clone(), Arc::new(handler));
        self.0.state.lock().process = Some(process);
    }

    /// Kills it. Objects and history stay.
    pub async fn down(&self) {
        let process = self.0.state.lock().process.take();
        if let Some(process) = process {
            process.kill().await;
        }
    }

    /// Answers the next request whose line contains `matching` with `put`.
    pub fn put(&self, matching: &'static str, put: Put) {
        self.0.state.lock().puts.push_back((matching, put));
    }

    /// What arrived so far, as `GET /path?query`.
    pub fn lines(&self) -> Vec<String> {
        self.0.state.lock().seen.iter().map(|s| s.line.clone()).collect()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.0.state.lock().seen.clone()
    }

    /// What arrived since the last call.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.state.lock().seen)
    }

    /// Writes an object as if somebody else had.
    pub fn write(&self, path: &str, object: Value) -> Value {
        let place = Place::parse(path).unwrap();
        let name = object.name().to_owned();
        self.commit(&place, &name, Some(object))
    }

    /// Deletes an object as if somebody else had.
    pub fn erase(&self, path: &str) {
        let place = Place::parse(path).unwrap();
        self.commit(&place, &place.name.clone().unwrap(), None);
    }

    pub fn object(&self, path: &str) -> Option<Value> {
        let place = Place::parse(path).unwrap();
        self.0.state.lock().objects.get(&place.key(place.name.as_deref().unwrap())).cloned()
    }

    /// Every object.
    pub fn all(&self) -> Vec<Value> {
        self.0.state.lock().objects.values().cloned().collect()
    }

    /// Revisions up to the present one can no longer be watched from.
    pub fn compact(&self) {
        let mut state = self.0.state.lock();
        state.oldest = state.revision + 1;
        state.revision += 1;
    }

    fn commit(&self, place: &Place, name: &str, object: Option<Value>) -> Value {
        let written = {
            let mut state = self.0.state.lock();
            state.revision += 1;
            let revision = state.revision;
            let key = place.key(name);
            let old = state.objects.get(&key).cloned();
            let (kind, mut object) = match (object, old) {
                (Some(object), None) => ("ADDED", object),
                (Some(object), Some(_)) => ("MODIFIED", object),
                (None, Some(old)) => ("DELETED", old),
                (None, None) => panic!("nothing to delete at {key:?}"),
            };
            object.set_resource_version(&revision.to_string());
            if let Some(ns) = &place.namespace {
                object.set_namespace(ns);
            }
            if object.uid().is_empty() {
                object.set_uid(&format!("uid-{revision}"));
            }
            match kind {
                "DELETED" => drop(state.objects.remove(&key)),
                _ => drop(state.objects.insert(key, object.clone())),
            }
            let event = json!({"type": kind, "object": object});
            state.history.push((revision, place.collection(), event));
            object
        };
        self.0.changed.notify_waiters();
        written
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, content) = request.into_parts();
        let line = format!("{} {}", head.method, head.uri.path_and_query().map_or("/", |p| p.as_str()));
        let bytes = body::collect(content, 1 << 20).await.unwrap_or_default();
        let sent: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let put = {
            let mut state = self.0.state.lock();
            let at = self.0.host.clock().monotonic().since_boot().as_secs_f64();
            state.seen.push(Seen {
                at,
                line: line.clone(),
                headers: head.headers.clone(),
                body: sent.clone(),
            });
            let matching = state.puts.iter().position(|(m, _)| line.contains(m));
            matching.and_then(|n| state.puts.remove(n)).map(|(_, put)| put)
        };
        match put {
            Some(Put::Status(status)) => reply(status.code, &status.to_value()),
            Some(Put::Raw(code, headers, text)) => {
                let mut answer = Response::builder().status(code);
                for (name, value) in headers {
                    answer = answer.header(*name, *value);
                }
                answer.body(body::full(text)).unwrap()
            }
            Some(Put::Watch(lines)) => {
                let lines: Vec<_> = lines.iter().map(|l| Ok(Bytes::from(format!("{l}\n")))).collect();
                let said = stream::iter(lines);
                Response::new(body::stream(said))
            }
            Some(Put::Stall(half)) => {
                let half = stream::iter([Ok(Bytes::from(half))]);
                Response::new(body::stream(half.chain(stream::pending())))
            }
            Some(Put::Cut(bytes, lengths)) => {
                let mut bytes = Bytes::from(bytes);
                let mut chunks = Vec::new();
                for length in lengths {
                    chunks.push(Ok(bytes.split_to(length.min(bytes.len()))));
                }
                chunks.push(Ok(bytes));
                Response::new(body::stream(stream::iter(chunks)))
            }
            None => self.serve(&head.method, head.uri.path(), head.uri.query().unwrap_or_default(), sent),
        }
    }

    fn serve(&self, method: &Method, path: &str, query: &str, sent: Value) -> Response<Body> {
        let Some(place) = Place::parse(path) else {
            return reply(404, &Status::no_such_resource().to_value());
        };
        let param = |key: &str| {
            query
                .split('&')
                .find_map(|p| p.strip_prefix(key)?.strip_prefix('='))
                .unwrap_or_default()
                .to_owned()
        };
        let outcome = match (method.as_str(), &place.name) {
            ("GET", None) if param("watch") == "true" => return self.watch(place, &param),
            ("GET", None) => Ok(self.list(&place, &param)),
            ("GET", Some(name)) => self.stored(&place, name),
            ("POST", None) => self.create(&place, sent),
            ("PUT", Some(name)) => self.update(&place, name, sent),
            ("PATCH", Some(name)) => self.patch(&place, name, &sent),
            ("DELETE", Some(name)) => self.stored(&place, name).map(|_| {
                self.commit(&place, name, None);
                json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})
            }),
            _ => Err(Status::method_not_allowed(place.plural.as_str(), method.as_str()).into()),
        };
        match outcome {
            Ok(value) if method == Method::POST => reply(201, &value),
            Ok(value) => reply(200, &value),
            Err(status) => reply(status.code, &status.to_value()),
        }
    }

    fn stored(&self, place: &Place, name: &str) -> Result<Value, Box<Status>> {
        let stored = self.0.state.lock().objects.get(&place.key(name)).cloned();
        stored.ok_or_else(|| Status::not_found(place.plural.as_str(), name).into())
    }

    fn create(&self, place: &Place, sent: Value) -> Result<Value, Box<Status>> {
        let name = sent.name().to_owned();
        match self.stored(place, &name) {
            Ok(_) => Err(Status::already_exists(place.plural.as_str(), &name).into()),
            Err(_) => Ok(self.commit(place, &name, Some(sent))),
        }
    }

    fn update(&self, place: &Place, name: &str, sent: Value) -> Result<Value, Box<Status>> {
        let stored = self.stored(place, name)?;
        if !sent.resource_version().is_empty() && sent.resource_version() != stored.resource_version() {
            return Err(Status::modified(place.plural.as_str(), name).into());
        }
        assert!(place.sub.as_deref().is_none_or(|s| s == "status"), "no such subresource here");
        Ok(self.commit(place, name, Some(sent)))
    }

    /// Merges the top level only: all that these tests patch.
    fn patch(&self, place: &Place, name: &str, sent: &Value) -> Result<Value, Box<Status>> {
        let mut object = self.stored(place, name)?;
        for (field, value) in sent.as_object().into_iter().flatten() {
            object[field] = value.clone();
        }
        Ok(self.commit(place, name, Some(object)))
    }

    fn list(&self, place: &Place, param: &dyn Fn(&str) -> String) -> Value {
        let state = self.0.state.lock();
        let from: usize = param("continue").parse().unwrap_or(0);
        let limit: usize = param("limit").parse().unwrap_or(usize::MAX);
        // As a watch cache: any state will do, so that pages are not made.
        let limit = if param("resourceVersion") == "0" { usize::MAX } else { limit };
        let all = state.objects.iter().filter(|((c, _, _), o)| *c == place.collection() && place.holds(o));
        let mut items: Vec<Value> = all.skip(from).map(|(_, o)| o.clone()).collect();
        let mut metadata = json!({"resourceVersion": state.revision.to_string()});
        if items.len() > limit {
            items.truncate(limit);
            metadata["continue"] = (from + limit).to_string().into();
        }
        // Items of typed lists name no kind.
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.shift_remove("kind");
            item.shift_remove("apiVersion");
        }
        let version =
            if place.group.is_empty() { "v1".into() } else { format!("{}/{}", place.group, place.version) };
        json!({"kind": format!("{}List", place.kind()), "apiVersion": version, "metadata": metadata, "items": items})
    }

    fn watch(&self, place: Place, param: &dyn Fn(&str) -> String) -> Response<Body> {
        let from: u64 = param("resourceVersion").parse().unwrap_or(0);
        let oldest = self.0.state.lock().oldest;
        if from < oldest {
            let status = Status::too_old(from, oldest).to_value();
            let event = json!({"type": "ERROR", "object": status});
            return Response::new(body::full(format!("{event}\n")));
        }
        let seconds = param("timeoutSeconds").parse().unwrap_or(1800);
        let end = self.0.host.clock().monotonic() + Duration::from_secs(seconds);
        let fake = self.clone();
        let events = stream::unfold((from, place), move |(from, place)| {
            let fake = fake.clone();
            async move {
                loop {
                    let changed = fake.0.changed.notified();
                    let next = fake.next_event(from, &place);
                    if let Some((revision, event)) = next {
                        return Some((Ok(Bytes::from(format!("{event}\n"))), (revision, place)));
                    }
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = fake.0.host.clock().sleep_until(end) => return None,
                    }
                }
            }
        });
        Response::new(body::stream(events))
    }

    fn next_event(&self, after: u64, place: &Place) -> Option<(u64, Value)> {
        let state = self.0.state.lock();
        let mut events = state.history.iter().filter(|(r, c, _)| *r > after && *c == place.collection());
        events.find(|(_, _, e)| place.holds(&e["object"])).map(|(r, _, e)| (*r, e.clone()))
    }
}

fn reply(code: u16, value: &Value) -> Response<Body> {
    let code = StatusCode::from_u16(code).unwrap();
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(body::full(value.to_string()))
        .unwrap()
}

pub fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}})
}

pub fn expired() -> Status {
    Status::too_old(1, 2)
}
