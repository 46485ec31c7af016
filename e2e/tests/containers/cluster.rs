//! A cluster of nine hosts, each a container with an address of its own on a private network.
//!
//! ```text
//! etcd1 etcd2 etcd3       Debian's etcd, mutual TLS
//! cp1 cp2 cp3             kubeadm init and join --control-plane; apiserver, controllers, scheduler as processes
//! balancer                layer 4, in front of the three apiservers; everybody's way to them
//! node1 node2             kubeadm join
//! ```

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use api::profile::Profile;
use chronoplane::cluster::{nodes_ready, wait_for};
use chronoplane_cli::components::{PLACE, Place, SHARED_CLOCKS};
use client::{ListParams, Resource, Rest};
use pki::{Certificate, kubeconfig::Kubeconfig};
use serde_json::{Value, json};
use store::Store;
use tempfile::TempDir;
use world::{
    Disk, Host,
    real::{Block, Real},
};

use crate::{
    docker::{Container, Image, Network, Result},
    tls,
};

/// The newest release whose kubeadm takes Debian's etcd.
const VERSION: &str = "1.31";
const BALANCER: u8 = 10;
const CONTROL_PLANES: [u8; 3] = [11, 12, 13];
const ETCD: [u8; 3] = [21, 22, 23];
const WORKERS: [u8; 2] = [31, 32];
const LIVES: Duration = Duration::from_secs(365 * 86_400);
/// How long a cluster may take until it has noticed what was mended.
const PATIENCE: Duration = Duration::from_secs(180);

/// See the module.
pub struct Cluster {
    pub control_planes: Vec<Container>,
    pub etcd: Vec<Container>,
    pub workers: Vec<Container>,
    _balancer: Container,
    _network: Network,
    _images: [Image; 2],
    pub profile: Profile,
    admin: Kubeconfig,
    /// Where people look from, and the hosts as this process sees their files.
    world: Real,
    files: TempDir,
}

fn words(e: impl std::fmt::Display) -> String {
    e.to_string()
}

impl Cluster {
    /// Makes it, and waits until every node is Ready.
    pub async fn start(program: &Path, etcd: &Path) -> Result<Self> {
        let profile = Profile::parse(VERSION).map_err(words)?;
        let images = [Image::of(program, "chronoplane")?, Image::of(etcd, "etcd")?];
        let network = Network::new()?;
        let files = tempfile::tempdir().map_err(words)?;
        let world = Real::new(files.path().to_owned(), Block::reserve().map_err(words)?);
        let workstation = world.host("workstation").map_err(words)?;
        let make = Make { network: &network, images: &images, world: &world, files: files.path() };

        let ca = tls::EtcdCa::new(&workstation);
        let etcd = make.etcd(&ca)?;
        let apiservers = CONTROL_PLANES.map(|n| format!("{}:6443", network.address(n)));
        let balancer = ["balancer".to_owned()].into_iter().chain(apiservers).collect::<Vec<_>>();
        let balancer = make.ours("balancer", BALANCER, &balancer)?;
        for container in etcd.iter().chain([&balancer]) {
            container.start()?;
        }

        let secrets = Secrets::new(&workstation);
        let first = make.machine(
            "cp1",
            CONTROL_PLANES[0],
            &["init", "--config=/root/kubeadm.yaml", "--upload-certs"],
        )?;
        let seen = make.seen("cp1", CONTROL_PLANES[0]);
        ca.apiserver(&seen, LIVES);
        let text = configuration(profile, &network, &secrets);
        seen.disk().write("/root/kubeadm.yaml", text, 0o600).map_err(words)?;
        first.put(&files.path().join("cp1"))?;
        first.start()?;
        is_node(&workstation, &first, files.path()).await?;

        let pin = pin(&first, files.path())?;
        let join = |more: &[&str]| {
            let endpoint = format!("{}:6443", network.address(BALANCER));
            let mut args = vec!["join".to_owned(), endpoint, format!("--token={}", secrets.token)];
            args.push(format!("--discovery-token-ca-cert-hash={pin}"));
            args.extend(more.iter().map(|arg| (*arg).to_owned()));
            args
        };
        let key = format!("--certificate-key={}", secrets.key);
        let mut control_planes = vec![first];
        for (at, number) in CONTROL_PLANES.into_iter().enumerate().skip(1) {
            let args = join(&["--control-plane", &key]);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            control_planes.push(make.machine(&format!("cp{}", at + 1), number, &args)?);
        }
        let mut workers = Vec::new();
        for (at, number) in WORKERS.into_iter().enumerate() {
            let args = join(&[]);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            workers.push(make.machine(&format!("node{}", at + 1), number, &args)?);
        }
        for container in control_planes.iter().skip(1).chain(&workers) {
            container.start()?;
        }
        for container in control_planes.iter().skip(1).chain(&workers) {
            is_node(&workstation, container, files.path()).await?;
        }
        let conf = files.path().join("admin.conf");
        control_planes[0].fetch("/etc/kubernetes/admin.conf", &conf)?;
        let admin = Kubeconfig::load(&Disk::real("/".into()), conf).map_err(words)?;
        let cluster = Self {
            control_planes,
            etcd,
            workers,
            _balancer: balancer,
            _network: network,
            _images: images,
            profile,
            admin,
            world,
            files,
        };
        cluster.healed().await?;
        Ok(cluster)
    }

    pub fn workstation(&self) -> Host {
        self.world.host("workstation").expect("there already")
    }

    /// The administrator, through the balancer.
    pub fn admin(&self) -> Rest {
        Rest::from_kubeconfig(&self.workstation(), &self.admin, self.profile.go(), "containers")
            .expect("a client")
    }

    /// The administrator, at the apiserver of one control plane.
    pub fn at(&self, control_plane: usize) -> Rest {
        let mut config = self.admin.clone();
        for named in &mut config.clusters {
            let address = SocketAddr::new(self.control_planes[control_plane].address.into(), 6443);
            named.cluster.server = format!("https://{address}");
        }
        Rest::from_kubeconfig(&self.workstation(), &config, self.profile.go(), "containers")
            .expect("a client")
    }

    /// One member of etcd, without its peers' help to reach it.
    pub fn member(&self, number: usize) -> std::sync::Arc<dyn Store> {
        let url = format!("https://{}:2379", self.etcd[number].address);
        let host = self.world.host_at("cp1", self.control_planes[0].address);
        store::etcd(&host, &tls::client(vec![url])).expect("a client")
    }

    /// Waits until every node is Ready, every apiserver says that it is, and every member of etcd answers for all.
    pub async fn healed(&self) -> Result<()> {
        let workstation = self.workstation();
        let clock = workstation.clock();
        let all = async {
            for number in 0..self.etcd.len() {
                let what = format!("{} answers for the cluster", self.etcd[number].name);
                wait_for(&workstation, &what, async || self.member(number).get(b"/", None).await.ok())
                    .await?;
            }
            for number in 0..self.control_planes.len() {
                let what = format!("the apiserver of {} is ready", self.control_planes[number].name);
                let ready = self.profile.ready_path();
                wait_for(&workstation, &what, async || {
                    let (status, _) = self.at(number).raw(http::Method::GET, ready, None).await.ok()?;
                    status.is_success().then_some(())
                })
                .await?;
            }
            nodes_ready(&workstation, &self.admin(), self.control_planes.len() + self.workers.len()).await
        };
        match clock.timeout(PATIENCE, all).await {
            Ok(healed) => healed.map_err(words),
            Err(_) => Err(format!("not healed within {} s: {}", PATIENCE.as_secs(), self.state().await)),
        }
    }

    /// For people: what the nodes say.
    async fn state(&self) -> String {
        match self.admin().list(&Resource::core("nodes"), None, &ListParams::default()).await {
            Ok(nodes) => nodes
                .items
                .iter()
                .map(|node| {
                    format!("{} ", node["metadata"]["name"]) + &node["status"]["conditions"].to_string()
                })
                .collect(),
            Err(e) => words(e),
        }
    }

    /// Where the clock of one of the machines is set, as its processes see it.
    pub fn clock_root(&self, container: &Container) -> PathBuf {
        self.files.path().join("clocks").join(&container.name)
    }
}

/// What the joins prove themselves with.
struct Secrets {
    token: String,
    key: String,
}

impl Secrets {
    fn new(host: &Host) -> Self {
        let token = pki::token::BootstrapToken::generate(host.entropy()).reveal();
        let key = (0..4).map(|_| format!("{:016x}", host.entropy().u64())).collect();
        Self { token, key }
    }
}

/// How containers are made.
struct Make<'a> {
    network: &'a Network,
    images: &'a [Image; 2],
    world: &'a Real,
    files: &'a Path,
}

impl Make<'_> {
    /// The host behind a container, for writing files that it shall have.
    fn seen(&self, name: &str, number: u8) -> Host {
        self.world.host_at(name, self.network.address(number))
    }

    fn etcd(&self, ca: &tls::EtcdCa) -> Result<Vec<Container>> {
        let url = |number: u8, port: u16| format!("https://{}:{port}", self.network.address(number));
        let named = |at: usize| format!("etcd{}", at + 1);
        let all: Vec<String> = ETCD
            .iter()
            .enumerate()
            .map(|(at, number)| format!("{}={}", named(at), url(*number, 2380)))
            .collect();
        let mut members = Vec::new();
        for (at, number) in ETCD.into_iter().enumerate() {
            let (name, dir) = (named(at), tls::DIR);
            let args = [
                format!("--name={name}"),
                "--data-dir=/var/lib/etcd".to_owned(),
                format!("--listen-client-urls={}", url(number, 2379)),
                format!("--advertise-client-urls={}", url(number, 2379)),
                format!("--listen-peer-urls={}", url(number, 2380)),
                format!("--initial-advertise-peer-urls={}", url(number, 2380)),
                format!("--initial-cluster={}", all.join(",")),
                format!("--cert-file={dir}/etcd/server.crt"),
                format!("--key-file={dir}/etcd/server.key"),
                format!("--trusted-ca-file={dir}/etcd/ca.crt"),
                "--client-cert-auth".to_owned(),
                format!("--peer-cert-file={dir}/etcd/peer.crt"),
                format!("--peer-key-file={dir}/etcd/peer.key"),
                format!("--peer-trusted-ca-file={dir}/etcd/ca.crt"),
                "--peer-client-cert-auth".to_owned(),
                // Containers are killed, power is not: what was written is there without waiting for a busy disk. And a
                // leader on a busy machine must not pass for one that is gone.
                "--unsafe-no-fsync".to_owned(),
                "--heartbeat-interval=300".to_owned(),
                "--election-timeout=3000".to_owned(),
            ];
            let seen = self.seen(&name, number);
            ca.kubeadm(&seen, LIVES);
            // Its data on a volume: what it writes is on the disk, whatever images are made of.
            let options = ["--volume=/var/lib/etcd".to_owned()];
            let container = self.network.container(&name, number, &self.images[1], &options, &args)?;
            container.put(&self.files.join(&name))?;
            members.push(container);
        }
        Ok(members)
    }

    fn ours(&self, name: &str, number: u8, args: &[String]) -> Result<Container> {
        let place = Place { name: name.to_owned(), address: self.network.address(number), root: "/".into() };
        let clock = self.files.join("clocks").join(name).join("run/chronoplane");
        fs::create_dir_all(&clock).map_err(words)?;
        let options = [
            format!("--env={PLACE}={}", serde_json::to_string(&place).map_err(words)?),
            // All of the host's processes look there for how its clock is set, and this process sets it.
            format!("--volume={}:/run/chronoplane", clock.display()),
            format!("--env={SHARED_CLOCKS}=1"),
        ];
        self.network.container(name, number, &self.images[0], &options, args)
    }

    fn machine(&self, name: &str, number: u8, kubeadm: &[&str]) -> Result<Container> {
        let version = format!("--kubernetes-version={VERSION}");
        let own = ["machine", &version, "--"];
        let args: Vec<String> = own.iter().chain(kubeadm).map(|arg| (*arg).to_owned()).collect();
        self.ours(name, number, &args)
    }
}

/// Waits until kubeadm has done its part on a machine.
async fn is_node(workstation: &Host, container: &Container, files: &Path) -> Result<()> {
    let file = files.join(format!("{}.progress", container.name));
    let what = format!("{} is a node", container.name);
    let done = wait_for(workstation, &what, async || {
        if !container.is_running().ok()? {
            return Some(Err(format!("{} has ended: {}", container.name, container.logs())));
        }
        container.fetch("/var/lib/chronoplane/kubeadm", &file).ok()?;
        (fs::read_to_string(&file).ok()? == "done\n").then_some(Ok(()))
    });
    done.await.map_err(|e| format!("{e}: {}", container.logs()))?
}

fn pin(first: &Container, files: &Path) -> Result<String> {
    let file = files.join("ca.crt");
    first.fetch("/etc/kubernetes/pki/ca.crt", &file)?;
    let ca = Certificate::parse_pem(&fs::read(file).map_err(words)?).map_err(words)?;
    Ok(ca.first().ok_or("ca.crt is empty")?.public_key().pin().to_string())
}

/// kubeadm's configuration of the first control plane.
fn configuration(profile: Profile, network: &Network, secrets: &Secrets) -> String {
    let typed = |kind: &str| json!({"apiVersion": format!("kubeadm.k8s.io/{}", profile.kubeadm_config().version), "kind": kind});
    let mut init = typed("InitConfiguration");
    init["bootstrapTokens"] = json!([{"token": secrets.token}]);
    init["certificateKey"] = secrets.key.as_str().into();
    let mut cluster = typed("ClusterConfiguration");
    cluster["controlPlaneEndpoint"] = format!("{}:6443", network.address(BALANCER)).into();
    cluster["encryptionAlgorithm"] = "ECDSA-P256".into();
    let members: Vec<Value> =
        ETCD.iter().map(|n| format!("https://{}:2379", network.address(*n)).into()).collect();
    cluster["etcd"] = json!({"external": {
        "endpoints": members,
        "caFile": format!("{}/etcd/ca.crt", tls::DIR),
        "certFile": format!("{}/apiserver-etcd-client.crt", tls::DIR),
        "keyFile": format!("{}/apiserver-etcd-client.key", tls::DIR),
    }});
    format!("{init}\n---\n{cluster}")
}
