//! Several members of one cluster in the simulated gear: one history, and etcd's words without a majority.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::{sync::Arc, time::Duration};

use common::tls::{DIR, EtcdCa, client, manifest};
use http::uri::PathAndQuery;
use pki::{ClientTls, FileIdentity, Roots};
use store::{Range, Store, StoreError, WatchOptions, server};
use tonic::{Status, client::Grpc};
use tonic_prost::ProstCodec;
use wire::{HttpClient, body};
use world::{Exit, Host, Process, Task, sim};

const YEAR: Duration = Duration::from_secs(365 * 86_400);
const NAMES: [&str; 3] = ["cp1", "cp2", "cp3"];

/// The messages of `Cluster`, from etcd's rpc.proto: the numbers are what is tested.
mod rpc {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Member {
        #[prost(uint64, tag = "1")]
        pub id: u64,
        #[prost(string, tag = "2")]
        pub name: String,
        #[prost(string, repeated, tag = "3")]
        pub peer_urls: Vec<String>,
        #[prost(string, repeated, tag = "4")]
        pub client_urls: Vec<String>,
        #[prost(bool, tag = "5")]
        pub is_learner: bool,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Add {
        #[prost(string, repeated, tag = "1")]
        pub peer_urls: Vec<String>,
        #[prost(bool, tag = "2")]
        pub is_learner: bool,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Added {
        #[prost(message, optional, tag = "2")]
        pub member: Option<Member>,
        #[prost(message, repeated, tag = "3")]
        pub members: Vec<Member>,
    }
    /// MemberRemove and MemberPromote.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Id {
        #[prost(uint64, tag = "1")]
        pub id: u64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct List {
        #[prost(bool, tag = "1")]
        pub linearizable: bool,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Members {
        #[prost(message, repeated, tag = "2")]
        pub members: Vec<Member>,
    }
}

fn simulated<T>(story: impl AsyncFnOnce(sim::Sim) -> T) -> T {
    sim::run(sim::Config::default(), |sim| async move { story(sim).await }).unwrap()
}

fn peer(host: &Host) -> String {
    format!("{}=https://{}:2380", host.name(), host.net().address())
}

/// A member with kubeadm's flags and those of `more`, which win.
struct Running {
    process: Process,
    main: Task<Exit>,
}

fn start(host: &Host, more: &[String]) -> Running {
    let mut args = manifest(host);
    args.extend_from_slice(more);
    let process = host.process("etcd");
    let main = process.host().spawn(server::run(process.host().clone(), args));
    Running { process, main }
}

/// Three hosts with certificates of one authority; their members begin together.
struct Three {
    hosts: [Host; 3],
    flags: Vec<String>,
    running: Vec<Running>,
}

impl Three {
    fn new(sim: &sim::Sim) -> Self {
        let hosts = NAMES.map(|name| sim.host(name));
        let ca = EtcdCa::new(&hosts[0]);
        hosts.iter().for_each(|host| ca.kubeadm(host, YEAR));
        let all: Vec<String> = hosts.iter().map(peer).collect();
        Self { hosts, flags: vec![format!("--initial-cluster={}", all.join(","))], running: Vec::new() }
    }

    fn start(&mut self, n: usize) {
        self.running.push(start(&self.hosts[n], &self.flags));
    }

    /// The apiserver's client beside member `n`.
    fn store(&self, n: usize) -> Arc<dyn Store> {
        store::etcd(&self.hosts[n], &client(vec!["https://127.0.0.1:2379".into()])).unwrap()
    }
}

async fn ready(sim: &sim::Sim, store: &Arc<dyn Store>) {
    for _ in 0..200 {
        if store.revision().await.is_ok() {
            return;
        }
        sim.elapse(Duration::from_millis(50)).await;
    }
    panic!("etcd does not answer: {:?}", store.revision().await);
}

async fn get(host: &Host, path: &str) -> (u16, String) {
    let http = HttpClient::new(host, "http://127.0.0.1:2381", None).unwrap();
    let response = http.send(http::Request::get(path).body(body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let text = body::collect(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8_lossy(&text).into_owned())
}

async fn call<Req, Resp>(host: &Host, method: &str, request: Req) -> Result<Resp, Status>
where
    Req: prost::Message + 'static,
    Resp: prost::Message + Default + 'static,
{
    let roots = Roots::from_pem(&host.disk().read(format!("{DIR}/etcd/ca.crt")).unwrap()).unwrap();
    let file = |what: &str| format!("{DIR}/apiserver-etcd-client.{what}");
    let identity = FileIdentity::new(host.disk(), file("crt"), file("key"));
    identity.refresh().unwrap();
    let tls = ClientTls::new(host, (1, 26)).roots(roots).identity(Arc::new(identity));
    let channel = wire::grpc::channel(host, "https://127.0.0.1:2379", Some(tls)).unwrap();
    let path: PathAndQuery = format!("/etcdserverpb.Cluster/{method}").parse().unwrap();
    let answer = Grpc::new(channel).unary(tonic::Request::new(request), path, ProstCodec::default()).await;
    answer.map(tonic::Response::into_inner)
}

async fn list(host: &Host) -> Vec<rpc::Member> {
    let members: rpc::Members = call(host, "MemberList", rpc::List { linearizable: false }).await.unwrap();
    members.members
}

/// One member of three answers for nobody; two do; and what one takes all have.
#[test]
fn a_majority_shares_one_history() {
    simulated(async |sim| {
        let mut three = Three::new(&sim);
        three.start(0);
        let first = three.store(0);
        sim.elapse(Duration::from_secs(1)).await;
        let before = three.hosts[0].clock().monotonic();
        assert_eq!(first.put("a".into(), "1".into()).await, Err(StoreError::TimedOut));
        assert_eq!(three.hosts[0].clock().monotonic().since(before).as_secs(), 7, "etcd's patience");
        assert_eq!(get(&three.hosts[0], "/health").await.0, 503);

        three.start(1);
        ready(&sim, &first).await;
        assert_eq!(first.put("a".into(), "1".into()).await, Ok(2));
        let second = three.store(1);
        assert_eq!(second.get(b"a", None).await.unwrap().0.unwrap().value, "1");
        assert_eq!(get(&three.hosts[0], "/health").await, (200, r#"{"health":"true","reason":""}"#.into()));

        three.start(2);
        let third = three.store(2);
        ready(&sim, &third).await;
        let mut watch = third.watch(Range::all(), 2, WatchOptions::default()).await.unwrap();
        assert_eq!(watch.next().await.unwrap().unwrap().revision, 2, "it has what was before its time");
        assert_eq!(second.put("b".into(), "2".into()).await, Ok(3));
        assert_eq!(watch.next().await.unwrap().unwrap().revision, 3);
        let names: Vec<String> = list(&three.hosts[1]).await.into_iter().map(|member| member.name).collect();
        assert_eq!(
            {
                let mut names = names;
                names.sort();
                names
            },
            NAMES
        );
    });
}

/// The leader's process ends: the others go on where it was, watches and leases included.
#[test]
fn two_of_three_go_on_and_one_of_three_does_not() {
    simulated(async |sim| {
        let mut three = Three::new(&sim);
        (0..3).for_each(|n| three.start(n));
        let (first, third) = (three.store(0), three.store(2));
        ready(&sim, &first).await;
        ready(&sim, &third).await;
        first.lease_grant(7, Duration::from_secs(60)).await.unwrap();
        first.put_if("leased".into(), "1".into(), 0, 7).await.unwrap();
        let mut watch = third.watch(Range::all(), 3, WatchOptions::default()).await.unwrap();

        three.running[0].process.kill().await;
        assert_eq!(third.put("a".into(), "1".into()).await, Ok(3));
        assert_eq!(watch.next().await.unwrap().unwrap().revision, 3, "the watch never broke");
        sim.elapse(Duration::from_secs(59)).await;
        assert!(third.get(b"leased", None).await.unwrap().0.is_some(), "a lease lives on in full");
        sim.elapse(Duration::from_secs(2)).await;
        assert!(third.get(b"leased", None).await.unwrap().0.is_none(), "and ends");

        three.running[1].process.kill().await;
        assert_eq!(third.put("b".into(), "1".into()).await, Err(StoreError::TimedOut));
        assert_eq!(
            get(&three.hosts[2], "/health").await,
            (503, r#"{"health":"false","reason":"RAFT NO LEADER"}"#.into())
        );
        assert_eq!(get(&three.hosts[2], "/livez").await, (200, "ok\n".into()), "a read that asks nobody");
        let (status, said) = get(&three.hosts[2], "/readyz").await;
        assert_eq!(status, 503);
        assert!(said.contains("[-]linearizable_read failed: etcdserver: request timed out\n"), "{said}");

        three.start(0);
        ready(&sim, &third).await;
        assert_eq!(third.put("b".into(), "1".into()).await, Ok(5), "one is back, and with it the majority");
    });
}

/// Who is cut off from the majority writes nothing and sees nothing of what the majority writes.
#[test]
fn a_member_that_is_cut_off_refuses() {
    simulated(async |sim| {
        let mut three = Three::new(&sim);
        (0..3).for_each(|n| three.start(n));
        let stores = [three.store(0), three.store(1), three.store(2)];
        for store in &stores {
            ready(&sim, store).await;
        }
        assert_eq!(stores[0].put("a".into(), "1".into()).await, Ok(2));
        let mut watch = stores[0].watch(Range::all(), 3, WatchOptions::default()).await.unwrap();
        for other in ["cp2", "cp3"] {
            sim.cut("cp1", other);
        }
        assert_eq!(stores[1].put("a".into(), "2".into()).await, Ok(3), "the majority goes on");
        assert_eq!(stores[0].put("a".into(), "3".into()).await, Err(StoreError::TimedOut));
        assert_eq!(stores[0].get(b"a", None).await, Err(StoreError::TimedOut));
        let (status, said) = get(&three.hosts[0], "/health").await;
        assert_eq!((status, said.as_str()), (503, r#"{"health":"false","reason":"RAFT NO LEADER"}"#));
        assert_eq!(get(&three.hosts[1], "/health").await.0, 200);
        let item = three.hosts[0].clock().timeout(Duration::from_secs(60), watch.next()).await;
        assert!(!matches!(item, Ok(Some(Ok(_)))), "nothing of the other side gets through: {item:?}");

        for other in ["cp2", "cp3"] {
            sim.heal("cp1", other);
        }
        assert_eq!(stores[0].get(b"a", None).await.unwrap().0.unwrap().value, "2");
        assert_eq!(stores[0].put("a".into(), "4".into()).await, Ok(4));
    });
}

/// A machine that stands still counts as away, also when its member led; awake again it is one of them.
#[test]
fn a_paused_leader_is_passed_over() {
    simulated(async |sim| {
        let mut three = Three::new(&sim);
        (0..3).for_each(|n| three.start(n));
        let stores = [three.store(0), three.store(1)];
        ready(&sim, &stores[1]).await;
        ready(&sim, &stores[0]).await;
        let leads = |sim: &sim::Sim| {
            let events = sim.events();
            events.iter().rev().find(|e| e.kind == "etcd").map(|e| e.host.clone())
        };
        let leader = leads(&sim).unwrap();
        let other = usize::from(leader == "cp1");
        let pause = sim.pause(&leader, Duration::from_secs(30));
        let write = async {
            sim.elapse(Duration::from_secs(1)).await;
            stores[other].put("a".into(), "1".into()).await
        };
        let ((), written) = futures::join!(pause, write);
        assert_eq!(written, Ok(2));
        assert_ne!(leads(&sim).unwrap(), leader);
        assert_eq!(
            stores[1 - other].put("a".into(), "2".into()).await,
            Ok(3),
            "it writes through the new one"
        );
    });
}

/// kubeadm's way to grow: announced as a learner, started as existing, promoted; and out again.
#[test]
fn a_member_is_added_promoted_and_removed() {
    simulated(async |sim| {
        let three = Three::new(&sim);
        let [cp1, cp2, _] = &three.hosts;
        let _first = start(cp1, &[]);
        let store = three.store(0);
        ready(&sim, &store).await;
        store.put("a".into(), "1".into()).await.unwrap();
        let url = format!("https://{}:2380", cp2.net().address());
        let add = |learner| rpc::Add { peer_urls: vec![url.clone()], is_learner: learner };
        let existing = [
            format!("--initial-cluster={},{}", peer(cp1), peer(cp2)),
            "--initial-cluster-state=existing".into(),
        ];

        let early = start(cp2, &existing);
        match early.main.join().await {
            Some(Exit::Failure(why)) => assert!(why.contains("member count is unequal"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert!(!cp2.disk().exists("/var/lib/etcd/member"), "nothing is left behind");

        let added: rpc::Added = call(cp1, "MemberAdd", add(true)).await.unwrap();
        let learner = added.member.unwrap();
        assert!(learner.is_learner && added.members.len() == 2);
        let words = |e: Status| e.message().to_owned();
        let again = call::<_, rpc::Added>(cp1, "MemberAdd", add(true)).await.map_err(words);
        assert_eq!(again, Err("etcdserver: Peer URLs already exists".into()));
        let id = rpc::Id { id: learner.id };
        let promote = async || call::<_, rpc::Members>(cp1, "MemberPromote", id.clone()).await.map_err(words);
        let not_ready = "etcdserver: can only promote a learner member which is in sync with leader";
        assert_eq!(promote().await, Err(not_ready.into()));

        let second = start(cp2, &existing);
        let theirs = three.store(1);
        sim.elapse(Duration::from_secs(1)).await;
        assert_eq!(theirs.revision().await, Err(StoreError::Learner));
        assert_eq!(get(cp2, "/readyz").await.0, 503);
        promote().await.unwrap();
        assert_eq!(theirs.get(b"a", None).await.unwrap().0.unwrap().value, "1");
        assert_eq!(promote().await, Err("etcdserver: can only promote a learner member".into()));

        let left: rpc::Members = call(cp2, "MemberRemove", id.clone()).await.unwrap();
        assert_eq!(left.members.len(), 1);
        assert!(matches!(second.main.join().await, Some(Exit::Success)), "its process ends");
        second.process.kill().await;
        let again = call::<_, rpc::Members>(cp1, "MemberRemove", id).await.map_err(words);
        assert_eq!(again, Err("etcdserver: member not found".into()));
        match start(cp2, &existing).main.join().await {
            Some(Exit::Failure(why)) => {
                assert!(why.starts_with("the member has been permanently removed from the cluster"), "{why}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(store.put("a".into(), "2".into()).await, Ok(3), "the first is alone again and goes on");
        let last = rpc::Id { id: list(cp1).await[0].id };
        let refused = call::<_, rpc::Members>(cp1, "MemberRemove", last).await.map_err(words);
        assert_eq!(
            refused,
            Err("etcdserver: re-configuration failed due to not enough started members".into())
        );
    });
}

/// A voter that was announced and does not come takes the majority of two with it: what learners are for.
#[test]
fn a_voter_that_does_not_come_stops_a_lone_member() {
    for (learner, goes_on) in [(true, true), (false, false)] {
        simulated(async |sim| {
            let three = Three::new(&sim);
            let _first = start(&three.hosts[0], &[]);
            let store = three.store(0);
            ready(&sim, &store).await;
            let peer_urls = vec![format!("https://{}:2380", three.hosts[1].net().address())];
            let add = rpc::Add { peer_urls, is_learner: learner };
            let _ = call::<_, rpc::Added>(&three.hosts[0], "MemberAdd", add).await;
            let written = store.put("a".into(), "1".into()).await;
            assert_eq!(written.is_ok(), goes_on, "learner {learner}: {written:?}");
        });
    }
}

/// A joining member shows its peer certificate; one that has ended opens no door.
#[test]
fn peers_judge_each_others_certificates() {
    for (age, joins) in [(Duration::ZERO, true), (YEAR, false)] {
        simulated(async |sim| {
            let three = Three::new(&sim);
            let [cp1, cp2, _] = &three.hosts;
            let _first = start(cp1, &[]);
            let store = three.store(0);
            ready(&sim, &store).await;
            let peer_urls = vec![format!("https://{}:2380", cp2.net().address())];
            let _: rpc::Added =
                call(cp1, "MemberAdd", rpc::Add { peer_urls, is_learner: true }).await.unwrap();
            sim.elapse(age + Duration::from_secs(1)).await;
            let existing = [
                format!("--initial-cluster={},{}", peer(cp1), peer(cp2)),
                "--initial-cluster-state=existing".into(),
            ];
            let second = start(cp2, &existing);
            sim.elapse(Duration::from_secs(1)).await;
            assert_eq!(!second.main.is_finished(), joins);
            if !joins {
                let Some(Exit::Failure(why)) = second.main.join().await else { panic!("it failed") };
                assert!(why.contains("certificate has expired or is not yet valid"), "{why}");
            }
        });
    }
}

/// Two worlds of one process: the same flags, two histories.
#[test]
fn worlds_do_not_mix() {
    for _ in 0..2 {
        simulated(async |sim| {
            let mut three = Three::new(&sim);
            (0..3).for_each(|n| three.start(n));
            let store = three.store(0);
            ready(&sim, &store).await;
            assert_eq!(store.put("a".into(), "1".into()).await, Ok(2));
        });
    }
}
