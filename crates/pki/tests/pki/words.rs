//! Go's words, version by version.

use pki::{BadSignature, GoVersion, Hint, X509Error, alert};
use rustls::AlertDescription;

use crate::gear::at;

fn check(error: &X509Error, go: GoVersion, words: &str) {
    assert_eq!(error.words(go), words, "Go {go:?}");
    let prefix = if go >= (1, 20) { "tls: failed to verify certificate: " } else { "" };
    assert_eq!(error.handshake_words(go), format!("{prefix}{words}"), "Go {go:?}");
}

#[test]
fn of_dates() {
    let expired =
        X509Error::Expired { now: at("2026-11-22T01:19:40.5Z"), not_after: at("2026-11-22T01:18:57Z") };
    // Kubernetes 1.8 (Go 1.8), 1.18 (1.13), 1.19 (1.15), 1.26 (1.19), 1.27 (1.20).
    for old in [(1, 8), (1, 13)] {
        check(&expired, old, "x509: certificate has expired or is not yet valid");
    }
    for new in [(1, 15), (1, 19), (1, 20), (1, 26)] {
        check(
            &expired,
            new,
            "x509: certificate has expired or is not yet valid: current time 2026-11-22T01:19:40Z is after \
             2026-11-22T01:18:57Z",
        );
    }
    let early =
        X509Error::NotYetValid { now: at("2026-01-01T00:00:00Z"), not_before: at("2026-01-01T01:00:00Z") };
    check(
        &early,
        (1, 22),
        "x509: certificate has expired or is not yet valid: current time 2026-01-01T00:00:00Z is before \
         2026-01-01T01:00:00Z",
    );
}

#[test]
fn of_everything_else() {
    let mismatch = |wanted: &str, dns: &[&str], ips: &[&str], legacy| X509Error::HostMismatch {
        wanted: wanted.into(),
        dns_names: dns.iter().map(|n| (*n).to_owned()).collect(),
        ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        legacy_common_name: legacy,
    };
    let now: GoVersion = (1, 26);
    let many: Vec<String> = (0..100).map(|n| format!("n{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let rows = [
        (mismatch("c", &["a", "b"], &["10.0.0.1"], false), "x509: certificate is valid for a, b, not c"),
        (
            mismatch("10.0.0.2", &["a"], &["10.0.0.1", "::1"], false),
            "x509: certificate is valid for 10.0.0.1, ::1, not 10.0.0.2",
        ),
        (
            mismatch("10.0.0.1", &["a"], &[], false),
            "x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs",
        ),
        (
            mismatch("x", &[], &["10.0.0.1"], false),
            "x509: certificate is not valid for any names, but wanted to match x",
        ),
        (
            mismatch("x", &[], &[], true),
            "x509: certificate relies on legacy Common Name field, use SANs instead",
        ),
        (mismatch("x", &many, &[], false), "x509: certificate is valid for 100 names, but none matched x"),
        (X509Error::UnknownAuthority { hint: None }, "x509: certificate signed by unknown authority"),
        (
            X509Error::UnknownAuthority {
                hint: Some(Hint { why: BadSignature::Rsa, candidate: "kubernetes".into() }),
            },
            "x509: certificate signed by unknown authority (possibly because of \"crypto/rsa: verification error\" \
             while trying to verify candidate authority certificate \"kubernetes\")",
        ),
        (X509Error::IncompatibleUsage, "x509: certificate specifies an incompatible key usage"),
        (X509Error::NotAuthorizedToSign, "x509: certificate is not authorized to sign other certificates"),
        (X509Error::TooManyIntermediates, "x509: too many intermediates for path length constraint"),
        (X509Error::UnhandledCriticalExtension, "x509: unhandled critical extension"),
    ];
    for (error, words) in &rows {
        check(error, now, words);
    }
    check(
        &mismatch("x", &many[..99], &[], false),
        now,
        &format!("x509: certificate is valid for {}, not x", many[..99].join(", ")),
    );
    check(
        &mismatch("x", &many, &[], false),
        (1, 23),
        &format!("x509: certificate is valid for {}, not x", many.join(", ")),
    );
}

#[test]
fn of_alerts() {
    use AlertDescription as A;
    let rows = [
        (A::BadCertificate, (1, 26), "remote error: tls: bad certificate"),
        // What our own clients send for any verdict.
        (A::CertificateUnknown, (1, 26), "remote error: tls: bad certificate"),
        (A::CertificateExpired, (1, 26), "remote error: tls: expired certificate"),
        (A::CertificateExpired, (1, 20), "remote error: tls: bad certificate"),
        (A::UnknownCA, (1, 21), "remote error: tls: unknown certificate authority"),
        (A::UnknownCA, (1, 20), "remote error: tls: bad certificate"),
        (A::CertificateRequired, (1, 26), "remote error: tls: certificate required"),
        (A::ProtocolVersion, (1, 26), "remote error: tls: protocol version not supported"),
        (A::Unknown(250), (1, 26), "remote error: tls: alert(250)"),
    ];
    for (received, go, words) in rows {
        assert_eq!(alert::words(received, go), words, "{received:?} by Go {go:?}");
    }
}
