//! kubeadm's old releases: their words, their files, their kinds of configuration.

use api::profile::Profile;
use chronoplane::{Cluster, ClusterOptions, Machinery, Sim, TaskLauncher};
use client::{Resource, Rest};
use pki::kubeconfig::Kubeconfig;
use serde_json::Value;
use world::Host;

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

/// Joins by the command that `printed` ends with, once its token can be used: as people do, who are slower
/// than the controller that signs for it.
async fn joined_as_told(cluster: &Cluster, printed: &str, node: &Host) -> String {
    let command =
        printed.lines().map(str::trim).rfind(|line| line.starts_with("kubeadm join ")).expect("printed");
    let token =
        command.split("--token ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a token");
    let token = token.parse().expect("well-formed");
    chronoplane::cluster::discoverable(node, cluster.admin(), &token).await.expect("signed");
    cluster.kubeadm(node, &arguments(command)).await.expect("joined")
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
            let cluster = start(&sim, minor, 0).await;
            let init = &cluster.transcript()[0].1;
            let join = joined_as_told(&cluster, init, &fresh(&cluster, "node1")).await;
            format!("# kubeadm init\n{init}\n# kubeadm join\n{join}")
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
    let words = joined_as_told(&cluster, &printed, &host).await;
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
    assert!(words.contains("[markmaster] Master cp1 labelled with key/value: node-role"), "{words}");
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
    let conf = node.disk().read_to_string("/etc/kubernetes/kubelet.conf").expect("the kubelet's own");
    for (file, mode) in [("kubelet-client.crt", 0o644), ("kubelet-client.key", 0o600)] {
        let path = format!("/var/lib/kubelet/pki/{file}");
        assert_eq!(node.disk().stat(&path).map(|stat| stat.mode), Some(mode), "{file}");
        assert!(conf.contains(&path), "{conf}");
    }
    assert!(
        !node.disk().exists("/var/lib/kubelet/pki/kubelet-client-current.pem"),
        "nothing has been rotated"
    );
}

#[chronoplane::test]
async fn the_gate_decides_which_dns_a_cluster_has(sim: Sim) {
    for (minor, gate, there, absent) in
        [(10, "CoreDNS=true", "coredns", "kube-dns"), (11, "CoreDNS=false", "kube-dns", "coredns")]
    {
        let cp = sim.host(&format!("cp-{minor}"));
        let profile = Profile::of_minor(minor).expect("known");
        Machinery::tasks(TaskLauncher::default()).install(&cp, profile);
        let (version, gate) = (format!("--kubernetes-version=1.{minor}"), format!("--feature-gates={gate}"));
        let args = ["init", "--encryption-algorithm=ECDSA-P256", &version, &gate];
        kubeadm(&cp, &args).await.expect("made");
        let admin = Kubeconfig::load(cp.disk(), "/etc/kubernetes/admin.conf").expect("there");
        let rest = Rest::from_kubeconfig(&cp, &admin, profile.go(), "kubectl").expect("a client");
        let deployments = Resource::new("apps", "v1", "deployments");
        let dns = rest.get(&deployments, Some("kube-system"), there).await.expect("there");
        let containers = dns["spec"]["template"]["spec"]["containers"].as_array().expect("containers").len();
        assert_eq!(containers, if there == "kube-dns" { 3 } else { 1 }, "1.{minor}");
        assert!(rest.get_opt(&deployments, Some("kube-system"), absent).await.expect("an answer").is_none());
    }
}

/// Discovery told of every failure and began anew; the wrong pin was no end either.
#[chronoplane::test]
async fn a_wrong_token_or_pin_opens_nothing_in_1_10(sim: Sim) {
    let cluster = start(&sim, 10, 0).await;
    let (cp, node) = (control_plane(&cluster), fresh(&cluster, "node1"));
    let printed = cluster.kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let good = arguments(&printed);
    let at = |flag: &str| good.iter().position(|word| *word == flag).expect("there") + 1;
    let with = |at: usize, text: &'static str| {
        let mut args = good.clone();
        args[at] = text;
        args
    };
    const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    for (args, words) in [
        (
            with(at("--token"), "zzzzzz.0123456789abcdef"),
            "token id \"zzzzzz\" is invalid for this cluster or it has expired. Use \"kubeadm token create\" on the master node to creating a new valid token",
        ),
        (
            with(at("--discovery-token-ca-cert-hash"), OTHER),
            "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:",
        ),
    ] {
        let said = refusal(&cluster, &node, &args).await;
        let line =
            format!("[discovery] Failed to connect to API Server \"{}:6443\": {words}", cp.net().address());
        // The first try and one every five seconds for five minutes.
        assert_eq!(said.matches(&line).count(), 61, "{line}: {said}");
        assert!(said.contains("abort connecting to API servers after timeout of 5m0s"), "{said}");
        assert!(!node.disk().exists("/etc/kubernetes/bootstrap-kubelet.conf"), "{words}");
        node.services().stop("kubelet").await;
    }
    cluster.kubeadm(&node, &good).await.expect("the right ones do");
    chronoplane::cluster::nodes_ready(&cp, cluster.admin(), 2).await.expect("joined");
}

/// The recipe of 2018: one etcd elsewhere, one MasterConfiguration, and `init` on every master over the same
/// certificates.
#[chronoplane::test]
async fn two_masters_are_made_with_init_over_the_same_certificates(sim: Sim) {
    let etcd = crate::control_planes::etcd_host(&sim).await;
    let (cp1, cp2, node) = (sim.host("cp1"), sim.host("cp2"), sim.host("node1"));
    let profile = Profile::of_minor(10).expect("known");
    let version = "--kubernetes-version=1.10";
    let pki = "/etc/kubernetes/pki";
    let configuration = |own: &Host| {
        format!(
            "apiVersion: kubeadm.k8s.io/v1alpha1\nkind: MasterConfiguration\napi: {{advertiseAddress: {}}}\n\
             etcd:\n  endpoints: [\"https://{}:2379\"]\n  caFile: {pki}/etcd/ca.crt\n\
             \x20 certFile: {pki}/apiserver-etcd-client.crt\n  keyFile: {pki}/apiserver-etcd-client.key\n\
             networking: {{podSubnet: 10.244.0.0/16}}\napiServerCertSANs: [\"{}\", \"{}\"]\n\
             apiServerExtraArgs: {{apiserver-count: \"2\"}}\ntoken: abcdef.0123456789abcdef\n",
            own.net().address(),
            etcd.net().address(),
            cp1.net().address(),
            cp2.net().address(),
        )
    };
    let copy = |from: &Host, to: &Host, files: &[&str]| {
        for file in files {
            let path = format!("{pki}/{file}");
            to.disk().write(&path, from.disk().read(&path).expect("made"), 0o600).expect("copied");
        }
    };
    let shared = ["etcd/ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key"];
    let made = [
        "ca.crt",
        "ca.key",
        "apiserver.crt",
        "apiserver.key",
        "apiserver-kubelet-client.crt",
        "apiserver-kubelet-client.key",
        "front-proxy-ca.crt",
        "front-proxy-ca.key",
        "front-proxy-client.crt",
        "front-proxy-client.key",
        "sa.key",
        "sa.pub",
    ];
    for (host, from) in [(&cp1, None), (&cp2, Some(&cp1))] {
        copy(&etcd, host, &shared);
        if let Some(first) = from {
            copy(first, host, &made);
        }
        Machinery::tasks(TaskLauncher::default()).install(host, profile);
        host.disk().write("/root/master.yaml", configuration(host), 0o600).expect("written");
        let args = ["init", "--config=/root/master.yaml", "--encryption-algorithm=ECDSA-P256", version];
        let words = kubeadm(host, &args).await.expect("made");
        assert!(!words.contains("etcd/"), "etcd is elsewhere: {words}");
        let kept = words.contains("[certificates] Using the existing apiserver certificate and key.\n");
        assert_eq!(kept, from.is_some(), "{words}");
    }
    Machinery::tasks(TaskLauncher::default()).install(&node, profile);
    let pin = certificate(&cp1, "/etc/kubernetes/pki/ca.crt").public_key().pin();
    let server = format!("{}:6443", cp2.net().address());
    let join =
        ["join", &server, "--token=abcdef.0123456789abcdef", "--discovery-token-ca-cert-hash", &pin, version];
    kubeadm(&node, &join).await.expect("joined through the second master");
    for cp in [&cp1, &cp2] {
        let admin = Kubeconfig::load(cp.disk(), "/etc/kubernetes/admin.conf").expect("there");
        assert!(admin.server().expect("one").contains(&cp.net().address().to_string()), "its own apiserver");
        let rest = Rest::from_kubeconfig(cp, &admin, profile.go(), "kubectl").expect("a client");
        chronoplane::cluster::nodes_ready(cp, &rest, 3).await.expect("seen by both");
    }
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
