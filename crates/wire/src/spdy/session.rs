//! One connection with its streams.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::{Notify, mpsc, oneshot},
};
use world::Host;

use super::{
    Broken,
    frame::{self, Frame, Reason},
    headers::{Decoder, Encoder},
};

/// Frames that wait to be written, and chunks that wait to be read on one stream.
const QUEUE: usize = 16;
/// Data is handed on in pieces of this size, however large a frame is.
const CHUNK: usize = 32 << 10;
/// How long the end of a connection waits for the other end to take what was written, and to hang up.
const LINGER: Duration = Duration::from_secs(10);

/// Which end of the connection this is; clients have odd streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Asked for the upgrade.
    Client,
    /// Granted it.
    Server,
}

/// The connection, or the stream, has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is closed")]
pub struct Closed;

/// A connection. Dropping it ends it at once; [`Session::close`] ends it in order.
pub struct Session {
    shared: Arc<Shared>,
    incoming: mpsc::Receiver<Stream>,
}

/// One stream: what its opener said about it, and both directions.
#[derive(Debug)]
pub struct Stream {
    /// The headers that it was opened with.
    pub headers: HeaderMap,
    /// What the other end sends.
    pub reader: Reader,
    /// What this end sends.
    pub writer: Writer,
}

/// The receiving direction of a stream.
#[derive(Debug)]
pub struct Reader(mpsc::Receiver<Bytes>);

/// The sending direction of a stream.
pub struct Writer {
    id: u32,
    shared: Arc<Shared>,
}

struct Shared {
    side: Side,
    most_streams: usize,
    orders: mpsc::Sender<Order>,
    table: Mutex<Table>,
    over: Notify,
}

#[derive(Default)]
struct Table {
    over: bool,
    open: BTreeMap<u32, Entry>,
}

struct Entry {
    /// `None` when the other end has said that it is done.
    data: Option<mpsc::Sender<Bytes>>,
    /// Who waits for the reply, with what it gets.
    waiting: Option<(oneshot::Sender<Stream>, Stream)>,
    /// This end is done.
    finished: bool,
}

enum Order {
    Open { headers: HeaderMap, opened: oneshot::Sender<Stream> },
    Reply(u32),
    Data { stream: u32, bytes: Bytes, fin: bool },
    Reset { stream: u32, reason: Reason },
    Ping(u32),
    Close { last: u32 },
}

impl Session {
    /// Speaks SPDY over `io`, in tasks of `host`. The other end may have `most_streams` open; it is
    /// refused more.
    pub fn new<I>(host: &Host, io: I, side: Side, most_streams: usize) -> Self
    where
        I: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (orders, todo) = mpsc::channel(QUEUE);
        let (found, incoming) = mpsc::channel(QUEUE);
        let (table, over) = (Mutex::default(), Notify::new());
        let shared = Arc::new(Shared { side, most_streams, orders, table, over });
        let (reading, writing) = tokio::io::split(io);
        host.spawn(read(host.clone(), shared.clone(), reading, found));
        host.spawn(write(host.clone(), shared.clone(), writing, todo));
        Self { shared, incoming }
    }

    /// The next stream that the other end opens; `None` when the connection has ended.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.incoming.recv().await
    }

    /// Opens a stream and waits until the other end has taken it.
    ///
    /// # Errors
    /// It refused, or the connection has ended.
    pub async fn open(&self, headers: HeaderMap) -> Result<Stream, Closed> {
        let (opened, stream) = oneshot::channel();
        self.shared.order(Order::Open { headers, opened }).await?;
        stream.await.map_err(|_| Closed)
    }

    /// Waits until the connection has ended.
    pub async fn ended(&self) {
        self.shared.ended().await;
    }

    /// Writes what is queued, says that this is all, and hangs up.
    pub async fn close(self) {
        let last = self.shared.table.lock().open.keys().next_back().copied().unwrap_or(0);
        if self.shared.order(Order::Close { last }).await.is_ok() {
            self.shared.ended().await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({:?})", self.shared.side)
    }
}

impl Stream {
    fn new(id: u32, headers: HeaderMap, shared: &Arc<Shared>) -> (Self, Entry) {
        let (data, queue) = mpsc::channel(QUEUE);
        let stream = Self { headers, reader: Reader(queue), writer: Writer { id, shared: shared.clone() } };
        (stream, Entry { data: Some(data), waiting: None, finished: false })
    }
}

impl Reader {
    /// The next bytes; `None` when there will be no more.
    pub async fn read(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

impl Writer {
    /// Sends bytes, as soon as the connection has room for them.
    ///
    /// # Errors
    /// The other end has reset the stream, or the connection has ended.
    pub async fn write(&self, bytes: Bytes) -> Result<(), Closed> {
        self.send(bytes, false).await
    }

    /// Says that this direction is done.
    pub async fn finish(&self) {
        // Whoever has gone need not be told.
        let _ = self.send(Bytes::new(), true).await;
        self.shared.table.lock().settle(self.id, |entry| entry.finished = true);
    }

    /// Gives the stream up, both directions.
    pub async fn reset(&self) {
        if self.shared.table.lock().open.remove(&self.id).is_some() {
            let _ = self.shared.order(Order::Reset { stream: self.id, reason: Reason::Cancel }).await;
        }
    }

    async fn send(&self, bytes: Bytes, fin: bool) -> Result<(), Closed> {
        if self.shared.table.lock().open.get(&self.id).is_none_or(|entry| entry.finished) {
            return Err(Closed);
        }
        self.shared.order(Order::Data { stream: self.id, bytes, fin }).await
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({})", self.id)
    }
}

impl Table {
    /// Changes an entry, and forgets it when both directions are done.
    fn settle(&mut self, id: u32, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.open.get_mut(&id) {
            change(entry);
            if entry.finished && entry.data.is_none() {
                self.open.remove(&id);
            }
        }
    }
}

impl Shared {
    async fn order(&self, order: Order) -> Result<(), Closed> {
        tokio::select! {
            biased;
            () = self.ended() => Err(Closed),
            sent = self.orders.send(order) => sent.map_err(|_| Closed),
        }
    }

    async fn ended(&self) {
        loop {
            let told = self.over.notified();
            if self.table.lock().over {
                return;
            }
            told.await;
        }
    }

    /// Everybody who waits for anything of this connection hears of its end.
    fn end(&self) {
        let open = {
            let mut table = self.table.lock();
            table.over = true;
            std::mem::take(&mut table.open)
        };
        drop(open);
        self.over.notify_waiters();
    }

    fn is_theirs(&self, id: u32) -> bool {
        id != 0 && (id % 2 == 1) == (self.side == Side::Server)
    }
}

async fn read<I>(host: Host, shared: Arc<Shared>, mut io: ReadHalf<I>, found: mpsc::Sender<Stream>)
where
    I: AsyncRead + AsyncWrite,
{
    let reading = async {
        let mut input = Input { decoder: Decoder::new(), last: 0, found };
        loop {
            match input.turn(&shared, &mut io).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(why) => {
                    tracing::debug!("spdy: {why}");
                    return;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shared.ended() => {}
        () = reading => {}
    }
    shared.end();
    // A connection that is closed with something unread takes with it what was written last.
    let rest = async { while io.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {} };
    let _ = host.clock().timeout(LINGER, rest).await;
}

struct Input {
    decoder: Decoder,
    /// The last stream that the other end has opened.
    last: u32,
    found: mpsc::Sender<Stream>,
}

impl Input {
    /// Takes one frame; `false` at the end of the connection.
    async fn turn(
        &mut self,
        shared: &Arc<Shared>,
        io: &mut (impl AsyncRead + Unpin),
    ) -> Result<bool, Broken> {
        match frame::read(io, &mut self.decoder).await? {
            None => return Ok(false),
            Some(Frame::Open { stream, headers, fin }) => self.opened(shared, stream, headers, fin).await?,
            Some(Frame::Reply { stream, fin }) => {
                let mut table = shared.table.lock();
                let waiting = table.open.get_mut(&stream).and_then(|entry| entry.waiting.take());
                if fin {
                    table.settle(stream, |entry| entry.data = None);
                }
                drop(table);
                if let Some((opened, stream)) = waiting {
                    let _ = opened.send(stream);
                }
            }
            Some(Frame::Reset { stream, .. }) => drop(shared.table.lock().open.remove(&stream)),
            Some(Frame::Ping(number)) => {
                if shared.is_theirs(number) {
                    // Who sends pings faster than it takes the answers gets fewer of them.
                    let _ = shared.orders.try_send(Order::Ping(number));
                }
            }
            Some(Frame::Data { stream, length, fin }) => self.data(shared, io, stream, length, fin).await?,
            Some(Frame::GoAway | Frame::Other) => {}
        }
        Ok(true)
    }

    async fn opened(
        &mut self,
        shared: &Arc<Shared>,
        id: u32,
        headers: HeaderMap,
        fin: bool,
    ) -> Result<(), Broken> {
        if !shared.is_theirs(id) || id <= self.last {
            return Err(Broken::new(format!("stream {id} opened after stream {}", self.last)));
        }
        self.last = id;
        let (stream, mut entry) = Stream::new(id, headers, shared);
        if fin {
            entry.data = None;
        }
        let refused = {
            let mut table = shared.table.lock();
            let theirs = table.open.keys().filter(|id| shared.is_theirs(**id)).count();
            let refused = theirs >= shared.most_streams;
            if !refused {
                table.open.insert(id, entry);
            }
            refused
        };
        let closed = |_| Broken::new("the connection is closed");
        if refused {
            let reason = Reason::RefusedStream;
            return shared.order(Order::Reset { stream: id, reason }).await.map_err(closed);
        }
        shared.order(Order::Reply(id)).await.map_err(closed)?;
        self.found.send(stream).await.map_err(|_| Broken::new("nobody takes streams"))
    }

    async fn data(
        &mut self,
        shared: &Shared,
        io: &mut (impl AsyncRead + Unpin),
        id: u32,
        length: usize,
        fin: bool,
    ) -> Result<(), Broken> {
        let data = shared.table.lock().open.get(&id).and_then(|entry| entry.data.clone());
        let known = data.is_some();
        let mut left = length;
        while left > 0 {
            let mut chunk = vec![0; left.min(CHUNK)];
            let n = io.read(&mut chunk).await.map_err(|e| Broken::new(e.to_string()))?;
            if n == 0 {
                return Err(Broken::new("early eof"));
            }
            chunk.truncate(n);
            left -= n;
            if let Some(data) = &data {
                // Whoever does not read any more does not want it.
                let _ = data.send(chunk.into()).await;
            }
        }
        if fin {
            shared.table.lock().settle(id, |entry| entry.data = None);
        } else if !known && (id > self.last || !shared.is_theirs(id)) {
            let reason = Reason::ProtocolError;
            let _ = shared.order(Order::Reset { stream: id, reason }).await;
        }
        Ok(())
    }
}

async fn write<I>(host: Host, shared: Arc<Shared>, mut io: WriteHalf<I>, mut todo: mpsc::Receiver<Order>)
where
    I: AsyncRead + AsyncWrite,
{
    let writing = async {
        let mut encoder = Encoder::new()?;
        let mut next = if shared.side == Side::Client { 1 } else { 2 };
        loop {
            let order = match todo.try_recv() {
                Ok(order) => order,
                Err(_) => {
                    io.flush().await.map_err(|e| Broken::new(e.to_string()))?;
                    match todo.recv().await {
                        Some(order) => order,
                        None => return Ok(()),
                    }
                }
            };
            let (head, content, last) = match order {
                Order::Open { headers, opened } => {
                    let (stream, mut entry) = Stream::new(next, headers.clone(), &shared);
                    entry.waiting = Some((opened, stream));
                    shared.table.lock().open.insert(next, entry);
                    let head = frame::open(next, &headers, &mut encoder)?;
                    next += 2;
                    (head, Bytes::new(), false)
                }
                Order::Reply(id) => (frame::reply(id, &mut encoder)?, Bytes::new(), false),
                Order::Data { stream, bytes, fin } => (frame::data(stream, bytes.len(), fin), bytes, false),
                Order::Reset { stream, reason } => (frame::reset(stream, reason), Bytes::new(), false),
                Order::Ping(number) => (frame::ping(number), Bytes::new(), false),
                Order::Close { last } => (frame::go_away(last), Bytes::new(), true),
            };
            io.write_all(&head).await.map_err(|e| Broken::new(e.to_string()))?;
            io.write_all(&content).await.map_err(|e| Broken::new(e.to_string()))?;
            if last {
                return Ok::<_, Broken>(());
            }
        }
    };
    tokio::select! {
        biased;
        written = writing => {
            if let Err(why) = written {
                tracing::debug!("spdy: {why}");
            }
        }
        () = shared.ended() => {}
    }
    let bye = async {
        let _ = io.flush().await;
        let _ = io.shutdown().await;
    };
    let _ = host.clock().timeout(LINGER, bye).await;
    shared.end();
}
