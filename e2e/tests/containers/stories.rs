//! What happens to the machines. The first story is the control of the others: as long, and nothing happens.

use std::{fmt, future::Future, path::Path, pin::Pin, time::Duration};

use client::{ListParams, Resource, Rest};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use world::{Host, real::ClockFile};

use crate::{
    cluster::Cluster,
    docker::{self, Container},
    ledger::{ANSWER, Ledger, Tally, UNHURRIED, Writing},
};

/// A story, told on the stage of all.
pub type Story = fn(&mut Stage) -> Pin<Box<dyn Future<Output = ()> + '_>>;

macro_rules! stories {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |stage| Box::pin($name(stage)))),*] };
}

/// All of them, in the order in which they are told.
pub const STORIES: &[(&str, Story)] = stories![
    nothing_happens,
    a_control_plane_is_killed,
    each_member_of_etcd_is_killed,
    two_members_of_etcd_are_killed,
    a_control_plane_and_a_member_lose_their_cables,
    a_node_loses_its_cable,
    a_node_is_paused,
    who_leads_is_paused,
    a_nodes_clock_is_an_hour_ahead,
    an_apiservers_clock_is_beyond_all_certificates,
    nothing_acknowledged_is_lost,
];

/// How long writing may need until it goes on without whoever is missing.
const GOES_ON: Duration = Duration::from_secs(60);
/// And until somebody's absence or return is known everywhere: 40 s of grace for nodes, and what comes on top.
const KNOWN: Duration = Duration::from_secs(150);
/// So many writes show that it does.
const WRITES: usize = 20;
/// How long nothing may happen at all for the control.
const QUIET: Duration = Duration::from_secs(20);

/// The cluster, and what was written to it.
pub struct Stage {
    cluster: Cluster,
    ledger: Ledger,
}

impl Stage {
    /// Makes the cluster.
    ///
    /// # Errors
    /// In the words of what failed.
    pub async fn set(program: &Path, etcd: &Path) -> Result<Self, String> {
        docker::sweep()?;
        let cluster = Cluster::start(program, etcd).await?;
        Ledger::open(&cluster.admin()).await;
        Ok(Self { cluster, ledger: Ledger::default() })
    }

    /// Tells a story while others write.
    async fn tell(&mut self, name: &str, story: impl AsyncFnOnce(&Cluster, &Writing<'_>)) -> Tally {
        self.tell_with(ANSWER, name, story).await
    }

    /// As [`Stage::tell`], to writers that wait so long for an `answer`.
    async fn tell_with(
        &mut self,
        answer: Duration,
        name: &str,
        story: impl AsyncFnOnce(&Cluster, &Writing<'_>),
    ) -> Tally {
        let Self { cluster, ledger } = self;
        let workstation = cluster.workstation();
        let tally = ledger
            .during(&workstation, answer, || cluster.admin(), async |writing| story(cluster, writing).await)
            .await;
        let Tally { acknowledged, failed, silence } = &tally;
        eprintln!(
            "{name}: {acknowledged} writes acknowledged, {} not, silent for {:.1} s at most",
            failed.len(),
            silence.as_secs_f64()
        );
        tally
    }
}

fn done<T>(outcome: Result<T, impl fmt::Display>) -> T {
    outcome.unwrap_or_else(|e| panic!("{e}"))
}

/// Looks until `look` finds something.
async fn until<T>(host: &Host, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let clock = host.clock();
    let found = clock.timeout(KNOWN, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            clock.sleep(Duration::from_millis(250)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("never within {} s: {what}", KNOWN.as_secs()))
}

/// Whether an apiserver answers within three seconds.
async fn answers(cluster: &Cluster, control_plane: usize) -> bool {
    let rest = cluster.at(control_plane);
    let asked = rest.raw(http::Method::GET, cluster.profile.ready_path(), None);
    let answer = cluster.workstation().clock().timeout(Duration::from_secs(3), asked).await;
    matches!(answer, Ok(Ok((status, _))) if status.is_success())
}

/// The status of a node's condition Ready.
async fn readiness(admin: &Rest, node: &str) -> Option<String> {
    let node = admin.get(&Resource::core("nodes"), None, node).await.ok()?;
    let conditions = node["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
    ready["status"].as_str().map(str::to_owned)
}

const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");

/// When a node last said that it lives, by its own clock.
async fn renewed(admin: &Rest, node: &str) -> Option<Timestamp> {
    let lease = admin.get(&LEASES, Some("kube-node-lease"), node).await.ok()?;
    lease["spec"]["renewTime"].as_str()?.parse().ok()
}

/// Who holds the lease of the controller manager, and how often it has changed hands.
async fn leader(admin: &Rest) -> Option<(String, i64)> {
    let lease = admin.get(&LEASES, Some("kube-system"), "kube-controller-manager").await.ok()?;
    let spec = &lease["spec"];
    Some((spec["holderIdentity"].as_str()?.to_owned(), spec["leaseTransitions"].as_i64().unwrap_or(0)))
}

/// Five nodes, three apiservers that know of each other, and for as long as most stories take nothing fails.
async fn nothing_happens(stage: &mut Stage) {
    let admin = stage.cluster.admin();
    let slices = Resource::new("discovery.k8s.io", "v1", "endpointslices");
    let kubernetes = done(admin.get(&slices, Some("default"), "kubernetes").await);
    let addresses: Vec<&Value> =
        kubernetes["endpoints"].as_array().into_iter().flatten().map(|e| &e["addresses"][0]).collect();
    let expected: Vec<String> = stage.cluster.control_planes.iter().map(|c| c.address.to_string()).collect();
    assert_eq!(addresses, expected.iter().collect::<Vec<_>>(), "each apiserver is behind the service");
    let leases = done(admin.list(&LEASES, Some("kube-system"), &ListParams::default()).await).items;
    let identities =
        leases.iter().filter(|l| l["metadata"]["name"].as_str().is_some_and(|n| n.starts_with("apiserver-")));
    assert_eq!(identities.count(), 3, "each has an identity of its own");

    let before = done(leader(&admin).await.ok_or("nobody leads"));
    let tally = stage
        .tell_with(UNHURRIED, "nothing happens", async |cluster, _| {
            cluster.workstation().clock().sleep(QUIET).await
        })
        .await;
    assert_eq!(tally.failed, [] as [String; 0], "the control: nothing fails by itself");
    assert!(tally.acknowledged > WRITES, "{tally:?}");
    assert_eq!(leader(&admin).await, Some(before), "nobody else leads");
    for container in stage.cluster.control_planes.iter().chain(&stage.cluster.workers) {
        assert_eq!(readiness(&admin, &container.name).await.as_deref(), Some("True"), "{}", container.name);
    }
}

async fn a_control_plane_is_killed(stage: &mut Stage) {
    stage
        .tell("a control plane is killed", async |cluster, writing| {
            done(cluster.control_planes[1].kill());
            assert!(!answers(cluster, 1).await, "the control: it is gone");
            writing.goes_on(WRITES, GOES_ON).await;
            done(cluster.control_planes[1].start());
            done(cluster.healed().await);
        })
        .await;
}

/// One of them leads: whoever it is, two are left to elect another.
async fn each_member_of_etcd_is_killed(stage: &mut Stage) {
    for number in 0..stage.cluster.etcd.len() {
        let name = format!("{} is killed", stage.cluster.etcd[number].name);
        stage
            .tell(&name, async |cluster, writing| {
                done(cluster.etcd[number].kill());
                writing.goes_on(WRITES, GOES_ON).await;
                done(cluster.etcd[number].start());
                done(cluster.healed().await);
            })
            .await;
    }
}

/// One of three acknowledges nothing.
async fn two_members_of_etcd_are_killed(stage: &mut Stage) {
    let tally = stage
        .tell("two members of etcd are killed", async |cluster, writing| {
            writing.goes_on(WRITES, GOES_ON).await;
            cluster.etcd[..2].iter().for_each(|member| done(member.kill()));
            // What was under way may still be answered, for as long as a writer waits for it.
            cluster.workstation().clock().sleep(ANSWER + Duration::from_secs(1)).await;
            let before = writing.count();
            cluster.workstation().clock().sleep(Duration::from_secs(10)).await;
            assert_eq!(writing.count(), before, "without a majority nothing is acknowledged");
            cluster.etcd[..2].iter().for_each(|member| done(member.start()));
            writing.goes_on(WRITES, KNOWN).await;
            done(cluster.healed().await);
        })
        .await;
    assert!(!tally.failed.is_empty(), "who wrote meanwhile was told: {tally:?}");
}

/// Nobody refuses anything: packets are lost, and connections hang until somebody gives up.
async fn a_control_plane_and_a_member_lose_their_cables(stage: &mut Stage) {
    stage
        .tell("a control plane and a member lose their cables", async |cluster, writing| {
            let both = [&cluster.control_planes[0], &cluster.etcd[2]];
            both.iter().for_each(|container| done(container.cut()));
            assert!(!answers(cluster, 0).await, "the control: nobody reaches it");
            writing.goes_on(WRITES, GOES_ON).await;
            both.iter().for_each(|container| done(container.mend()));
            done(cluster.healed().await);
            writing.goes_on(WRITES, GOES_ON).await;
        })
        .await;
}

/// Whether it is `Unknown` is for the controller manager to say, after its grace; the other node stays Ready.
async fn is_missed(cluster: &Cluster, missing: &Container, other: &Container) {
    let (workstation, admin) = (cluster.workstation(), cluster.admin());
    until(&workstation, &format!("{} is missed", missing.name), async || {
        assert_ne!(
            readiness(&admin, &other.name).await.as_deref(),
            Some("Unknown"),
            "the control: {}",
            other.name
        );
        (readiness(&admin, &missing.name).await? == "Unknown").then_some(())
    })
    .await;
}

async fn a_node_loses_its_cable(stage: &mut Stage) {
    stage
        .tell("a node loses its cable", async |cluster, _| {
            let [node, other] = [&cluster.workers[0], &cluster.workers[1]];
            done(node.cut());
            is_missed(cluster, node, other).await;
            done(node.mend());
            done(cluster.healed().await);
        })
        .await;
}

/// Its wall and monotonic clocks go on, its tasks do not: no heartbeat leaves it, and the first one afterwards carries
/// the time of then.
async fn a_node_is_paused(stage: &mut Stage) {
    stage
        .tell("a node is paused", async |cluster, _| {
            let [other, node] = [&cluster.workers[0], &cluster.workers[1]];
            let (workstation, admin) = (cluster.workstation(), cluster.admin());
            let began = workstation.clock().wall();
            done(node.pause());
            // A heartbeat that had left it before may still arrive.
            workstation.clock().sleep(ANSWER).await;
            let before = until(&workstation, "a lease", async || renewed(&admin, &node.name).await).await;
            is_missed(cluster, node, other).await;
            assert_eq!(renewed(&admin, &node.name).await, Some(before), "no heartbeat left it");
            assert!(renewed(&admin, &other.name).await > Some(began), "the control: the other's did");
            let woken = workstation.clock().wall();
            done(node.unpause());
            done(cluster.healed().await);
            let first = until(&workstation, "a heartbeat", async || {
                renewed(&admin, &node.name).await.filter(|at| *at > before)
            })
            .await;
            assert!(first >= woken, "its clock has gone on: {first}, woken at {woken}");
        })
        .await;
}

/// Another leads after the lease has ended; the one that wakes finds that out and stands back.
async fn who_leads_is_paused(stage: &mut Stage) {
    stage
        .tell("who leads is paused", async |cluster, writing| {
            let (workstation, admin) = (cluster.workstation(), cluster.admin());
            let (holder, terms) = until(&workstation, "a leader", async || leader(&admin).await).await;
            let paused = cluster.control_planes.iter().find(|c| holder.starts_with(&format!("{}_", c.name)));
            let paused = paused.unwrap_or_else(|| panic!("{holder} is on one of the machines"));
            done(paused.pause());
            writing.goes_on(WRITES, GOES_ON).await;
            let (next, _) = until(&workstation, "another leads", async || {
                leader(&admin).await.filter(|(now, _)| *now != holder)
            })
            .await;
            done(paused.unpause());
            done(cluster.healed().await);
            let (now, later) = until(&workstation, "a leader", async || leader(&admin).await).await;
            assert_eq!((now, later), (next, terms + 1), "one change of hands, and no way back");
        })
        .await;
}

/// Sets the clock of a machine, for all its processes, by the file that they read.
fn step(cluster: &Cluster, container: &Container, by: SignedDuration) {
    let file = done(ClockFile::of_host(&cluster.clock_root(container)));
    done(file.set(|setting, now| setting.step(by, now)));
}

/// Its heartbeats carry a time that nobody else has; who watches them asks only whether they come.
async fn a_nodes_clock_is_an_hour_ahead(stage: &mut Stage) {
    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    let tally = stage
        .tell_with(UNHURRIED, "a node's clock is an hour ahead", async |cluster, _| {
            let [node, other] = [&cluster.workers[0], &cluster.workers[1]];
            let (workstation, admin) = (cluster.workstation(), cluster.admin());
            let soon = || workstation.clock().wall().saturating_add(HOUR / 2).expect("in range");
            step(cluster, node, HOUR);
            until(&workstation, "its lease is ahead", async || {
                renewed(&admin, &node.name).await.filter(|at| *at > soon())
            })
            .await;
            // Past the grace of a node that is not heard of.
            workstation.clock().sleep(Duration::from_secs(45)).await;
            assert_eq!(readiness(&admin, &node.name).await.as_deref(), Some("True"));
            assert!(renewed(&admin, &other.name).await < Some(soon()), "the control: the other's is not");
            step(cluster, node, -HOUR);
            until(&workstation, "its lease is right again", async || {
                renewed(&admin, &node.name).await.filter(|at| *at < soon())
            })
            .await;
            assert_eq!(readiness(&admin, &node.name).await.as_deref(), Some("True"));
        })
        .await;
    assert_eq!(tally.failed, [] as [String; 0], "and nobody else has noticed");
}

/// To it every client's certificate has ended; to the others none. When its clock is right again, so are they.
async fn an_apiservers_clock_is_beyond_all_certificates(stage: &mut Stage) {
    const BEYOND: SignedDuration = SignedDuration::from_hours(400 * 24);
    stage
        .tell("an apiserver's clock is beyond all certificates", async |cluster, writing| {
            let workstation = cluster.workstation();
            let nodes = Resource::core("nodes");
            let look =
                async |n: usize| cluster.at(n).list(&nodes, None, &ListParams::default()).await.map(drop);
            done(look(2).await);
            step(cluster, &cluster.control_planes[2], BEYOND);
            let refused = look(2).await.expect_err("to it the certificate has ended").to_string();
            assert!(refused.contains("Unauthorized") || refused.contains("must be logged in"), "{refused}");
            for n in 0..2 {
                done(look(n).await);
            }
            writing.goes_on(WRITES, GOES_ON).await;
            step(cluster, &cluster.control_planes[2], -BEYOND);
            until(&workstation, "it accepts again", async || look(2).await.ok()).await;
            done(cluster.healed().await);
        })
        .await;
}

/// After everything: each apiserver has everything that any of them has acknowledged.
async fn nothing_acknowledged_is_lost(stage: &mut Stage) {
    done(stage.cluster.healed().await);
    for (number, container) in stage.cluster.control_planes.iter().enumerate() {
        let (there, more) = stage.ledger.compare(&container.name, &stage.cluster.at(number)).await;
        assert!(there > 10 * WRITES, "the control: much was written, {there}");
        eprintln!("{}: {there} acknowledged writes are there, and {more} that had no answer", container.name);
    }
}
