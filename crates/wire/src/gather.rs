//! One write for everything that an HTTP/2 connection has to say when it is looked at.
//!
//! h2 flushes after every frame with a body. Under TLS each flush is a record, a system call and a
//! packet, and a thousand watches that hear of one change are a thousand of them. So its writes and
//! flushes only gather here, and whoever drives the connection sends them when it has nothing more to
//! say: a server's is a [`Sending`], a client's is a task that hyper gives to a [`Driver`].

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use hyper::rt;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use world::Host;

use crate::{runtime::Executor, stream::Io};

/// What gathers at most; more is sent at once, or waits for the other end.
const ROOM: usize = 64 << 10;

/// The stream as HTTP/2 sees it.
pub(crate) struct Gather(Arc<Mutex<Gathered>>);

struct Gathered {
    io: Box<dyn Io>,
    out: BytesMut,
    /// Something was written, and may still lie in what encrypts it.
    unflushed: bool,
    /// What went wrong while nobody was writing: the next one who does hears of it.
    failed: Option<io::Error>,
}

/// A connection, and what it has written and not yet sent.
pub(crate) struct Sending<C> {
    connection: Pin<Box<C>>,
    sender: Sender,
}

impl Gather {
    pub(crate) fn new(io: Box<dyn Io>) -> Self {
        Self(Arc::new(Mutex::new(Gathered { io, out: BytesMut::new(), unflushed: false, failed: None })))
    }

    /// Sends what gathers here.
    pub(crate) fn sender(&self) -> Sender {
        Sender(self.0.clone())
    }
}

/// Sends what has gathered.
pub(crate) struct Sender(Arc<Mutex<Gathered>>);

impl Sender {
    pub(crate) fn drive<C>(self, connection: C) -> Sending<C> {
        Sending { connection: Box::pin(connection), sender: self }
    }

    fn send(&self, cx: &mut Context<'_>) {
        let mut gathered = self.0.lock();
        if let Poll::Ready(Err(e)) = gathered.poll_send(cx) {
            gathered.failed = Some(e);
            // The connection learns of it at its next look.
            cx.waker().wake_by_ref();
        }
    }
}

/// Spawns the tasks of a client's connection. The first is the one that reads and writes it; if others sent
/// too, it would not be woken when there is room again.
#[derive(Clone)]
pub(crate) struct Driver {
    executor: Executor,
    sender: Arc<Mutex<Option<Sender>>>,
}

impl Driver {
    pub(crate) fn new(host: &Host, sender: Sender) -> Self {
        Self { executor: Executor(host.clone()), sender: Arc::new(Mutex::new(Some(sender))) }
    }
}

impl<F> rt::Executor<F> for Driver
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        match self.sender.lock().take() {
            Some(sender) => self.executor.execute(sender.drive(task)),
            None => self.executor.execute(task),
        }
    }
}

impl<C> Sending<C> {
    pub(crate) fn connection(&mut self) -> Pin<&mut C> {
        self.connection.as_mut()
    }
}

impl<C: Future> Future for Sending<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let polled = self.connection.as_mut().poll(cx);
        self.sender.send(cx);
        polled
    }
}

impl Gathered {
    /// Writes what has gathered.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            self.unflushed = true;
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.out))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.out.advance(n),
            }
        }
        // An idle connection keeps no buffer.
        self.out = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.failed.is_some() || (self.out.is_empty() && !self.unflushed) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_drain(cx))?;
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Waits until something can be taken; how much.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(e) = self.failed.take() {
            return Poll::Ready(Err(e));
        }
        if self.out.len() >= ROOM
            && let Poll::Ready(Err(e)) = self.poll_drain(cx)
        {
            return Poll::Ready(Err(e));
        }
        match ROOM.saturating_sub(self.out.len()) {
            0 => Poll::Pending,
            room => Poll::Ready(Ok(room)),
        }
    }
}

impl AsyncRead for Gather {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gather {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut gathered = self.0.lock();
        let room = ready!(gathered.poll_room(cx))?;
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        if gathered.out.is_empty() && total >= ROOM {
            // Nothing is won by copying it.
            gathered.unflushed = true;
            return Pin::new(&mut gathered.io).poll_write_vectored(cx, bufs);
        }
        let mut taken = 0;
        for buf in bufs {
            let part = buf.get(..buf.len().min(room - taken)).unwrap_or_default();
            gathered.out.extend_from_slice(part);
            taken += part.len();
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Only notes failures: [`Sending`] flushes.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.lock().failed.take() {
            Some(e) => Poll::Ready(Err(e)),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.0.lock();
        ready!(gathered.poll_send(cx))?;
        Pin::new(&mut gathered.io).poll_shutdown(cx)
    }
}
