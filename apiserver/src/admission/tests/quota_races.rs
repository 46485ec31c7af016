//! A quota is never exceeded, however creates, updates and deletes of two servers fall between each other,
//! and in the end it says what is there.
//!
//! The world is small: one quota behind compare-and-write, as the store keeps it, and what was created. What
//! upstream cannot hold either is left out: its quota controller may count between the moment when a write is
//! charged and the moment when it is stored, and give the charge back. Here it counts when nothing is on
//! its way.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::{object::ObjectExt as _, profile::Profile, status::Status};
use client::Informer;
use http::{Method, Request, Response};
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::{Body, Peer, ServeOptions, Server, body};
use world::{
    Host,
    sim::{Config, Sim},
};

use super::{Aside, Enabled, Operation, Remarks, Review, furnished};
use crate::{
    admission::{
        Admission, PluginFlags,
        testing::{Fake, PORT},
    },
    authz::{Authz, Mode},
    identity::User,
    informers::Informers,
};

const HARD: i64 = 4;
const PATH: &str = "/api/v1/namespaces/ns/resourcequotas/q";

/// The quota, as the store has it, and how often it was written.
struct Stored {
    quota: Value,
    version: u64,
}

#[derive(Clone)]
struct Kept(Arc<Mutex<Stored>>);

impl Kept {
    fn new() -> Self {
        let quota = json!({
            "kind": "ResourceQuota", "apiVersion": "v1",
            "metadata": {"namespace": "ns", "name": "q", "uid": "u", "resourceVersion": "1"},
            "status": {"hard": {"services.nodeports": HARD.to_string()}, "used": {"services.nodeports": "0"}},
        });
        Self(Arc::new(Mutex::new(Stored { quota, version: 1 })))
    }

    fn read(&self) -> Value {
        self.0.lock().quota.clone()
    }

    fn used(&self) -> i64 {
        self.read().str_at("/status/used/services.nodeports").parse().unwrap()
    }

    /// Compare-and-write.
    fn write(&self, mut new: Value) -> Result<Value, Status> {
        let mut stored = self.0.lock();
        if new.resource_version() != stored.quota.resource_version() {
            return Err(Status::modified("resourcequotas", "q"));
        }
        stored.version += 1;
        new.set_resource_version(&stored.version.to_string());
        stored.quota = new.clone();
        Ok(new)
    }

    /// Answers after a moment, so that others come in between.
    async fn answer(&self, host: &Host, pause: u64, request: Request<Body>) -> Response<Body> {
        host.clock().sleep(Duration::from_millis(pause)).await;
        let (parts, content) = request.into_parts();
        let outcome = match (parts.method, parts.uri.path()) {
            (Method::GET, PATH) => Ok(self.read()),
            (Method::PUT, _) => {
                let bytes = body::collect(content, 1 << 20).await.unwrap();
                self.write(serde_json::from_slice(&bytes).unwrap())
            }
            (method, path) => panic!("nobody asks {method} {path}"),
        };
        host.clock().sleep(Duration::from_millis(pause)).await;
        let (code, value) = match outcome {
            Ok(value) => (200, value),
            Err(status) => (status.code, status.to_value()),
        };
        let bytes = serde_json::to_vec(&value).unwrap();
        Response::builder()
            .status(code)
            .header("content-type", "application/json")
            .body(body::full(bytes))
            .unwrap()
    }
}

/// What a client does, and when.
#[derive(Clone, Debug)]
struct Act {
    server: usize,
    after: u64,
    name: u8,
    /// Node ports that the service has then; none: it is deleted.
    ports: Option<usize>,
    /// Between its admission and its commit.
    commit: u64,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0..2_usize, 0..40_u64, 0..4_u8, prop::option::weighted(0.8, 1..4_usize), 0..10_u64);
    let act = act.prop_map(|(server, after, name, ports, commit)| Act { server, after, name, ports, commit });
    prop::collection::vec(act, 1..14)
}

struct Cluster {
    kept: Kept,
    informers: Vec<Informers>,
    admissions: Vec<Admission>,
    services: Mutex<BTreeMap<u8, usize>>,
    /// One write of an object at a time, as compare-and-write has it.
    turns: Vec<tokio::sync::Mutex<()>>,
    under_way: Mutex<usize>,
    host: Host,
}

impl Cluster {
    async fn new(sim: &Sim, pauses: (u64, u64)) -> Self {
        let host = sim.host("master");
        let kept = Kept::new();
        let listener = host.net().listen(format!("0.0.0.0:{PORT}").parse().unwrap()).await.unwrap();
        let (behind, at) = (kept.clone(), host.clone());
        let count = Arc::new(Mutex::new(0_u64));
        let handler = move |_: Arc<Peer>, request: Request<Body>| {
            let (kept, host, count) = (behind.clone(), at.clone(), count.clone());
            async move {
                let n = {
                    let mut count = count.lock();
                    *count += 1;
                    *count
                };
                kept.answer(&host, if n % 2 == 0 { pauses.0 } else { pauses.1 }, request).await
            }
        };
        Server::spawn(&host, listener, ServeOptions::plain(), Arc::new(handler));
        let rest = Fake::rest_of(&host);
        let list = ["ResourceQuota".to_owned()];
        let flags = PluginFlags { list: Some(&list), ..PluginFlags::default() };
        let (mut informers, mut admissions) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let own = Informers { resource_quotas: Informer::fixed(vec![kept.read()]), ..furnished() };
            let authz = Arc::new(Authz::new(Profile::NEWEST, &[Mode::Rbac], &own).unwrap());
            let enabled = Enabled::of(api::profile::Profile::NEWEST, flags).unwrap();
            admissions.push(Admission::new(&host, &own, &rest, authz, enabled).unwrap());
            informers.push(own);
        }
        let turns = (0..4).map(|_| tokio::sync::Mutex::new(())).collect();
        let (services, under_way) = (Mutex::default(), Mutex::default());
        Self { kept, informers, admissions, services, turns, under_way, host }
    }

    fn total(&self) -> i64 {
        self.services.lock().values().map(|ports| *ports as i64).sum()
    }

    async fn act(&self, act: &Act) -> Result<(), String> {
        let clock = self.host.clock();
        clock.sleep(Duration::from_millis(act.after)).await;
        let _turn = self.turns[usize::from(act.name)].lock().await;
        let held = self.services.lock().get(&act.name).copied();
        let Some(ports) = act.ports else {
            self.services.lock().remove(&act.name);
            return Ok(());
        };
        let service = |ports: usize| {
            let ports: Vec<Value> = (0..ports).map(|n| json!({"port": n + 1})).collect();
            json!({"metadata": {"name": "s", "resourceVersion": "1"}, "spec": {"type": "NodePort", "ports": ports}})
        };
        *self.under_way.lock() += 1;
        let mut object = service(ports);
        let old = held.map(service);
        let user = User::new("admin", &[]);
        let remarks = Remarks::default();
        let review = Review {
            operation: if old.is_some() { Operation::Update } else { Operation::Create },
            group: "",
            version: "v1",
            resource: "services",
            subresource: "",
            kind: "Service",
            namespace: "ns",
            name: "s",
            user: &user,
            object: Some(&mut object),
            old: old.as_ref(),
            dry_run: false,
            now: clock.wall(),
            remarks: &remarks,
            aside: Aside::default(),
        };
        let verdict = self.admissions[act.server].validate(&review).await;
        clock.sleep(Duration::from_millis(act.commit)).await;
        let outcome = match verdict {
            Ok(()) => {
                self.services.lock().insert(act.name, ports);
                let total = self.total();
                if total > HARD { Err(format!("{total} ports of {HARD}: {act:?}")) } else { Ok(()) }
            }
            Err(status) if status.is_forbidden() || status.is_conflict() => Ok(()),
            Err(status) => Err(format!("{act:?}: {status:?}")),
        };
        *self.under_way.lock() -= 1;
        outcome
    }

    /// What the quota controller does.
    fn recount(&self) {
        if *self.under_way.lock() == 0 {
            let mut quota = self.kept.read();
            quota.set_at("/status/used/services.nodeports", self.total().to_string());
            // Whoever was faster has it counted again.
            let _ = self.kept.write(quota);
        }
    }
}

fn run(acts: Vec<Act>, pauses: (u64, u64), lag: u64, recount: u64) -> Result<(), String> {
    world::sim::run(Config::default(), |sim| async move {
        let cluster = Arc::new(Cluster::new(&sim, pauses).await);
        let clock = cluster.host.clock().clone();
        let behind = cluster.clone();
        // Informers hear of every write, later.
        cluster.host.spawn(async move {
            for turn in 0..2000_u64 {
                clock.sleep(Duration::from_millis(1)).await;
                if turn % (lag + 1) == 0 {
                    behind.informers.iter().for_each(|i| i.resource_quotas.put(behind.kept.read()));
                }
                if turn % (recount + 1) == 0 {
                    behind.recount();
                }
            }
        });
        let outcomes = futures::future::join_all(acts.iter().map(|act| cluster.act(act))).await;
        outcomes.into_iter().collect::<Result<Vec<()>, String>>()?;
        cluster.recount();
        if cluster.kept.used() == cluster.total() {
            return Ok(());
        }
        Err(format!("counted {}, there are {}", cluster.kept.used(), cluster.total()))
    })
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_quota_is_never_exceeded(
        acts in acts(),
        pauses in (0..6_u64, 0..6_u64),
        lag in 0..20_u64,
        recount in 0..20_u64,
    ) {
        prop_assert_eq!(run(acts, pauses, lag, recount), Ok(()));
    }
}

/// The control run: with a count that forgets what is charged, more is created than may be.
#[test]
fn the_check_would_see_it() {
    let act = |name| Act { server: 0, after: 0, name, ports: Some(3), commit: 0 };
    let outcome = world::sim::run(Config::default(), |sim| async move {
        let cluster = Cluster::new(&sim, (0, 0)).await;
        cluster.act(&act(0)).await?;
        let mut quota = cluster.kept.read();
        quota.set_at("/status/used/services.nodeports", "0");
        let forgotten = cluster.kept.write(quota).unwrap();
        cluster.informers[0].resource_quotas.put(forgotten);
        cluster.act(&act(1)).await
    })
    .unwrap();
    assert!(outcome.unwrap_err().contains("6 ports of 4"));
}

#[test]
fn two_servers_and_one_place() {
    let act = |server, name| Act { server, after: 0, name, ports: Some(3), commit: 5 };
    assert_eq!(run(vec![act(0, 0), act(1, 1)], (1, 1), 19, 19), Ok(()));
}
