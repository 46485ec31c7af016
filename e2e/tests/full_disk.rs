//! A full disk beneath a whole apiserver: writes are refused in words that say what to do, reads and watches go on, and
//! when there is room writing goes on without anybody's help. On sled in a file system that is full, and in a simulated
//! cluster whose etcd's disk is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use chronoplane::{Cluster, cluster::wait_for};
use chronoplane_cli::components::{PLACE, Place};
use client::{Auth, ClientError, ListParams, Resource, Rest, WatchParams};
use pki::ClientTls;
use serde_json::{Value, json};
use wire::HttpClient;
use world::{
    Host,
    real::{Block, Real},
};

const MAPS: Resource = Resource::core("configmaps");
const SPACE: Option<&str> = Some("default");

fn map(name: &str, size: usize) -> Value {
    let data = "x".repeat(size);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {"x": data}})
}

async fn names(rest: &Rest) -> Vec<String> {
    let maps = rest.list(&MAPS, SPACE, &ListParams::default()).await.unwrap().items;
    let name = |map: &std::sync::Arc<Value>| map["metadata"]["name"].as_str().unwrap().to_owned();
    maps.iter().map(name).filter(|name| name != "kube-root-ca.crt").collect()
}

/// What a client is told: that nothing is wrong with its request, and what somebody has to do.
fn is_told(error: ClientError, place: &str) {
    let ClientError::Status(status) = error else { panic!("not a Status: {error}") };
    assert_eq!((status.code, status.reason.as_str()), (500, "InternalError"), "{status:?}");
    let words =
        format!("{place}: no space left on device; make room on that disk, the store goes on by itself");
    assert!(status.message.ends_with(&words), "{:?} ends with {words:?}", status.message);
}

/// Fills what is there, and makes room again; `place` is where the store says that it is.
async fn is_survived(rest: &Rest, host: &Host, place: &str, full: impl AsyncFn(bool)) {
    rest.create(&MAPS, SPACE, &map("before", 10)).await.unwrap();
    let resource_version = rest.list(&MAPS, SPACE, &ListParams::default()).await.unwrap().resource_version;
    let from = WatchParams { resource_version: Some(resource_version), ..WatchParams::default() };
    let mut watch = rest.watch(&MAPS, SPACE, &from).await.unwrap();
    full(true).await;
    let mut written = vec!["before".to_owned()];
    let refused = loop {
        let name = format!("m{:03}", written.len());
        match rest.create(&MAPS, SPACE, &map(&name, 100_000)).await {
            Ok(_) => written.push(name),
            Err(e) => break e,
        }
        assert!(written.len() < 200, "the disk is full some time");
    };
    is_told(refused, place);
    // The control for a moment's bad luck: still so, for any kind of write, and nothing of it is there.
    is_told(rest.create(&MAPS, SPACE, &map("later", 100_000)).await.unwrap_err(), place);
    is_told(rest.delete(&MAPS, SPACE, "before", &Default::default()).await.unwrap_err(), place);
    assert_eq!(names(rest).await, written, "reading goes on");
    assert_eq!(rest.get(&MAPS, SPACE, "before").await.unwrap()["data"]["x"], "xxxxxxxxxx");

    full(false).await;
    rest.create(&MAPS, SPACE, &map("room", 100_000)).await.expect("the first write that finds room");
    written.push("room".to_owned());
    written.sort();
    assert_eq!(names(rest).await, written);
    // The watch has seen what happened, and nothing else.
    let mut seen = vec!["before".to_owned()];
    while seen.last().is_none_or(|name| name != "room") {
        let event = host.clock().timeout(Duration::from_secs(20), watch.next()).await.expect("an event");
        seen.push(
            event.expect("the watch goes on").unwrap().object["metadata"]["name"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    seen.sort();
    assert_eq!(seen, written);
}

/// A directory on a file system of its own size; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().ok()?;
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"]).arg(dir.path()).output();
        mount.is_ok_and(|done| done.status.success()).then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

/// An apiserver process on sled; killed when dropped.
struct Apiserver(Child);

impl Drop for Apiserver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Apiserver {
    fn start(root: &Path, address: Ipv4Addr) -> Self {
        let place = Place { name: "cp1".into(), address, root: root.to_owned() };
        let child = Command::new(env!("CARGO_BIN_EXE_chronoplane"))
            .args([
                "apiserver",
                "--",
                "--storage-backend=sled",
                "--data-dir=/var/lib/store",
                "--secure-port=6443",
            ])
            .args(["--cert-dir=/var/run/kubernetes", "--token-auth-file=/etc/tokens.csv"])
            .args([
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.96.0.0/12",
            ])
            .env(PLACE, serde_json::to_string(&place).unwrap())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

async fn is_ready(rest: &Rest, host: &Host) {
    wait_for(host, "the apiserver is ready", async || {
        let (status, _) = rest.raw(http::Method::GET, "/readyz", None).await.ok()?;
        status.is_success().then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apiserver_on_sled_outlives_a_full_disk() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED an_apiserver_on_sled_outlives_a_full_disk: mounting a small tmpfs needs root");
        return;
    };
    let root: PathBuf = disk.0.path().join("cp1");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/tokens.csv"), "secret,admin,1,\"system:masters\"\n").unwrap();
    let world = Real::new(disk.0.path().to_owned(), Block::reserve().unwrap());
    let std::net::IpAddr::V4(address) = world.host("cp1").unwrap().net().address() else { panic!("IPv4") };
    let host = world.host("workstation").unwrap();
    let tls = ClientTls::new(&host, (1, 26)).insecure();
    let http = HttpClient::new(&host, &format!("https://{address}:6443"), Some(tls)).unwrap();
    let rest = Rest::new(http, Auth::bearer("secret"), "full-disk");
    let mut server = Apiserver::start(&root, address);
    is_ready(&rest, &host).await;

    let ballast = disk.0.path().join("ballast");
    let store = root.join("var/lib/store").display().to_string();
    is_survived(&rest, &host, &store, async |full| match full {
        // What is left is a few objects' worth.
        true => fs::write(&ballast, vec![0; 4 << 20]).unwrap(),
        false => fs::remove_file(&ballast).unwrap(),
    })
    .await;
    assert!(server.0.try_wait().unwrap().is_none(), "the same process all the time");

    // And what it acknowledged is on the disk.
    let before = names(&rest).await;
    drop(server);
    let _server = Apiserver::start(&root, address);
    is_ready(&rest, &host).await;
    assert_eq!(names(&rest).await, before);
}

#[chronoplane::test(nodes = 1)]
async fn a_simulated_cluster_outlives_a_full_disk(cluster: Cluster) {
    let workstation = cluster.sim().host("workstation");
    is_survived(cluster.admin(), &workstation, "/var/lib/etcd/member", async |full| {
        cluster.full_disk("cp1", full);
    })
    .await;
}
