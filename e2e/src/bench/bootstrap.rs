//! Full TLS bootstraps a second: kubelets that are switched on with a token, and counted when another
//! client sees their Lease and their Ready Node.

use std::{process::ExitCode, time::Duration};

use chronoplane::{
    HarnessError,
    cluster::{CONTROL_PLANE, WORKSTATION},
};
use clap::Args;
use serde_json::json;
use world::{
    Host,
    real::{Block, Real},
};

use super::{
    Keys,
    fleet::{Fleet, FleetOptions, Limits, Storage},
    process,
    watcher::Watcher,
};
use crate::{
    cli::{Output, Refusal},
    components,
};

/// The real kube-controller-manager on a machine of this kind: requests signed a second as shipped, and
/// with its clients' limit lifted.
const UPSTREAM: (u32, u32) = (10, 370);
/// Files that a kubelet has open: two listeners, and both ends of two connections; and some to spare.
pub(super) const FILES_PER_KUBELET: u64 = 8;
/// All other files: of the store, the controllers' connections.
pub(super) const OTHER_FILES: u64 = 256;

/// What was asked for.
#[derive(Args, Clone, Copy, Debug)]
pub struct Plan {
    /// How many kubelets bootstrap
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    nodes: u32,
    /// Algorithm of the cluster's keys; default: one after the other
    #[arg(long, value_enum)]
    keys: Option<Keys>,
    /// The apiserver's store
    #[arg(long, value_enum, default_value_t = Storage::Sled)]
    storage: Storage,
    /// Keep upstream's limits of requests and retries, as shipped
    #[arg(long)]
    upstream_limits: bool,
    /// How many may be under way at a time: each takes a fifth of a second at least, the first backoff of its Lease
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    at_once: u32,
}

/// How one fleet came up.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// From the first switch to the last Ready.
    pub took: Duration,
    /// From a kubelet's own switch to its Ready: median, 99th percentile, longest.
    pub each: [Duration; 3],
    /// Processor time of everything together, for each kubelet.
    pub cpu: Duration,
}

/// Measures and prints.
///
/// # Errors
/// The control plane did not start, or a kubelet did not become Ready.
pub fn run(plan: &Plan, output: Output) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    process::allow_open_files(u64::from(plan.nodes) * FILES_PER_KUBELET + OTHER_FILES)?;
    let algorithms = plan.keys.map_or(vec![Keys::EcdsaP256, Keys::Rsa2048], |keys| vec![keys]);
    let limits = if plan.upstream_limits { Limits::Upstream } else { Limits::Lifted };
    let mut rows = Vec::new();
    if output == Output::Text {
        outln!(
            "{:<12} {:>6} {:>9} {:>9} {:>10} {:>10} {:>10} {:>10}",
            "KEYS",
            "NODES",
            "TOOK",
            "PER SEC",
            "MEDIAN",
            "P99",
            "LONGEST",
            "CPU EACH"
        );
    }
    for keys in algorithms {
        let options = FleetOptions { algorithm: keys.into(), storage: plan.storage, limits };
        let figure = measure(plan, options)?;
        let rate = f64::from(plan.nodes) / figure.took.as_secs_f64();
        let [median, most, longest] = figure.each.map(|d| d.as_secs_f64() * 1000.0);
        match output {
            Output::Text => outln!(
                "{:<12} {:>6} {:>7.2} s {:>9.0} {:>7.0} ms {:>7.0} ms {:>7.0} ms {:>7.2} ms",
                options.algorithm.to_string(),
                plan.nodes,
                figure.took.as_secs_f64(),
                rate,
                median,
                most,
                longest,
                figure.cpu.as_secs_f64() * 1000.0
            ),
            Output::Json => rows.push(json!({
                "keys": options.algorithm.to_string(),
                "seconds": figure.took.as_secs_f64(),
                "perSecond": rate,
                "medianMs": median,
                "p99Ms": most,
                "maxMs": longest,
                "cpuMsEach": figure.cpu.as_secs_f64() * 1000.0,
            })),
        }
    }
    let (storage, limits) = (
        format!("{:?}", plan.storage).to_lowercase(),
        if plan.upstream_limits { "upstream" } else { "lifted" },
    );
    match output {
        Output::Text => outln!(
            "storage {storage}, limits {limits}; for comparison: the real kube-controller-manager signs {} a second as \
             shipped, {} with its clients' limit lifted",
            UPSTREAM.0,
            UPSTREAM.1
        ),
        Output::Json => outln!(
            "{}",
            json!({
                "bench": "bootstrap",
                "nodes": plan.nodes,
                "storage": storage,
                "limits": limits,
                "figures": rows,
                "upstream": {"signedPerSecond": UPSTREAM.0, "signedPerSecondLimitLifted": UPSTREAM.1},
            })
        ),
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(plan: &Plan, options: FleetOptions) -> Result<Figure, Refusal> {
    let dir = tempfile::Builder::new().prefix("chronoplane-bench-").tempdir()?;
    let world = Real::new(dir.path().to_owned(), Block::reserve()?);
    let runtime = components::runtime()?;
    let figure = runtime.block_on(async {
        let fleet = Fleet::start(&world.host(CONTROL_PLANE)?, options).await?;
        let mut kubelets = Vec::new();
        for n in 1..=plan.nodes {
            kubelets.push(world.host(&format!("node{n}"))?);
        }
        let watcher = Watcher::start(&fleet, &world.host(WORKSTATION)?).await?;
        Ok::<_, Refusal>(bring_up(&fleet, &watcher, &kubelets, plan.at_once as usize).await?)
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    figure
}

/// Prepares all hosts, then switches their kubelets on, at most `at_once` under way at a time, and waits
/// until the watcher has seen all of them Ready.
///
/// # Errors
/// A file cannot be written, or not all became Ready in time; says how many did.
pub async fn bring_up(
    fleet: &Fleet,
    watcher: &Watcher,
    kubelets: &[Host],
    at_once: usize,
) -> Result<Figure, HarnessError> {
    for host in kubelets {
        fleet.prepare(host)?;
    }
    let (began, used) = (watcher.now(), process::cpu());
    // Ten a second is what upstream's own limits let through.
    let deadline = began + Duration::from_secs(120) + Duration::from_millis(150) * kubelets.len() as u32;
    let mut switched = Vec::with_capacity(kubelets.len());
    for (n, host) in kubelets.iter().enumerate() {
        watcher.until(n.saturating_sub(at_once - 1), deadline).await?;
        switched.push(watcher.now());
        fleet.switch_on(host);
    }
    watcher.until(kubelets.len(), deadline).await?;
    let cpu = (process::cpu() - used) / u32::try_from(kubelets.len()).unwrap_or(u32::MAX).max(1);
    let ready = watcher.ready();
    let mut each = Vec::with_capacity(kubelets.len());
    let mut last = began;
    for (host, on) in kubelets.iter().zip(switched) {
        let at = *ready.get(host.name()).ok_or_else(|| {
            HarnessError::new(format!("{} is not among the nodes that are Ready", host.name()))
        })?;
        last = last.max(at);
        each.push(at.since(on));
    }
    each.sort();
    let pick =
        |share: usize| each.get((each.len() * share / 100).min(each.len() - 1)).copied().unwrap_or_default();
    Ok(Figure { took: last.since(began), each: [pick(50), pick(99), pick(100)], cpu })
}
