//! kubeadm's old releases: their words, their files, their kinds of configuration.

use api::profile::Profile;
use chronoplane::{Cluster, ClusterOptions, Machinery, Sim, TaskLauncher};
use client::{Resource, Rest};
use pki::kubeconfig::Kubeconfig;
use serde_json::Value;

use crate::common::*;

/// What no seed fixes: keys, and what is made of them.
fn redacted(text: &str) -> String {
    let mut out = String::new();
    for (i, part) in text.split("sha256:").enumerate() {
        if i == 0 {
            out.push_str(part);
        } else {
            out.push_str("sha256:<pin>");
            out.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
        }
    }
    out
}

async fn start(sim: &Sim, minor: u16, nodes: usize) -> Cluster {
    let profile = Profile::of_minor(minor).expect("known");
    let options = ClusterOptions { profile, nodes, ..ClusterOptions::default() };
    Cluster::start(sim, options).await.unwrap_or_else(|e| panic!("1.{minor}: {e}"))
}

fn in_a_world<F: Future>(body: impl FnOnce(Sim) -> F) -> F::Output {
    world::sim::run(world::sim::Config::default(), body).expect("a runtime")
}

/// `start` waits until every node is Ready, and says which minor was not.
#[test]
fn every_minor_makes_a_cluster_whose_nodes_are_ready() {
    for profile in Profile::all() {
        in_a_world(async |sim| {
            let cluster = start(&sim, profile.minor(), 1).await;
            let node = cluster.admin().get(&Resource::core("nodes"), None, "node1").await.expect("joined");
            assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], profile.git_version());
        });
    }
}

#[test]
fn the_words_of_init_and_join() {
    for minor in 8..=12 {
        let said = in_a_world(async |sim| {
            let cluster = start(&sim, minor, 1).await;
            cluster.transcript().iter().map(|(host, words)| format!("# {host}\n{words}")).collect::<String>()
        });
        insta::assert_snapshot!(format!("words_of_1_{minor}"), redacted(&said));
    }
}

/// Objects and files of a release, by what is there and what is not.
#[test]
fn the_files_and_objects_of_a_release() {
    struct Row {
        minor: u16,
        there: &'static [&'static str],
        absent: &'static [&'static str],
        dns: &'static str,
        key: &'static str,
        version: &'static str,
    }
    let etcd = "/etc/kubernetes/pki/etcd/ca.crt";
    let config = "/var/lib/kubelet/config.yaml";
    let flags = "/var/lib/kubelet/kubeadm-flags.env";
    let old = |minor, there, absent, version| Row {
        minor,
        there,
        absent,
        dns: if minor < 11 { "kube-dns" } else { "coredns" },
        key: if minor < 12 { "MasterConfiguration" } else { "ClusterConfiguration" },
        version,
    };
    let rows = [
        old(8, &[], &["/etc/kubernetes/pki/etcd/ca.crt", "/var/lib/kubelet/config.yaml"], "v1alpha1"),
        old(9, &[], &["/etc/kubernetes/pki/etcd/ca.crt", "/var/lib/kubelet/kubeadm-flags.env"], "v1alpha1"),
        old(10, &["/etc/kubernetes/pki/etcd/ca.crt"], &["/var/lib/kubelet/config.yaml"], "v1alpha1"),
        old(11, &["/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env"], &[], "v1alpha2"),
    ];
    assert!(
        rows[0].absent.contains(&etcd) && rows[3].there.contains(&config) && rows[3].there.contains(&flags)
    );
    for row in rows {
        in_a_world(async |sim| {
            let cluster = start(&sim, row.minor, 0).await;
            let (cp, rest) = (control_plane(&cluster), cluster.admin());
            for path in row.there {
                assert!(cp.disk().exists(path), "1.{}: {path}", row.minor);
            }
            for path in row.absent {
                assert!(!cp.disk().exists(path), "1.{}: {path}", row.minor);
            }
            let deployments = Resource::new("apps", "v1", "deployments");
            rest.get(&deployments, Some("kube-system"), row.dns).await.expect("cluster DNS");
            let stored = rest
                .get(&Resource::core("configmaps"), Some("kube-system"), "kubeadm-config")
                .await
                .expect("stored");
            let document = stored["data"][row.key].as_str().expect("under its key");
            assert!(document.contains(&format!("kubeadm.k8s.io/{}", row.version)), "{document}");
            assert!(
                !document.contains(
                    cluster.transcript()[0]
                        .1
                        .split("--token ")
                        .nth(1)
                        .expect("a token")
                        .split_whitespace()
                        .next()
                        .expect("one")
                )
            );
            let node = rest.get(&Resource::core("nodes"), None, "cp1").await.expect("there");
            assert_eq!(node["metadata"]["labels"]["node-role.kubernetes.io/master"], "");
            assert_eq!(node["spec"]["taints"][0]["key"], "node-role.kubernetes.io/master");
        });
    }
}

/// The last minor of one shape and the first of the next.
#[test]
fn authorities_and_names_in_certificates() {
    struct Shape {
        minor: u16,
        serial: &'static str,
        proxy: &'static str,
        server: (usize, usize),
        peer: (usize, usize),
    }
    let zero = "0";
    for Shape { minor, serial, proxy, server, peer } in [
        Shape { minor: 10, serial: zero, proxy: "kubernetes", server: (1, 1), peer: (1, 1) },
        Shape { minor: 11, serial: zero, proxy: "kubernetes", server: (2, 2), peer: (2, 3) },
        Shape { minor: 12, serial: zero, proxy: "front-proxy-ca", server: (2, 2), peer: (2, 3) },
        Shape { minor: 13, serial: zero, proxy: "front-proxy-ca", server: (2, 3), peer: (2, 3) },
        Shape { minor: 28, serial: "", proxy: "front-proxy-ca", server: (2, 3), peer: (2, 3) },
    ] {
        in_a_world(async |sim| {
            let host = sim.host("cp1");
            let version = format!("--kubernetes-version=1.{minor}");
            let args = ["init", "phase", "certs", "all", "--encryption-algorithm=ECDSA-P256", &version];
            kubeadm(&host, &args).await.expect("made");
            let read = |file: &str| certificate(&host, &format!("/etc/kubernetes/pki/{file}.crt"));
            for file in ["ca", "front-proxy-ca", "etcd/ca"] {
                assert_eq!(read(file).serial_decimal() == "0", serial == zero, "1.{minor}: {file}");
            }
            assert_eq!(read("front-proxy-ca").subject_cn(), proxy, "1.{minor}");
            let names = |file: &str| (read(file).dns_names().len(), read(file).ip_addresses().len());
            assert_eq!((names("etcd/server"), names("etcd/peer")), (server, peer), "1.{minor}");
            let apiserver = read("apiserver");
            assert_eq!(
                apiserver.usages().len(),
                1,
                "1.{minor}: the apiserver's certificate is for serving only"
            );
        });
    }
}

#[chronoplane::test]
async fn an_authority_kept_elsewhere_takes_everything_out_of_kubeadms_hands(sim: Sim) {
    let cp = sim.host("cp1");
    let profile = Profile::of_minor(10).expect("known");
    let (version, algorithm) = ("--kubernetes-version=1.10", "--encryption-algorithm=ECDSA-P256");
    for phase in ["certs", "kubeconfig"] {
        kubeadm(&cp, &["init", "phase", phase, "all", algorithm, version]).await.expect("made");
    }
    let (disk, pki) = (cp.disk(), "/etc/kubernetes/pki");
    let key = disk.read(format!("{pki}/ca.key")).expect("there");
    disk.remove(format!("{pki}/ca.key")).expect("removed");
    // Without one of the others the mode is not entered, and the key is missed.
    let kept = disk.read(format!("{pki}/apiserver.key")).expect("there");
    disk.remove(format!("{pki}/apiserver.key")).expect("removed");
    Machinery::tasks(TaskLauncher::default()).install(&cp, profile);
    let words = kubeadm(&cp, &["init", algorithm, version]).await.expect_err("incomplete").to_string();
    assert!(words.contains("failure loading ca certificate: failed to load key: couldn't load the private key file /etc/kubernetes/pki/ca.key"), "{words}");
    assert!(!words.contains("[externalca]"), "{words}");

    disk.write(format!("{pki}/apiserver.key"), kept, 0o600).expect("back");
    let before = disk.read(format!("{pki}/apiserver.crt")).expect("there");
    cp.services().stop("kubelet").await;
    let words = kubeadm(&cp, &["init", algorithm, version]).await.expect("complete");
    let sentence = "[externalca] The file 'ca.key' was not found, yet all other certificates are present. Using external CA mode - certificates or kubeconfig will not be generated.\n[controlplane] Wrote Static Pod manifest";
    assert!(words.contains(sentence), "{words}");
    assert!(!words.contains("[certificates]") && !words.contains("[kubeconfig]"), "{words}");
    assert_eq!(disk.read(format!("{pki}/apiserver.crt")).expect("there"), before);
    assert!(!disk.exists(format!("{pki}/ca.key")) && !key.is_empty());
    let config = Kubeconfig::load(disk, "/etc/kubernetes/admin.conf").expect("there");
    let rest = Rest::from_kubeconfig(&cp, &config, profile.go(), "kubectl").expect("a client");
    chronoplane::cluster::nodes_ready(&cp, &rest, 1).await.expect("a cluster");
}

#[chronoplane::test]
async fn a_join_of_1_10_is_done_before_its_node_is_there(sim: Sim) {
    let cluster = start(&sim, 10, 0).await;
    let cp = control_plane(&cluster);
    let printed = cluster.kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let host = fresh(&cluster, "Node-1");
    chronoplane::cluster::wait_for(&cp, "cluster-info is signed for it", async || {
        let id = printed.split("--token ").nth(1)?.split('.').next()?.to_owned();
        let info = cluster
            .admin()
            .get(&Resource::core("configmaps"), Some("kube-public"), "cluster-info")
            .await
            .ok()?;
        info.pointer(&format!("/data/jws-kubeconfig-{id}")).map(drop)
    })
    .await
    .expect("signed");
    let words = cluster.kubeadm(&host, &arguments(&printed)).await.expect("joined");
    assert!(
        words.contains("[preflight] Starting the kubelet service\n[discovery] Trying to connect"),
        "{words}"
    );
    // The kubelet was tried before there was anything for it, and waits for its unit's next try.
    assert!(host.disk().exists("/etc/kubernetes/bootstrap-kubelet.conf"));
    assert!(!host.disk().exists("/etc/kubernetes/kubelet.conf"), "it is the kubelet's to write");
    let nodes = Resource::core("nodes");
    assert!(cluster.admin().get_opt(&nodes, None, "node-1").await.expect("an answer").is_none());
    chronoplane::cluster::nodes_ready(&cp, cluster.admin(), 2).await.expect("by itself");
    assert!(host.disk().exists("/etc/kubernetes/kubelet.conf"));
    cluster.admin().get(&nodes, None, "node-1").await.expect("named after its host, in lower case");
}

#[chronoplane::test]
async fn a_master_configuration_makes_a_cluster_and_a_node_configuration_joins_it(sim: Sim) {
    let (cp, node) = (sim.host("cp1"), sim.host("node1"));
    let profile = Profile::of_minor(10).expect("known");
    let master = format!(
        "apiVersion: kubeadm.k8s.io/v1alpha1\nkind: MasterConfiguration\napi:\n  advertiseAddress: {}\n\
         networking:\n  podSubnet: 10.244.0.0/16\napiServerCertSANs: [balancer.example.com]\n\
         apiServerExtraArgs:\n  apiserver-count: \"3\"\ntoken: abcdef.0123456789abcdef\ntokenTTL: \"0\"\n\
         etcd:\n  dataDir: /data/etcd\nnoTaintMaster: true\nkubernetesVersion: v1.10.0\n\
         apiServerExtraVolumes:\n- {{name: policies, hostPath: /etc/policies, mountPath: /policies, pathType: DirectoryOrCreate}}\n",
        cp.net().address()
    );
    cp.disk().write("/root/master.yaml", master.clone(), 0o600).expect("written");
    for host in [&cp, &node] {
        Machinery::tasks(TaskLauncher::default()).install(host, profile);
    }
    let version = "--kubernetes-version=1.10";
    let init = ["init", "--config=/root/master.yaml", "--encryption-algorithm=ECDSA-P256", version];
    let words = kubeadm(&cp, &init).await.expect("made");
    assert!(words.contains("[bootstraptoken] Using token: abcdef.0123456789abcdef\n"), "{words}");
    let names = certificate(&cp, "/etc/kubernetes/pki/apiserver.crt");
    assert!(names.dns_names().iter().any(|name| name == "balancer.example.com"));
    let manifest = |name: &str| {
        cp.disk().read_to_string(format!("/etc/kubernetes/manifests/{name}.yaml")).expect("there")
    };
    let apiserver: Value = serde_saphyr::from_str(&manifest("kube-apiserver")).expect("YAML");
    let command = apiserver["spec"]["containers"][0]["command"].as_array().expect("a command");
    assert!(command.iter().any(|word| word == "--apiserver-count=3"), "{command:?}");
    let volumes = apiserver["spec"]["volumes"].as_array().expect("volumes");
    assert!(volumes.iter().any(|v| v["name"] == "policies" && v["hostPath"]["path"] == "/etc/policies"));
    assert!(manifest("etcd").contains("/data/etcd"));

    let admin = Kubeconfig::load(cp.disk(), "/etc/kubernetes/admin.conf").expect("there");
    let rest = Rest::from_kubeconfig(&cp, &admin, profile.go(), "kubectl").expect("a client");
    let master = rest.get(&Resource::core("nodes"), None, "cp1").await.expect("there");
    assert!(
        master["spec"].get("taints").is_none_or(|taints| !taints.to_string().contains("master")),
        "{master}"
    );
    let pin = words.split("--discovery-token-ca-cert-hash ").nth(1).expect("printed").trim();
    let configuration = format!(
        "apiVersion: kubeadm.k8s.io/v1alpha1\nkind: NodeConfiguration\nnodeName: Worker\n\
         token: abcdef.0123456789abcdef\ndiscoveryTokenAPIServers: [\"{}:6443\"]\ndiscoveryTokenCACertHashes: [\"{pin}\"]\n",
        cp.net().address()
    );
    node.disk()
        .write("/root/node.yaml", configuration.replace("nodeName", "nodename"), 0o600)
        .expect("written");
    let words = kubeadm(&node, &["join", "--config=/root/node.yaml", version])
        .await
        .expect_err("misspelt")
        .to_string();
    assert!(
        words.contains("nodename: unknown field; the fields here are apiVersion, caCertPath,"),
        "{words}"
    );
    node.disk()
        .write("/root/node.yaml", configuration.replace("nodeName: Worker\n", ""), 0o600)
        .expect("written");
    kubeadm(&node, &["join", "--config=/root/node.yaml", version]).await.expect("joined");
    chronoplane::cluster::nodes_ready(&cp, &rest, 2).await.expect("both");
}

#[chronoplane::test]
async fn kubelets_get_their_configuration_from_the_cluster(sim: Sim) {
    let source = "/spec/configSource/configMap/name";
    for (minor, map) in [(10, "kubelet-base-config"), (11, "kubelet-config-1.11")] {
        let cp = sim.host(&format!("cp-{minor}"));
        let profile = Profile::of_minor(minor).expect("known");
        Machinery::tasks(TaskLauncher::default()).install(&cp, profile);
        let version = format!("--kubernetes-version=1.{minor}");
        let gate = "--feature-gates=DynamicKubeletConfig=true";
        let words =
            kubeadm(&cp, &["init", gate, "--encryption-algorithm=ECDSA-P256", &version]).await.expect("made");
        assert!(
            words.contains(&format!("config sourced from ConfigMap {map:?} in namespace kube-system\n")),
            "{words}"
        );
        let admin = Kubeconfig::load(cp.disk(), "/etc/kubernetes/admin.conf").expect("there");
        let rest = Rest::from_kubeconfig(&cp, &admin, profile.go(), "kubectl").expect("a client");
        let node = rest.get(&Resource::core("nodes"), None, cp.name()).await.expect("there");
        assert_eq!(node.pointer(source).and_then(Value::as_str), Some(map), "{node}");
        let stored = rest.get(&Resource::core("configmaps"), Some("kube-system"), map).await.expect("stored");
        assert!(stored["data"]["kubelet"].as_str().is_some_and(|text| text.contains("KubeletConfiguration")));
        assert_eq!(cp.disk().exists("/var/lib/kubelet/config/init/kubelet"), minor == 10);
    }
}
