//! The life of one accepted connection.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::sync::{Notify, mpsc};
use world::{Gear, Host, Stream};

use super::{
    Handler, ServeOptions,
    control::{Control, Phase},
    handshake::{self, Secured},
    service::Service,
};
use crate::{
    activity::{Activity, Quiet},
    gather::{Gather, Sending},
    runtime::{Executor, Timer},
    stream::Watched,
};

/// Go closes an HTTP/2 connection this long after its last request when it has sent GOAWAY.
const GO_AWAY_TIMEOUT: Duration = Duration::from_secs(1);
/// hyper counts headers, Go does not: far more than fit into sensible requests.
const MAX_HEADERS: usize = 1024;

/// What all connections of a server share.
pub(super) struct Shared {
    pub host: Host,
    pub control: Arc<Control>,
    options: ServeOptions,
    handler: Arc<dyn Handler>,
    http1: http1::Builder,
    http2: http2::Builder<Executor>,
}

impl Shared {
    pub(super) fn new(
        host: &Host,
        options: ServeOptions,
        handler: Arc<dyn Handler>,
        control: Arc<Control>,
    ) -> Self {
        let timer = Timer::new(host);
        let mut http1 = http1::Builder::new();
        http1
            .timer(timer.clone())
            // hyper's would also end idle connections; ours is in `Activity`.
            .header_read_timeout(None)
            .auto_date_header(false)
            .max_headers(MAX_HEADERS)
            .max_header_size(options.max_header_bytes as usize)
            .max_buf_size((options.max_header_bytes as usize + 4096).max(64 << 10));
        let mut http2 = http2::Builder::new(Executor(host.clone()));
        http2
            .timer(timer)
            .auto_date_header(false)
            .max_concurrent_streams(options.max_streams)
            // As Go bounds the requests that are given up before they are looked at.
            .max_pending_accept_reset_streams((options.max_streams as usize).saturating_mul(4))
            .initial_stream_window_size(options.stream_window)
            .initial_connection_window_size(
                options.stream_window.saturating_mul(options.max_streams).min(i32::MAX as u32),
            )
            .max_frame_size(options.stream_window.clamp(16 << 10, (16 << 20) - 1))
            .max_header_list_size(options.max_header_bytes);
        if host.gear() == Gear::Simulated {
            // A count over a connection's whole life, and what adds to it depends on the machine's
            // clock: in a year of virtual time it would run full, and not twice at the same time.
            http2.max_local_error_reset_streams(None);
        }
        Self { host: host.clone(), control, options, handler, http1, http2 }
    }
}

/// Serves one connection until it ends. `_alive` tells the server that it has not yet.
pub(super) async fn serve(shared: Arc<Shared>, stream: Stream, _alive: mpsc::Sender<Infallible>) {
    let securing = async {
        match &shared.options.tls {
            Some(source) => handshake::tls(&shared.host, source, stream, &shared.options).await,
            None => {
                let plain = handshake::plain(stream, shared.options.prior_knowledge);
                shared
                    .host
                    .clock()
                    .timeout(shared.options.header_timeout, plain)
                    .await
                    .ok()
                    .and_then(Result::ok)
            }
        }
    };
    let secured = tokio::select! {
        biased;
        secured = securing => secured,
        () = shared.control.reached(Phase::Draining) => None,
    };
    let Some(Secured { io, peer, http2 }) = secured else { return };
    let remote = peer.remote;
    let clock = shared.host.clock().clone();
    let activity = Activity::new(clock.clone(), !http2);
    let leave = Arc::<Notify>::default();
    let service = Service {
        handler: shared.handler.clone(),
        peer: Arc::new(peer),
        clock,
        activity: activity.clone(),
        leave: leave.clone(),
    };
    let life = Life { shared: &shared, activity: activity.clone(), leave, http2 };
    let ended = if http2 {
        let io = Gather::new(io);
        let driver = io.sender();
        let io = TokioIo::new(Watched::new(Box::new(io), activity));
        life.run(driver.drive(shared.http2.serve_connection(io, service))).await
    } else {
        let io = TokioIo::new(Watched::new(io, activity));
        life.run(shared.http1.serve_connection(io, service).with_upgrades()).await
    };
    if let Err(e) = ended {
        tracing::debug!("http: connection from {remote} ended: {e}");
    }
}

/// What hyper's two kinds of connections have in common.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Answers what is in progress, takes nothing new.
    fn leave(self: Pin<&mut Self>);
}

type Io = TokioIo<Watched>;

impl Connection for Sending<http2::Connection<Io, Service, Executor>> {
    fn leave(self: Pin<&mut Self>) {
        self.get_mut().connection().graceful_shutdown();
    }
}

impl Connection for http1::UpgradeableConnection<Io, Service> {
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

struct Life<'a> {
    shared: &'a Shared,
    activity: Arc<Activity>,
    leave: Arc<Notify>,
    http2: bool,
}

impl Life<'_> {
    async fn run(&self, connection: impl Connection) -> hyper::Result<()> {
        let Shared { host, control, options, .. } = self.shared;
        let mut connection = std::pin::pin!(connection);
        let idle = host.periods().of(options.idle);
        let head = (!self.http2).then_some(options.header_timeout);
        let began = host.clock().monotonic();
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = control.reached(Phase::Draining) => {}
            () = self.leave.notified() => {}
            quiet = self.activity.quiet(began, idle, head) => if quiet == Quiet::HalfHead { return Ok(()) },
        }
        connection.as_mut().leave();
        let told = host.clock().monotonic();
        tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = control.reached(Phase::Closing) => Ok(()),
            _ = self.activity.quiet(told, GO_AWAY_TIMEOUT, head) => Ok(()),
        }
    }
}
