//! How fast a control plane is there, and what it weighs.

use std::{process::ExitCode, time::Instant};

use chronoplane::{ControlPlane, ControlPlaneOptions};
use pki::KeyAlgorithm;
use serde_json::json;
use world::sim;

use super::server::OwnServer;
use crate::{
    cli::{Output, Refusal},
    components,
};

const ROUNDS: usize = 10;
/// The real kube-apiserver with etcd on a machine of this kind: milliseconds to /readyz, MiB resident.
pub(super) const UPSTREAM: (u32, u32) = (2200, 310);

struct Figure {
    what: &'static str,
    /// Smallest, median, largest.
    millis: [f64; 3],
    resident_mib: Option<f64>,
}

/// Measures and prints.
///
/// # Errors
/// A server did not start.
pub fn run(output: Output) -> Result<ExitCode, Refusal> {
    let figures = vec![
        in_process("control plane in process, ECDSA keys", KeyAlgorithm::EcdsaP256, ROUNDS)?,
        in_process("control plane in process, RSA keys", KeyAlgorithm::Rsa2048, 3)?,
        as_process("apiserver process to /readyz, memory", &["--storage-backend=memory"])?,
        as_process(
            "apiserver process to /readyz, sled",
            &["--storage-backend=sled", "--data-dir=/var/lib/chronoplane"],
        )?,
    ];
    if output == Output::Json {
        let rows: Vec<_> = figures
            .iter()
            .map(|f| json!({"what": f.what, "minMs": f.millis[0], "medianMs": f.millis[1], "maxMs": f.millis[2], "residentMiB": f.resident_mib}))
            .collect();
        outln!(
            "{}",
            json!({"bench": "boot", "upstream": {"ms": UPSTREAM.0, "residentMiB": UPSTREAM.1}, "figures": rows})
        );
        return Ok(ExitCode::SUCCESS);
    }
    outln!("{:<40} {:>9} {:>9} {:>9}  RESIDENT", "WHAT", "MIN", "MEDIAN", "MAX");
    for f in &figures {
        let resident = f.resident_mib.map(|m| format!("{m:.1} MiB")).unwrap_or_default();
        outln!(
            "{:<40} {:>6.1} ms {:>6.1} ms {:>6.1} ms  {resident}",
            f.what,
            f.millis[0],
            f.millis[1],
            f.millis[2]
        );
    }
    outln!(
        "for comparison: kube-apiserver 1.36 with etcd needs {} ms and {} MiB on such a machine",
        UPSTREAM.0,
        UPSTREAM.1
    );
    Ok(ExitCode::SUCCESS)
}

fn summary(what: &'static str, mut rounds: Vec<f64>, resident_mib: Option<f64>) -> Figure {
    rounds.sort_by(f64::total_cmp);
    let pick = |i: usize| rounds.get(i).copied().unwrap_or_default();
    Figure {
        what,
        millis: [pick(0), pick(rounds.len() / 2), pick(rounds.len().saturating_sub(1))],
        resident_mib,
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn in_process(what: &'static str, algorithm: KeyAlgorithm, rounds: usize) -> Result<Figure, Refusal> {
    let mut millis = Vec::new();
    for seed in 0..rounds as u64 {
        let began = Instant::now();
        let config = sim::Config { seed, ..sim::Config::default() };
        let took = sim::run(config, async |sim| {
            let options = ControlPlaneOptions { algorithm, ..ControlPlaneOptions::default() };
            ControlPlane::start(&sim.host("cp1"), options).await.map(|_| began.elapsed())
        })??;
        millis.push(took.as_secs_f64() * 1000.0);
    }
    Ok(summary(what, millis, None))
}

fn as_process(what: &'static str, flags: &[&str]) -> Result<Figure, Refusal> {
    let runtime = components::runtime()?;
    let (mut millis, mut resident) = (Vec::new(), 0.0_f64);
    for _ in 0..ROUNDS {
        let (server, took) = runtime.block_on(OwnServer::start(flags))?;
        millis.push(took.as_secs_f64() * 1000.0);
        let bytes = super::process::resident(server.pid()).unwrap_or_default();
        resident = (bytes as f64 / f64::from(1 << 20)).max(resident);
    }
    Ok(summary(what, millis, Some(resident)))
}
