//! Faults at the client's side: requests of a `kube::Client` that are late, refused, or whose answer is lost.
//!
//! Whoever writes a controller has no other way to see the second of two writers win, an answer that never comes, or a
//! server that asks for patience, exactly once and at exactly this request. What happens to network and servers is
//! the world's matter; here it is decided by what the request asks for.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use api::status::Status;
use http::{Method, Response, StatusCode, Uri, header::CONTENT_TYPE};
use parking_lot::Mutex;
use wire::{Body, BoxError, body};
use world::Host;

use crate::exchange::JSON;

/// The faults of one client. Clones are the same faults.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Vec<Fault>>>);

/// Which requests a fault is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    verb: Option<String>,
    resource: Option<String>,
    subresource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

impl Requests {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests with that verb (`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`) for
    /// that resource: its plural name, with its group if it has one (`deployments.apps`), without what follows it.
    pub fn of(verb: &str, resource: &str) -> Self {
        Self {
            verb: Some(verb.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: Some(String::new()),
            ..Self::default()
        }
    }

    /// Of the subresource of that name instead of the object.
    pub fn subresource(self, name: &str) -> Self {
        Self { subresource: Some(name.to_owned()), ..self }
    }

    /// In that namespace alone.
    pub fn namespace(self, name: &str) -> Self {
        Self { namespace: Some(name.to_owned()), ..self }
    }

    /// For the object of that name alone. A create has none yet.
    pub fn name(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    fn has(&self, about: &About) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        is(&self.verb, &about.verb)
            && is(&self.resource, &about.resource)
            && is(&self.subresource, &about.subresource)
            && is(&self.namespace, &about.namespace)
            && is(&self.name, &about.name)
    }
}

/// A fault in the making; see [`Faults::on`].
#[must_use = "say what shall go wrong: conflict(), fail(), delay(), refuse_connection() or lose_answer()"]
#[derive(Debug)]
pub struct Planned {
    faults: Faults,
    requests: Requests,
    skip: usize,
    times: usize,
}

/// A fault of a client.
#[derive(Clone, Debug)]
pub struct Fault(Arc<State>);

#[derive(Debug)]
struct State {
    requests: Requests,
    skip: usize,
    times: usize,
    met: AtomicUsize,
    ended: AtomicBool,
    act: Act,
}

#[derive(Clone, Debug)]
enum Act {
    Delay(Duration),
    Conflict,
    Fail(Box<Status>),
    RefuseConnection,
    LoseAnswer,
}

impl Faults {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// A fault of the next of these requests: once, unless [`Planned::times`] says otherwise. Of several faults that a
    /// request meets, the first that was planned counts.
    pub fn on(&self, requests: Requests) -> Planned {
        Planned { faults: self.clone(), requests, skip: 0, times: 1 }
    }

    /// Nothing goes wrong any more.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    fn meet(&self, about: &About) -> Option<Act> {
        let faults = self.0.lock();
        faults.iter().find(|fault| fault.meets(about)).map(|fault| fault.0.act.clone())
    }

    /// Carries a request out with `send`, or not, as the faults have it.
    pub(crate) async fn pass<F: Future<Output = Result<Response<Body>, BoxError>>>(
        &self,
        host: &Host,
        method: &Method,
        uri: &Uri,
        send: impl FnOnce() -> F,
    ) -> Result<Response<Body>, BoxError> {
        let about = About::read(method, uri);
        let Some(act) = self.meet(&about) else { return send().await };
        let told =
            |what: &str| host.record("client_fault", vec![(about.verb_key(), format!("{what} {uri}"))]);
        match act {
            Act::Delay(d) => {
                told("delayed");
                host.clock().sleep(d).await;
                send().await
            }
            Act::Conflict => {
                told("conflict");
                answer(&Status::modified(about.resource.as_str(), &about.name))
            }
            Act::Fail(status) => {
                told("failed");
                answer(&status)
            }
            Act::RefuseConnection => {
                told("connection refused");
                Err(format!("{method} {uri}: connect: connection refused").into())
            }
            Act::LoseAnswer => {
                told("answer lost");
                drop(send().await?);
                Err(format!("{method} {uri}: EOF").into())
            }
        }
    }
}

impl Planned {
    /// The next `times` of these requests.
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// All of them from now on, until [`Fault::end`].
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    /// Only after so many of them went well.
    pub fn after(self, skip: usize) -> Self {
        Self { skip, ..self }
    }

    /// They are answered as a write from an older version of the object: 409, and not carried out.
    pub fn conflict(self) -> Fault {
        self.plan(Act::Conflict)
    }

    /// They are answered with that code, reason (`TooManyRequests`) and message, and not carried out.
    pub fn fail(self, code: u16, reason: &str, message: &str) -> Fault {
        self.plan(Act::Fail(Box::new(Status::new(code, reason, message))))
    }

    /// They are carried out so much later, by the clock of the client's host.
    pub fn delay(self, by: Duration) -> Fault {
        self.plan(Act::Delay(by))
    }

    /// They never reach the server.
    pub fn refuse_connection(self) -> Fault {
        self.plan(Act::RefuseConnection)
    }

    /// They are carried out, and the connection ends before the answer comes: what a controller must be able to do twice.
    pub fn lose_answer(self) -> Fault {
        self.plan(Act::LoseAnswer)
    }

    fn plan(self, act: Act) -> Fault {
        let Self { faults, requests, skip, times } = self;
        let fault = Fault(Arc::new(State {
            requests,
            skip,
            times,
            met: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            act,
        }));
        faults.0.lock().push(fault.clone());
        fault
    }
}

impl Fault {
    /// How many requests it was the fault of. A test whose fault was never met has shown nothing.
    pub fn hits(&self) -> usize {
        self.0.met.load(SeqCst).saturating_sub(self.0.skip).min(self.0.times)
    }

    /// It is nobody's fault any more.
    pub fn end(&self) {
        self.0.ended.store(true, SeqCst);
    }

    fn meets(&self, about: &About) -> bool {
        let state = &self.0;
        if state.ended.load(SeqCst) || !state.requests.has(about) {
            return false;
        }
        let before = state.met.fetch_add(1, SeqCst);
        before >= state.skip && before - state.skip < state.times
    }
}

fn answer(status: &Status) -> Result<Response<Body>, BoxError> {
    let mut answer = Response::new(body::full(status.to_value().to_string()));
    *answer.status_mut() = StatusCode::from_u16(status.code)
        .map_err(|_| format!("{} is no code that a server answers with", status.code))?;
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(JSON));
    Ok(answer)
}

/// What a request asks for, as upstream's request info has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct About {
    verb: String,
    /// With its group; empty for what is no object's.
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

impl About {
    fn read(method: &Method, uri: &Uri) -> Self {
        let mut segments = uri.path().split('/').filter(|s| !s.is_empty());
        let group = match segments.next() {
            Some("api") => "",
            Some("apis") => segments.next().unwrap_or_default(),
            _ => return Self { verb: method.as_str().to_lowercase(), ..Self::default() },
        };
        let mut rest: Vec<&str> = segments.skip(1).collect();
        let mut namespace = "";
        // `/namespaces/x/pods` is in a namespace; `/namespaces/x` and its status are the namespace.
        if let ["namespaces", within, resource, ..] = rest[..]
            && !matches!(resource, "status" | "finalize")
        {
            namespace = within;
            rest.drain(..2);
        }
        let mut parts = rest.into_iter();
        let (plural, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let subresource = parts.collect::<Vec<_>>().join("/");
        let watches =
            uri.query().is_some_and(|q| q.split('&').any(|p| matches!(p, "watch=true" | "watch=1")));
        let verb = match (method.as_str(), name.is_empty()) {
            ("GET" | "HEAD", true) if watches => "watch",
            ("GET" | "HEAD", true) => "list",
            ("GET" | "HEAD", false) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "deletecollection",
            ("DELETE", false) => "delete",
            _ => "",
        };
        Self {
            verb: verb.to_owned(),
            resource: if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") },
            subresource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    fn verb_key(&self) -> &'static str {
        const VERBS: [&str; 8] =
            ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
        VERBS.into_iter().find(|verb| *verb == self.verb).unwrap_or("request")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &Method, uri: &str, expected: [&str; 5]) {
        let about = About::read(method, &uri.parse().expect("a URI"));
        let found = [&about.verb, &about.resource, &about.subresource, &about.namespace, &about.name];
        assert_eq!(found.map(String::as_str), expected, "{method} {uri}");
    }

    #[test]
    fn what_a_request_asks_for() {
        let core = "/api/v1/namespaces/a/configmaps";
        check(&Method::GET, core, ["list", "configmaps", "", "a", ""]);
        check(&Method::GET, &format!("{core}?limit=5&watch=true"), ["watch", "configmaps", "", "a", ""]);
        check(&Method::GET, &format!("{core}/m"), ["get", "configmaps", "", "a", "m"]);
        check(&Method::POST, core, ["create", "configmaps", "", "a", ""]);
        check(&Method::DELETE, core, ["deletecollection", "configmaps", "", "a", ""]);
        check(&Method::PUT, "/api/v1/nodes/n/status", ["update", "nodes", "status", "", "n"]);
        let web = "/apis/apps/v1/namespaces/b/deployments/web";
        check(&Method::PATCH, web, ["patch", "deployments.apps", "", "b", "web"]);
        check(
            &Method::POST,
            "/api/v1/namespaces/b/pods/p/eviction",
            ["create", "pods", "eviction", "b", "p"],
        );
        check(&Method::GET, "/api/v1/namespaces/b", ["get", "namespaces", "", "", "b"]);
        check(&Method::PUT, "/api/v1/namespaces/b/finalize", ["update", "namespaces", "finalize", "", "b"]);
        check(&Method::GET, "/version", ["get", "", "", "", ""]);
    }

    #[test]
    fn a_fault_is_met_after_so_many_so_often() {
        let faults = Faults::new();
        let fault = faults.on(Requests::of("get", "configmaps").name("m")).after(1).times(2).conflict();
        let meet =
            |path: &str| faults.meet(&About::read(&Method::GET, &path.parse().expect("a path"))).is_some();
        let mine = "/api/v1/namespaces/a/configmaps/m";
        assert!(!meet("/api/v1/namespaces/a/configmaps/other") && !meet("/api/v1/namespaces/a/secrets/m"));
        assert_eq!([meet(mine), meet(mine), meet(mine), meet(mine)], [false, true, true, false]);
        assert_eq!(fault.hits(), 2);
        let always = faults.on(Requests::any()).always().conflict();
        assert!(meet("/version"));
        always.end();
        assert!(!meet("/version"));
        assert_eq!(always.hits(), 1);
    }

    #[test]
    fn a_subresource_is_another_request() {
        let about = |path: &str| About::read(&Method::PATCH, &path.parse().expect("a path"));
        let status = about("/apis/example.com/v1/namespaces/a/widgets/w/status");
        assert!(!Requests::of("patch", "widgets.example.com").has(&status));
        assert!(Requests::of("patch", "widgets.example.com").subresource("status").has(&status));
        assert!(Requests::any().has(&status));
    }
}
