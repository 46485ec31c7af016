//! One TCP connection: bytes from task to task, or, once its network had a fault, by way of a [`Troubled`] path.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    time::{Instant, Sleep},
};

use super::{
    link::Link,
    troubled::{Read, Troubled},
};

/// Bytes in flight in one direction before a writer waits, as a socket's buffer.
const WINDOW: usize = 256 * 1024;

/// See the module. Its ends are numbered: 0 dialled, 1 was dialled.
pub(super) struct Connection {
    /// The hosts of its ends.
    pub(super) hosts: [String; 2],
    port: u16,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    reset: bool,
    /// Ends that send no more, and those of which nothing is left.
    finished: [bool; 2],
    gone: [bool; 2],
    troubled: Option<Box<Troubled>>,
    wakers: Vec<Waker>,
}

#[allow(clippy::disallowed_methods, reason = "bytes travel in the simulated world's true time")]
fn true_now() -> Instant {
    Instant::now()
}

impl Connection {
    /// Whether it was dialled from that host to that port of the other.
    pub(super) fn is(&self, from: &str, to: &str, port: u16) -> bool {
        self.hosts[0] == from && self.hosts[1] == to && self.port == port
    }

    /// Whether its ends are on those hosts, whoever dialled.
    pub(super) fn is_between(&self, a: &str, b: &str) -> bool {
        let [from, to] = &self.hosts;
        (from == a && to == b) || (from == b && to == a)
    }

    pub(super) fn new(from: &str, to: String, port: u16) -> Arc<Self> {
        Arc::new(Self { hosts: [from.to_owned(), to], port, state: Mutex::default() })
    }

    /// Its two streams.
    pub(super) fn streams(self: &Arc<Self>) -> [SimStream; 2] {
        let (near, far) = tokio::io::duplex(WINDOW);
        let stream = |end, inner| SimStream { inner, end, connection: self.clone(), timers: [None, None] };
        [stream(0, near), stream(1, far)]
    }

    pub(super) fn reset(&self) {
        self.change(|state| state.reset = true);
    }

    /// From now on what is written takes the way over `links`; `change` says what happens there. A connection never
    /// leaves that way again, so that its bytes stay in order.
    pub(super) fn trouble(&self, links: &[Arc<Link>; 2], change: impl FnOnce(&mut Troubled)) {
        self.change(|state| {
            let (finished, gone) = (state.finished, state.gone);
            let begin = || Box::new(Troubled::new(links.clone(), finished, gone));
            let troubled = state.troubled.get_or_insert_with(begin);
            change(troubled);
            troubled.replan(true_now());
        });
    }

    fn change(&self, f: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.state.lock();
            f(&mut state);
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Lets the task know when something changes; an error after a reset.
    fn enter(&mut self, cx: &Context<'_>) -> io::Result<()> {
        if self.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if !self.wakers.iter().any(|w| w.will_wake(cx.waker())) {
            // At most one waker per task and direction: read and write side of both ends.
            if self.wakers.len() >= 8 {
                self.wakers.remove(0);
            }
            self.wakers.push(cx.waker().clone());
        }
        Ok(())
    }
}

/// What a task waits for: arrival of bytes, or room for more. Each has its own timer.
const READING: usize = 0;
const WRITING: usize = 1;

pub(super) struct SimStream {
    inner: DuplexStream,
    end: usize,
    connection: Arc<Connection>,
    timers: [Option<Pin<Box<Sleep>>>; 2],
}

/// Pending until `at`; for good without one.
#[allow(clippy::disallowed_methods, reason = "bytes travel in the simulated world's true time")]
fn wait(timer: &mut Option<Pin<Box<Sleep>>>, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(at) = at else {
        *timer = None;
        return Poll::Pending;
    };
    let sleep = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
    if sleep.deadline() != at {
        sleep.as_mut().reset(at);
    }
    sleep.as_mut().poll(cx)
}

/// In the system's words.
fn failed(kind: io::ErrorKind) -> io::Error {
    match kind {
        io::ErrorKind::TimedOut => io::Error::new(kind, "connection timed out"),
        _ => kind.into(),
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut state = this.connection.state.lock();
            if let Err(e) = state.enter(cx) {
                return Poll::Ready(Err(e));
            }
            let Some(troubled) = &mut state.troubled else {
                drop(state);
                return Pin::new(&mut this.inner).poll_read(cx, buf);
            };
            if let Some(kind) = troubled.failure(this.end, true_now()) {
                return Poll::Ready(Err(failed(kind)));
            }
            // What was written before the first fault has arrived.
            let before = buf.filled().len();
            let early = Pin::new(&mut this.inner).poll_read(cx, buf);
            let over = match early {
                Poll::Ready(Ok(())) if buf.filled().len() == before && buf.remaining() > 0 => true,
                Poll::Ready(done) => return Poll::Ready(done),
                Poll::Pending => false,
            };
            let at = match troubled.read(this.end, true_now(), buf, over) {
                Read::End => return Poll::Ready(Ok(())),
                Read::Some => {
                    drop(state);
                    // The writer may have waited for room.
                    this.connection.change(|_| {});
                    return Poll::Ready(Ok(()));
                }
                Read::Nothing { until } => until,
            };
            drop(state);
            if wait(&mut this.timers[READING], at, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl SimStream {
    /// `calm` writes where there never was a fault.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
        calm: impl FnOnce(Pin<&mut DuplexStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut state = self.connection.state.lock();
            if let Err(e) = state.enter(cx) {
                return Poll::Ready(Err(e));
            }
            let Some(troubled) = &mut state.troubled else {
                drop(state);
                return calm(Pin::new(&mut self.inner), cx);
            };
            let now = true_now();
            if let Some(kind) = troubled.failure(self.end, now) {
                return Poll::Ready(Err(failed(kind)));
            }
            if troubled.is_full(self.end) {
                let at = troubled.deadline(self.end);
                drop(state);
                match wait(&mut self.timers[WRITING], at, cx) {
                    Poll::Ready(()) => continue,
                    Poll::Pending => return Poll::Pending,
                }
            }
            let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            let written = bytes.len();
            if written > 0 && !troubled.send(self.end, bytes, now) {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            drop(state);
            self.connection.change(|_| {});
            return Poll::Ready(Ok(written));
        }
    }

    /// Sends no more; `gone`: nor does it read.
    fn finish(&self, gone: bool) {
        let mut state = self.connection.state.lock();
        state.finished[self.end] = true;
        state.gone[self.end] |= gone;
        let Some(troubled) = &mut state.troubled else { return };
        troubled.finish(self.end, gone, true_now());
        drop(state);
        self.connection.change(|_| {});
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write(cx, &[io::IoSlice::new(buf)], |inner, cx| inner.poll_write(cx, buf))
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write(cx, bufs, |inner, cx| inner.poll_write_vectored(cx, bufs))
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.connection.state.lock().reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        this.finish(false);
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.finish(true);
    }
}
