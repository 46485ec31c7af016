//! How a client's connections follow its certificate, and when a kubelet without one must end
//! (`pkg/kubelet/certificate/transport.go`).

use std::{sync::Arc, time::Duration};

use api::profile::Profile;
use wire::{HttpClient, note_rotation};
use world::{Host, Mono, mutant};

use super::manager::Manager;

/// How often the certificate is looked at, and how often while there has never been one.
const PERIOD: Duration = Duration::from_secs(10);
const FIRST_PERIOD: Duration = Duration::from_secs(1);
/// A kubelet lives so long without a certificate while its server is well.
const EXIT_AFTER: Duration = Duration::from_secs(5 * 60);

/// Closes connections when the certificate changes; ends, with the last words, when the kubelet must.
pub(crate) async fn watch(host: &Host, manager: &Manager, http: &HttpClient, profile: Profile) -> String {
    let (ending, waiting) = profile.without_certificate();
    let looks = Looks { host, began: host.clock().monotonic() };
    let mut last = manager.in_use();
    let mut last_available = looks.began;
    let mut period = FIRST_PERIOD;
    loop {
        if last.is_some() {
            period = PERIOD;
        }
        let ends = last.as_ref().map(|(_, end)| *end);
        let past = ends.is_some_and(|end| host.clock().wall() > end);
        let over = async {
            match ends {
                Some(end) => {
                    // The first instant at which it is over.
                    let left = end.duration_since(host.clock().wall());
                    let left = Duration::try_from(left).unwrap_or_default();
                    host.clock().sleep(left + Duration::from_nanos(1)).await;
                }
                None => host.clock().sleep_until(last_available + EXIT_AFTER + Duration::from_nanos(1)).await,
            }
        };
        let due = match ends {
            Some(_) => !past,
            None => host.clock().monotonic().since(last_available) <= EXIT_AFTER,
        };
        tokio::select! {
            biased;
            () = manager.news() => {}
            () = over, if due => {}
            // What a step of the wall clock changes is seen at the next turn.
            () = host.recur(PERIOD) => {}
        }
        looks.next(period).await;
        let now = host.clock().monotonic();
        let current = manager.in_use();
        let expired = match &current {
            Some((_, end)) => {
                last_available = now;
                host.clock().wall() > *end
            }
            None => {
                if last.is_some() {
                    last_available = looks.before(now);
                }
                now.since(last_available) > EXIT_AFTER
            }
        };
        if expired && !ending.is_empty() {
            if manager.server_healthy() {
                tracing::error!("{ending}");
                return ending.to_owned();
            }
            tracing::error!("{waiting}");
            host.record("client", vec![("error", waiting.to_owned())]);
        }
        if let Some((tls, _)) = &current
            && last.as_ref().is_none_or(|(old, _)| !Arc::ptr_eq(old, tls))
        {
            note_rotation(host);
            if !mutant("keep-old-connections") {
                http.close_connections();
            }
        }
        last = current;
    }
}

/// The instants at which upstream's loop looks. Between them nothing is noticed.
struct Looks<'a> {
    host: &'a Host,
    began: Mono,
}

impl Looks<'_> {
    async fn next(&self, period: Duration) {
        let past = self.past(self.host.clock().monotonic(), period);
        if !past.is_zero() {
            self.host.clock().sleep(period - past).await;
        }
    }

    /// The look before `now`.
    fn before(&self, now: Mono) -> Mono {
        let age = now.since(self.began);
        let past = self.past(now, PERIOD);
        let last = age.saturating_sub(if past.is_zero() { PERIOD } else { past });
        self.began + last
    }

    fn past(&self, now: Mono, period: Duration) -> Duration {
        Duration::from_nanos((now.since(self.began).as_nanos() % period.as_nanos()) as u64)
    }
}
