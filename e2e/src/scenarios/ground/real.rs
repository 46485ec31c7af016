//! A cluster of separate processes of this program, as `up --processes` runs it, with a clock file for each host.

use std::{cell::Cell, net::SocketAddr, time::Duration};

use chronoplane::{
    ClusterOptions, HarnessError, Machinery, Who,
    cluster::{self, CONTROL_PLANE, WORKSTATION},
};
use client::Rest;
use jiff::SignedDuration;
use pki::{kubeconfig::Kubeconfig, token::BootstrapToken};
use tokio::signal::unix::{SignalKind, signal};
use world::{
    Event, Host, Wall,
    real::{ClockFile, Real, Setting, system},
};

use super::{Ground, World, record};
use crate::{
    components::RECORD_FILE,
    story::{Settings, StoryError, Teller},
    up::process,
};

/// Static pods, and where each listens.
const PORTS: [(&str, u16); 4] =
    [("etcd", 2379), ("kube-apiserver", 6443), ("kube-controller-manager", 10257), ("kube-scheduler", 10259)];
/// A component that cannot begin its work is given up on, for the story to look at.
const BEGINS: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);

/// See the module.
pub(in crate::scenarios) struct RealCluster {
    world: Real,
    options: ClusterOptions,
    /// How much time is over for everybody, beyond the machine's.
    passed: Cell<SignedDuration>,
    pub(super) machinery: Machinery,
    pub(super) first: Host,
    pub(super) workstation: Host,
    pub(super) kubeconfig: Kubeconfig,
    pub(super) admin: Rest,
}

/// How a telling came to its end.
enum Ending {
    Told(Result<(), StoryError>),
    /// By that signal.
    Ended(SignalKind),
}

/// As [`Ground::play`]. Processes, ports and files are gone when this returns. It does not where a signal ended it: then
/// the program ends as the signal would have ended it, when all of that is gone.
pub(super) fn play(
    settings: &Settings,
    teller: &Teller,
    options: ClusterOptions,
    act: impl AsyncFnOnce(&Ground) -> Result<(), StoryError>,
) -> Result<(), StoryError> {
    let ending = chronoplane::real::run(|world| async move {
        world.share_clocks();
        world.record(usize::MAX);
        let told = async {
            let cluster = RealCluster::set(&world, settings, options).await?;
            let ground = Ground {
                teller: teller.clone(),
                settings: settings.clone(),
                world: World::Real(Box::new(cluster)),
            };
            act(&ground).await
        };
        let ending = tokio::select! {
            biased;
            () = signalled(SignalKind::interrupt()) => Ending::Ended(SignalKind::interrupt()),
            () = signalled(SignalKind::terminate()) => Ending::Ended(SignalKind::terminate()),
            told = told => Ending::Told(told),
        };
        teller.record(events(&world));
        let hosts: Vec<Host> = world.addresses().keys().filter_map(|name| world.host(name).ok()).collect();
        for host in &hosts {
            host.halt().await;
        }
        process::end_all().await;
        for host in &hosts {
            // A component whose kubelet was killed ends by itself.
            let root = world.root().join(host.name());
            if let Err(why) = process::until_deserted(host.clock(), &root).await {
                tracing::error!("{}: {why}", host.name());
            }
        }
        ending
    })?;
    match ending {
        Ending::Told(outcome) => outcome,
        Ending::Ended(signal) => {
            eprintln!("ended; its processes and files are gone");
            std::process::exit(128 + signal.as_raw_value())
        }
    }
}

async fn signalled(kind: SignalKind) {
    match signal(kind) {
        Ok(mut stream) => drop(stream.recv().await),
        Err(_) => std::future::pending().await,
    }
}

fn events(world: &Real) -> Vec<Event> {
    let hosts = world.addresses();
    let files = hosts.keys().map(|name| world.root().join(name).join(RECORD_FILE));
    let mut all = world.trace().events();
    all.extend(files.flat_map(|file| record::read(&file)));
    // Each host's own clock may lie.
    all.sort_by_key(|event| event.true_at);
    all
}

impl RealCluster {
    async fn set(world: &Real, settings: &Settings, options: ClusterOptions) -> Result<Self, StoryError> {
        let options = ClusterOptions { profile: settings.profile, ..options };
        let machinery = process::machinery(world.root().to_owned(), true);
        let host = |name: &str| world.host(name).map_err(StoryError::new);
        let (first, workstation) = (host(CONTROL_PLANE)?, host(WORKSTATION)?);
        let token = BootstrapToken::generate(first.entropy());
        cluster::init(&first, &machinery, &options, &token).await?;
        let kubeconfig = cluster::admin_config(&first)?;
        let admin = Rest::from_kubeconfig(&workstation, &kubeconfig, settings.profile.go(), "kubectl");
        let admin = admin.map_err(StoryError::new)?;
        if options.nodes > 0 {
            cluster::discoverable(&workstation, &admin, &token).await?;
        }
        for n in 1..=options.nodes {
            cluster::join(&first, &host(&format!("node{n}"))?, &machinery, &options, &token).await?;
        }
        let world = world.clone();
        let passed = Cell::default();
        let cluster = Self { world, options, passed, machinery, first, workstation, kubeconfig, admin };
        cluster.nodes_ready().await?;
        Ok(cluster)
    }

    pub(super) fn host(&self, name: &str) -> Result<Host, StoryError> {
        let is_new = !self.world.addresses().contains_key(name);
        let host = self.world.host(name).map_err(StoryError::new)?;
        if is_new {
            self.world.step(name, self.passed.get());
        }
        Ok(host)
    }

    pub(super) async fn nodes_ready(&self) -> Result<(), HarnessError> {
        cluster::nodes_ready(&self.workstation, &self.admin, self.options.nodes + 1).await
    }

    pub(super) fn step(&self, who: Who<'_>, by: SignedDuration) {
        match who {
            Who::Host(name) => self.world.step(name, by),
            Who::Members => {
                self.world.step(CONTROL_PLANE, by);
                (1..=self.options.nodes).for_each(|n| self.world.step(&format!("node{n}"), by));
            }
        }
    }

    /// Sets every host's clock by as much.
    pub(super) fn all_step(&self, by: SignedDuration) {
        self.passed.set(self.passed.get() + by);
        each_clock(&self.world, |setting, now| setting.step(by, now));
    }

    /// Every clock stands still until what this returns is dropped. How they differ stays.
    pub(super) fn freeze(&self) -> Still<'_> {
        each_clock(&self.world, Setting::freeze);
        Still(&self.world)
    }

    pub(super) fn events(&self) -> Vec<Event> {
        events(&self.world)
    }

    /// Switches a host off, and on again after `before`.
    ///
    /// # Errors
    /// Something of it does not end.
    pub(super) async fn reboot(&self, host: &Host, before: impl FnOnce()) -> Result<(), StoryError> {
        host.halt().await;
        let root = self.world.root().join(host.name());
        process::gone(&process::log_of(&root, "kubelet")).await;
        process::until_deserted(host.clock(), &root).await.map_err(StoryError)?;
        before();
        host.boot();
        Ok(())
    }

    /// Waits until none of these components listens any more.
    ///
    /// # Errors
    /// Not within a minute.
    pub(super) async fn ended(&self, components: &[&str]) -> Result<(), StoryError> {
        let clock = self.workstation.clock();
        let deadline = clock.monotonic() + 3 * BEGINS;
        while self.listening(components).await > 0 {
            if clock.monotonic() >= deadline {
                return Err(StoryError(format!("{} did not end within a minute", components.join(", "))));
            }
            clock.sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until all of these components listen, or do not for so long that they cannot.
    pub(super) async fn begun(&self, components: &[&str]) {
        let clock = self.workstation.clock();
        let deadline = clock.monotonic() + BEGINS;
        while self.listening(components).await < components.len() && clock.monotonic() < deadline {
            clock.sleep(LOOK).await;
        }
    }

    async fn listening(&self, components: &[&str]) -> usize {
        let mut count = 0;
        for (_, port) in PORTS.iter().filter(|(name, _)| components.contains(name)) {
            count += usize::from(listens(&self.first, *port).await);
        }
        count
    }
}

/// Whether anybody listens at a port of `host`.
async fn listens(host: &Host, port: u16) -> bool {
    tokio::net::TcpStream::connect(SocketAddr::new(host.net().address(), port)).await.is_ok()
}

/// Sets every host's clock at one instant.
fn each_clock(world: &Real, change: impl Fn(Setting, Wall) -> Setting) {
    let now = system();
    for name in world.addresses().keys() {
        let file = ClockFile::of_host(&world.root().join(name));
        if let Err(error) = file.and_then(|file| file.set(|setting, _| change(setting, now))) {
            tracing::error!("the clock of {name} could not be set: {error}");
        }
    }
}

/// While it lives every clock stands still.
pub struct Still<'a>(&'a Real);

impl Drop for Still<'_> {
    fn drop(&mut self) {
        each_clock(self.0, Setting::thaw);
    }
}
