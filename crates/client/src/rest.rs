//! One request, one answer: the JSON client of our components.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode, header::HeaderValue};
use serde_json::Value;
use wire::HttpClient;
use world::Host;

use crate::{
    Auth, ClientError, DeleteParams, List, ListParams, Patch, Resource, Tally, WatchParams, WatchStream,
    exchange::{Call, JSON, Line, read, refusal},
    params::Query,
    retry,
    throttle::Throttle,
};

/// Upstream's page for lists that may be served in pages.
const PAGE: u64 = 500;

/// The JSON client of our components. Cheap to clone; clones share one connection.
#[derive(Clone)]
pub struct Rest {
    line: Arc<Line>,
    timeout: Option<Duration>,
}

impl Rest {
    /// A client that speaks through `http` and says with `auth` who it is.
    pub fn new(http: HttpClient, auth: Auth, user_agent: &str) -> Self {
        let agent = HeaderValue::from_str(user_agent).unwrap_or(HeaderValue::from_static("chronoplane"));
        Self { line: Arc::new(Line { http, auth, agent, throttle: None, tally: None }), timeout: None }
    }

    /// The same client, with a limit for every request but watches, as client-go's `Timeout`: the
    /// server is told, and the client stops waiting. Without one a request waits as long as the
    /// connection lives.
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { line: self.line.clone(), timeout: Some(timeout) }
    }

    /// The same connection with other credentials, and a limit of its own if there is one.
    pub fn with_auth(&self, auth: Auth) -> Self {
        self.on_line(auth, self.line.throttle.as_ref().and_then(Throttle::another))
    }

    /// The same connection with a limit of its own: `qps` requests a second after a burst, watches not
    /// counted, as client-go's `QPS` and `Burst`. A negative rate is none. Clones share the limit.
    pub fn with_rate(&self, qps: f64, burst: u32) -> Self {
        self.on_line(self.line.auth.clone(), Throttle::new(qps, burst))
    }

    fn on_line(&self, auth: Auth, throttle: Option<Throttle>) -> Self {
        let Line { http, agent, tally, .. } = &*self.line;
        let line = Line { http: http.clone(), auth, agent: agent.clone(), throttle, tally: tally.clone() };
        Self { line: Arc::new(line), timeout: self.timeout }
    }

    /// The same client, of which every request is counted. Limits set before do not hold for it.
    pub fn counted(&self, tally: &Arc<Tally>) -> Self {
        let Line { http, auth, agent, .. } = &*self.line;
        let line = Line {
            http: http.clone(),
            auth: auth.clone(),
            agent: agent.clone(),
            throttle: None,
            tally: Some(tally.clone()),
        };
        Self { line: Arc::new(line), timeout: self.timeout }
    }

    /// The connection's client: to close connections when the identity changes.
    pub fn http(&self) -> &HttpClient {
        &self.line.http
    }

    fn host(&self) -> &Host {
        self.line.http.host()
    }

    /// One object.
    pub async fn get(&self, resource: &Resource, ns: Option<&str>, name: &str) -> Result<Value, ClientError> {
        let call = self.call(Method::GET, resource, ns, name, None, Query::default())?;
        self.line.value(&call).await
    }

    /// One object; `None` if there is none of that name.
    pub async fn get_opt(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, ClientError> {
        match self.get(resource, ns, name).await {
            Ok(object) => Ok(Some(object)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// What a subresource says, such as `scale`.
    pub async fn get_sub(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        name: &str,
        subresource: &str,
    ) -> Result<Value, ClientError> {
        let call = self.call(Method::GET, resource, ns, name, Some(subresource), Query::default())?;
        self.line.value(&call).await
    }

    /// One page of objects: all of them, unless a limit is asked for.
    pub async fn list(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        params: &ListParams,
    ) -> Result<List, ClientError> {
        let call = self.call(Method::GET, resource, ns, None, None, params.query())?;
        let value = self.line.value(&call).await?;
        List::read(value).map_err(|why| call.decode_error(why))
    }

    /// All objects, page by page: of `params.limit` or upstream's 500 objects. If the revision of the
    /// first page expires on the way, all are asked for again in one answer.
    pub async fn list_all(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        params: &ListParams,
    ) -> Result<List, ClientError> {
        self.list_pages(resource, ns, params).await.map(|(list, _)| list)
    }

    /// As [`Rest::list_all`], and in how many pages they came.
    pub(crate) async fn list_pages(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        params: &ListParams,
    ) -> Result<(List, usize), ClientError> {
        let mut pages = 1;
        let mut page = ListParams { limit: params.limit.or(Some(PAGE)), ..params.clone() };
        let mut all = self.list(resource, ns, &page).await?;
        while !all.cont.is_empty() {
            // The token holds the revision.
            page = ListParams {
                cont: Some(std::mem::take(&mut all.cont)),
                resource_version: None,
                resource_version_match: None,
                ..page
            };
            match self.list(resource, ns, &page).await {
                Ok(next) => {
                    all.items.extend(next.items);
                    all.cont = next.cont;
                    pages += 1;
                }
                Err(e) if e.is_expired() => {
                    let whole = ListParams { limit: None, cont: None, ..params.clone() };
                    return self.list(resource, ns, &whole).await.map(|list| (list, pages));
                }
                Err(e) => return Err(e),
            }
        }
        Ok((all, pages))
    }

    /// Creates an object and returns it as stored.
    pub async fn create(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        object: &Value,
    ) -> Result<Value, ClientError> {
        let call = self.call(Method::POST, resource, ns, None, None, Query::default())?;
        self.line.value(&call.content(object, JSON)).await
    }

    /// Creates an object whose stored form nobody wants: the answer is not parsed.
    pub async fn create_unread(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        object: &Value,
    ) -> Result<(), ClientError> {
        let call = self.call(Method::POST, resource, ns, None, None, Query::default())?;
        self.line.done(&call.content(object, JSON)).await
    }

    /// Posts to a subresource, such as `binding`, `eviction` or `token`.
    pub async fn create_sub(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        name: &str,
        subresource: &str,
        object: &Value,
    ) -> Result<Value, ClientError> {
        let call = self.call(Method::POST, resource, ns, name, Some(subresource), Query::default())?;
        self.line.value(&call.content(object, JSON)).await
    }

    /// Replaces an object.
    pub async fn update(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        name: &str,
        object: &Value,
    ) -> Result<Value, ClientError> {
        self.put(resource, ns, name, None, object).await
    }

    /// Replaces what a subresource stands for, such as `status`, `approval` or `finalize`.
    pub async fn update_sub(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        name: &str,
        subresource: &str,
        object: &Value,
    ) -> Result<Value, ClientError> {
        self.put(resource, ns, name, Some(subresource), object).await
    }

    async fn put(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        name: &str,
        sub: Option<&str>,
        object: &Value,
    ) -> Result<Value, ClientError> {
        let call = self.call(Method::PUT, resource, ns, name, sub, Query::default())?;
        self.line.value(&call.content(object, JSON)).await
    }

    /// Reads an object, lets `change` edit it, and writes it back; again after a conflict, five times
    /// in all, as client-go's `RetryOnConflict`. With `subresource`, writes there.
    pub async fn modify(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        name: &str,
        subresource: Option<&str>,
        mut change: impl FnMut(&mut Value),
    ) -> Result<Value, ClientError> {
        let mut tries = 0;
        loop {
            let mut object = self.get(resource, ns, name).await?;
            change(&mut object);
            tries += 1;
            match self.put(resource, ns, name, subresource, &object).await {
                Err(e) if e.is_conflict() && tries < 5 => {
                    let host = self.host();
                    host.clock().sleep(host.entropy().jitter(Duration::from_millis(10), 0.1)).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Patches an object, or a subresource of it.
    pub async fn patch(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        name: &str,
        patch: Patch<'_>,
        subresource: Option<&str>,
    ) -> Result<Value, ClientError> {
        let call = self.call(Method::PATCH, resource, ns, name, subresource, Query::default())?;
        self.line.value(&call.content(patch.value(), patch.content_type())).await
    }

    /// Deletes an object; returns it if it goes on existing for now, else a Status of success.
    pub async fn delete(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        name: &str,
        params: &DeleteParams,
    ) -> Result<Value, ClientError> {
        let call = self.call(Method::DELETE, resource, ns, name, None, Query::default())?;
        self.line.value(&call.content(&params.body(), JSON)).await
    }

    /// Deletes all objects that `select` picks.
    pub async fn delete_collection(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        params: &DeleteParams,
        select: &ListParams,
    ) -> Result<Value, ClientError> {
        let call = self.call(Method::DELETE, resource, ns, None, None, select.query())?;
        self.line.value(&call.content(&params.body(), JSON)).await
    }

    /// Opens a watch. It ends when the server ends it, or silently when the connection does.
    pub async fn watch(
        &self,
        resource: &Resource,
        ns: Option<&str>,
        params: &WatchParams,
    ) -> Result<WatchStream, ClientError> {
        let path = resource.checked_path(ns, None, None)?;
        let call = Call::new(Method::GET, params.query().on(&path)).about(resource, "");
        let call = Call { watch: true, ..call };
        match Box::pin(self.line.open(&call)).await {
            Ok(answer) if answer.status() == StatusCode::OK => Ok(WatchStream::new(answer.into_body())),
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                let body = read(&call, body).await?;
                Err(match refusal(&call, head.status, &head.headers, &body) {
                    Some(error) => error,
                    None => {
                        call.decode_error(format!("a watch was answered with status code {}", head.status))
                    }
                })
            }
            // As upstream: a connection that ends before the first byte is an empty watch.
            Err(ClientError::Transport(e)) if retry::after_error(&call.method, true, &e).is_some() => {
                Ok(WatchStream::empty())
            }
            Err(e) => Err(e),
        }
    }

    /// Any path with any method; the answer as it is, whatever its code.
    pub async fn raw(
        &self,
        method: Method,
        path_and_query: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let call = Call { timeout: self.timeout, ..Call::new(method, path_and_query.to_owned()) };
        let call = match body {
            Some(value) => call.content(value, JSON),
            None => call,
        };
        let (status, _, body) = self.line.answer(&call).await?;
        Ok((status, body))
    }

    /// Posts `object` to the very URL that this client was made for, as client-go's unversioned client does to
    /// webhooks, and returns the object that is the answer.
    pub async fn post(&self, object: &Value) -> Result<Value, ClientError> {
        self.line.value(&self.post_call().content(object, JSON)).await
    }

    /// As [`Rest::post`], of a JSON document; the answer is not parsed.
    pub async fn post_unread(&self, document: Bytes) -> Result<(), ClientError> {
        self.line.done(&self.post_call().document(document, JSON)).await
    }

    fn post_call(&self) -> Call<'static> {
        let mut url = self.line.http.url();
        if url.split_once("://").is_some_and(|(_, rest)| !rest.contains('/')) {
            url.push('/');
        }
        let mut query = Query::default();
        query.text("timeout", self.timeout.map(api::duration::format).as_deref());
        Call { timeout: self.timeout, ..Call::new(Method::POST, query.on(&url)) }
    }

    /// What a path that is no object's says, in the best of the representations that are understood.
    pub(crate) async fn document(&self, path: &str, accept: &'static str) -> Result<Value, ClientError> {
        let call = Call { accept, timeout: self.timeout, ..Call::new(Method::GET, path.to_owned()) };
        self.line.value(&call).await
    }

    fn call<'a>(
        &self,
        method: Method,
        resource: &'a Resource,
        ns: Option<&str>,
        name: impl Into<Option<&'a str>>,
        sub: Option<&str>,
        mut query: Query,
    ) -> Result<Call<'a>, ClientError> {
        let name = name.into();
        let path = resource.checked_path(ns, name, sub)?;
        query.text("timeout", self.timeout.map(api::duration::format).as_deref());
        let call = Call::new(method, query.on(&path)).about(resource, name.unwrap_or_default());
        Ok(Call { timeout: self.timeout, ..call })
    }
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rest({}, {:?})", self.line.http.url(), self.line.auth)
    }
}
