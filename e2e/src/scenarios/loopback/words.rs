//! What a client should read, composed from the release and the instant; no story line comes from here.

use api::profile::Profile;
use world::{Wall, rfc3339};

/// The words of one release about one certificate.
pub(super) struct Words {
    profile: Profile,
    not_after: Wall,
}

impl Words {
    pub(super) fn new(profile: Profile, not_after: Wall) -> Self {
        Self { profile, not_after }
    }

    /// `tls: failed to verify certificate: ` came with Go 1.20.
    fn prefix(&self) -> &'static str {
        if self.profile.go() >= (1, 20) { "tls: failed to verify certificate: " } else { "" }
    }

    /// The x509 failure as seen at `now`.
    pub(super) fn x509_at(&self, now: Wall) -> String {
        let base = format!("{}x509: certificate has expired or is not yet valid", self.prefix());
        if self.profile.go() < (1, 15) {
            return base;
        }
        format!("{base}: current time {} is after {}", rfc3339(now), rfc3339(self.not_after))
    }

    /// A call of the loopback client that fails: at one of the seconds from `from` to `to`.
    pub(super) fn is_call_failure(
        &self,
        message: &str,
        verb: &str,
        path: &str,
        from: Wall,
        to: Wall,
    ) -> bool {
        let mut at = from;
        while at <= to {
            if message == format!("{verb} \"https://127.0.0.1:6443{path}\": {}", self.x509_at(at)) {
                return true;
            }
            at += jiff::SignedDuration::from_secs(1);
        }
        false
    }

    /// Parts of the line that an informer logs when it cannot list.
    pub(super) fn list_failure(&self, path: &str, kind: &str) -> [String; 3] {
        [
            format!("failed to list {kind}: Get \"https://127.0.0.1:6443/apis/{path}?"),
            format!("\": {}x509: certificate has expired or is not yet valid", self.prefix()),
            if self.profile.go() < (1, 15) {
                String::new()
            } else {
                format!(" is after {}", rfc3339(self.not_after))
            },
        ]
    }

    /// Whether cluster addresses are claimed as objects, through the loopback (from 1.33 on).
    pub(super) fn claims_addresses(&self) -> bool {
        self.profile.minor() >= 33
    }
}

/// The end of a long message, from the x509 part on if there is one.
pub(super) fn tail(message: &str) -> &str {
    message.find("x509:").map_or(message, |i| &message[i..])
}
