//! From nothing to a connection that speaks HTTP: dial, TLS handshake, protocol by ALPN.

use std::{sync::Arc, time::Duration};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;
use world::{Host, Stream, mutant};

use super::{
    connection::{Http1, Http2},
    target::Target,
    words,
};
use crate::{
    Body, Cause,
    gather::{Driver, Gather},
    runtime::Timer,
    stream::{Ends, Fate, FirstBytes, Io, Tap},
};

/// Go's default in client-go's transport.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection without any frame for this long is asked for a sign of life (client-go).
const PING_AFTER: Duration = Duration::from_secs(30);
/// … and given up when none comes (client-go).
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection without requests is closed after this long (Go's default transport).
pub(super) const IDLE: Duration = Duration::from_secs(90);
/// Unread bytes that one stream may pile up before the server must wait.
const STREAM_WINDOW: u32 = 1 << 20;
/// For all streams together: more than Go's 100 streams can use, so that no slow reader holds the others up.
const CONNECTION_WINDOW: u32 = 128 << 20;
/// The header of a response may be this long (Go's default transport).
const MAX_HEADER: u32 = 10 << 20;

/// Which protocols a connection may end up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2 if the server wants it, else HTTP/1.1.
    Any,
    /// HTTP/1.1, because the connection shall be upgraded.
    Http1,
    /// HTTP/2, even without TLS to agree on it.
    Http2,
}

impl Offer {
    fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Self::Any => &[b"h2", b"http/1.1"],
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
        }
    }
}

/// A fresh connection, by protocol.
pub(super) enum Connected {
    Http1(Http1),
    Http2(Arc<Http2>),
}

impl Connected {
    pub(super) fn fate(&self) -> &Arc<Fate> {
        match self {
            Self::Http1(connection) => &connection.fate,
            Self::Http2(connection) => connection.fate(),
        }
    }
}

/// Finds the host and port to dial in place of a URL's own, or says why there is none.
pub type Resolve = dyn Fn() -> Result<(String, u16), String> + Send + Sync;

/// Everything that a dial needs.
#[derive(Clone)]
pub(super) struct Connector {
    pub host: Host,
    pub target: Target,
    pub resolve: Option<Arc<Resolve>>,
    pub tls: Option<Arc<pki::ClientTls>>,
    pub timer: Timer,
}

impl Connector {
    pub(super) async fn connect(&self, offer: Offer) -> Result<Connected, Cause> {
        let (name, port) = match &self.resolve {
            Some(resolve) => resolve().map_err(Cause::Unresolved)?,
            None => (self.target.host.clone(), self.target.port),
        };
        let stream = self.host.net().dial(&name, port).await.map_err(Cause::Dial)?;
        let ends = Ends { local: stream.local_addr(), remote: stream.remote_addr() };
        let fate = Fate::new(ends, self.tls.as_ref().map_or((0, 0), |tls| tls.go()));
        let (io, http2): (Box<dyn Io>, bool) = match &self.tls {
            Some(tls) => self.secure(tls, stream, ends, offer).await?,
            None => (Box::new(stream), offer == Offer::Http2),
        };
        if http2 { self.http2(io, fate).await } else { self.http1(io, fate).await }
    }

    async fn secure(
        &self,
        tls: &pki::ClientTls,
        stream: Stream,
        ends: Ends,
        offer: Offer,
    ) -> Result<(Box<dyn Io>, bool), Cause> {
        let server_name =
            tls.name_for(&self.target.host).map_err(|e| Cause::Handshake(format!("tls: {e}")))?;
        let (stream, first) = FirstBytes::new(stream);
        let connecting = TlsConnector::from(tls.config(offer.alpn())).connect(server_name, stream);
        let result = match self.host.clock().timeout(HANDSHAKE_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(e)) => Err(words::of_handshake(&e, &first.lock(), ends, tls.go())),
            Err(_) => Err(Cause::HandshakeTimeout),
        };
        self.record(tls.sni_for(&self.target.host), result.as_ref().map(|stream| stream.get_ref().1));
        let stream = result?;
        let http2 = offer == Offer::Http2 || stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Box::new(stream), http2))
    }

    fn record(&self, sni: Option<&str>, result: Result<&rustls::ClientConnection, &Cause>) {
        if !self.host.trace().is_recording() {
            return;
        }
        let mut fields = vec![
            ("side", "client".to_owned()),
            ("peer", self.target.peer()),
            ("sni", sni.unwrap_or_default().to_owned()),
        ];
        match result {
            Ok(session) => {
                let leaf = session.peer_certificates().and_then(|chain| chain.first());
                if let Some(leaf) = leaf.and_then(|der| pki::Certificate::from_der(der.as_ref()).ok()) {
                    fields.push(("serial", leaf.serial_hex()));
                    fields.push(("not_after", world::rfc3339(leaf.not_after())));
                }
                fields.push(("result", "ok".to_owned()));
            }
            Err(cause) => {
                if let Cause::Certificate { error: pki::X509Error::Expired { not_after, .. }, .. } = cause {
                    fields.push(("not_after", world::rfc3339(*not_after)));
                }
                fields.push(("result", cause.brief()));
            }
        }
        self.host.record("handshake", fields);
    }

    async fn http1(&self, io: Box<dyn Io>, fate: Arc<Fate>) -> Result<Connected, Cause> {
        let io = TokioIo::new(Tap::new(io, fate.clone()));
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEADER as usize)
            .handshake::<_, Body>(io)
            .await
            .map_err(|e| words::of_hyper(&e, &fate, words::Protocol::Http1))?;
        self.host.spawn(async move {
            if let Err(e) = connection.with_upgrades().await {
                tracing::debug!("HTTP/1.1 connection ended: {e}");
            }
        });
        Ok(Connected::Http1(Http1 { sender, fate, idle_since: self.host.clock().monotonic() }))
    }

    async fn http2(&self, io: Box<dyn Io>, fate: Arc<Fate>) -> Result<Connected, Cause> {
        let io = Gather::new(io);
        let driver = Driver::new(&self.host, io.sender());
        let io = TokioIo::new(Tap::new(Box::new(io), fate.clone()));
        let periods = self.host.periods();
        let (sender, connection) = http2::Builder::new(driver)
            .timer(self.timer.clone())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER)
            // A count over the connection's whole life; a watch that is given up may add to it.
            .max_local_error_reset_streams(None)
            .keep_alive_interval(Some(periods.of(PING_AFTER)).filter(|_| !mutant("never-ping")))
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake::<_, Body>(io)
            .await
            .map_err(|e| words::of_hyper(&e, &fate, words::Protocol::Http2))?;
        let http2 = Http2::run(&self.host, sender, connection, fate, periods.of(IDLE));
        Ok(Connected::Http2(Arc::new(http2)))
    }
}
