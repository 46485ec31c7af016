//! HTTP/1.1 connections that stop being HTTP: the byte stream behind a `101 Switching Protocols`.
//!
//! The server takes the stream with [`of_request`] before it answers `101`; the client gets its end
//! from [`crate::HttpClient::upgrade`].

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use world::{Clock, Mono};

/// One end of a connection after its upgrade.
pub struct Upgraded {
    io: TokioIo<hyper::upgrade::Upgraded>,
    watched: Option<Idle>,
}

/// Since when nothing has passed on a connection.
#[derive(Clone)]
pub struct Idle {
    clock: Clock,
    since: Arc<Mutex<Mono>>,
}

impl Idle {
    /// Waits until nothing has passed for `limit`.
    pub async fn lasts(&self, limit: Duration) {
        loop {
            let due = *self.since.lock() + limit;
            if self.clock.monotonic() >= due {
                return;
            }
            self.clock.sleep_until(due).await;
        }
    }

    fn end(&self) {
        *self.since.lock() = self.clock.monotonic();
    }
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Idle(since {:?})", self.since.lock())
    }
}

impl Upgraded {
    fn new(stream: hyper::upgrade::Upgraded) -> Self {
        Self { io: TokioIo::new(stream), watched: None }
    }

    /// From now on it is known when bytes passed last, in either direction.
    pub fn watch(&mut self, clock: &Clock) -> Idle {
        let idle = Idle { clock: clock.clone(), since: Arc::new(Mutex::new(clock.monotonic())) };
        self.watched = Some(idle.clone());
        idle
    }

    fn passed(&self, bytes: usize) {
        if let Some(idle) = self.watched.as_ref().filter(|_| bytes > 0) {
            idle.end();
        }
    }
}

/// The stream of the connection that `request` came in on, once the handler's answer `101` is out.
/// `None` if the connection cannot be upgraded (HTTP/2), or the answer was another one.
pub fn of_request<B>(request: &mut Request<B>) -> impl Future<Output = Option<Upgraded>> + Send + 'static {
    let pending = hyper::upgrade::on(request);
    async move { pending.await.ok().map(Upgraded::new) }
}

pub(crate) async fn of_response<B>(response: &mut Response<B>) -> Option<Upgraded> {
    let pending = hyper::upgrade::on(response);
    pending.await.ok().map(Upgraded::new)
}

impl std::fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upgraded")
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.passed(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.passed(written);
        Poll::Ready(Ok(written))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
