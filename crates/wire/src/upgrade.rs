//! HTTP/1.1 connections that stop being HTTP: the byte stream behind a `101 Switching Protocols`.
//!
//! The server takes the stream with [`of_request`] before it answers `101`; the client gets its end
//! from [`crate::HttpClient::upgrade`].

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One end of a connection after its upgrade.
pub struct Upgraded(TokioIo<hyper::upgrade::Upgraded>);

/// The stream of the connection that `request` came in on, once the handler's answer `101` is out.
/// `None` if the connection cannot be upgraded (HTTP/2), or the answer was another one.
pub fn of_request<B>(request: &mut Request<B>) -> impl Future<Output = Option<Upgraded>> + Send + 'static {
    let pending = hyper::upgrade::on(request);
    async move { pending.await.ok().map(|stream| Upgraded(TokioIo::new(stream))) }
}

pub(crate) async fn of_response<B>(response: &mut Response<B>) -> Option<Upgraded> {
    let pending = hyper::upgrade::on(response);
    pending.await.ok().map(|stream| Upgraded(TokioIo::new(stream)))
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
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
