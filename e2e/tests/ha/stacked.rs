//! kubeadm's own way: `init --upload-certs` behind a balancer, further control planes that join with their own etcd
//! member, and what one of three, and two of three, mean.

use std::time::Duration;

use api::profile::Profile;
use chronoplane::{Machinery, Sim, TaskLauncher, balancer::Balancer};
use client::{Resource, Rest};
use jiff::SignedDuration;
use pki::kubeconfig::Kubeconfig;
use serde_json::{Value, json};
use world::Host;

use crate::common::*;

const NAMES: [&str; 3] = ["cp1", "cp2", "cp3"];
const MAPS: Resource = Resource::core("configmaps");

/// A cluster of one, two or three control planes behind a layer-4 balancer.
pub struct Stacked {
    pub sim: Sim,
    pub profile: Profile,
    pub hosts: Vec<Host>,
    pub admin: Kubeconfig,
    /// The printed command by which a control plane joins, without the program's name.
    pub join: Vec<String>,
    balancer: Balancer,
}

impl Stacked {
    pub async fn init(sim: &Sim, profile: Profile) -> Self {
        let hosts: Vec<Host> = NAMES.iter().map(|name| sim.host(name)).collect();
        for host in &hosts {
            Machinery::tasks(TaskLauncher::default()).install(host, profile);
        }
        let balancer =
            Balancer::layer4(&sim.host("balancer"), 6443, &apiservers(&hosts)).await.expect("free");
        let endpoint = format!("--control-plane-endpoint={}", balancer.address());
        let args = ["init", &endpoint, "--encryption-algorithm=ECDSA-P256", "--upload-certs"];
        let printed = kubeadm(&hosts[0], profile, &args).await.expect("initialised");
        let command =
            printed.split("running the following command on each as root:").nth(1).expect("a command");
        let words = command.split_whitespace().filter(|word| *word != "\\").skip(1).take(9);
        let join: Vec<String> = words.map(str::to_owned).collect();
        assert_eq!(join[6..8], ["--control-plane", "--certificate-key"].map(str::to_owned), "{join:?}");
        let admin = chronoplane::cluster::admin_config(&hosts[0]).expect("there");
        Self { sim: sim.clone(), profile, hosts, admin, join, balancer }
    }

    /// Joins control plane `n`; what kubeadm printed.
    pub async fn join(&self, n: usize) -> String {
        let args: Vec<&str> = self.join.iter().map(String::as_str).collect();
        kubeadm(&self.hosts[n], self.profile, &args).await.expect("joined")
    }

    pub async fn three(sim: &Sim) -> Self {
        let cluster = Self::init(sim, Profile::default()).await;
        cluster.join(1).await;
        cluster.join(2).await;
        healthy(sim, &cluster.balancer, 3).await;
        cluster
    }

    /// kubectl through the balancer.
    pub fn kubectl(&self) -> Rest {
        kubectl(&self.sim, &self.admin, self.profile)
    }

    /// kubectl that asks one apiserver.
    pub fn at(&self, n: usize) -> Rest {
        let address = apiservers(&self.hosts[n..=n])[0];
        kubectl(&self.sim, &pointed_at(&self.admin, address), self.profile)
    }
}

/// The words of etcd's part in a join.
fn etcd_words(printed: &str) -> Vec<&str> {
    printed.lines().filter(|line| line.contains("etcd]") || line.contains("etcd member")).collect()
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}})
}

async fn write(rest: &Rest, name: &str) -> Result<(), String> {
    rest.create(&MAPS, Some("default"), &map(name)).await.map(drop).map_err(|e| e.to_string())
}

fn initial_cluster(host: &Host) -> (String, bool) {
    let text = host.disk().read_to_string(format!("{MANIFESTS}/etcd.yaml")).expect("there");
    let pod: Value = serde_saphyr::from_str(&text).expect("YAML");
    let command: Vec<&str> = pod["spec"]["containers"][0]["command"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let cluster = command.iter().find_map(|arg| arg.strip_prefix("--initial-cluster=")).expect("there");
    let names: Vec<&str> =
        cluster.split(',').filter_map(|member| member.split_once('=').map(|(name, _)| name)).collect();
    let mut names = names;
    names.sort_unstable();
    (names.join(","), command.contains(&"--initial-cluster-state=existing"))
}

/// Each release's words and order, and the manifest that they announce.
#[chronoplane::test]
async fn a_control_plane_joins_with_its_own_member(sim: Sim) {
    let cluster = Stacked::init(&sim, Profile::default()).await;
    assert_eq!(initial_cluster(&cluster.hosts[0]), ("cp1".into(), false));
    let printed = cluster.join(1).await;
    assert_eq!(
        etcd_words(&printed),
        [
            "[check-etcd] Checking that the etcd cluster is healthy",
            "[etcd] Announced new etcd member joining to the existing etcd cluster",
            "[etcd] Creating static Pod manifest for \"etcd\"",
            "[etcd] Waiting for the new etcd member to join the cluster. This can take up to 40s",
            "* A new etcd member was added to the local/stacked etcd cluster.",
        ],
        "{printed}"
    );
    let bootstrap = printed.find("[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap");
    assert!(
        printed.find("[etcd] Announced") < bootstrap,
        "etcd comes before the bootstrap since 1.33: {printed}"
    );
    assert_eq!(initial_cluster(&cluster.hosts[1]), ("cp1,cp2".into(), true));
    cluster.join(2).await;
    assert_eq!(initial_cluster(&cluster.hosts[2]), ("cp1,cp2,cp3".into(), true));
    let workstation = sim.host("workstation");
    chronoplane::cluster::nodes_ready(&workstation, &cluster.kubectl(), 3).await.expect("all");
    // One history: what one apiserver takes the others have.
    write(&cluster.at(0), "shared").await.expect("written");
    for n in 1..3 {
        chronoplane::cluster::wait_for(&workstation, "the object is there too", async || {
            cluster.at(n).get_opt(&MAPS, Some("default"), "shared").await.ok().flatten()
        })
        .await
        .expect("shared");
    }
}

/// A balancer finds an apiserver that comes up as soon as at upstream's pace; days later kubeadm would have given up.
#[chronoplane::test(sparse)]
async fn a_cluster_is_made_behind_a_balancer_at_a_sparse_pace(sim: Sim) {
    let began = sim.now();
    let cluster = Stacked::init(&sim, Profile::default()).await;
    healthy(&sim, &cluster.balancer, 1).await;
    let took = sim.now().duration_since(began);
    assert!(took < SignedDuration::from_mins(5), "{took}");
}

/// Before 1.33 the member came after the bootstrap, before 1.29 as a voter at once.
#[chronoplane::test]
async fn older_releases_join_in_their_own_order(sim: Sim) {
    let cluster = Stacked::init(&sim, Profile::parse("1.28").expect("known")).await;
    let printed = cluster.join(1).await;
    let bootstrap = printed.find("[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap");
    assert!(printed.find("[etcd] Announced") > bootstrap, "{printed}");
    let promoted =
        sim.events().iter().any(|e| e.kind == "etcd" && e.fields.iter().any(|(k, _)| *k == "promoted"));
    assert!(!promoted, "there were no learners");
    write(&cluster.at(1), "shared").await.expect("written");
}

#[chronoplane::test]
async fn one_control_plane_of_three_may_stop(sim: Sim) {
    let cluster = Stacked::three(&sim).await;
    assert_eq!(
        twenty_looks(&sim, &cluster.admin, cluster.profile).await,
        [] as [String; 0],
        "nothing was stopped"
    );
    write(&cluster.kubectl(), "before").await.expect("written");

    cluster.hosts[0].halt().await;
    port_closed(&sim, "cp1", 6443).await;
    port_closed(&sim, "cp1", 2380).await;
    assert_eq!(
        twenty_looks(&sim, &cluster.admin, cluster.profile).await,
        [] as [String; 0],
        "the API goes on"
    );
    write(&cluster.kubectl(), "with-two").await.expect("written");

    // The two that are left lose each other: each is one of three.
    sim.cut("cp2", "cp3");
    for n in 1..3 {
        let words = write(&cluster.at(n), "with-one").await.expect_err("no majority");
        assert!(words.contains("etcdserver: request timed out"), "{words}");
    }
    sim.heal("cp2", "cp3");
    let workstation = sim.host("workstation");
    chronoplane::cluster::wait_for(&workstation, "writing goes on", async || {
        write(&cluster.kubectl(), "healed").await.ok()
    })
    .await
    .expect("healed");
    assert!(
        cluster.kubectl().get_opt(&MAPS, Some("default"), "with-one").await.expect("an answer").is_none(),
        "what was refused did not happen"
    );
}

/// `reset` takes the member out; the two that are left are a whole cluster, and the host may come again.
#[chronoplane::test]
async fn a_reset_takes_the_member_out(sim: Sim) {
    let cluster = Stacked::three(&sim).await;
    let printed = kubeadm(&cluster.hosts[2], cluster.profile, &["reset", "--force"]).await.expect("reset");
    assert!(
        printed.contains("[reset] Deleted contents of the etcd data directory: /var/lib/etcd"),
        "{printed}"
    );
    assert!(!printed.contains("Failed to remove etcd member"), "{printed}");
    let members = |sim: &Sim| {
        let count = |what| {
            sim.events()
                .iter()
                .filter(|e| e.kind == "etcd" && e.fields.iter().any(|(k, _)| *k == what))
                .count()
        };
        1 + count("added") - count("removed")
    };
    assert_eq!(members(&sim), 2);
    let nodes = Resource::core("nodes");
    cluster.kubectl().delete(&nodes, None, "cp3", &Default::default()).await.expect("deleted");
    sim.elapse(Duration::from_secs(10)).await;
    write(&cluster.kubectl(), "with-two").await.expect("a whole cluster");

    let printed = cluster.join(2).await;
    assert!(
        printed.contains("[etcd] Announced new etcd member joining to the existing etcd cluster"),
        "{printed}"
    );
    assert_eq!(members(&sim), 3);
    chronoplane::cluster::nodes_ready(&sim.host("workstation"), &cluster.kubectl(), 3).await.expect("all");
}
