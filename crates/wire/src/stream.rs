//! Byte streams under HTTP: what was read too early is given back, and how a connection ended is
//! remembered, because HTTP libraries forget it.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{Cause, activity::Activity};

/// TLS or not, below HTTP it is this.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

impl fmt::Display for Ends {
    /// As Go writes a connection in its errors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", self.local, self.remote)
    }
}

/// Implements the writing half by handing everything to `self.io`.
macro_rules! write_through {
    () => {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.io).poll_write(cx, buf)
        }
        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
        }
        fn is_write_vectored(&self) -> bool {
            self.io.is_write_vectored()
        }
        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_flush(cx)
        }
        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_shutdown(cx)
        }
    };
}

/// A stream whose first bytes have been looked at already.
pub(crate) struct Prefixed<I> {
    seen: Bytes,
    io: I,
}

impl<I> Prefixed<I> {
    pub(crate) fn new(seen: Bytes, io: I) -> Self {
        Self { seen, io }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Prefixed<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.seen.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let n = self.seen.len().min(buf.remaining());
        buf.put_slice(&self.seen.split_to(n));
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Prefixed<I> {
    write_through!();
}

/// Remembers the first bytes that the other end sent: a server that does not speak TLS shows there.
pub(crate) struct FirstBytes<I> {
    first: Arc<Mutex<Vec<u8>>>,
    io: I,
}

/// As long as the header of a TLS record.
const FIRST: usize = 5;

impl<I> FirstBytes<I> {
    pub(crate) fn new(io: I) -> (Self, Arc<Mutex<Vec<u8>>>) {
        let first = Arc::<Mutex<Vec<u8>>>::default();
        (Self { first: first.clone(), io }, first)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for FirstBytes<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        let mut first = self.first.lock();
        if first.len() < FIRST {
            let new = buf.filled().iter().skip(before).take(FIRST - first.len()).copied().collect::<Vec<_>>();
            first.extend(new);
        }
        drop(first);
        result
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for FirstBytes<I> {
    write_through!();
}

/// How one of our connections ended, and the means to end it.
pub(crate) struct Fate {
    pub(crate) ends: Ends,
    /// Whose words to use.
    pub(crate) go: pki::GoVersion,
    read: Mutex<Option<Cause>>,
    written: Mutex<Option<Cause>>,
    closed: AtomicBool,
    heard: AtomicBool,
    reader: AtomicWaker,
}

impl Fate {
    pub(crate) fn new(ends: Ends, go: pki::GoVersion) -> Arc<Self> {
        Arc::new(Self {
            ends,
            go,
            read: Mutex::default(),
            written: Mutex::default(),
            closed: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        })
    }

    /// Closes the connection from this side, without ceremony.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.reader.wake();
    }

    /// From now on an answer is expected.
    pub(crate) fn expect_answer(&self) {
        self.heard.store(false, Ordering::Relaxed);
    }

    /// Whether any byte came since [`Fate::expect_answer`].
    pub(crate) fn heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// What ended the connection; the reader knows better than the writer.
    pub(crate) fn cause(&self) -> Option<Cause> {
        let closed = || self.closed.load(Ordering::Acquire).then_some(Cause::Closed { ends: self.ends });
        let read = self.read.lock().clone();
        read.or_else(|| self.written.lock().clone()).or_else(closed)
    }
}

/// A client's end of a connection, reporting to its [`Fate`].
pub(crate) struct Tap {
    io: Box<dyn Io>,
    fate: Arc<Fate>,
}

impl Tap {
    pub(crate) fn new(io: Box<dyn Io>, fate: Arc<Fate>) -> Self {
        Self { io, fate }
    }

    fn wrote<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(e)) = &result {
            self.fate.written.lock().get_or_insert_with(|| Cause::of_write(e, self.fate.ends));
        }
        result
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.fate.reader.register(cx.waker());
        if self.fate.closed.load(Ordering::Acquire) {
            let ends = self.fate.ends;
            self.fate.read.lock().get_or_insert(Cause::Closed { ends });
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.fate.heard.store(true, Ordering::Relaxed);
        }
        let ended = match &result {
            Poll::Ready(Ok(())) if buf.filled().len() == before && buf.remaining() > 0 => Some(Cause::Eof),
            Poll::Ready(Err(e)) => Some(Cause::of_read(e, self.fate.ends, self.fate.go)),
            _ => None,
        };
        if let Some(cause) = ended {
            self.fate.read.lock().get_or_insert(cause);
        }
        result
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(result)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_flush(cx);
        self.wrote(result)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A server's end of a connection: tells its [`Activity`] when bytes arrive.
pub(crate) struct Watched {
    io: Box<dyn Io>,
    activity: Arc<Activity>,
}

impl Watched {
    pub(crate) fn new(io: Box<dyn Io>, activity: Arc<Activity>) -> Self {
        Self { io, activity }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.bytes_arrived();
        }
        result
    }
}

impl AsyncWrite for Watched {
    write_through!();
}
