//! The connections of one client: normally one, HTTP/2, shared by everything.

use std::sync::{Arc, Weak};

use http::{Request, Response};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    connect::{Connected, Connector, IDLE, Offer},
    connection::{Failed, Http1, Http2},
};
use crate::{Body, Cause, activity::InProgress, stream::Fate};

/// Idle HTTP/1.1 connections kept (client-go's transport).
const MAX_IDLE: usize = 25;

pub(super) struct Pool {
    connector: Connector,
    offer: Offer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shared: Vec<Arc<Http2>>,
    idle: Vec<Http1>,
    /// Of every connection that is still open, in use or not.
    open: Vec<Weak<Fate>>,
    /// The server speaks HTTP/1.1: every request dials for itself.
    http1: bool,
    dialling: bool,
    /// Requests that wait for the dial in progress, in order.
    waiting: Vec<oneshot::Sender<Dialled>>,
}

/// The outcome of a dial for all who wait: the connection to share, or `None` if everyone dials for
/// himself on HTTP/1.1.
type Dialled = Result<Option<Arc<Http2>>, Cause>;

/// A connection for one request.
pub(super) struct Lease {
    connection: Connection,
    /// It was there before: what happens to it may be its age's fault.
    reused: bool,
}

enum Connection {
    Shared(Arc<Http2>, InProgress),
    Own(Http1),
}

impl Lease {
    fn shared(connection: Arc<Http2>, place: InProgress, reused: bool) -> Self {
        Self { connection: Connection::Shared(connection, place), reused }
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.connection, Connection::Shared(..))
    }
}

enum Next {
    Use(Lease),
    Dial,
    Wait(oneshot::Receiver<Dialled>),
}

impl Pool {
    pub(super) fn new(connector: Connector, offer: Offer) -> Arc<Self> {
        let http1 = connector.tls.is_none() && offer != Offer::Http2;
        Arc::new(Self { connector, offer, state: Mutex::new(State { http1, ..State::default() }) })
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(super) fn offer(&self) -> Offer {
        self.offer
    }

    /// Closes every connection; requests in progress fail.
    pub(super) fn close(&self) {
        let open = {
            let mut state = self.state.lock();
            state.shared.clear();
            state.idle.clear();
            std::mem::take(&mut state.open)
        };
        open.iter().filter_map(Weak::upgrade).for_each(|fate| fate.close());
    }

    async fn connect(&self) -> Result<Connected, Cause> {
        let connected = self.connector.connect(self.offer).await?;
        let mut state = self.state.lock();
        state.open.retain(|fate| fate.strong_count() > 0);
        state.open.push(Arc::downgrade(connected.fate()));
        if let Connected::Http2(connection) = &connected {
            state.shared.push(connection.clone());
        }
        state.http1 = matches!(connected, Connected::Http1(_));
        Ok(connected)
    }

    /// A connection with room for one request; `fresh` refuses idle HTTP/1.1 ones.
    pub(super) async fn lease(self: &Arc<Self>, fresh: bool) -> Result<Lease, Cause> {
        // Every round gives some of those who wait a place.
        loop {
            match self.next(fresh) {
                Next::Use(lease) => return Ok(lease),
                Next::Wait(dialled) => {
                    let connection = dialled.await.unwrap_or(Err(Cause::Gone))?;
                    // Even if it has died meanwhile: its last words are the request's answer.
                    if let Some((connection, place)) = connection.and_then(|c| Some((c.clone(), c.begin()?)))
                    {
                        return Ok(Lease::shared(connection, place, false));
                    }
                }
                Next::Dial => match self.connect().await? {
                    Connected::Http1(connection) => {
                        return Ok(Lease { connection: Connection::Own(connection), reused: false });
                    }
                    Connected::Http2(connection) => {
                        if let Some(place) = connection.begin() {
                            return Ok(Lease::shared(connection, place, false));
                        }
                    }
                },
            }
        }
    }

    fn next(self: &Arc<Self>, fresh: bool) -> Next {
        let now = self.connector.host.clock().monotonic();
        let idle = self.connector.host.periods().of(IDLE);
        let mut state = self.state.lock();
        state.shared.retain(|c| c.usable());
        let shared = state.shared.iter().find_map(|c| Some((c.clone(), c.begin()?)));
        if let Some((connection, place)) = shared {
            return Next::Use(Lease::shared(connection, place, true));
        }
        state.idle.retain(|c| c.usable() && now.since(c.idle_since) < idle);
        if !fresh && let Some(connection) = state.idle.pop() {
            return Next::Use(Lease { connection: Connection::Own(connection), reused: true });
        }
        if state.http1 {
            return Next::Dial;
        }
        let (waiting, dialled) = oneshot::channel();
        state.waiting.push(waiting);
        let dial = !std::mem::replace(&mut state.dialling, true);
        drop(state);
        if dial {
            // A task of its own: the request that came first may be given up, the others go on.
            let dialling = Dialling { pool: self.clone(), told: false };
            self.connector.host.spawn(async move { dialling.run().await });
        }
        Next::Wait(dialled)
    }

    pub(super) async fn send(
        self: &Arc<Self>,
        lease: Lease,
        request: Request<Body>,
    ) -> Result<Response<Body>, Failed> {
        let reused = lease.reused;
        let result = match lease.connection {
            Connection::Shared(connection, place) => connection.send(place, request).await,
            Connection::Own(mut connection) => match connection.send(request).await {
                Ok(response) => {
                    let this = self.clone();
                    self.connector.host.spawn(async move {
                        if connection.ready().await {
                            this.keep(connection);
                        }
                    });
                    Ok(response)
                }
                Err(failed) => Err(failed),
            },
        };
        result.map_err(|failed| failed.on(reused))
    }

    fn keep(&self, mut connection: Http1) {
        connection.idle_since = self.connector.host.clock().monotonic();
        let mut state = self.state.lock();
        state.idle.push(connection);
        if state.idle.len() > MAX_IDLE {
            state.idle.remove(0);
        }
    }
}

/// The one dial in progress. However it ends, killed with its process included, nobody is left waiting.
struct Dialling {
    pool: Arc<Pool>,
    told: bool,
}

impl Dialling {
    async fn run(mut self) {
        let pool = self.pool.clone();
        let result = pool.connect().await.map(|connected| match connected {
            Connected::Http2(connection) => Some(connection),
            Connected::Http1(connection) => {
                pool.state.lock().idle.push(connection);
                None
            }
        });
        self.tell(&result);
    }

    fn tell(&mut self, result: &Dialled) {
        self.told = true;
        let waiting = {
            let mut state = self.pool.state.lock();
            state.dialling = false;
            std::mem::take(&mut state.waiting)
        };
        for waiting in waiting {
            // One that was given up meanwhile does not listen any more.
            let _ = waiting.send(result.clone());
        }
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        if !self.told {
            self.tell(&Err(Cause::Gone));
        }
    }
}
