//! The client of the measurements: config maps of 1 KiB in a namespace of its own.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use client::Auth;
use futures::future::join_all;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use wire::{Body, HttpClient, body};
use world::{Host, Task};

use super::figure::Figure;
use crate::cli::Refusal;

/// Larger than any list that is asked for here.
const LARGEST: usize = 1 << 30;
const PADDING: usize = 1024;

/// What is done with each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as what they are")]
pub(super) enum Verb {
    Create,
    Get,
    Update,
    Delete,
}

impl Verb {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

struct Line {
    http: HttpClient,
    auth: Auth,
}

/// Several connections to one server, each with all its requests on a thread of its own.
#[derive(Clone)]
pub(super) struct Load {
    host: Host,
    lines: Arc<Vec<Line>>,
    /// The thread of the first connection; the others follow.
    lane: usize,
    namespace: Arc<str>,
}

impl Load {
    pub(super) fn new(
        host: &Host,
        connections: u32,
        lane: usize,
        connect: impl Fn() -> Result<(HttpClient, Auth), Refusal>,
    ) -> Result<Self, Refusal> {
        let lines: Result<Vec<Line>, Refusal> =
            (0..connections).map(|_| connect().map(|(http, auth)| Line { http, auth })).collect();
        let namespace = format!("bench-{}", host.entropy().name_suffix(8)).into();
        Ok(Self { host: host.clone(), lines: Arc::new(lines?), lane, namespace })
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// The path of the collection.
    pub(super) fn collection(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.namespace)
    }

    /// Makes the namespace, and every connection warm.
    pub(super) async fn begin(&self) -> Result<(), Refusal> {
        let name = &*self.namespace;
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let load = self.clone();
        let body = body.to_string().into();
        self.at(0, async move { load.call(0, Method::POST, "/api/v1/namespaces", body).await }).await?;
        for line in 0..self.lines.len() {
            let (load, path) = (self.clone(), format!("/api/v1/namespaces/{name}"));
            self.at(line, async move {
                for _ in 0..50 {
                    load.call(line, Method::GET, &path, Bytes::new()).await?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Removes what was made, as far as the server does that by itself.
    pub(super) async fn end(&self) -> Result<(), Refusal> {
        let load = self.clone();
        self.at(0, async move {
            load.call(0, Method::DELETE, &load.collection(), Bytes::new()).await?;
            let path = format!("/api/v1/namespaces/{}", load.namespace);
            load.call(0, Method::DELETE, &path, Bytes::new()).await.map(drop)
        })
        .await
    }

    /// Does something with a connection, on its thread.
    pub(super) async fn at<T: Send + 'static>(
        &self,
        line: usize,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.spawn(line, work).join().await.ok_or_else(lost)?
    }

    /// As [`Load::at`], going on meanwhile.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        line: usize,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        self.host.spawn_on(self.lane + line % self.lines.len().max(1), work)
    }

    /// One object, as it is sent.
    pub(super) fn object(number: u32, turn: u32) -> Bytes {
        let object: Value = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": format!("object-{number:06}"), "labels": {"app": "bench"}},
            "data": {"turn": turn.to_string(), "padding": "x".repeat(PADDING)},
        });
        object.to_string().into()
    }

    /// Sends a request over one of the connections; the response's header is there.
    pub(super) async fn send(
        &self,
        line: usize,
        method: Method,
        path: &str,
        content: Bytes,
    ) -> Result<http::Response<Body>, Refusal> {
        let Some(line) = self.lines.get(line % self.lines.len().max(1)) else {
            return Err(Refusal("there is no connection".into()));
        };
        let content = if content.is_empty() { body::empty() } else { body::full(content) };
        let request = http::Request::builder().method(method.clone()).uri(path);
        let mut request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "chronoplane-bench")
            .body(content)?;
        client::authorize(&mut request, &line.auth).await?;
        let response = line.http.send(request).await?;
        if response.status() >= StatusCode::BAD_REQUEST {
            let code = response.status();
            let words = body::collect(response.into_body(), LARGEST).await.unwrap_or_default();
            let words = String::from_utf8_lossy(&words).into_owned();
            return Err(Refusal(format!("{method} {path} was answered with {code}: {words}")));
        }
        Ok(response)
    }

    async fn call(&self, line: usize, method: Method, path: &str, content: Bytes) -> Result<Bytes, Refusal> {
        let response = self.send(line, method, path, content).await?;
        Ok(body::collect(response.into_body(), LARGEST).await?)
    }

    /// One verb on each of `count` objects, so many at once.
    pub(super) async fn each(
        &self,
        what: &str,
        verb: Verb,
        count: u32,
        at_once: u32,
    ) -> Result<Figure, Refusal> {
        let clock = self.host.clock().clone();
        let began = clock.monotonic();
        let workers = (0..at_once).map(|worker| {
            let (load, clock) = (self.clone(), clock.clone());
            self.spawn(worker as usize, async move {
                let mut took = Vec::new();
                for number in (worker..count).step_by(at_once as usize) {
                    let began = clock.monotonic();
                    load.once(worker as usize, verb, number).await?;
                    took.push(clock.monotonic().since(began));
                }
                Ok::<_, Refusal>(took)
            })
        });
        let workers: Vec<_> = workers.collect();
        let mut took = Vec::new();
        for done in join_all(workers.into_iter().map(|w| w.join())).await {
            took.extend(done.ok_or_else(lost)??);
        }
        Ok(Figure::new(what, count as usize, clock.monotonic().since(began), took))
    }

    /// One verb on one object.
    pub(super) async fn once(&self, line: usize, verb: Verb, number: u32) -> Result<(), Refusal> {
        let collection = self.collection();
        let path = format!("{collection}/object-{number:06}");
        match verb {
            Verb::Create => self.call(line, Method::POST, &collection, Self::object(number, 0)).await,
            Verb::Get => self.call(line, Method::GET, &path, Bytes::new()).await,
            Verb::Update => self.call(line, Method::PUT, &path, Self::object(number, 1)).await,
            Verb::Delete => self.call(line, Method::DELETE, &path, Bytes::new()).await,
        }
        .map(drop)
    }

    /// Lists of the collection of `objects`, `limit` of them (0: all), one after another.
    pub(super) async fn lists(&self, objects: u32, limit: u32, rounds: u32) -> Result<Figure, Refusal> {
        let (path, what) = match limit {
            0 => (self.collection(), format!("list {objects}")),
            limit => (format!("{}?limit={limit}", self.collection()), format!("list {limit} of {objects}")),
        };
        let load = self.clone();
        self.at(0, async move {
            let clock = load.host.clock().clone();
            let mut took: Vec<Duration> = Vec::new();
            let began = clock.monotonic();
            for _ in 0..rounds {
                let began = clock.monotonic();
                load.call(0, Method::GET, &path, Bytes::new()).await?;
                took.push(clock.monotonic().since(began));
            }
            Ok(Figure::new(&what, rounds as usize, clock.monotonic().since(began), took))
        })
        .await
    }
}

fn lost() -> Refusal {
    Refusal("a worker of the benchmark came to grief".into())
}
