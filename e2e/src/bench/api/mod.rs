//! How fast an API server is and what it weighs, measured with one client, whoever's server it is.
//!
//! * `load`: the client: requests one after another or many at once, over several connections.
//! * `watchers`: many watches of one collection.
//! * `figure`: rates and percentiles, and how they are printed.

mod figure;
mod load;
mod watchers;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
};

use api::profile::Profile;
use clap::Args;
use pki::kubeconfig::Kubeconfig;
use serde_json::json;

use super::{process, server::OwnServer};
use crate::{
    cli::{Output, Refusal},
    components::{self, Place},
};
use figure::Figure;
use load::{Load, Verb};

/// `chronoplane bench api`.
#[derive(Args)]
pub struct Plan {
    /// The server to measure, as its administrator; default: servers of its own, in memory and on sled
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// So many objects are created, read, changed and deleted, one after another and again many at once
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// Requests at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    /// Connections that they are sent over
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Objects in the collection that is listed
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(500..))]
    objects: u32,
    /// Watches of one collection
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    watchers: u32,
    /// Changes that each of them sees
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    changes: u32,
}

/// A server that was measured.
struct Measured {
    server: String,
    figures: Vec<Figure>,
    /// MiB, when the server runs on this machine.
    resident: Option<f64>,
}

/// Measures and prints.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub fn run(plan: &Plan, output: Output) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    process::allow_open_files(u64::from(plan.watchers) + 1024)?;
    let runtime = components::runtime()?;
    let measured = runtime.block_on(async {
        match &plan.kubeconfig {
            Some(path) => Ok(vec![foreign(plan, path).await?]),
            None => Ok::<_, Refusal>(vec![
                own(plan, "chronoplane, memory", &["--storage-backend=memory"]).await?,
                own(
                    plan,
                    "chronoplane, sled on disk",
                    &["--storage-backend=sled", "--data-dir=/var/lib/chronoplane"],
                )
                .await?,
            ]),
        }
    });
    runtime.shutdown_background();
    print(&measured?, output);
    Ok(ExitCode::SUCCESS)
}

async fn own(plan: &Plan, name: &str, flags: &[&str]) -> Result<Measured, Refusal> {
    let (server, _) = OwnServer::start(flags).await?;
    let figures =
        measure(plan, |lane| Load::new(server.client(), plan.connections, lane, || server.connection()))
            .await?;
    Ok(Measured { server: name.to_owned(), figures, resident: mebibytes(process::resident(server.pid())) })
}

async fn foreign(plan: &Plan, path: &std::path::Path) -> Result<Measured, Refusal> {
    let host = Place::of_this_process()?.serving_host()?;
    let config = Kubeconfig::load(host.disk(), std::path::absolute(path)?)?;
    let server = config.server()?.to_owned();
    let connect = || Ok(client::connection(&host, &config, Profile::default().go())?);
    let figures = measure(plan, |lane| Load::new(&host, plan.connections, lane, connect)).await?;
    let pid = process::listening_at(&server);
    Ok(Measured { figures, resident: mebibytes(pid.and_then(process::resident)), server })
}

fn mebibytes(bytes: Option<u64>) -> Option<f64> {
    bytes.map(|bytes| bytes as f64 / f64::from(1 << 20))
}

async fn measure(plan: &Plan, load: impl Fn(usize) -> Result<Load, Refusal>) -> Result<Vec<Figure>, Refusal> {
    let mut figures = Vec::new();
    // Loads of one connection after another are on one thread after another.
    let made = AtomicUsize::new(0);
    let load = || load(made.fetch_add(1, Ordering::Relaxed));
    let (count, many) = (plan.requests, plan.in_flight);
    let requests = load()?;
    requests.begin().await?;
    for at_once in [1, many] {
        let way = if at_once == 1 { "one after another".to_owned() } else { format!("{at_once} at once") };
        for verb in [Verb::Create, Verb::Get, Verb::Update, Verb::Delete] {
            let what = format!("{}, {way}", verb.word());
            figures.push(requests.each(&what, verb, count, at_once).await?);
        }
    }
    requests.each("", Verb::Create, plan.objects, many).await?;
    for (limit, rounds) in [(500, 40), (0, 20)] {
        figures.push(requests.lists(plan.objects, limit, rounds).await?);
    }
    figures.push(watchers::fan_out(&load, plan.watchers, plan.changes).await?);
    requests.end().await?;
    Ok(figures)
}

fn print(measured: &[Measured], output: Output) {
    if output == Output::Json {
        let servers: Vec<_> = measured
            .iter()
            .map(|m| {
                let figures: Vec<_> = m.figures.iter().map(Figure::to_json).collect();
                json!({"server": m.server, "residentMiB": m.resident, "figures": figures})
            })
            .collect();
        outln!("{}", json!({"bench": "api", "servers": servers}));
        return;
    }
    for m in measured {
        outln!("{}", m.server);
        outln!("{}", Figure::HEADING);
        m.figures.iter().for_each(|f| outln!("{f}"));
        match m.resident {
            Some(resident) => outln!("resident afterwards: {resident:.0} MiB\n"),
            None => outln!("resident afterwards: not known, the server is elsewhere\n"),
        }
    }
    outln!(
        "for comparison, kube-apiserver 1.36 and etcd on such a machine, a Go client, no fsync: create 862/s and \
         2,446/s with 32 at once, get 1,286/s and 3,939/s, a list of 5,000 in 82 ms, 47,000 events/s to 1,000 \
         watchers, 1.6 GiB resident"
    );
}
