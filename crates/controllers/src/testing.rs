//! For tests: an API server as small as the loops allow, which notes what it is asked to write. It serves what it
//! is told to hold, and merges whatever patch it gets; lists it replaces, but for what `$patch` takes out.

use std::{collections::BTreeMap, sync::Arc};

use api::{object::ObjectExt as _, status::Status};
use bytes::Bytes;
use client::{Auth, Rest};
use futures::{StreamExt as _, channel::mpsc};
use http::{Method, Request, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use wire::{Body, HttpClient, Peer, ServeOptions, Server, body};
use world::{Host, sim::Sim};

use crate::{context::Context, options::ManagerOptions};

/// See the module. Clones are the same server.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<State>>);

type Refuse = dyn Fn(&str, &Value) -> Option<Status> + Send;

#[derive(Default)]
struct State {
    /// By the path of their collection.
    objects: BTreeMap<String, Vec<Value>>,
    documents: BTreeMap<String, Value>,
    watches: Vec<(String, mpsc::UnboundedSender<Bytes>)>,
    revision: u64,
    refuse: Option<Box<Refuse>>,
    written: Vec<(String, Value)>,
}

impl Fake {
    /// Listens on host `server`.
    pub(crate) async fn start(sim: &Sim) -> Self {
        let (fake, host) = (Self::default(), sim.host("server"));
        let listener = host.net().listen("0.0.0.0:6443".parse().expect("an address")).await.expect("free");
        let answering = fake.clone();
        let handler = move |_: Arc<Peer>, request| {
            let fake = answering.clone();
            async move { fake.respond(request).await }
        };
        let _running = Server::spawn(&host, listener, ServeOptions::plain(), Arc::new(handler));
        fake
    }

    /// It lists `objects` under this path (`/api/v1/pods`).
    pub(crate) fn holds(&self, collection: &str, objects: Vec<Value>) {
        self.0.lock().objects.insert(collection.to_owned(), objects);
    }

    /// It serves these resources of the core group, all in namespaces, and no other group.
    pub(crate) fn discovers(&self, resources: &[(&str, &str)]) {
        let resource = |(plural, kind): &(&str, &str)| {
            let verbs = ["delete", "list", "watch"];
            json!({"resource": plural, "scope": "Namespaced", "verbs": verbs, "responseKind": {"kind": kind}})
        };
        let resources: Vec<Value> = resources.iter().map(resource).collect();
        let core = json!({"metadata": {}, "versions": [{"version": "v1", "freshness": "Current", "resources": resources}]});
        for (root, items) in [("/api", vec![core]), ("/apis", vec![])] {
            let document = json!({"kind": "APIGroupDiscoveryList", "items": items});
            self.0.lock().documents.insert(root.to_owned(), document);
        }
    }

    /// Requests are refused as `refuse` says of their line (`PATCH /api/v1/nodes/a`) and body.
    pub(crate) fn answer(&self, refuse: impl Fn(&str, &Value) -> Option<Status> + Send + 'static) {
        self.0.lock().refuse = Some(Box::new(refuse));
    }

    /// What was sent to be written, events aside, refused or not.
    pub(crate) fn written(&self) -> Vec<(String, Value)> {
        self.0.lock().written.iter().filter(|(line, _)| !line.contains("/events")).cloned().collect()
    }

    /// The reasons of the events that were sent.
    pub(crate) fn told(&self) -> Vec<String> {
        let state = self.0.lock();
        let events = state.written.iter().filter(|(line, _)| line.contains("/events"));
        events.map(|(_, event)| event.str_at("/reason").to_owned()).collect()
    }

    pub(crate) fn rest(&self, host: &Host) -> Rest {
        Rest::new(HttpClient::new(host, "http://server:6443", None).expect("an address"), Auth::None, "test")
    }

    /// A manager's, with these flags.
    pub(crate) fn context(&self, host: &Host, flags: &[&str]) -> Context {
        let flags = flags.iter().map(|f| (*f).to_owned()).collect();
        let options = Arc::new(ManagerOptions::parse_args(flags).expect("flags"));
        Context::new(host, options, self.rest(host), self.rest(host))
    }

    async fn respond(&self, request: Request<Body>) -> Response<Body> {
        let (head, content) = request.into_parts();
        let (method, path) = (head.method, head.uri.path());
        let line = format!("{method} {path}");
        let bytes = body::collect(content, 1 << 20).await.unwrap_or_default();
        let sent: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let mut state = self.0.lock();
        if method != Method::GET {
            state.written.push((line.clone(), sent.clone()));
        }
        if let Some(status) = state.refuse.as_ref().and_then(|refuse| refuse(&line, &sent)) {
            return refusal(&status);
        }
        if let Some(document) = state.documents.get(path) {
            return Response::new(body::full(document.to_string()));
        }
        let (collection, name) = place(path);
        let watches = head.uri.query().is_some_and(|q| q.contains("watch="));
        let answer = match (&method, name) {
            (&Method::GET, None) if watches => {
                let (said, heard) = mpsc::unbounded();
                state.watches.push((collection, said));
                return Response::new(body::stream(heard.map(Ok)));
            }
            (&Method::GET, None) => {
                let items = state.objects.get(&collection).cloned().unwrap_or_default();
                let revision = state.revision.to_string();
                json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": revision}, "items": items})
            }
            (_, Some(name)) => match state.change(&method, &collection, &name, sent) {
                Some(object) => object,
                None => return refusal(&Status::not_found("things", &name)),
            },
            (_, None) => match state.create(&collection, path, sent) {
                Ok(object) => object,
                Err(status) => return refusal(&status),
            },
        };
        Response::new(body::full(answer.to_string()))
    }
}

fn refusal(status: &Status) -> Response<Body> {
    let answer = Response::builder().status(status.code);
    answer.body(body::full(status.to_value().to_string())).expect("an answer")
}

impl State {
    /// Reads, replaces, patches or deletes; `None` if there is no such object.
    fn change(&mut self, method: &Method, collection: &str, name: &str, sent: Value) -> Option<Value> {
        let objects = self.objects.get_mut(collection)?;
        let at = objects.iter().position(|o| o.name() == name)?;
        let (event, mut object) = match *method {
            Method::GET => return Some(objects[at].clone()),
            Method::DELETE => ("DELETED", objects.remove(at)),
            Method::PUT => ("MODIFIED", sent),
            _ => {
                let mut object = objects[at].clone();
                merge(&mut object, sent);
                ("MODIFIED", object)
            }
        };
        self.revision += 1;
        object.set_resource_version(&self.revision.to_string());
        if event == "MODIFIED" {
            objects[at] = object.clone();
        }
        self.tell(collection, event, &object);
        Some(object)
    }

    fn create(&mut self, collection: &str, path: &str, mut object: Value) -> Result<Value, Box<Status>> {
        self.revision += 1;
        object.set_resource_version(&self.revision.to_string());
        object.set_uid(&format!("uid-{}", self.revision));
        if let Some((_, rest)) = path.split_once("/namespaces/") {
            object.set_namespace(rest.split('/').next().unwrap_or_default());
        }
        if object.name().is_empty() {
            let name = format!("{}{}", object.str_at("/metadata/generateName"), self.revision);
            object["metadata"]["name"] = name.into();
        }
        let all = self.objects.entry(collection.to_owned()).or_default();
        if all.iter().any(|o| o.name() == object.name()) {
            return Err(Box::new(Status::already_exists("things", object.name())));
        }
        all.push(object.clone());
        self.tell(collection, "ADDED", &object);
        Ok(object)
    }

    fn tell(&mut self, collection: &str, event: &str, object: &Value) {
        let line = Bytes::from(format!("{}\n", json!({"type": event, "object": object})));
        self.watches.retain(|(of, said)| of != collection || said.unbounded_send(line.clone()).is_ok());
    }
}

/// The path of a collection in all namespaces, and a name in it.
fn place(path: &str) -> (String, Option<String>) {
    let mut parts: Vec<&str> = path.split('/').skip(1).collect();
    let head = if parts[0] == "api" { 2 } else { 3 };
    if parts.len() > head + 2 && parts[head] == "namespaces" {
        parts.drain(head..head + 2);
    }
    let collection = parts.iter().take(head + 1).map(|p| format!("/{p}")).collect();
    (collection, parts.get(head + 1).map(|n| (*n).to_owned()))
}

fn merge(object: &mut Value, patch: Value) {
    match (object, patch) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                if value.is_null() {
                    old.remove(&key);
                } else {
                    merge(old.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if new.iter().any(|n| n.get("$patch").is_some()) => {
            old.retain(|o| !new.iter().any(|n| n.str_at("/uid") == o.str_at("/uid")));
        }
        (old, new) => *old = new,
    }
}
