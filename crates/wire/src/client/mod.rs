//! The client side: one endpoint, one shared HTTP/2 connection, dialled again when it is gone.
//!
//! Read [`HttpClient::send`] first: it is the path of a request.

mod connect;
mod connection;
mod pool;
mod rotation;
mod service;
mod target;
mod words;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, Version, header};
use hyper::body::Body as _;
use world::Host;

use crate::{
    Body, Cause, Error, body,
    runtime::Timer,
    upgrade::{self, Upgraded},
};
pub use connect::Resolve;
use connect::{Connected, Connector, Offer};
use pool::Pool;
pub use rotation::{follow_certificate, note_rotation};
use target::Target;

/// A body up to this size is kept until its request is answered, to be sent again if the server
/// says that it did not look at it.
const MAX_REPLAY: u64 = 4 << 20;
/// Go's transport gives up after this many tries.
const MAX_RETRIES: u32 = 6;

/// A client of one server. Clones share its connections.
///
/// Dropping the future of a request, or the body of its response, closes the request's stream.
#[derive(Clone)]
pub struct HttpClient {
    pool: Arc<Pool>,
    user_agent: Option<HeaderValue>,
}

impl HttpClient {
    /// A client of the server at `url` (`https://host:port`, with a path prefix if need be). It
    /// dials when the first request needs it.
    ///
    /// # Errors
    /// `url` is none, or asks for TLS while `tls` is missing.
    pub fn new(host: &Host, url: &str, tls: Option<pki::ClientTls>) -> Result<Self, Error> {
        Self::offering(host, url, tls, Offer::Any)
    }

    /// As [`HttpClient::new`], but only HTTP/2 will do, also without TLS: gRPC's transport.
    ///
    /// # Errors
    /// As [`HttpClient::new`].
    pub fn http2_only(host: &Host, url: &str, tls: Option<pki::ClientTls>) -> Result<Self, Error> {
        Self::offering(host, url, tls, Offer::Http2)
    }

    /// As [`HttpClient::new`], but only HTTP/1.1 is offered, so that each request in progress has a
    /// connection of its own.
    ///
    /// # Errors
    /// As [`HttpClient::new`].
    pub fn http1_only(host: &Host, url: &str, tls: Option<pki::ClientTls>) -> Result<Self, Error> {
        Self::offering(host, url, tls, Offer::Http1)
    }

    /// The same client without connections, which asks `resolve` at each dial where to; the URL keeps
    /// its place in requests and messages.
    #[must_use]
    pub fn resolving(self, resolve: Arc<Resolve>) -> Self {
        let connector = Connector { resolve: Some(resolve), ..self.pool.connector().clone() };
        Self { pool: Pool::new(connector, self.pool.offer()), user_agent: self.user_agent }
    }

    fn offering(host: &Host, url: &str, tls: Option<pki::ClientTls>, offer: Offer) -> Result<Self, Error> {
        let target = Target::parse(url, tls.is_some())?;
        if target.secure && tls.is_none() {
            let why = "an https:// server needs TLS settings".to_owned();
            return Err(Error::Url { url: url.to_owned(), why });
        }
        let tls = tls.filter(|_| target.secure).map(Arc::new);
        let connector = Connector { host: host.clone(), target, resolve: None, tls, timer: Timer::new(host) };
        Ok(Self { pool: Pool::new(connector, offer), user_agent: None })
    }

    /// Sends `agent` with every request that brings no `User-Agent` of its own.
    #[must_use]
    pub fn user_agent(mut self, agent: &str) -> Self {
        self.user_agent = HeaderValue::from_str(agent).ok();
        self
    }

    /// The server's URL, without a trailing slash.
    pub fn url(&self) -> String {
        self.pool.connector().target.url()
    }

    /// The host that this client runs on.
    pub fn host(&self) -> &Host {
        &self.pool.connector().host
    }

    /// Closes all connections, as a client does whose certificate was replaced. Requests in
    /// progress fail; the next one dials.
    pub fn close_connections(&self) {
        self.pool.close();
    }

    /// Sends one request; its URI is a path, or absolute on this server. Returns when the
    /// response's header is there; the body follows at the reader's pace.
    ///
    /// A request that the server did not look at, and a `GET` on an idle connection that turned out
    /// to be dead, are sent again on a new connection, as Go's transport does.
    ///
    /// # Errors
    /// No response; displayed as Go's client words it.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let (head, request_body) = request.into_parts();
        let uri = self.pool.connector().target.absolute(&head.uri)?;
        let fail = |cause| Error::request(&head.method, &uri, cause);
        let mut replay = Replay::of(request_body).await.map_err(fail)?;
        let mut retries = 0;
        loop {
            let lease = self.pool.lease(retries > 0).await.map_err(fail)?;
            let http2 = lease.is_http2();
            let Some(content) = replay.next() else { return Err(fail(Cause::Gone)) };
            let request = self.compose(&head, &uri, http2, content);
            let mut failed = match self.pool.send(lease, request).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let again = failed.untouched() || (!http2 && failed.stale() && idempotent(&head.method));
            replay.take_back(failed.unsent.take());
            if !again || retries == MAX_RETRIES || !replay.possible() {
                return Err(fail(failed.cause));
            }
            if retries > 0 {
                let entropy = self.host().entropy();
                let backoff = entropy.jitter(Duration::from_secs(1 << (retries - 1)), 0.1);
                self.host().clock().sleep(backoff).await;
            }
            retries += 1;
        }
    }

    /// [`HttpClient::send`] with a deadline for the response's header.
    ///
    /// # Errors
    /// As [`HttpClient::send`], and `context deadline exceeded`.
    pub async fn send_within(
        &self,
        limit: Duration,
        request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        let method = request.method().clone();
        let uri = self.pool.connector().target.absolute(request.uri())?;
        match self.host().clock().timeout(limit, self.send(request)).await {
            Ok(result) => result,
            Err(_) => Err(Error::request(&method, &uri, Cause::DeadlineExceeded)),
        }
    }

    /// Sends a request that asks to upgrade its HTTP/1.1 connection, on a connection of its own.
    /// With the answer `101` comes the stream.
    ///
    /// # Errors
    /// As [`HttpClient::send`].
    pub async fn upgrade(&self, request: Request<Body>) -> Result<(Response<Body>, Option<Upgraded>), Error> {
        let (head, content) = request.into_parts();
        let uri = self.pool.connector().target.absolute(&head.uri)?;
        let fail = |cause| Error::request(&head.method, &uri, cause);
        let mut connection = match self.pool.connector().connect(Offer::Http1).await.map_err(fail)? {
            Connected::Http1(connection) => connection,
            Connected::Http2(_) => {
                return Err(fail(Cause::Malformed("HTTP/2 where HTTP/1.1 was asked for".into())));
            }
        };
        let request = self.compose(&head, &uri, false, content);
        let mut response = connection.send(request).await.map_err(|failed| fail(failed.cause))?;
        if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            return Ok((response, None));
        }
        let upgraded = upgrade::of_response(&mut response).await.ok_or_else(|| fail(Cause::UnexpectedEof))?;
        Ok((response, Some(upgraded)))
    }

    fn compose(&self, head: &http::request::Parts, uri: &Uri, http2: bool, content: Body) -> Request<Body> {
        let mut request = Request::new(content);
        *request.method_mut() = head.method.clone();
        *request.headers_mut() = head.headers.clone();
        if http2 {
            *request.uri_mut() = uri.clone();
            *request.version_mut() = Version::HTTP_2;
        } else {
            *request.uri_mut() = uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
            let authority = self.pool.connector().target.authority.as_str();
            if let Ok(value) = HeaderValue::from_str(authority) {
                request.headers_mut().entry(header::HOST).or_insert(value);
            }
        }
        if let Some(agent) = &self.user_agent {
            request.headers_mut().entry(header::USER_AGENT).or_insert_with(|| agent.clone());
        }
        request
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpClient({})", self.url())
    }
}

/// Methods that Go's transport sends a second time by itself.
fn idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// A request's body, ready to be sent again if it is small and complete.
enum Replay {
    Empty,
    Whole(Bytes),
    Once(Option<Body>),
}

impl Replay {
    async fn of(content: Body) -> Result<Self, Cause> {
        if content.is_end_stream() {
            return Ok(Self::Empty);
        }
        match content.size_hint().exact() {
            Some(n) if n <= MAX_REPLAY => body::collect(content, MAX_REPLAY as usize)
                .await
                .map(Self::Whole)
                .map_err(|e| Cause::RequestBody(e.to_string())),
            _ => Ok(Self::Once(Some(content))),
        }
    }

    fn next(&mut self) -> Option<Body> {
        match self {
            Self::Empty => Some(body::empty()),
            Self::Whole(bytes) => Some(body::full(bytes.clone())),
            Self::Once(content) => content.take(),
        }
    }

    /// A body that cannot be had twice was not used.
    fn take_back(&mut self, unsent: Option<Body>) {
        if let Self::Once(content) = self {
            *content = unsent;
        }
    }

    fn possible(&self) -> bool {
        !matches!(self, Self::Once(None))
    }
}
