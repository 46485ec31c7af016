//! How releases before 1.30 waited for their control plane: for the apiserver's /healthz alone, unless the kubelet
//! turned out to be dead (`cmd/kubeadm/app/util/apiclient/wait.go`).

use std::time::Duration;

use api::profile::console;
use pki::ClientTls;
use wire::HttpClient;

use crate::{
    config::InitConfig,
    paths::{HEALTH_POLL, KUBELET_HEALTH_PORT},
    session::{Failure, Result, Session, poll},
    wait::healthy,
};

/// Before it could be configured.
const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);
/// How long the kubelet has before it is asked, and the pauses between the questions.
const KUBELET_PATIENCE: Duration = Duration::from_secs(40);
const KUBELET_PAUSES: [u64; 4] = [20, 40, 80, 160];

/// Waits until the apiserver is healthy, and says after how long.
pub(crate) async fn control_plane(s: &Session<'_>, config: &InitConfig) -> Result<()> {
    let (host, began) = (s.host, s.host.clock().monotonic());
    let http = client(s, config)?;
    let patience = if s.profile.waits_half_an_hour() { HALF_AN_HOUR } else { config.timeouts.control_plane };
    let answered = poll(host, HEALTH_POLL, patience, async || healthy(&http, "/healthz").await);
    let outcome = tokio::select! {
        biased;
        answered = answered => answered,
        why = dead_kubelet(s) => Err(why),
    };
    match outcome {
        Ok(()) => {
            say_healthy(s, began);
            Ok(())
        }
        Err(why) => {
            let version = config.cluster.profile.git_version();
            let socket = &config.node.cri_socket;
            s.tell(&console::GAVE_UP, &[&why.0, config.cluster.image_repository(), &version, socket]);
            Err(Failure::new("couldn't initialize a Kubernetes cluster"))
        }
    }
}

/// Waits until the apiserver is healthy again; `patience` is how long it may take.
pub(crate) async fn api(s: &Session<'_>, config: &InitConfig, patience: Duration) -> Result<()> {
    let began = s.host.clock().monotonic();
    let http = client(s, config)?;
    poll(s.host, HEALTH_POLL, patience, async || healthy(&http, "/healthz").await).await?;
    say_healthy(s, began);
    Ok(())
}

fn say_healthy(s: &Session<'_>, began: world::Mono) {
    let seconds = s.host.clock().monotonic().since(began).as_secs_f64();
    s.tell(&console::HEALTHY, &[&format!("{seconds:.6}")]);
}

fn client(s: &Session<'_>, config: &InitConfig) -> Result<HttpClient> {
    let tls = ClientTls::new(s.host, s.profile.go()).insecure();
    Ok(HttpClient::new(s.host, &format!("https://{}", config.local_endpoint()), Some(tls))?)
}

/// Ends once the kubelet has not answered five times; never while it does. Upstream asked the kubelet's
/// read-only port up to 1.10; a simulated kubelet has the other one.
async fn dead_kubelet(s: &Session<'_>) -> Failure {
    let base = format!("http://localhost:{KUBELET_HEALTH_PORT}");
    s.host.clock().sleep(KUBELET_PATIENCE).await;
    s.tell(&console::KUBELET_ASKED, &[]);
    let mut pauses = KUBELET_PAUSES.into_iter();
    loop {
        let asked = match HttpClient::new(s.host, &format!("http://127.0.0.1:{KUBELET_HEALTH_PORT}"), None) {
            Ok(http) => healthy(&http, "/healthz").await,
            Err(e) => Err(e.into()),
        };
        let Err(why) = asked else {
            return std::future::pending().await;
        };
        s.tell(&console::KUBELET_UNHEALTHY, &[&format!("{base}/healthz"), &why.0]);
        match pauses.next() {
            Some(pause) => s.host.clock().sleep(Duration::from_secs(pause)).await,
            None => return Failure::new("timed out waiting for the condition"),
        }
    }
}
