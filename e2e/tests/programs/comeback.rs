//! `chronoplane up --data-dir`, killed with SIGKILL and started again: the same objects, the same certificates, and
//! the nodes come back by themselves. In one process, in many, and on an etcd of its own. Killed before there is a
//! cluster, it makes it anew.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{requirement, tls};
use api::{object::ObjectExt as _, profile::Profile};
use chronoplane_cli::components::{PLACE, Place};
use client::{ListParams, Resource, Rest};
use pki::kubeconfig::Kubeconfig;
use serde_json::{Value, json};
use world::{
    Disk, Host,
    real::{Block, Real},
};

const NODES: usize = 2;
/// How long a cluster may take until it has noticed that it was away.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often one looks for what comes and stays.
const LOOK: Duration = Duration::from_millis(100);
/// And for what is there for half a second.
const GLANCE: Duration = Duration::from_millis(5);

/// `chronoplane up`; killed when dropped.
struct Up {
    child: Child,
    said: Vec<String>,
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Up {
    fn spawn(dir: &Path, flags: &[String]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_chronoplane"))
            .args(["up", &format!("--nodes={NODES}"), "--data-dir"])
            .arg(dir)
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, said: Vec::new() }
    }

    /// Starts it and waits until it says that all nodes are Ready.
    fn start(dir: &Path, flags: &[String]) -> Self {
        let mut up = Self::spawn(dir, flags);
        for line in BufReader::new(up.child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            let ready = line.contains(" Ready at ");
            up.said.push(line);
            if ready {
                return up;
            }
        }
        panic!("it ended: {:#?}", up.said);
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills it; gives what it had said.
    fn silence(mut self) -> String {
        let mut said = String::new();
        self.child.kill().unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

/// The administrator of the cluster in `dir`.
fn admin(dir: &Path, host: &Host) -> Rest {
    let path = dir.join("cp1/etc/kubernetes/admin.conf");
    let config = Kubeconfig::load(&Disk::real("/".into()), path).unwrap();
    Rest::from_kubeconfig(host, &config, Profile::default().go(), "comeback").unwrap()
}

/// Keys, certificates and kubeconfigs of all hosts, byte by byte.
fn credentials(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                // On the host's own root: where it leads to is found by itself.
                let target = fs::read_link(&path).unwrap();
                found.insert(path, target.as_os_str().as_encoded_bytes().to_vec());
            } else if path.is_dir() {
                todo.push(path);
            } else if path
                .extension()
                .is_some_and(|end| end == "crt" || end == "key" || end == "pem" || end == "conf")
            {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found.retain(|path, _| !path.components().any(|part| part.as_os_str() == "sled"));
    found
}

const LASTING: [Resource; 6] = [
    Resource::core("namespaces"),
    Resource::core("configmaps"),
    Resource::core("secrets"),
    Resource::core("serviceaccounts"),
    Resource::core("nodes"),
    Resource::new("rbac.authorization.k8s.io", "v1", "clusterroles"),
];

/// What was created: by kind, namespace and name, the uid.
async fn created(admin: &Rest) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for resource in &LASTING {
        for item in admin.list(resource, None, &ListParams::default()).await.unwrap().items {
            let place = format!("{}/{}/{}", resource.plural, item.namespace(), item.name());
            found.insert(place, item["metadata"]["uid"].as_str().unwrap().to_owned());
        }
    }
    found
}

/// When each node last said that it lives.
async fn heartbeats(admin: &Rest) -> BTreeMap<String, String> {
    let leases = Resource::new("coordination.k8s.io", "v1", "leases");
    let leases = admin.list(&leases, Some("kube-node-lease"), &ListParams::default()).await.unwrap().items;
    let renewed = |lease: &Value| lease["spec"]["renewTime"].as_str().unwrap().to_owned();
    leases.iter().map(|lease| (lease.name().to_owned(), renewed(lease))).collect()
}

/// Looks until `look` finds something.
async fn until<T>(host: &Host, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    until_every(LOOK, host, what, look).await
}

/// As [`until`], so often.
async fn until_every<T>(every: Duration, host: &Host, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let clock = host.clock();
    let found = clock.timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            clock.sleep(every).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("never: {what}"))
}

async fn dies_and_comes_back(flags: &[String], lives: usize) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let world = Real::new(root.path().join("workstation"), Block::reserve().unwrap());
    let host = world.host("workstation").unwrap();
    let mut up = Up::start(&dir, flags);
    let (configmaps, pods) = (Resource::core("configmaps"), Resource::core("pods"));
    for life in 1..=lives {
        let client = admin(&dir, &host);
        let settings = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("settings-{life}"), "namespace": "default"},
            "data": {"life": life.to_string()},
        });
        let settings = client.create(&configmaps, Some("default"), &settings).await.unwrap();
        // A node may be Ready before it has one.
        until(&host, "each node has a lease", async || {
            (heartbeats(&client).await.len() == NODES + 1).then_some(())
        })
        .await;
        let before = (created(&client).await, credentials(&dir), heartbeats(&client).await);
        up.kill();
        up = Up::start(&dir, flags);

        let client = admin(&dir, &host);
        let again = client.get(&configmaps, Some("default"), settings.name()).await.unwrap();
        assert_eq!(again, settings, "to the byte, its resourceVersion too");
        let now = created(&client).await;
        let lost: Vec<_> = before.0.iter().filter(|(place, uid)| now.get(*place) != Some(uid)).collect();
        assert!(lost.is_empty(), "gone, or another one of the same name: {lost:?}");
        assert!(before.1.len() > 20, "the control: there are credentials");
        let now = credentials(&dir);
        for (path, bytes) in &before.1 {
            assert!(now.get(path) == Some(bytes), "{} is another one", path.display());
        }
        assert_eq!(before.2.len(), NODES + 1, "the control: each node has a lease");
        until(&host, "each node lives", async || {
            let now = heartbeats(&client).await;
            before.2.iter().all(|(node, then)| now.get(node).is_some_and(|now| now > then)).then_some(())
        })
        .await;
        // And works: a pod on it runs.
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("work-{life}"), "namespace": "default"},
            "spec": {"nodeName": "node1", "containers": [{"name": "main", "image": "pause"}]},
        });
        let pod = client.create(&pods, Some("default"), &pod).await.unwrap();
        assert!(revision(&pod) > revision(&settings), "revisions go on");
        until(&host, "a pod runs", async || {
            let pod = client.get(&pods, Some("default"), pod.name()).await.ok()?;
            (pod["status"]["phase"] == "Running").then_some(())
        })
        .await;
    }
    drop(up);
}

fn revision(object: &Value) -> i64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

async fn a_cluster_in_one_process_comes_back() {
    dies_and_comes_back(&[], 2).await;
}

async fn a_cluster_of_many_processes_comes_back() {
    dies_and_comes_back(&["--processes".to_owned()], 1).await;
}

/// Files in the order in which a first `up` comes to write them. Killed as each appears.
const MOMENTS: [&str; 7] = [
    "chronoplane.json",
    "cp1/etc/kubernetes/pki/ca.crt",
    "cp1/etc/kubernetes/admin.conf",
    "cp1/etc/kubernetes/manifests/kube-apiserver.yaml",
    "cp1/var/lib/etcd/member/high-water",
    "node1/etc/kubernetes/bootstrap-kubelet.conf",
    "node1/etc/kubernetes/kubelet.conf",
];
/// From here on there is a cluster.
const JOINING: usize = 5;
/// On a busy machine an `up` may be past a moment before it is killed. In so many directories one is begun with.
const DIRECTORIES: usize = 5;

/// Whether kubeadm has come to its end on the host with that file, and writes it no more.
fn is_past(dir: &Path, moment: &str) -> bool {
    let host = moment.split('/').next().unwrap();
    fs::read_to_string(dir.join(host).join("var/lib/chronoplane/kubeadm")).is_ok_and(|text| text == "done\n")
}

async fn is_made_after_all(flags: &[String], moments: &[&str]) {
    let mut late = String::new();
    for _ in 0..DIRECTORIES {
        match is_made_in_a_directory(flags, moments).await {
            Ok(()) => return,
            Err(why) => late = why,
        }
    }
    panic!("in {DIRECTORIES} directories no `up` was killed in the middle: {late}");
}

/// Kills a first `up` at each of the moments, one life after the other in one directory, then lets one live.
///
/// # Errors
/// One was past its moment: it shows nothing, and what it has made is in the way of the others.
async fn is_made_in_a_directory(flags: &[String], moments: &[&str]) -> Result<(), String> {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let world = Real::new(root.path().join("workstation"), Block::reserve().unwrap());
    let host = world.host("workstation").unwrap();
    let configmaps = Resource::core("configmaps");
    let mut anew = 0;
    let mut early = None;
    for moment in moments {
        if is_past(&dir, moment) {
            return Err(format!("{moment}: the one before had come to the end of that host"));
        }
        // One that an earlier `up` has left says nothing of this one. It removes that itself, with all of the host.
        let file = dir.join(moment);
        if file.exists() {
            fs::remove_file(&file).unwrap();
        }
        let up = Up::spawn(&dir, flags);
        let is_there = until_every(GLANCE, &host, &format!("an `up` has written {moment}"), async || {
            if file.exists() { Some(true) } else { is_past(&dir, moment).then_some(false) }
        })
        .await;
        if is_there && MOMENTS.iter().position(|known| known == moment) == Some(JOINING) {
            let settings = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "early", "namespace": "default"},
            });
            let client = admin(&dir, &host);
            early = Some(client.create(&configmaps, Some("default"), &settings).await.unwrap());
        }
        let said = up.silence();
        if !is_there || said.contains(" Ready at ") {
            return Err(format!("{moment}: that one was not in the middle of it: {said}"));
        }
        anew += usize::from(said.contains("it is made anew"));
    }
    let up = Up::start(&dir, flags);
    anew += usize::from(up.said.iter().any(|line| line.contains("it is made anew")));
    assert!(anew > 0, "the control: something was left to be removed");
    let client = admin(&dir, &host);
    if let Some(early) = early {
        let now = client.get(&configmaps, Some("default"), "early").await.unwrap();
        assert_eq!(now, early, "what was written to the cluster before its nodes had joined");
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "work", "namespace": "default"},
        "spec": {"nodeName": "node1", "containers": [{"name": "main", "image": "pause"}]},
    });
    let pods = Resource::core("pods");
    client.create(&pods, Some("default"), &pod).await.unwrap();
    until(&host, "a pod runs", async || {
        let pod = client.get(&pods, Some("default"), "work").await.ok()?;
        (pod["status"]["phase"] == "Running").then_some(())
    })
    .await;
    Ok(())
}

async fn a_cluster_that_was_never_made_is_made_anew() {
    is_made_after_all(&[], &MOMENTS).await;
}

async fn a_cluster_of_many_processes_that_was_never_made_is_made_anew() {
    is_made_after_all(&["--processes".to_owned()], &MOMENTS[JOINING - 1..=JOINING]).await;
}

/// What is kept elsewhere cannot be emptied from here: it says so, and what to do.
async fn a_cluster_on_another_etcd_that_was_never_made_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let (_world, host, files) = etcd_host(root.path());
    let (_etcd, flags) = Beside::start(ours(&host), &host, &files);
    let dir = root.path().join("data");
    let up = Up::spawn(&dir, &flags);
    let file = dir.join("cp1/etc/kubernetes/manifests/kube-apiserver.yaml");
    until(&host, "there is a manifest", async || file.exists().then_some(())).await;
    up.kill();
    let mut second = Up::spawn(&dir, &flags);
    let mut said = String::new();
    second.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(second.child.wait().unwrap().code(), Some(2), "{said}");
    let words =
        ["its etcd may hold a part of that", "remove what is below /registry there and the data directory"];
    assert!(words.iter().all(|words| said.contains(words)), "{said}");
}

/// An etcd beside the cluster; killed when dropped.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Beside {
    /// Starts `program`, which takes etcd's flags, on `host`; gives the flags of `up` for it.
    fn start(mut program: Command, host: &Host, files: &Path) -> (Self, Vec<String>) {
        let pki = files.join(tls::DIR.trim_start_matches('/'));
        let url = format!("https://{}:2379", host.net().address());
        let file = |name: &str| pki.join(name).display().to_string();
        let child = program
            .arg(format!("--data-dir={}", files.join("etcd-data").display()))
            .args([format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")])
            .arg(format!("--listen-peer-urls=http://{}:2380", host.net().address()))
            .arg(format!("--initial-advertise-peer-urls=http://{}:2380", host.net().address()))
            .arg(format!("--initial-cluster=default=http://{}:2380", host.net().address()))
            .args([
                format!("--cert-file={}", file("etcd/server.crt")),
                format!("--key-file={}", file("etcd/server.key")),
            ])
            .args([format!("--trusted-ca-file={}", file("etcd/ca.crt")), "--client-cert-auth".to_owned()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let flags = [
            format!("--etcd={url}"),
            format!("--etcd-cafile={}", file("etcd/ca.crt")),
            format!("--etcd-certfile={}", file("apiserver-etcd-client.crt")),
            format!("--etcd-keyfile={}", file("apiserver-etcd-client.key")),
            // The newest whose kubeadm takes Debian's etcd.
            "--kubernetes-version=1.31".to_owned(),
        ];
        (Self(child.unwrap()), flags.into())
    }
}

/// A world with one host, whose etcd files are made.
fn etcd_host(root: &Path) -> (Real, Host, PathBuf) {
    let world = Real::new(root.to_owned(), Block::reserve().unwrap());
    let host = world.host("etcd1").unwrap();
    tls::EtcdCa::new(&host).kubeadm(&host, Duration::from_secs(86_400));
    (world, host, root.join("etcd1"))
}

/// Our etcd on `host`, with this machine's files.
fn ours(host: &Host) -> Command {
    let std::net::IpAddr::V4(address) = host.net().address() else { panic!("IPv4") };
    let place = Place { name: "etcd1".into(), address, root: "/".into() };
    let mut program = Command::new(env!("CARGO_BIN_EXE_chronoplane"));
    program.args(["etcd", "--"]).env(PLACE, serde_json::to_string(&place).unwrap());
    program
}

async fn a_cluster_on_our_etcd_comes_back() {
    let root = tempfile::tempdir().unwrap();
    let (_world, host, files) = etcd_host(root.path());
    let (_etcd, flags) = Beside::start(ours(&host), &host, &files);
    dies_and_comes_back(&flags, 1).await;
}

/// What `ETCD` names, or etcd on PATH.
async fn a_cluster_on_etcd_itself_comes_back() {
    let program = std::env::var_os("ETCD").unwrap_or_else(|| "etcd".into());
    let there = Command::new(&program).arg("--version").output().is_ok_and(|said| said.status.success());
    if !requirement::met(
        "etcd",
        there,
        "no `etcd` on PATH; Debian has it in etcd-server, ETCD=/path names one",
    ) {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (_world, host, files) = etcd_host(root.path());
    let (_etcd, flags) = Beside::start(Command::new(program), &host, &files);
    dies_and_comes_back(&flags, 1).await;
}

fn on_threads(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

pub const TESTS: &[(&str, fn())] = &[
    ("comeback::a_cluster_in_one_process_comes_back", || on_threads(a_cluster_in_one_process_comes_back())),
    ("comeback::a_cluster_of_many_processes_comes_back", || {
        on_threads(a_cluster_of_many_processes_comes_back())
    }),
    ("comeback::a_cluster_that_was_never_made_is_made_anew", || {
        on_threads(a_cluster_that_was_never_made_is_made_anew())
    }),
    ("comeback::a_cluster_of_many_processes_that_was_never_made_is_made_anew", || {
        on_threads(a_cluster_of_many_processes_that_was_never_made_is_made_anew())
    }),
    ("comeback::a_cluster_on_another_etcd_that_was_never_made_is_refused", || {
        on_threads(a_cluster_on_another_etcd_that_was_never_made_is_refused())
    }),
    ("comeback::a_cluster_on_our_etcd_comes_back", || on_threads(a_cluster_on_our_etcd_comes_back())),
    ("comeback::a_cluster_on_etcd_itself_comes_back", || on_threads(a_cluster_on_etcd_itself_comes_back())),
];
