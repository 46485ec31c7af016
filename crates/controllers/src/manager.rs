//! kube-controller-manager: starts the loops while it leads, ends when it no longer does.

use std::sync::Arc;

use client::{Auth, Rest, leader::LeaderElector};
use pki::kubeconfig::Kubeconfig;
use world::{Exit, Host};

use crate::{
    accounts, bootstrap, context::Context, csr, disruption, endpoints, garbage, health, jobs, legacy_tokens,
    namespace, node, options::ManagerOptions, podgc, quota, roles, tokens, volumes, workloads,
};

/// Runs `kube-controller-manager <args>` on `host` until it exits.
pub async fn run(host: Host, args: Vec<String>) -> Exit {
    match start(&host, args).await {
        Ok(()) => Exit::Success,
        Err(why) => {
            tracing::error!("{why}");
            Exit::Failure(why)
        }
    }
}

async fn start(host: &Host, args: Vec<String>) -> Result<(), String> {
    let options = Arc::new(ManagerOptions::parse_args(args).map_err(|e| e.to_string())?);
    let config = Kubeconfig::load(host.disk(), &options.kubeconfig).map_err(|e| e.to_string())?;
    let profile = options.kubernetes_version;
    let agent = format!("kube-controller-manager/{} (linux/amd64) kubernetes", profile.git_version());
    let root = Rest::from_kubeconfig(host, &config, profile.go(), &agent).map_err(|e| e.to_string())?;
    let plain = anonymous(host, &config, profile.go(), &agent)?;
    let signing = csr::Signing::load(host, &options)?;
    health::serve(host, options.bind_address, options.secure_port).await?;
    host.started();
    let context = Context::new(host, options.clone(), root.clone(), plain);
    if !options.leader_elect {
        return run_loops(context, signing).await;
    }
    let election = options.election.election(host, "kube-controller-manager", profile);
    let electing = root.with_rate(options.kube_api_qps, options.kube_api_burst);
    let elector = LeaderElector::new(host, &electing, election).map_err(|e| e.to_string())?;
    match elector.run(|| run_loops(context, signing)).await {
        Ok(ended) => ended,
        Err(lost) => Err(lost.to_string()),
    }
}

/// A connection of its own that shows no client certificate: for service accounts.
fn anonymous(host: &Host, config: &Kubeconfig, go: pki::GoVersion, agent: &str) -> Result<Rest, String> {
    let tls = config.anonymous_tls(host, go).map_err(|e| e.to_string())?;
    let server = config.server().map_err(|e| e.to_string())?;
    let http = wire::HttpClient::new(host, server, tls).map_err(|e| e.to_string())?;
    Ok(Rest::new(http, Auth::None, agent))
}

/// Starts every loop that is switched on; they end with the process.
async fn run_loops(c: Context, signing: Option<csr::Signing>) -> Result<(), String> {
    let on = |long: &str, short: &str| c.options.runs(long, short, true);
    let extra = |long: &str, short: &str| c.options.runs(long, short, false);
    if on("certificatesigningrequest-approving-controller", "csrapproving") {
        csr::approve(&c);
    }
    match signing {
        Some(signing) if on("certificatesigningrequest-signing-controller", "csrsigning") => {
            csr::sign(&c, signing)
        }
        None => tracing::info!("skipping CSR signer controller because no csr cert/key was specified"),
        Some(_) => {}
    }
    if on("certificatesigningrequest-cleaner-controller", "csrcleaner") {
        csr::clean(&c);
    }
    if on("certificate-expiry-controller", "certificate-expiry") {
        csr::watch_expiry(&c);
    }
    if extra("bootstrap-signer-controller", "bootstrapsigner") {
        bootstrap::sign(&c);
    }
    if extra("token-cleaner-controller", "tokencleaner") {
        bootstrap::clean_tokens(&c);
    }
    if on("serviceaccount-controller", "serviceaccount") {
        accounts::service_accounts(&c);
    }
    if on("serviceaccount-token-controller", "serviceaccount-token") {
        tokens::run(&c)?;
    }
    if on("root-ca-certificate-publisher-controller", "root-ca-cert-publisher") {
        accounts::publish_root_ca(&c)?;
    }
    if on("namespace-controller", "namespace") {
        namespace::run(&c);
    }
    if on("node-lifecycle-controller", "nodelifecycle") {
        node::watch_health(&c);
    }
    if on("taint-eviction-controller", "taint-eviction-controller") {
        node::evict(&c);
    }
    if on("node-ipam-controller", "nodeipam") {
        node::allocate_cidrs(&c)?;
    }
    if on("ttl-controller", "ttl") {
        node::annotate_ttl(&c);
    }
    if on("replicaset-controller", "replicaset") {
        workloads::replica_sets(&c);
    }
    if on("deployment-controller", "deployment") {
        workloads::deployments(&c);
    }
    if on("daemonset-controller", "daemonset") {
        workloads::daemon_sets(&c);
    }
    if on("statefulset-controller", "statefulset") {
        workloads::stateful_sets(&c);
    }
    if on("pod-garbage-collector-controller", "podgc") {
        podgc::run(&c);
    }
    if on("disruption-controller", "disruption") {
        disruption::run(&c);
    }
    if on("resourcequota-controller", "resourcequota") {
        quota::run(&c);
    }
    if on("persistentvolume-binder-controller", "persistentvolume-binder") {
        volumes::bind(&c);
    }
    if on("persistentvolumeclaim-protection-controller", "pvc-protection") {
        volumes::protect_claims(&c);
    }
    if on("persistentvolume-protection-controller", "pv-protection") {
        volumes::protect_volumes(&c);
    }
    if on("clusterrole-aggregation-controller", "clusterrole-aggregation") {
        roles::aggregate(&c);
    }
    let cleans = c.options.kubernetes_version.cleans_token_secrets();
    if cleans && on("legacy-serviceaccount-token-cleaner-controller", "legacy-service-account-token-cleaner")
    {
        legacy_tokens::run(&c);
    }
    if on("job-controller", "job") {
        jobs::jobs(&c);
    }
    if on("cronjob-controller", "cronjob") {
        jobs::cron_jobs(&c);
    }
    if on("ttl-after-finished-controller", "ttl-after-finished") {
        jobs::ttl_after_finished(&c);
    }
    if on("endpoints-controller", "endpoint") {
        endpoints::endpoints(&c);
    }
    if on("endpointslice-controller", "endpointslice") {
        endpoints::endpoint_slices(&c);
    }
    if on("garbage-collector-controller", "garbagecollector") {
        garbage::run(&c);
    }
    std::future::pending().await
}
