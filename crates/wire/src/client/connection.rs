//! One connection of a client, and one request on it.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::TokioIo;
use world::{Host, Mono};

use super::words::{self, Protocol};
use crate::{
    Body, BoxError, Cause,
    activity::{Activity, InProgress},
    body,
    gather::Driver,
    stream::{Fate, Tap},
};

/// A request that got no response on a connection.
pub(super) struct Failed {
    pub cause: Cause,
    /// It never left this side: here is its body again.
    pub unsent: Option<Body>,
    /// The server says that it has not looked at it.
    refused: bool,
    /// The connection is known to have ended, and so are its last words.
    ended: bool,
    /// An answer had begun.
    heard: bool,
    reused: bool,
}

impl Failed {
    fn new(mut e: TrySendError<Request<Body>>, fate: &Fate, protocol: Protocol) -> Self {
        let unsent = e.take_message().map(Request::into_body);
        let error = e.into_error();
        Self {
            cause: words::of_hyper(&error, fate, protocol),
            unsent,
            refused: words::unprocessed(&error),
            ended: fate.cause().is_some(),
            heard: fate.heard(),
            reused: false,
        }
    }

    pub(super) fn on(self, reused: bool) -> Self {
        Self { reused, ..self }
    }

    /// Whether any request may be sent again: the server cannot have acted on it. On a new
    /// connection that ended at once, its end is the answer.
    pub(super) fn untouched(&self) -> bool {
        self.refused || (self.unsent.is_some() && (self.reused || !self.ended))
    }

    /// Whether the connection had been idle, and its end may have crossed the request's way.
    pub(super) fn stale(&self) -> bool {
        self.reused && self.ended && !self.heard
    }
}

/// An HTTP/2 connection, shared by many requests. It is closed when the last sender is dropped.
pub(super) struct Http2 {
    sender: http2::SendRequest<Body>,
    link: Arc<Link>,
}

/// What the connection's own task shares with its users.
struct Link {
    fate: Arc<Fate>,
    activity: Arc<Activity>,
    /// How many streams the server lets us open.
    room: AtomicUsize,
}

impl Http2 {
    /// Runs `connection` until it ends, or has been idle for `idle`.
    pub(super) fn run(
        host: &Host,
        sender: http2::SendRequest<Body>,
        mut connection: http2::Connection<TokioIo<Tap>, Body, Driver>,
        fate: Arc<Fate>,
        idle: Duration,
    ) -> Self {
        let began = host.clock().monotonic();
        let activity = Activity::new(host.clock().clone(), false);
        // Until the server's settings arrive: what hyper and Go assume.
        let link = Arc::new(Link { fate, activity, room: AtomicUsize::new(100) });
        let this = link.clone();
        host.spawn(async move {
            let running = poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                this.room.store(connection.current_max_send_streams(), Ordering::Relaxed);
                polled
            });
            tokio::select! {
                biased;
                ended = running => {
                    if let Err(e) = ended {
                        tracing::debug!("HTTP/2 connection ended: {e}");
                    }
                }
                _ = this.activity.quiet(began, idle, None) => this.fate.close(),
            }
        });
        Self { sender, link }
    }

    pub(super) fn usable(&self) -> bool {
        !self.sender.is_closed() && self.link.fate.cause().is_none()
    }

    /// A place for one more request, if the server has room for it.
    pub(super) fn begin(&self) -> Option<InProgress> {
        // A server that allows none makes us wait, not dial for ever.
        self.link.activity.begin_below(self.link.room.load(Ordering::Relaxed).max(1))
    }

    pub(super) fn fate(&self) -> &Arc<Fate> {
        &self.link.fate
    }

    pub(super) async fn send(
        &self,
        place: InProgress,
        request: Request<Body>,
    ) -> Result<Response<Body>, Failed> {
        let fate = &self.link.fate;
        match self.sender.clone().try_send_request(request).await {
            Ok(response) => Ok(receive(response, fate.clone(), Protocol::Http2, Some(place))),
            Err(e) => Err(Failed::new(e, fate, Protocol::Http2)),
        }
    }
}

/// An HTTP/1.1 connection: one request at a time.
pub(super) struct Http1 {
    pub sender: http1::SendRequest<Body>,
    pub fate: Arc<Fate>,
    pub idle_since: Mono,
}

impl Http1 {
    pub(super) fn usable(&self) -> bool {
        self.sender.is_ready() && self.fate.cause().is_none()
    }

    pub(super) async fn send(&mut self, request: Request<Body>) -> Result<Response<Body>, Failed> {
        self.fate.expect_answer();
        match self.sender.try_send_request(request).await {
            Ok(response) => Ok(receive(response, self.fate.clone(), Protocol::Http1, None)),
            Err(e) => Err(Failed::new(e, &self.fate, Protocol::Http1)),
        }
    }

    /// Waits until the response has been read to its end; `false` if the connection is of no more use.
    pub(super) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}

fn receive(
    response: Response<Incoming>,
    fate: Arc<Fate>,
    protocol: Protocol,
    place: Option<InProgress>,
) -> Response<Body> {
    response.map(|incoming| {
        // Keeps the place taken until the last byte.
        body::boxed(Received { incoming, fate, protocol, _place: place })
    })
}

/// A response's body whose errors speak as [`Cause`]. Dropping it half-way closes the stream.
struct Received {
    incoming: Incoming,
    fate: Arc<Fate>,
    protocol: Protocol,
    _place: Option<InProgress>,
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        polled.map(|frame| {
            frame.map(|result| {
                result.map_err(|e| match words::of_hyper(&e, &self.fate, self.protocol) {
                    // An answer had begun.
                    Cause::Eof => Cause::UnexpectedEof.into(),
                    cause => cause.into(),
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
