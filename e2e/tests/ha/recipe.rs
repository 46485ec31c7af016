//! The recipe of 2018 (Kubernetes 1.9 and 1.10): etcd as static pods on three masters, its certificates by cfssl, a
//! MasterConfiguration that names it, authorities copied by hand, a balancer in front.
//!
//! Its etcd manifest asks for health by plain HTTP on a TLS port. That can only fail, and the kubelet restarts etcd
//! again and again: told first, with the remedied manifest as its control.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use api::profile::Profile;
use async_trait::async_trait;
use chronoplane::{
    Machinery, Sim, TaskLauncher,
    balancer::{Balancer, Termination},
    machinery::kubelet_args,
};
use client::{Resource, Rest};
use kubelet_sim::{Container, Launcher, Running};
use parking_lot::Mutex;
use pki::{
    Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey, Roots,
    kubeconfig::{Kubeconfig, User},
};
use serde_json::{Value, json};
use store::{EtcdOptions, Store};
use world::{Host, Unit};

use crate::{
    cfssl::{self, DIR},
    common::*,
};

const MASTERS: [&str; 3] = ["master0", "master1", "master2"];
const STANDALONE: &str = "/var/lib/kubelet/standalone.yaml";

fn profile() -> Profile {
    Profile::parse("1.10").expect("known")
}

/// Counts how often etcd is started on each host.
#[derive(Default)]
struct Counting {
    launcher: TaskLauncher,
    etcd: Mutex<BTreeMap<String, u32>>,
}

#[async_trait]
impl Launcher for Counting {
    async fn launch(&self, host: &Host, container: &Container) -> Result<Box<dyn Running>, String> {
        if container.program().0 == "etcd" {
            *self.etcd.lock().entry(host.name().to_owned()).or_default() += 1;
        }
        self.launcher.launch(host, container).await
    }
}

/// Three masters with their certificates and running kubelets, which know no cluster yet.
struct Masters {
    sim: Sim,
    hosts: Vec<Host>,
    launcher: Arc<Counting>,
}

impl Masters {
    fn new(sim: &Sim) -> Self {
        let hosts: Vec<Host> = MASTERS.iter().map(|name| sim.host(name)).collect();
        cfssl::inputs(&hosts[0]);
        cfssl::authority_and_client(&hosts[0]);
        for host in &hosts[1..] {
            copy(
                &hosts[0],
                host,
                &["ca.pem", "ca-key.pem", "client.pem", "client-key.pem", "ca-config.json", "client.json"]
                    .map(|file| format!("{DIR}/{file}")),
            );
        }
        hosts.iter().for_each(cfssl::member);
        let this = Self { sim: sim.clone(), hosts, launcher: Arc::default() };
        this.hosts.iter().for_each(|host| this.install(host));
        this
    }

    /// The kubelet's unit with the recipe's drop-in: static pods only, until kubeadm says more.
    fn install(&self, host: &Host) {
        let configuration = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "staticPodPath": MANIFESTS,
        });
        host.disk().write(STANDALONE, configuration.to_string(), 0o644).expect("written");
        let launcher = self.launcher.clone();
        let machinery = Machinery::units(move |profile| {
            let launcher = launcher.clone();
            Unit::new(move |host: Host| {
                let launcher = launcher.clone();
                async move {
                    let version = format!("--kubernetes-version={}", profile.git_version());
                    let alone = || vec![format!("--config={STANDALONE}"), "--kubeconfig=".into(), version];
                    let knows_a_cluster = host.disk().exists("/etc/kubernetes/kubelet.conf");
                    let args = match kubelet_args(&host, profile) {
                        Ok(args) if knows_a_cluster => args,
                        _ => alone(),
                    };
                    kubelet_sim::run(host, args, launcher).await
                }
            })
        });
        machinery.install(host, profile());
        host.services().start(host, "kubelet");
    }

    /// What the recipe's here-documents write: the shell puts in its variables, the kubelet its own later.
    fn here_document(&self, text: &str, host: &Host, balancer: &str) -> String {
        let address = |n: usize| self.hosts[n].net().address().to_string();
        let variables = [
            ("PEER_NAME", host.name().to_owned()),
            ("PRIVATE_IP", host.net().address().to_string()),
            ("MASTER0", address(0)),
            ("MASTER1", address(1)),
            ("MASTER2", address(2)),
            ("BALANCER", balancer.to_owned()),
        ];
        variables
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
    }

    /// Writes etcd's manifest on every master, with the probe that it came with or another one.
    fn run_etcd(&self, probe: Option<Value>) {
        for host in &self.hosts {
            let text = self.here_document(include_str!("inputs/etcd.yaml"), host, "");
            let mut pod: Value = serde_saphyr::from_str(&text).expect("YAML");
            if let Some(probe) = &probe {
                pod["spec"]["containers"][0]["livenessProbe"] = probe.clone();
            }
            let text = serde_saphyr::to_string(&pod).expect("YAML");
            host.disk().write(format!("{MANIFESTS}/etcd.yaml"), text, 0o600).expect("written");
        }
    }

    /// etcd as an apiserver on the first master sees it.
    fn etcd(&self) -> Arc<dyn Store> {
        let file = |name: &str| Some(format!("{DIR}/{name}").into());
        let options = EtcdOptions {
            endpoints: self.hosts.iter().map(|h| format!("https://{}:2379", h.net().address())).collect(),
            ca: file("ca.pem"),
            cert: file("client.pem"),
            key: file("client-key.pem"),
            go: profile().go(),
        };
        store::etcd(&self.hosts[0], &options).expect("usable")
    }

    async fn etcd_ready(&self) {
        let etcd = self.etcd();
        chronoplane::cluster::wait_for(&self.hosts[0], "etcd answers", async || etcd.revision().await.ok())
            .await
            .expect("up");
    }

    /// Ten minutes of looks at etcd, five seconds apart: how many failed. A look waits no longer than a second.
    async fn failed_looks(&self) -> usize {
        let etcd = self.etcd();
        let mut failed = 0;
        for _ in 0..120 {
            let look = self.hosts[0].clock().timeout(Duration::from_secs(1), etcd.revision()).await;
            failed += usize::from(!matches!(look, Ok(Ok(_))));
            self.sim.elapse(Duration::from_secs(5)).await;
        }
        failed
    }

    fn starts(&self) -> Vec<u32> {
        let counts = self.launcher.etcd.lock();
        MASTERS.iter().map(|name| counts.get(*name).copied().unwrap_or_default()).collect()
    }

    /// `kubeadm init` on every master, with the first one's authorities and keys on the others.
    async fn init(&self, balancer: &str) {
        for (n, host) in self.hosts.iter().enumerate() {
            if n > 0 {
                let files =
                    ["ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"];
                copy(&self.hosts[0], host, &files.map(|file| format!("{PKI}/{file}")));
            }
            let text = self.here_document(include_str!("inputs/master-configuration.yaml"), host, balancer);
            host.disk().write("/root/config.yaml", text, 0o600).expect("written");
            let args = [
                "init",
                "--config=/root/config.yaml",
                "--ignore-preflight-errors=FileAvailable--etc-kubernetes-manifests-etcd.yaml",
            ];
            // Somebody takes the drop-in away and restarts the kubelet when there is a cluster to know.
            let restarts = async {
                chronoplane::cluster::wait_for(host, "the kubelet has a kubeconfig", async || {
                    host.disk().exists("/etc/kubernetes/kubelet.conf").then_some(())
                })
                .await
                .expect("written");
                host.services().restart(host, "kubelet").await;
            };
            let (initialised, ()) = futures::future::join(kubeadm(host, profile(), &args), restarts).await;
            initialised.expect("initialised");
            let ca = |host: &Host| host.disk().read(format!("{PKI}/ca.crt"));
            assert_eq!(ca(host), ca(&self.hosts[0]), "one authority for all");
        }
    }
}

/// `scp`.
fn copy(from: &Host, to: &Host, files: &[String]) {
    for file in files {
        let mode = from.disk().stat(file).expect("there").mode;
        to.disk().write(file, from.disk().read(file).expect("there"), mode).expect("written");
    }
}

/// A probe that TLS does not mislead: whether the port takes connections.
fn by_connection() -> Option<Value> {
    Some(json!({"tcpSocket": {"port": 2379}, "initialDelaySeconds": 15, "timeoutSeconds": 15}))
}

/// The recipe's probe against the remedied one, ten minutes each.
#[chronoplane::test]
async fn a_plain_probe_on_a_tls_port_restarts_etcd_again_and_again(sim: Sim) {
    let masters = Masters::new(&sim);
    masters.run_etcd(None);
    masters.etcd_ready().await;
    let failed = masters.failed_looks().await;
    let starts = masters.starts();
    // 15 s of delay and three failures ten seconds apart; then back-off of 10, 20, 40, 80 and 160 s in between.
    assert!(starts.iter().all(|n| (5..=8).contains(n)), "{starts:?}");
    assert!(failed > 30, "all three at a time, so the cluster is gone for minutes: {failed}");
}

#[chronoplane::test]
async fn a_probe_by_connection_leaves_etcd_alone(sim: Sim) {
    let masters = Masters::new(&sim);
    masters.run_etcd(by_connection());
    masters.etcd_ready().await;
    assert_eq!(masters.failed_looks().await, 0);
    assert_eq!(masters.starts(), [1, 1, 1]);
}

/// An administrator's bearer token, as a ServiceAccount's.
async fn administrator_token(rest: &Rest) -> String {
    let accounts = Resource::core("serviceaccounts");
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": "kube-system"}});
    rest.create(&accounts, Some("kube-system"), &account).await.expect("created");
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": "kube-system"}],
    });
    let bindings = Resource::new("rbac.authorization.k8s.io", "v1", "clusterrolebindings");
    rest.create(&bindings, None, &binding).await.expect("bound");
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}});
    let token = rest
        .create_sub(&accounts, Some("kube-system"), "operator", "token", &request)
        .await
        .expect("a token");
    token["status"]["token"].as_str().expect("text").to_owned()
}

/// What a balancer shows that ends TLS: a certificate of the cluster's authority for its own address.
fn termination(master: &Host, address: std::net::IpAddr) -> Termination {
    let read = |file: &str| master.disk().read(format!("{PKI}/{file}")).expect("there");
    let (ca, key) = (read("ca.crt"), read("ca.key"));
    let authority = Authority::from_pem(&ca, &key).expect("a pair");
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let spec = CertSpec {
        common_name: "balancer".into(),
        organizations: Vec::new(),
        dns_names: Vec::new(),
        ips: vec![address],
        client_auth: false,
        server_auth: true,
        not_before: authority.certificate.not_before(),
        not_after: authority.certificate.not_after(),
    };
    let certificate = authority.issue(master.entropy(), &spec, &key.public()).expect("issued");
    Termination {
        certificate: CertifiedKey::new(vec![certificate], key).expect("a pair"),
        backends: Roots::from_pem(&ca).expect("PEM"),
    }
}

#[chronoplane::test]
async fn three_masters_behind_a_balancer(sim: Sim) {
    let masters = Masters::new(&sim);
    masters.run_etcd(by_connection());
    masters.etcd_ready().await;
    let (l4_host, l7_host) = (sim.host("balancer4"), sim.host("balancer7"));
    masters.init(&l4_host.net().address().to_string()).await;

    let backends = apiservers(&masters.hosts);
    let l4 = Balancer::layer4(&l4_host, 6443, &backends).await.expect("free");
    let shown = termination(&masters.hosts[0], l7_host.net().address());
    let l7 = Balancer::layer7(&l7_host, 6443, &backends, shown).await.expect("free");
    healthy(&sim, &l4, 3).await;
    healthy(&sim, &l7, 3).await;
    let admin = chronoplane::cluster::admin_config(&masters.hosts[0]).expect("there");
    let through = |at: SocketAddr| pointed_at(&admin, at);
    let rest = kubectl(&sim, &through(l4.address()), profile());
    chronoplane::cluster::nodes_ready(&sim.host("workstation"), &rest, 3).await.expect("all masters");

    // A certificate passes where bytes pass, and stays where TLS ends; a token passes both.
    let token = administrator_token(&rest).await;
    let with_token = |at: SocketAddr| {
        let mut config: Kubeconfig = through(at);
        config.users.iter_mut().for_each(|named| named.user = User::with_token(&token));
        config
    };
    assert_eq!(nodes(&rest).await.expect("known by the certificate"), 3);
    let refused = nodes(&kubectl(&sim, &through(l7.address()), profile())).await.expect_err("nobody");
    assert!(
        refused.is_forbidden() && refused.to_string().contains("User \"system:anonymous\" cannot list"),
        "{refused}"
    );
    for at in [l4.address(), l7.address()] {
        let known = nodes(&kubectl(&sim, &with_token(at), profile())).await;
        assert_eq!(known.expect("known by the token"), 3, "{at}");
    }

    // One apiserver of three, and its control: none.
    let ways = [through(l4.address()), with_token(l4.address()), with_token(l7.address())];
    for way in &ways {
        assert_eq!(twenty_looks(&sim, way, profile()).await, [] as [String; 0], "nothing was stopped");
    }
    let manifest = format!("{MANIFESTS}/kube-apiserver.yaml");
    masters.hosts[0].disk().rename(&manifest, "/etc/kubernetes/kube-apiserver.yaml").expect("moved");
    port_closed(&sim, "master0", 6443).await;
    for way in &ways {
        assert_eq!(twenty_looks(&sim, way, profile()).await, [] as [String; 0], "kubectl goes on");
    }
    assert_eq!(l4.healthy(), backends[1..], "the checks have found it");
    let alone = nodes(&kubectl(&sim, &through(backends[0]), profile())).await;
    assert!(alone.expect_err("gone").is_refused(), "what the balancer spares its clients");
    assert_eq!(masters.starts(), [1, 1, 1], "etcd goes on over the restart of its kubelet");
}
