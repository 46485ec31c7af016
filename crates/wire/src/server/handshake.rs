//! From an accepted stream to one that carries HTTP, and who is at its other end.

use std::{io, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use world::{Host, Stream};

use super::{Peer, ServeOptions, TlsSource};
use crate::{
    Cause,
    error::tls_error,
    stream::{Ends, Io, Prefixed},
};

/// A stream ready for HTTP.
pub(super) struct Secured {
    pub io: Box<dyn Io>,
    pub peer: Peer,
    pub http2: bool,
}

/// What Go's server answers on a TLS port, then closes.
const PLAIN_ON_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// A fatal alert before anything is encrypted: record type, version, length, level, `internal_error`.
const INTERNAL_ERROR: &[u8] = &[21, 3, 3, 0, 2, 2, 80];
/// Read and thrown away before that connection is closed: closing with unread bytes would reset it
/// before the client has the answer.
const DISCARD: u64 = 64 << 10;
const DISCARD_TIME: Duration = Duration::from_secs(1);
/// How an HTTP/2 client begins without TLS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// TLS by the source's present configuration, within the header timeout. `None`: refused, said so in log and trace.
pub(super) async fn tls(
    host: &Host,
    source: &TlsSource,
    stream: Stream,
    options: &ServeOptions,
) -> Option<Secured> {
    let ends = Ends { local: stream.local_addr(), remote: stream.remote_addr() };
    let result = match host
        .clock()
        .timeout(options.header_timeout, accept(host, source, stream, ends, options.go))
        .await
    {
        Ok(result) => result,
        Err(_) => Err(Cause::Io { operation: "read", ends, why: "i/o timeout".to_owned() }),
    };
    record(host, ends, &result);
    if result.is_err() {
        options.handshake_errors.fetch_add(1, Ordering::Relaxed);
    }
    result.map_err(|cause| tracing::debug!("http: TLS handshake error from {}: {cause}", ends.remote)).ok()
}

async fn accept(
    host: &Host,
    source: &TlsSource,
    mut stream: Stream,
    ends: Ends,
    go: pki::GoVersion,
) -> Result<Secured, Cause> {
    let mut first = Vec::new();
    read_first(&mut stream, &mut first, 5).await.map_err(|e| Cause::of_read(&e, ends, go))?;
    // The requests that Go's server recognises.
    if ["GET /", "HEAD ", "POST ", "PUT /", "OPTIO"].iter().any(|start| first == start.as_bytes()) {
        dismiss(host, &mut stream, PLAIN_ON_TLS).await;
        return Err(Cause::Handshake("client sent an HTTP request to an HTTPS server".to_owned()));
    }
    let config = match source(ends.local.ip()) {
        Ok(config) => config,
        Err(why) => {
            dismiss(host, &mut stream, INTERNAL_ERROR).await;
            return Err(Cause::Handshake(why));
        }
    };
    let stream = Prefixed::new(Bytes::from(first), stream);
    let stream = TlsAcceptor::from(config).accept(stream).await.map_err(|e| of_handshake(&e, ends, go))?;
    let session = stream.get_ref().1;
    let certificates = session.peer_certificates().unwrap_or_default().iter();
    let certificates = certificates
        .map(|der| pki::Certificate::from_der(der.as_ref()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Cause::Handshake(format!("tls: failed to parse client certificate: {e}")))?;
    let peer = Peer {
        remote: ends.remote,
        local: ends.local,
        secure: true,
        server_name: session.server_name().map(str::to_owned),
        certificates,
    };
    let http2 = session.alpn_protocol() == Some(b"h2");
    Ok(Secured { io: Box::new(stream), peer, http2 })
}

/// Says `words` and closes.
async fn dismiss(host: &Host, stream: &mut Stream, words: &[u8]) {
    let answer = async {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut *stream).take(DISCARD), &mut tokio::io::sink()).await
    };
    // The client may be gone: then nobody wants the answer.
    let _ = host.clock().timeout(DISCARD_TIME, answer).await;
}

/// No TLS. With `prior_knowledge` the client's first bytes decide between HTTP/2 and HTTP/1.1.
pub(super) async fn plain(stream: Stream, prior_knowledge: bool) -> io::Result<Secured> {
    let peer = Peer {
        remote: stream.remote_addr(),
        local: stream.local_addr(),
        secure: false,
        server_name: None,
        certificates: Vec::new(),
    };
    let mut stream = stream;
    let mut first = Vec::new();
    if prior_knowledge {
        while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
            let more = first.len() + 1;
            read_first(&mut stream, &mut first, more).await?;
        }
    }
    let http2 = first == PREFACE;
    Ok(Secured { io: Box::new(Prefixed::new(Bytes::from(first), stream)), peer, http2 })
}

async fn read_first(stream: &mut Stream, first: &mut Vec<u8>, wanted: usize) -> io::Result<()> {
    while first.len() < wanted {
        let missing = (wanted - first.len()) as u64;
        if (&mut *stream).take(missing).read_buf(first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Go's words for what a client did to our handshake.
fn of_handshake(e: &io::Error, ends: Ends, go: pki::GoVersion) -> Cause {
    use rustls::{Error, InvalidMessage, PeerIncompatible};
    match tls_error(e) {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            Cause::Handshake("tls: first record does not look like a TLS handshake".to_owned())
        }
        Some(Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon)) => {
            Cause::Handshake("tls: no cipher suite supported by both client and server".to_owned())
        }
        _ => Cause::of_read(e, ends, go),
    }
}

fn record(host: &Host, ends: Ends, result: &Result<Secured, Cause>) {
    if !host.trace().is_recording() {
        return;
    }
    let mut fields = vec![
        ("side", "server".to_owned()),
        ("peer", ends.remote.ip().to_string()),
        ("port", ends.local.port().to_string()),
    ];
    match result {
        Ok(secured) => {
            fields.push(("sni", secured.peer.server_name.clone().unwrap_or_default()));
            if let Some(leaf) = secured.peer.certificates.first() {
                fields.push(("peer_cn", leaf.subject_cn().to_owned()));
                fields.push(("serial", leaf.serial_hex()));
                fields.push(("not_after", world::rfc3339(leaf.not_after())));
            }
            fields.push(("result", "ok".to_owned()));
        }
        Err(cause) => fields.push(("result", cause.brief())),
    }
    host.record("handshake", fields);
}
