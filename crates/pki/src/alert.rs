//! Alerts of a peer in Go's words: `remote error: tls: bad certificate`.

use rustls::AlertDescription;

use crate::GoVersion;

/// From this version on a Go server tells an expired or unknown client certificate apart.
const TELLS_APART: GoVersion = (1, 21);

/// What Go's `crypto/tls` of that version says when it receives `alert`.
///
/// Our own clients send `certificate_unknown` (46) for any verdict on a server's certificate, since
/// rustls does not let a verifier choose; a Go client sends `bad_certificate` (42). So 46 reads
/// `bad certificate` here. (A Java client's 46 would read `unknown certificate` upstream.)
pub fn words(alert: AlertDescription, go: GoVersion) -> String {
    format!("remote error: {}", name(alert, go))
}

/// The alert inside a rustls error, in Go's words.
pub fn of(error: &rustls::Error, go: GoVersion) -> Option<String> {
    match error {
        rustls::Error::AlertReceived(alert) => Some(words(*alert, go)),
        _ => None,
    }
}

/// The alert inside the error of a TLS stream, as tokio-rustls hands it out, in Go's words.
pub fn of_io(error: &std::io::Error, go: GoVersion) -> Option<String> {
    of(error.get_ref()?.downcast_ref()?, go)
}

fn name(alert: AlertDescription, go: GoVersion) -> String {
    use AlertDescription as A;
    let text = match alert {
        A::CloseNotify => "close notify",
        A::UnexpectedMessage => "unexpected message",
        A::BadRecordMac => "bad record MAC",
        A::DecryptionFailed => "decryption failed",
        A::RecordOverflow => "record overflow",
        A::DecompressionFailure => "decompression failure",
        A::HandshakeFailure => "handshake failure",
        A::CertificateExpired | A::UnknownCA if go < TELLS_APART => "bad certificate",
        A::BadCertificate | A::CertificateUnknown => "bad certificate",
        A::UnsupportedCertificate => "unsupported certificate",
        A::CertificateRevoked => "revoked certificate",
        A::CertificateExpired => "expired certificate",
        A::IllegalParameter => "illegal parameter",
        A::UnknownCA => "unknown certificate authority",
        A::AccessDenied => "access denied",
        A::DecodeError => "error decoding message",
        A::DecryptError => "error decrypting message",
        A::ExportRestriction => "export restriction",
        A::ProtocolVersion => "protocol version not supported",
        A::InsufficientSecurity => "insufficient security level",
        A::InternalError => "internal error",
        A::InappropriateFallback => "inappropriate fallback",
        A::UserCanceled => "user canceled",
        A::NoRenegotiation => "no renegotiation",
        A::MissingExtension => "missing extension",
        A::UnsupportedExtension => "unsupported extension",
        A::CertificateUnobtainable => "certificate unobtainable",
        A::UnrecognisedName => "unrecognized name",
        A::BadCertificateStatusResponse => "bad certificate status response",
        A::BadCertificateHashValue => "bad certificate hash value",
        A::UnknownPSKIdentity => "unknown PSK identity",
        A::CertificateRequired => "certificate required",
        A::NoApplicationProtocol => "no application protocol",
        other => return format!("tls: alert({})", u8::from(other)),
    };
    format!("tls: {text}")
}
