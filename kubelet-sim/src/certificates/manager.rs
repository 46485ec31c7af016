//! When to renew: the deadline inside the certificate's life, and what to do when asking fails
//! (client-go `util/certificate/certificate_manager.go`).

use std::{sync::Arc, time::Duration};

use api::profile::Profile;
use client::{ClientError, Rest};
use jiff::SignedDuration;
use parking_lot::Mutex;
use pki::{Certificate, CertifiedKey, ClientIdentity, KeyAlgorithm, PrivateKey, ServerIdentity};
use rustls::sign;
use tokio::sync::Notify;
use world::{Host, Wall, mutant};

use super::{
    renewals::Renewals,
    request::{Ask, submit},
    store::FileStore,
    template::{Purpose, Template},
    wait::issued,
};
use crate::node::Addresses;

/// Tries of one rotation: 2 s, doubling, five times; then every 32 s for ever.
const FIRST_BACKOFF: Duration = Duration::from_secs(2);
const STEPS: u32 = 5;
const LATER: Duration = Duration::from_secs(32);
/// How long one request may stay unanswered before a new one is made.
const WAIT: Duration = Duration::from_secs(15 * 60);
/// Between two turns of the loop.
const TURN: Duration = Duration::from_secs(1);

/// Where the manager learns what to ask for.
pub(crate) enum Wanted {
    /// Always the same.
    Fixed(Template),
    /// The names of a node, which may change while it runs.
    Names { node: String, addresses: Arc<Addresses>, dns_will_do: bool },
}

impl Wanted {
    fn template(&self) -> Option<Template> {
        match self {
            Self::Fixed(template) => Some(template.clone()),
            Self::Names { node, addresses, dns_will_do } => {
                Template::serving(node, &addresses.get(), *dns_will_do)
            }
        }
    }

    /// Waits until `holds` does; asked now and after every change. Never ends where nothing changes.
    async fn until(&self, holds: impl Fn() -> bool) {
        match self {
            Self::Fixed(_) => std::future::pending().await,
            Self::Names { addresses, .. } => addresses.until(holds).await,
        }
    }
}

/// What a manager begins with.
pub(crate) struct Settings {
    pub purpose: Purpose,
    pub profile: Profile,
    pub store: FileStore,
    pub wanted: Wanted,
    /// A pair to use until the first own one, and to replace at once: a kubeconfig's embedded one.
    pub embedded: Option<CertifiedKey>,
}

/// Keeps one certificate of the node fresh. It is the identity of the kubelet's client, or of its
/// server.
pub(crate) struct Manager {
    host: Host,
    purpose: Purpose,
    profile: Profile,
    store: FileStore,
    wanted: Wanted,
    state: Mutex<State>,
    renewals: Arc<Renewals>,
    news: Notify,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// The first turn renews whatever there is.
    force: bool,
    server_healthy: bool,
    /// What the last request that the server took asked for.
    asked: Option<Template>,
}

/// The pair in use, ready for handshakes.
struct Held {
    leaf: Certificate,
    tls: Arc<sign::CertifiedKey>,
}

impl Held {
    fn new(pair: &CertifiedKey) -> Result<Self, String> {
        let leaf = pair.leaf().cloned().ok_or("the chain is empty")?;
        Ok(Self { leaf, tls: pair.to_rustls().map_err(|e| e.to_string())? })
    }
}

impl Manager {
    /// Starts from the file store, else from the embedded pair.
    ///
    /// # Errors
    /// What is in the store cannot be used.
    pub(crate) fn new(host: &Host, settings: Settings) -> Result<Arc<Self>, String> {
        let Settings { purpose, profile, store, wanted, embedded } = settings;
        let fail =
            |why: String| format!("failed to initialize {} certificate manager: {why}", purpose.word());
        let stored = store.current().map_err(|e| fail(e.to_string()))?;
        let now = host.clock().wall();
        let usable = |leaf: &Certificate| profile.expired_certificate_in_use() || now < leaf.not_after();
        let unexpired = stored.filter(|pair| pair.leaf().is_some_and(usable));
        let (pair, force) = match (unexpired, embedded) {
            (Some(pair), _) => (Some(pair), false),
            (None, Some(pair)) => {
                if let Err(e) = store.update(&pair) {
                    tracing::error!("Unable to set the cert/key pair to the bootstrap certificate: {e}");
                }
                (Some(pair), true)
            }
            (None, None) => (None, true),
        };
        let held = pair.as_ref().map(Held::new).transpose().map_err(fail)?;
        let state = Mutex::new(State { held, force, ..State::default() });
        Ok(Arc::new(Self {
            host: host.clone(),
            purpose,
            profile,
            store,
            wanted,
            state,
            renewals: Arc::default(),
            news: Notify::new(),
        }))
    }

    /// What the renewals came to so far.
    pub(crate) fn renewals(&self) -> Arc<Renewals> {
        self.renewals.clone()
    }

    /// The pair in use and its end; nothing once it is over, but to older releases.
    pub(super) fn in_use(&self) -> Option<(Arc<sign::CertifiedKey>, Wall)> {
        let now = self.host.clock().wall();
        let state = self.state.lock();
        let kept = self.profile.expired_certificate_in_use();
        let held = state.held.as_ref().filter(|held| kept || now <= held.leaf.not_after())?;
        Some((held.tls.clone(), held.leaf.not_after()))
    }

    /// Whether the server has lately answered as a server does.
    pub(super) fn server_healthy(&self) -> bool {
        self.state.lock().server_healthy
    }

    /// Waits for the next change of the certificate, or of the server's health.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Rotates for ever: with `normal` while the certificate is valid, else with `first`.
    pub(crate) async fn run(self: Arc<Self>, normal: Rest, first: Rest) {
        tracing::info!(signer = self.purpose.signer(), "Certificate rotation is enabled");
        loop {
            self.turn(&normal, &first).await;
            self.host.clock().sleep(TURN).await;
        }
    }

    async fn turn(&self, normal: &Rest, first: &Rest) {
        if let Some(wait) = self.until_rotation() {
            tracing::info!(sleep = ?wait, "Waiting for next certificate rotation");
            self.host.record("timer", vec![("rotation_in", format!("{}s", wait.as_secs()))]);
            tokio::select! {
                biased;
                () = self.wanted.until(|| self.template_changed()) => {
                    tracing::info!("Certificate template changed, rotating");
                }
                // Counted on the running clock once it is known: a wall step does not wake it.
                () = self.host.clock().sleep(wait) => {}
            }
        }
        if self.wanted.template().is_none() {
            return self.wanted.until(|| self.wanted.template().is_some()).await;
        }
        let mut pause = FIRST_BACKOFF;
        for step in 1..=STEPS {
            // Boxed: between two rotations, for months, it takes no room.
            if Box::pin(self.rotate(normal, first)).await {
                return;
            }
            if step < STEPS {
                self.host.clock().sleep(self.host.entropy().jitter(pause, 0.1)).await;
                pause *= 2;
            }
        }
        tracing::error!(
            "Reached backoff limit, still unable to rotate certs: timed out waiting for the condition"
        );
        loop {
            self.host.clock().sleep(LATER).await;
            if Box::pin(self.rotate(normal, first)).await {
                return;
            }
        }
    }

    /// Time until the deadline by the wall clock now; `None` when a rotation is due at once.
    fn until_rotation(&self) -> Option<Duration> {
        if std::mem::take(&mut self.state.lock().force) {
            return None;
        }
        let state = self.state.lock();
        let leaf = &state.held.as_ref()?.leaf;
        if let Some(why) = self.wanted.template().and_then(|t| t.missing_in(leaf)) {
            tracing::info!("{why}");
            return None;
        }
        let deadline = rotation_deadline(leaf, self.host.entropy().unit());
        let expiration = leaf.not_after();
        tracing::info!(%expiration, %deadline, "Certificate rotation deadline determined");
        let left = deadline.duration_since(self.host.clock().wall());
        (left > SignedDuration::ZERO).then(|| left.unsigned_abs())
    }

    /// Whether something else is wanted than what there is and what was last asked for.
    fn template_changed(&self) -> bool {
        let template = self.wanted.template();
        let state = self.state.lock();
        let satisfied = state.held.as_ref().is_some_and(|held| {
            template.as_ref().is_none_or(|template| template.missing_in(&held.leaf).is_none())
        });
        !satisfied && state.asked != template
    }

    async fn rotate(&self, normal: &Rest, first: &Rest) -> bool {
        tracing::info!("Rotating certificates");
        let rest = if self.in_use().is_some() { normal } else { first };
        match self.obtain(rest).await {
            Ok(()) => true,
            Err(words) => {
                self.renewals.failed();
                tracing::error!("{words}");
                self.host.record("csr", vec![("error", words)]);
                false
            }
        }
    }

    /// A new key, a request, its certificate, kept and in use.
    async fn obtain(&self, rest: &Rest) -> Result<(), String> {
        let unmade = |why: String| format!("Unable to generate a certificate signing request: {why}");
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        let key = key.map_err(|e| unmade(format!("unable to generate a new private key: {e}")))?;
        let template = self.wanted.template();
        let template =
            template.ok_or_else(|| unmade("unable to create a csr, no template available".into()))?;
        let usages = self.purpose.usages(self.profile, &key);
        let ask = Ask {
            host: &self.host,
            rest,
            name: None,
            purpose: self.purpose,
            template: &template,
            usages: &usages,
            key: &key,
        };
        let request = submit(&ask).await.map_err(|e| {
            if let Some(error) = e.client() {
                self.judge_server(error);
            }
            format!("Failed while requesting a signed certificate from the control plane: {e}")
        })?;
        self.state.lock().asked = Some(template);
        let unsigned = |why: String| format!("Certificate request was not signed: {why}");
        let pem = tokio::select! {
            biased;
            () = self.wanted.until(|| self.template_changed()) => {
                return Err(unsigned("the certificate template changed".into()));
            }
            pem = issued(&self.host, rest, &request, WAIT) => pem.map_err(|e| unsigned(e.to_string()))?,
        };
        let unkept = |why: String| format!("Unable to store the new cert/key pair: {why}");
        let chain =
            Certificate::parse_pem(&pem).map_err(|e| unkept(format!("invalid certificate data: {e}")))?;
        let pair = CertifiedKey::new(chain, key).map_err(|e| unkept(e.to_string()))?;
        self.store.update(&pair).map_err(|e| unkept(e.to_string()))?;
        let held = Held::new(&pair).map_err(unkept)?;
        self.note(&held.leaf);
        {
            let mut state = self.state.lock();
            if let Some(before) = state.held.replace(held) {
                let life = self.host.clock().wall().duration_since(before.leaf.not_before());
                self.renewals.replaced(life.as_secs_f64());
            }
            state.server_healthy = true;
        }
        self.news.notify_waiters();
        Ok(())
    }

    /// What a refused request says about the server (updateServerError): 401, 403 and 404 are a
    /// server's words; everything else may come from something in between, or from nobody.
    fn judge_server(&self, error: &ClientError) {
        let healthy = error.is_unauthorized()
            || !error.is_unexpected_server() && (error.is_not_found() || error.is_forbidden());
        self.state.lock().server_healthy = healthy;
        self.news.notify_waiters();
    }

    fn note(&self, leaf: &Certificate) {
        if self.host.trace().is_recording() {
            let signer = ("signer", self.purpose.signer().to_owned());
            self.host.record("certificate", std::iter::once(signer).chain(leaf.evidence()).collect());
        }
    }
}

/// NotBefore plus a share of the life, uniform in [0.7, 0.9).
fn rotation_deadline(leaf: &Certificate, chance: f64) -> Wall {
    let life = leaf.not_after().duration_since(leaf.not_before());
    let earliest = if mutant("rotate-too-late") { 1.1 } else { 0.7 };
    let share = SignedDuration::from_secs_f64(life.as_secs_f64() * (earliest + 0.2 * chance));
    leaf.not_before().saturating_add(share).unwrap_or_else(|_| leaf.not_after())
}

impl ClientIdentity for Manager {
    /// Nothing once the certificate has expired: the handshake then shows none. Older releases show it all the same.
    fn current(&self) -> Option<Arc<sign::CertifiedKey>> {
        self.in_use().map(|(tls, _)| tls)
    }
}

impl ServerIdentity for Manager {
    fn current(&self) -> Option<Arc<sign::CertifiedKey>> {
        self.in_use().map(|(tls, _)| tls)
    }
}

#[cfg(test)]
mod tests {
    use pki::loopback::self_signed_server;
    use world::Entropy;

    use super::*;

    #[test]
    fn the_deadline_lies_between_seven_and_nine_tenths_of_the_life() {
        let start: Wall = "2026-01-01T01:00:00Z".parse().expect("a time");
        let made =
            self_signed_server("a", &[], &[], start, &Entropy::seeded(1, "t"), KeyAlgorithm::EcdsaP256);
        let pair = made.expect("made").pair;
        let leaf = pair.leaf().expect("a leaf");
        let share = |chance| {
            let life = leaf.not_after().duration_since(leaf.not_before()).as_secs_f64();
            rotation_deadline(leaf, chance).duration_since(leaf.not_before()).as_secs_f64() / life
        };
        assert!((share(0.0) - 0.7).abs() < 1e-9 && (share(0.5) - 0.8).abs() < 1e-9 && share(0.999_999) < 0.9);
    }
}
