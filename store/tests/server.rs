//! The etcd pod: kubeadm's manifest over mutual TLS, restarts, certificates that end, clients that fail over.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::{sync::Arc, time::Duration};

use common::tls::{EtcdCa, client, manifest};
use store::{EtcdOptions, Range, Store, StoreError, WatchOptions, server};
use wire::{HttpClient, body};
use world::{Exit, Host, Unit, sim};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn simulated<T>(story: impl AsyncFnOnce(sim::Sim) -> T) -> T {
    sim::run(sim::Config::default(), |sim| async move { story(sim).await }).unwrap()
}

fn local(_: &Host) -> Vec<String> {
    vec!["https://127.0.0.1:2379".into()]
}

/// etcd as a unit that its init system restarts.
fn install(host: &Host) {
    host.services()
        .install("etcd", Unit::new(|host| async move { server::run(host.clone(), manifest(&host)).await }));
    host.services().start(host, "etcd");
}

async fn ready(sim: &sim::Sim, store: &Arc<dyn Store>) {
    for _ in 0..100 {
        if store.revision().await.is_ok() {
            return;
        }
        sim.elapse(Duration::from_millis(10)).await;
    }
    panic!("etcd does not answer: {:?}", store.revision().await);
}

#[test]
fn a_restarted_pod_keeps_its_data_and_a_removed_directory_does_not() {
    simulated(async |sim| {
        let host = sim.host("cp1");
        EtcdCa::new(&host).kubeadm(&host, YEAR);
        install(&host);
        let store = store::etcd(&host, &client(local(&host))).unwrap();
        ready(&sim, &store).await;
        store.lease_grant(7, Duration::from_secs(60)).await.unwrap();
        let outcome = store.put_if("/registry/a".into(), "1".into(), 0, 7).await.unwrap();
        assert_eq!(outcome, store::Outcome::Committed(2));
        let mut watch = store.watch(Range::prefix("/registry/"), 3, WatchOptions::default()).await.unwrap();

        host.services().restart(&host, "etcd").await;
        ready(&sim, &store).await;
        let (kv, revision) = store.get(b"/registry/a", None).await.unwrap();
        assert_eq!((kv.unwrap().lease, revision), (7, 2));
        assert_eq!(store.put("/registry/b".into(), "2".into()).await, Ok(3));
        let batch = watch.next().await.unwrap().unwrap();
        assert_eq!(batch.revision, 3, "the watch has found its way back by itself");

        host.services().stop("etcd").await;
        host.disk().remove_all("/var/lib/etcd").unwrap();
        host.services().start(&host, "etcd");
        ready(&sim, &store).await;
        assert_eq!(store.list(Range::all(), Default::default()).await.unwrap().revision, 1, "as new");
    });
}

/// Who may talk to whom, and the words when not. Each row with its control: the same before the end.
#[test]
fn certificates_are_judged_at_the_handshake() {
    let month = Duration::from_secs(30 * 86_400);
    let connection = "rpc error: code = Unavailable desc = connection error: desc = ";
    // (server lives, client lives, what is said after a month)
    let rows = [
        (YEAR, YEAR, None),
        (YEAR, month / 2, Some("\"error reading server preface: remote error: tls: expired certificate\"")),
        (
            month / 2,
            YEAR,
            Some(
                "\"transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-01-31T00:00:00Z is after 2026-01-16T00:00:00Z\"",
            ),
        ),
    ];
    for (server_lives, client_lives, said) in rows {
        simulated(async |sim| {
            let host = sim.host("cp1");
            let ca = EtcdCa::new(&host);
            ca.kubeadm(&host, server_lives);
            ca.issue(&host, "apiserver-etcd-client", "kube-apiserver-etcd-client", Vec::new(), client_lives);
            install(&host);
            let old = store::etcd(&host, &client(local(&host))).unwrap();
            ready(&sim, &old).await;
            sim.step("cp1", jiff::SignedDuration::try_from(month).unwrap());
            assert_eq!(old.put("a".into(), "1".into()).await, Ok(2), "an open connection is not asked again");
            let new = store::etcd(&host, &client(local(&host))).unwrap();
            let result = new.put("b".into(), "2".into()).await;
            match said {
                None => assert_eq!(result, Ok(3)),
                Some(said) => assert_eq!(result, Err(StoreError::Transport(format!("{connection}{said}")))),
            }
        });
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    simulated(async |sim| {
        let host = sim.host("cp1");
        EtcdCa::new(&host).kubeadm(&host, YEAR);
        server::start(&host, &manifest(&host)).await.unwrap();
        let bare = EtcdOptions { cert: None, key: None, ..client(local(&host)) };
        let error = store::etcd(&host, &bare).unwrap().revision().await.unwrap_err().to_string();
        assert!(error.contains("remote error: tls: "), "{error}");
    });
}

#[test]
fn the_next_endpoint_is_tried() {
    simulated(async |sim| {
        let (cp1, cp2) = (sim.host("cp1"), sim.host("cp2"));
        EtcdCa::new(&cp1).kubeadm(&cp1, YEAR);
        server::start(&cp1, &manifest(&cp1)).await.unwrap();
        let dead = format!("https://{}:2379", cp2.net().address());
        let store = store::etcd(&cp1, &client(vec![dead.clone(), local(&cp1)[0].clone()])).unwrap();
        assert_eq!(
            store.put("a".into(), "1".into()).await,
            Ok(2),
            "a write too: the first cannot have seen it"
        );
        let nobody = store::etcd(&cp1, &client(vec![dead.clone()])).unwrap();
        let said = nobody.put("a".into(), "1".into()).await.unwrap_err().to_string();
        let address = dead.trim_start_matches("https://");
        assert_eq!(
            said,
            format!(
                "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp {address}: connect: connection refused\""
            )
        );
    });
}

#[test]
fn a_slow_reader_of_one_watch_does_not_hold_up_the_connection() {
    simulated(async |sim| {
        let host = sim.host("cp1");
        EtcdCa::new(&host).kubeadm(&host, YEAR);
        server::start(&host, &manifest(&host)).await.unwrap();
        let store = store::etcd(&host, &client(local(&host))).unwrap();
        let options = WatchOptions { buffer: 20, ..WatchOptions::default() };
        let mut slow = store.watch(Range::all(), 0, options).await.unwrap();
        // Far more than all windows of the connection together.
        for _ in 0..200 {
            store.put("k".into(), vec![1; 200_000].into()).await.unwrap();
        }
        assert_eq!(store.revision().await, Ok(201));
        sim.elapse(Duration::from_secs(1)).await;
        assert_eq!(slow.next().await, Some(Err(StoreError::Lagged { delivered: 1 })));
    });
}

#[test]
fn a_full_disk_is_told_and_writing_goes_on_when_there_is_room() {
    simulated(async |sim| {
        let host = sim.host("cp1");
        EtcdCa::new(&host).kubeadm(&host, YEAR);
        server::start(&host, &manifest(&host)).await.unwrap();
        let store = store::etcd(&host, &client(local(&host))).unwrap();
        store.put("a".into(), "1".into()).await.unwrap();
        sim.disk("cp1").set_full(true);
        let error = store.put("a".into(), "2".into()).await.unwrap_err().to_string();
        assert!(
            error.contains("code = ResourceExhausted") && error.contains("no space left on device"),
            "{error}"
        );
        assert_eq!(store.revision().await, Ok(2), "reading goes on");
        sim.disk("cp1").set_full(false);
        assert_eq!(store.put("a".into(), "2".into()).await, Ok(3));
    });
}

#[test]
fn marks_come_in_the_interval_of_the_manifest() {
    simulated(async |sim| {
        let host = sim.host("cp1");
        EtcdCa::new(&host).kubeadm(&host, YEAR);
        server::start(&host, &manifest(&host)).await.unwrap();
        let store = store::etcd(&host, &client(local(&host))).unwrap();
        let options =
            WatchOptions { progress_every: Some(Duration::from_secs(1)), ..WatchOptions::default() };
        let mut watch = store.watch(Range::key("quiet"), 0, options).await.unwrap();
        store.put("other".into(), "1".into()).await.unwrap();
        let before = host.clock().monotonic();
        let mark = watch.next().await.unwrap().unwrap();
        assert!(mark.progress);
        assert_eq!(mark.revision, 2);
        let waited = host.clock().monotonic().since(before);
        assert!(
            waited > Duration::from_secs(4) && waited <= Duration::from_secs(5),
            "etcd decides: {waited:?}"
        );
    });
}

#[test]
fn health_is_served_beside() {
    simulated(async |sim| {
        let host = sim.host("cp1");
        EtcdCa::new(&host).kubeadm(&host, YEAR);
        server::start(&host, &manifest(&host)).await.unwrap();
        let rows = [
            ("/health", 200, r#"{"health":"true","reason":""}"#),
            ("/health?serializable=true", 200, r#"{"health":"true","reason":""}"#),
            ("/livez", 200, "ok\n"),
            ("/livez?verbose", 200, "[+]serializable_read ok\nok\n"),
            ("/readyz", 200, "ok\n"),
            ("/version", 200, r#"{"etcdserver":"3.6.8","etcdcluster":"3.6.0"}"#),
            ("/nothing", 404, "404 page not found\n"),
        ];
        let http = HttpClient::new(&host, "http://127.0.0.1:2381", None).unwrap();
        for (path, status, said) in rows {
            let request = http::Request::get(path).body(body::empty()).unwrap();
            let response = http.send(request).await.unwrap();
            assert_eq!(response.status(), status, "{path}");
            let text = body::collect(response.into_body(), 1 << 20).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&text), said, "{path}");
        }
        let request = http::Request::get("/metrics").body(body::empty()).unwrap();
        let metrics = body::collect(http.send(request).await.unwrap().into_body(), 1 << 20).await.unwrap();
        assert!(
            String::from_utf8_lossy(&metrics).contains("\netcd_server_has_leader 1\n")
                || metrics.starts_with(b"# TYPE etcd_server_has_leader")
        );
    });
}

/// What an operator reads when it does not start: one sentence that names the file, port or flag.
#[test]
fn a_pod_that_cannot_start_says_why() {
    type Spoil = fn(&Host, &mut Vec<String>);
    let rows: [(Spoil, &str); 6] = [
        (|_, args| args.push("--nmae=x".into()), "unknown flag: --nmae"),
        (
            |host, _| host.disk().remove("/etc/kubernetes/pki/etcd/server.crt").unwrap(),
            "open /etc/kubernetes/pki/etcd/server.crt: no such file or directory",
        ),
        (
            |host, _| host.disk().write("/etc/kubernetes/pki/etcd/server.key", "half a k", 0o600).unwrap(),
            "open /etc/kubernetes/pki/etcd/server.key: ",
        ),
        (
            |host, _| host.disk().write("/etc/kubernetes/pki/etcd/ca.crt", "-----BEGIN CERT", 0o600).unwrap(),
            "open /etc/kubernetes/pki/etcd/ca.crt: ",
        ),
        (
            |_, args| args.push("--listen-client-urls=https://9.9.9.9:2379".into()),
            "listen tcp 9.9.9.9:2379: bind: ",
        ),
        (
            |host, _| host.disk().write("/var/lib/etcd/member/memory", "a file", 0o600).unwrap(),
            "/var/lib/etcd/member/memory: file exists",
        ),
    ];
    for (spoil, said) in rows {
        simulated(async |sim| {
            let host = sim.host("cp1");
            EtcdCa::new(&host).kubeadm(&host, YEAR);
            let mut args = manifest(&host);
            spoil(&host, &mut args);
            let process = host.process("etcd");
            let main = process.host().spawn(server::run(process.host().clone(), args));
            match main.join().await {
                Some(Exit::Failure(why)) => {
                    assert!(why.contains(said), "{why:?} says {said:?}");
                    assert!(!why.contains('\n'));
                }
                other => panic!("{other:?} instead of {said}"),
            }
        });
    }
}

#[test]
fn a_taken_port_is_named() {
    simulated(async |sim| {
        let host = sim.host("cp1");
        EtcdCa::new(&host).kubeadm(&host, YEAR);
        let _first = server::start(&host, &manifest(&host)).await.unwrap();
        let mut args = manifest(&host);
        args.push("--data-dir=/other".into());
        let why = server::start(&host, &args).await.unwrap_err().to_string();
        assert!(why.starts_with("listen tcp 127.0.0.1:2379: bind: address already in use"), "{why}");
    });
}

/// The real gear: the same manifest, sled below the data directory, one address for both URLs.
#[tokio::test]
async fn the_manifest_serves_in_the_real_gear_too() {
    let root = tempfile::tempdir().unwrap();
    let host = common::real_host(root.path());
    EtcdCa::new(&host).kubeadm(&host, YEAR);
    let process = host.process("etcd");
    let running = server::start(process.host(), &manifest(&host)).await.unwrap();
    assert_eq!(running.client_addresses().len(), 1);
    let store = store::etcd(&host, &client(local(&host))).unwrap();
    assert_eq!(store.put("a".into(), "1".into()).await, Ok(2));
    assert_eq!(store.status().await.unwrap().engine, "etcd 3.6.8");
    let error = server::start(&host, &manifest(&host)).await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("/var/lib/etcd/member is in use by process"), "{error}");
    drop(running);
    process.kill().await;
    let _again = server::start(&host, &manifest(&host)).await.unwrap();
    assert_eq!(store.put("a".into(), "2".into()).await, Ok(3), "continued");
}

/// Two runs of one seed leave the same record; another seed leaves another.
#[test]
fn a_seed_decides_the_record() {
    let record = |seed| {
        let config = sim::Config { seed, ..sim::Config::default() };
        sim::run(config, |sim| async move {
            let host = sim.host("cp1");
            EtcdCa::new(&host).kubeadm(&host, YEAR);
            install(&host);
            let store = store::etcd(&host, &client(local(&host))).unwrap();
            ready(&sim, &store).await;
            let lease = store.lease_grant(0, Duration::from_secs(5)).await.unwrap();
            store.put_if("a".into(), "1".into(), 0, lease.id).await.unwrap();
            let mut watch = store.watch(Range::all(), 0, WatchOptions::default()).await.unwrap();
            host.services().restart(&host, "etcd").await;
            let gone = watch.next().await.unwrap().unwrap();
            host.record(
                "test",
                vec![("revision", gone.revision.to_string()), ("lease", lease.id.to_string())],
            );
            sim.events()
        })
        .unwrap()
    };
    assert_eq!(record(1), record(1));
    assert_ne!(record(1), record(2));
    assert!(record(1).iter().any(|event| event.kind == "handshake"), "there is something to compare");
}
