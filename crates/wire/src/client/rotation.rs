//! A client certificate that others replace: connections made with the one before are closed (client-go,
//! `transport/cert_rotation.go`).

use std::{convert::Infallible, sync::Arc, time::Duration};

use pki::ClientIdentity;
use world::{Host, Looks};

/// How often a certificate is looked at (client-go's CertCallbackRefreshDuration).
const REREAD: Duration = Duration::from_secs(5 * 60);

/// Says that connections are closed, because they were made with another certificate than is shown from here on.
pub fn note_rotation(host: &Host) {
    tracing::info!(
        "Certificate rotation detected, shutting down client connections to start using new credentials"
    );
    host.record("client", vec![("connections", "closed".into())]);
}

/// Calls `close` whenever `identity` has another certificate than when it was last looked at. Never ends.
pub async fn follow_certificate(host: &Host, identity: &dyn ClientIdentity, close: impl Fn()) -> Infallible {
    let mut last = identity.current();
    let mut looks = Looks::new(host, REREAD);
    loop {
        looks.next().await;
        let current = identity.current();
        let same = match (&last, &current) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if !same {
            note_rotation(host);
            close();
        }
        last = current;
    }
}
