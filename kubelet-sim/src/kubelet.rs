//! The kubelet's life: from flags to a running node, and the ends that upstream has.

use std::{sync::Arc, time::Duration};

use client::{Auth, Rest};
use parking_lot::Mutex;
use tokio::sync::Notify;
use wire::HttpClient;
use world::{Exit, Host};

use crate::{
    bootstrap,
    certificates::{Manager, Outlook},
    launcher::Launcher,
    lease, node,
    options::Options,
    pods::Pods,
    server,
};

/// How often the credentials in use are looked at, and how long a kubelet lives without any
/// (`pkg/kubelet/certificate/transport.go`).
const WATCH: Duration = Duration::from_secs(10);
const EXIT_AFTER: Duration = Duration::from_secs(5 * 60);

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
        Ok(why) | Err(why) => {
            tracing::error!("{why}");
            Exit::Failure(why)
        }
    }
}

async fn start(host: &Host, args: Vec<String>, launcher: Arc<dyn Launcher>) -> Result<String, String> {
    let options = Arc::new(Options::load(host, args).map_err(|e| e.to_string())?);
    let pods = Pods::new(host, options.clone(), launcher);
    // Static pods need no apiserver: on a first control plane they are it.
    pods.run_static();
    // The control plane's kubeconfig may appear only later; without any the kubelet ends here.
    let begin = bootstrap::load(host, &options)?;
    let embedded = begin
        .config
        .client_pair(host.disk())
        .or_else(|e| if begin.bootstrapping { Ok(None) } else { Err(e.to_string()) })?;
    let manager = Manager::new(host, &options.node_name, &options.cert_dir, embedded)?;
    let go = options.profile.go();
    let agent = format!("kubelet/{} (linux/amd64) kubernetes", options.profile.git_version());
    let server = begin.config.server().map_err(|e| e.to_string())?;
    let tls = begin
        .config
        .anonymous_tls(host, go)
        .map_err(|e| e.to_string())?
        .map(|tls| tls.identity(manager.clone()));
    let http = HttpClient::new(host, server, tls).map_err(|e| e.to_string())?;
    // Heartbeats have a client of their own, which nothing holds up.
    let heartbeat = Rest::new(http.clone(), Auth::None, &agent);
    let rest = heartbeat.with_rate(options.api_rate.0, options.api_rate.1);
    let request = Rest::from_kubeconfig(host, &begin.request, go, &agent).map_err(|e| e.to_string())?;

    server::healthz(host, &options, pods.clone()).await.map_err(|e| e.to_string())?;
    server::secure(host, &options, pods.clone()).await.map_err(|e| e.to_string())?;
    if options.rotate {
        host.spawn(manager.clone().run(rest.clone(), request));
    }
    let registered = Arc::new(Registered::default());
    host.spawn(node::run(host.clone(), options.clone(), heartbeat.clone(), registered.clone()));
    host.spawn(lease::run(host.clone(), options.clone(), heartbeat, registered.clone()));
    pods.follow(rest, registered);
    Ok(watch_credentials(host, &manager, &http).await)
}

/// Closes connections when the certificate changes, and says when the kubelet must end.
async fn watch_credentials(host: &Host, manager: &Manager, http: &HttpClient) -> String {
    let mut last_valid = host.clock().monotonic();
    loop {
        tokio::select! {
            biased;
            () = manager.changed() => {
                tracing::info!("Certificate rotation detected, shutting down client connections to start using new credentials");
                http.close_connections();
            }
            () = host.recur(WATCH) => {}
        }
        match manager.outlook() {
            Outlook { valid: true, .. } => last_valid = host.clock().monotonic(),
            Outlook { present: true, server_healthy: true, .. } => {
                return "The currently active client certificate has expired and the server is responsive, exiting.".into();
            }
            Outlook { server_healthy, .. }
                if host.clock().monotonic().since(last_valid) > EXIT_AFTER.max(host.periods().of(WATCH)) =>
            {
                if server_healthy {
                    return "No valid client certificate is found and the server is responsive, exiting."
                        .into();
                }
                tracing::error!(
                    "No valid client certificate is found but the server is not responsive. A restart may be necessary to retrieve new initial credentials."
                );
            }
            _ => {}
        }
    }
}
