//! The kubelet's life: from flags to a running node, and the ends that upstream has.

use std::sync::Arc;

use client::{Auth, Rest};
use parking_lot::Mutex;
use pki::{
    ClientIdentity,
    kubeconfig::{Kubeconfig, KubeconfigError},
};
use tokio::sync::Notify;
use wire::{HttpClient, follow_certificate};
use world::{Exit, Host};

use crate::{
    bootstrap::{self, Start},
    certificates::{Certificates, FileStore, Manager, Purpose, Settings, Template, Wanted, watch},
    launcher::Launcher,
    lease::Heart,
    node::{Addresses, Reporter},
    options::Options,
    pods::Pods,
    server::{self, Serving},
};

/// The node's UID, once the node is registered.
#[derive(Default)]
pub(crate) struct Registered {
    uid: Mutex<Option<String>>,
    told: Notify,
}

impl Registered {
    pub(crate) fn set(&self, uid: &str) {
        *self.uid.lock() = Some(uid.to_owned());
        self.told.notify_waiters();
    }

    pub(crate) fn uid(&self) -> Option<String> {
        self.uid.lock().clone()
    }

    pub(crate) async fn wait(&self) -> String {
        loop {
            let told = self.told.notified();
            if let Some(uid) = self.uid() {
                return uid;
            }
            told.await;
        }
    }
}

/// Runs `kubelet <args>` on `host` until it exits.
pub async fn run(host: Host, args: Vec<String>, launcher: Arc<dyn Launcher>) -> Exit {
    match start(&host, args, launcher).await {
        Ok(why) => Exit::Failure(why),
        Err(why) => {
            tracing::error!("{why}");
            Exit::Failure(why)
        }
    }
}

async fn start(host: &Host, args: Vec<String>, launcher: Arc<dyn Launcher>) -> Result<String, String> {
    let options = Arc::new(Options::load(host, args).map_err(|e| e.to_string())?);
    serve(host, options, launcher).await.map_err(|why| format!("failed to run Kubelet: {why}"))
}

/// Returns the last words of a kubelet that ran and must end.
async fn serve(host: &Host, options: Arc<Options>, launcher: Arc<dyn Launcher>) -> Result<String, String> {
    if options.kubeconfig.is_empty() {
        // Upstream's standalone mode: no API, static pods only.
        let pods = Pods::new(host, options.clone(), launcher);
        pods.run_static();
        server::healthz(host, &options, pods).await.map_err(|e| e.to_string())?;
        host.started();
        return std::future::pending().await;
    }
    let begin = bootstrap::prepare(host, &options).await?;
    let link = Link::new(host, &options, &begin)?;
    let addresses = Arc::<Addresses>::default();
    let serving = Serving::new(host, &options, &addresses)?;
    let pods = Pods::new(host, options.clone(), launcher);
    pods.renews(Certificates {
        client: match &link.credentials {
            Credentials::Rotating { manager, .. } => Some(manager.renewals()),
            Credentials::Given(_) => None,
        },
        serving: serving.manager.as_ref().map(|manager| manager.renewals()),
    });
    // Static pods need no apiserver: on a first control plane they are it.
    pods.run_static();
    server::healthz(host, &options, pods.clone()).await.map_err(|e| e.to_string())?;
    server::secure(host, &options, pods.clone(), &serving).await.map_err(|e| e.to_string())?;
    host.started();
    if let Credentials::Rotating { manager, first } = &link.credentials {
        tracing::info!("Starting client certificate rotation");
        host.spawn(manager.clone().run(link.rest.clone(), first.clone()));
    }
    if let Some(manager) = serving.manager {
        host.spawn(manager.run(link.rest.clone(), link.rest.clone()));
    }
    let registered = Arc::new(Registered::default());
    let images = pods.clone();
    let reporter = Reporter {
        host: host.clone(),
        options: options.clone(),
        rest: link.heartbeat.clone(),
        http: link.http.clone(),
        registered: registered.clone(),
        addresses,
        images: Arc::new(move || images.images()),
    };
    host.spawn(reporter.run());
    let profile = options.profile;
    let heart = Heart::new(host, options, &link.heartbeat, link.http.clone());
    host.spawn(heart.run(registered.clone()));
    pods.follow(link.rest, registered);
    Ok(match &link.credentials {
        Credentials::Rotating { manager, .. } => watch(host, manager, &link.http, profile).await,
        Credentials::Given(Some(identity)) => {
            match follow_certificate(host, &**identity, || link.http.close_connections()).await {}
        }
        Credentials::Given(None) => std::future::pending().await,
    })
}

/// The kubelet's way to the apiserver.
struct Link {
    rest: Rest,
    /// Of heartbeats alone, which no rate holds up.
    heartbeat: Rest,
    http: HttpClient,
    credentials: Credentials,
}

enum Credentials {
    /// The kubelet renews its certificate; without a valid one it asks with `first`.
    Rotating { manager: Arc<Manager>, first: Rest },
    /// Somebody else does, or nobody.
    Given(Option<Arc<dyn ClientIdentity>>),
}

impl Link {
    fn new(host: &Host, options: &Options, begin: &Start) -> Result<Self, String> {
        let (config, go) = (&begin.config, options.profile.go());
        let words = |e: KubeconfigError| e.to_string();
        let tls = config.anonymous_tls(host, go).map_err(words)?;
        let agent = options.user_agent();
        let client =
            |tls| HttpClient::new(host, config.server().map_err(words)?, tls).map_err(|e| e.to_string());
        if options.rotate {
            let manager = client_manager(host, options, config)?;
            let http = client(tls.map(|tls| tls.identity(manager.clone())))?;
            let first = Rest::from_kubeconfig(host, &begin.request, go, &agent).map_err(|e| e.to_string())?;
            let credentials = Credentials::Rotating { manager, first };
            return Ok(Self::with(options, Rest::new(http.clone(), Auth::None, &agent), http, credentials));
        }
        let identity = config.identity(host.disk()).map_err(words)?;
        let http = client(match (tls, identity.clone()) {
            (Some(tls), Some(identity)) => Some(tls.identity(identity)),
            (tls, _) => tls,
        })?;
        let auth = client::credentials(host, config).map_err(|e| e.to_string())?;
        let heartbeat = Rest::new(http.clone(), auth, &agent);
        Ok(Self::with(options, heartbeat, http, Credentials::Given(identity)))
    }

    fn with(options: &Options, heartbeat: Rest, http: HttpClient, credentials: Credentials) -> Self {
        let rest = heartbeat.with_rate(options.api_rate.0, options.api_rate.1);
        Self { rest, heartbeat, http, credentials }
    }
}

/// The manager of the client certificate (`cmd/kubelet/app/server.go`, buildClientCertificateManager):
/// an embedded pair is replaced at once, files are a place to load from.
fn client_manager(host: &Host, options: &Options, config: &Kubeconfig) -> Result<Arc<Manager>, String> {
    let words = |e: KubeconfigError| e.to_string();
    let user = config.user().map_err(words)?.map(|(_, user)| user.clone()).unwrap_or_default();
    let embedded = match user.client_certificate_data {
        Some(_) => config.client_pair(host.disk()).map_err(words)?,
        None => None,
    };
    let files = user.client_certificate.zip(user.client_key).filter(|_| embedded.is_none());
    let files = files.map(|(c, k)| (bootstrap::beside(config, &c), bootstrap::beside(config, &k)));
    let syncs = options.profile.certificate_store_syncs();
    let store = FileStore::open(host, &options.cert_dir, Purpose::Client, files, syncs)
        .map_err(|e| format!("failed to initialize client certificate store: {e}"))?;
    let wanted = Wanted::Fixed(Template::client(&options.node_name));
    let settings = Settings { purpose: Purpose::Client, profile: options.profile, store, wanted, embedded };
    Manager::new(host, settings)
}
