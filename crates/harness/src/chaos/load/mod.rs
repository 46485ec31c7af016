//! The work that goes on while things go wrong: each part is somebody who uses the public API, and knows what must hold.

mod accounts;
mod candidates;
mod certificates;
mod credential;
mod hooked;
mod nodes;
mod scaling;
mod tokens;
mod watchers;
mod writers;

use std::{future::Future, sync::Arc};

use world::Host;

use super::{invariants::Judge, plan::CANDIDATES, scene::Scene};
use crate::HarnessError;
pub(super) use candidates::Holders;
pub(super) use hooked::{HOOK, Hook};
pub(super) use watchers::Watcher;

/// Writers that raise the same counters.
const WRITERS: usize = 2;
/// Watchers that see all of it.
const WATCHERS: usize = 2;

/// The load of one world.
pub(super) struct Load {
    pub watchers: Vec<Arc<Watcher>>,
    pub holders: Arc<Holders>,
}

impl Load {
    /// Everybody begins.
    pub(super) async fn start(scene: &Arc<Scene>) -> Result<Self, HarnessError> {
        let workstation = scene.workstation();
        let begin = |host: &Host, name: &str, work: Work| drop(host.process(name).host().spawn(work));
        let mut watchers = Vec::new();
        for n in 1..=WATCHERS {
            let watcher = Arc::new(Watcher::new(scene, &format!("watcher{n}"))?);
            watchers.push(watcher.clone());
            begin(&workstation, "watcher", boxed(async move { watcher.run().await }));
        }
        for n in 1..=WRITERS {
            let writer = writers::Writer::new(scene, n)?;
            begin(&workstation, "writer", boxed(writer.run()));
        }
        begin(&workstation, "scaler", boxed(scaling::run(scene.clone())));
        begin(&workstation, "certificates", boxed(certificates::Certificates::new(scene)?.run()));
        begin(&workstation, "tokens", boxed(tokens::run(scene.clone())));
        begin(&workstation, "accounts", boxed(accounts::run(scene.clone())));
        scene.hook.start(scene).await?;
        begin(&workstation, "hooked", boxed(hooked::run(scene.clone(), scene.hook.clone())));
        let holders = Arc::new(Holders::default());
        for name in CANDIDATES {
            let candidate = candidates::Candidate::new(scene, &scene.host(name), &holders)?;
            begin(&scene.host(name), "candidate", boxed(candidate.run()));
        }
        let node = nodes::NodeActor::new(scene);
        // In no process of its host, so that it outlives a reboot as whoever stole the credentials would.
        drop(scene.host(nodes::NODE).spawn(node.run()));
        Ok(Self { watchers, holders })
    }
}

type Work = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn boxed(work: impl Future<Output = ()> + Send + 'static) -> Work {
    Box::pin(work)
}

/// Says that somebody cannot begin what it is to do: no fault is on then, so it is the cluster's.
fn cannot(judge: &Judge, what: &str, why: impl std::fmt::Display) {
    judge.violated(super::invariants::HEALTHY, format!("{what}: {why}"));
}
