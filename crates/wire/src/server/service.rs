//! Between hyper and the handler: one request in, one response out.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::Notify;
use world::Clock;

use super::{Handler, Peer};
use crate::{
    Body, BoxError,
    activity::{Activity, InProgress},
    body,
};

/// Serves the requests of one connection.
pub(super) struct Service {
    pub handler: Arc<dyn Handler>,
    pub peer: Arc<Peer>,
    pub clock: Clock,
    pub activity: Arc<Activity>,
    /// Told when a handler wants this connection to end.
    pub leave: Arc<Notify>,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Sent>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Sent>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_progress = self.activity.begin();
        let (clock, leave) = (self.clock.clone(), self.leave.clone());
        let (http2, head) = (request.version() == Version::HTTP_2, request.method() == Method::HEAD);
        let answer = self.handler.call(self.peer.clone(), request.map(body::boxed));
        Box::pin(async move {
            let mut response = answer.await;
            response.headers_mut().entry(header::DATE).or_insert_with(|| date(&clock));
            // HTTP/2 has no such header: there it means GOAWAY.
            if http2 && says_close(response.headers()) {
                leave.notify_one();
            }
            if head {
                response = without_body(response);
            }
            Ok(response.map(|content| Sent { content, _in_progress: in_progress }))
        })
    }
}

/// The answer to HEAD: what GET would say of its body, and no body. hyper cuts it off in HTTP/1 only.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    response.map(|_| body::empty())
}

fn says_close(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|v| v.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// The host's wall clock as HTTP writes it.
fn date(clock: &Clock) -> HeaderValue {
    let text = clock.wall().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A response's body; the request is in progress until it is dropped.
pub(super) struct Sent {
    content: Body,
    _in_progress: InProgress,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.content).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
