//! From the libraries' errors to [`Cause`]: what happened, and whether a second try is in order.

use std::{error::Error as _, io};

use crate::{
    Cause,
    error::tls_error,
    stream::{Ends, Fate},
};

/// Which kind of connection an error happened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A handshake that failed on our side. `first` is what the server sent first.
pub(super) fn of_handshake(e: &io::Error, first: &[u8], ends: Ends, go: pki::GoVersion) -> Cause {
    use rustls::{Error, InvalidMessage};
    if let Some(error) = pki::X509Error::of_io(e) {
        return Cause::Certificate { error: error.clone(), go };
    }
    match tls_error(e) {
        Some(Error::InvalidMessage(_)) if first == b"HTTP/" => Cause::PlainServer,
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            Cause::Handshake("tls: first record does not look like a TLS handshake".to_owned())
        }
        _ => Cause::of_read(e, ends, go),
    }
}

/// An error of hyper's on a connection with this fate.
pub(super) fn of_hyper(e: &hyper::Error, fate: &Fate, protocol: Protocol) -> Cause {
    if e.is_timeout() {
        return Cause::Lost;
    }
    if let Some(h2) = e.source().and_then(|s| s.downcast_ref::<h2::Error>()) {
        return of_h2(h2, fate);
    }
    if e.is_user()
        && let Some(source) = e.source()
        && e.is_body_write_aborted()
    {
        return Cause::RequestBody(source.to_string());
    }
    if e.is_parse() {
        return Cause::Malformed(e.to_string());
    }
    match fate.cause() {
        // On HTTP/2 there is always more to come; on HTTP/1.1 only within an answer.
        Some(Cause::Eof) if protocol == Protocol::Http2 || fate.heard() => Cause::UnexpectedEof,
        Some(cause) => cause,
        None if e.is_incomplete_message() => Cause::Eof,
        None if e.is_user() => {
            Cause::RequestBody(e.source().map_or_else(|| e.to_string(), ToString::to_string))
        }
        None => Cause::Gone,
    }
}

fn of_h2(e: &h2::Error, fate: &Fate) -> Cause {
    let code = || e.reason().map_or_else(|| "UNKNOWN".to_owned(), |r| format!("{r:?}"));
    if e.is_reset() {
        return Cause::Stream { code: code(), received: e.is_remote() };
    }
    match fate.cause() {
        Some(Cause::Eof) if e.is_go_away() => Cause::GoAway { code: code() },
        Some(Cause::Eof) => Cause::UnexpectedEof,
        Some(cause) => cause,
        None if e.is_go_away() => Cause::GoAway { code: code() },
        None => match e.get_io() {
            Some(io) => Cause::of_read(io, fate.ends, fate.go),
            None => Cause::Stream { code: code(), received: e.is_remote() },
        },
    }
}

/// Whether the server says that it has not looked at the request: safe to send again.
pub(super) fn unprocessed(e: &hyper::Error) -> bool {
    let Some(h2) = e.source().and_then(|s| s.downcast_ref::<h2::Error>()) else { return false };
    let refused = h2.is_reset() && h2.reason() == Some(h2::Reason::REFUSED_STREAM);
    let gone = h2.is_go_away() && h2.reason() == Some(h2::Reason::NO_ERROR);
    h2.is_remote() && (refused || gone)
}
