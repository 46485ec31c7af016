//! The rest of the command line: phases, reset, configuration files.

use chronoplane::{Cluster, Sim};
use client::{DeleteParams, Resource};

use crate::common::*;

#[chronoplane::test]
async fn a_phase_runs_alone(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let path = "/etc/kubernetes/pki/apiserver";
    let old = certificate(&cp, &format!("{path}.crt"));
    for file in [".crt", ".key"] {
        cp.disk().remove(format!("{path}{file}")).expect("there");
    }
    let args = ["init", "phase", "certs", "apiserver", "--apiserver-cert-extra-sans=api.example.com"];
    let words = cluster.kubeadm(&cp, &args).await.expect("made");
    assert!(words.contains("[certs] Generating \"apiserver\" certificate and key\n"), "{words}");
    assert!(!words.contains("[init]") && !words.contains("\"ca\""), "{words}");
    let new = certificate(&cp, &format!("{path}.crt"));
    assert!(new.dns_names().iter().any(|name| name == "api.example.com"), "{:?}", new.dns_names());
    assert_eq!(new.dns_names().len(), old.dns_names().len() + 1);
    for (args, words) in [
        (vec!["init", "phase", "certs"], "name one of all, ca, apiserver,"),
        (vec!["init", "phase", "cook"], "invalid subcommand \"cook\""),
        (vec!["init", "--skip-phases=addon/dns"], "invalid phase name: addon/dns"),
    ] {
        let said = refusal(&cluster, &cp, &args).await;
        assert!(said.contains(words), "{args:?}: {said}");
    }
}

#[chronoplane::test(nodes = 1, sparse)]
async fn what_was_reset_can_be_made_again(cluster: Cluster) {
    let (cp, node) = (control_plane(&cluster), cluster.sim().host("node1"));
    let words = refusal(&cluster, &cp, &["init"]).await;
    for check in [
        "error execution phase preflight: preflight checks failed",
        "[preflight] Some fatal errors occurred:\n\t[ERROR ",
        "[ERROR Port-6443]: Port 6443 is in use",
        "[ERROR FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml]: /etc/kubernetes/manifests/kube-apiserver.yaml already exists",
        "[ERROR DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty",
    ] {
        assert!(words.contains(check), "{check}: {words}");
    }
    let printed = cluster.kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let join = arguments(&printed);
    let words = refusal(&cluster, &node, &join).await;
    for check in [
        "[ERROR FileAvailable--etc-kubernetes-kubelet.conf]",
        "[ERROR FileAvailable--etc-kubernetes-pki-ca.crt]",
    ] {
        assert!(words.contains(check), "joining twice: {words}");
    }

    assert!(refusal(&cluster, &node, &["reset"]).await.contains("aborted reset operation"));
    assert!(node.services().is_active("kubelet"), "nothing was done");
    let words = cluster.kubeadm(&node, &["reset", "--force"]).await.expect("reset");
    assert!(words.contains("[reset] No etcd config found. Assuming external etcd\n"), "{words}");
    let again = refusal(&cluster, &node, &join).await;
    assert!(again.contains("a Node with name \"node1\" and status \"Ready\" already exists"), "{again}");
    cluster
        .admin()
        .delete(&Resource::core("nodes"), None, "node1", &DeleteParams::default())
        .await
        .expect("deleted");
    cluster.kubeadm(&node, &["reset", "--force"]).await.expect("reset");
    cluster.kubeadm(&node, &join).await.expect("joins again");
    cluster.nodes_ready().await.expect("both");

    let first = certificate(&cp, "/etc/kubernetes/pki/ca.crt");
    let words = cluster.kubeadm(&cp, &["reset", "--force"]).await.expect("reset");
    for line in [
        "[reset] Deleted contents of the etcd data directory: /var/lib/etcd\n",
        "[reset] Stopping the kubelet service\n",
        "[reset] Deleting contents of directories: [/etc/kubernetes/manifests /var/lib/kubelet /etc/kubernetes/pki]\n",
        "[reset] Deleting files: [/etc/kubernetes/admin.conf /etc/kubernetes/super-admin.conf /etc/kubernetes/kubelet.conf \
         /etc/kubernetes/bootstrap-kubelet.conf /etc/kubernetes/controller-manager.conf /etc/kubernetes/scheduler.conf]\n",
    ] {
        assert!(words.contains(line), "{line}: {words}");
    }
    for path in ["/etc/kubernetes/pki", "/etc/kubernetes/manifests", "/var/lib/kubelet", "/var/lib/etcd"] {
        assert_eq!(cp.disk().list(path).unwrap_or_default(), Vec::<String>::new(), "{path}");
    }
    let words =
        cluster.kubeadm(&cp, &["init", "--encryption-algorithm=ECDSA-P256"]).await.expect("made again");
    assert!(words.contains("Your Kubernetes control-plane has initialized successfully!"), "{words}");
    let second = certificate(&cp, "/etc/kubernetes/pki/ca.crt");
    assert_ne!(first.public_key(), second.public_key(), "another cluster");
    let words = refusal(&cluster, &fresh(&cluster, "node2"), &join).await;
    assert!(
        words.contains("couldn't validate the identity of the API Server: could not find a JWS signature"),
        "{words}"
    );
}

#[chronoplane::test]
async fn configurations_are_printed_and_read_again(sim: Sim) {
    let host = sim.host("cp1");
    for (what, kind) in [("init-defaults", "InitConfiguration"), ("join-defaults", "JoinConfiguration")] {
        let text = kubeadm(&host, &["config", "print", what]).await.expect("printed");
        assert!(text.contains(&format!("\nkind: {kind}\n")), "{text}");
        host.disk().write("/root/defaults.yaml", &text, 0o600).expect("written");
        let said =
            kubeadm(&host, &["config", "validate", "--config=/root/defaults.yaml"]).await.expect("right");
        assert_eq!(said, "ok\n", "{what}");
    }
    let images =
        kubeadm(&host, &["config", "images", "list", "--image-repository=mirror/k8s"]).await.expect("listed");
    assert!(images.starts_with("mirror/k8s/kube-apiserver:v1.36.0\n"), "{images}");
    assert!(
        images.ends_with("mirror/k8s/pause:3.10.2\nmirror/k8s/etcd:3.6.8-0\n")
            && images.contains("mirror/k8s/coredns/coredns:"),
        "{images}"
    );

    let validate = async |text: &str| {
        host.disk().write("/root/bad.yaml", text, 0o600).expect("written");
        kubeadm(&host, &["config", "validate", "--config=/root/bad.yaml"]).await.expect_err(text).to_string()
    };
    let head = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n";
    for (text, words) in [
        (format!("{head}podSubnet: x\n"), "strict decoding error: unknown field \"podSubnet\""),
        (
            format!("{head}---\n{head}"),
            "invalid configuration: kind \"ClusterConfiguration\" is specified twice in YAML file",
        ),
        (
            "a: b\n".into(),
            "invalid configuration for GroupVersionKind /, Kind=: kind and apiVersion is mandatory information that must be specified",
        ),
        (
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: Cook\n".into(),
            "unknown configuration APIs: []schema.GroupVersionKind{schema.GroupVersionKind{Group:\"kubeadm.k8s.io\", \
             Version:\"v1beta4\", Kind:\"Cook\"}}",
        ),
        (
            "apiVersion: kubeadm.k8s.io/v1alpha1\nkind: MasterConfiguration\n".into(),
            "your configuration file uses an old API spec: \"kubeadm.k8s.io/v1alpha1\" (kind: \"MasterConfiguration\")",
        ),
        (format!("{head}networking: [\n"), "unable to read config from \"/root/bad.yaml\""),
    ] {
        let said = validate(&text).await;
        assert!(said.contains(words), "{text}: {said}");
    }
    // init itself only warns, as upstream does.
    host.disk()
        .write("/root/odd.yaml", format!("{head}encryptionAlgorithm: ECDSA-P256\npodSubnet: x\n"), 0o600)
        .expect("written");
    let said =
        kubeadm(&host, &["init", "phase", "certs", "ca", "--config=/root/odd.yaml"]).await.expect("made");
    assert!(
        said.starts_with("WARNING: error unmarshaling configuration")
            && said.contains("[certs] Generating \"ca\""),
        "{said}"
    );
}

#[chronoplane::test]
async fn damaged_files_stop_init_by_their_names(sim: Sim) {
    let cp = sim.host("cp1");
    let pki = "/etc/kubernetes/pki";
    let init = async |part: &str| {
        kubeadm(&cp, &["init", "phase", "certs", part, "--encryption-algorithm=ECDSA-P256"]).await
    };
    let refused = async |part: &str| init(part).await.expect_err(part).to_string();
    init("ca").await.expect("made");
    let crt = cp.disk().read(format!("{pki}/ca.crt")).expect("made");
    cp.disk().write(format!("{pki}/ca.crt"), "-----BEGIN CERTIFICATE-----\nMIIB", 0o644).expect("written");
    let words = refused("ca").await;
    assert!(words.contains("couldn't load the certificate file /etc/kubernetes/pki/ca.crt"), "{words}");
    cp.disk().remove(format!("{pki}/ca.crt")).expect("there");
    let words = refused("ca").await;
    assert!(
        words.contains("failure loading ca certificate authority: failed to load certificate"),
        "{words}"
    );
    cp.disk().write(format!("{pki}/ca.crt"), &crt, 0o644).expect("back");
    init("apiserver").await.expect("made");
    for file in ["ca.crt", "ca.key"] {
        cp.disk().remove(format!("{pki}/{file}")).expect("there");
    }
    init("ca").await.expect("another one");
    let words = refused("apiserver").await;
    assert!(words.contains("[certs] certificate apiserver not signed by CA certificate ca"), "{words}");
}

#[chronoplane::test]
async fn join_and_reset_go_phase_by_phase(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let printed = cluster.kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let join = arguments(&printed);
    let node = fresh(&cluster, "node1");
    let phase = |name: &'static str| [&["join", "phase", name], &join[1..]].concat();
    for (name, line) in [
        ("preflight", "[preflight] Running pre-flight checks\n"),
        ("kubelet-start", "[kubelet-start] Starting the kubelet\n"),
        ("kubelet-wait-bootstrap", "[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap\n"),
    ] {
        let said = cluster.kubeadm(&node, &phase(name)).await.expect(name);
        assert!(said.contains(line) && !said.contains("This node has joined"), "{name}: {said}");
    }
    let said = refusal(&cluster, &node, &phase("cook")).await;
    assert!(said.contains("invalid subcommand \"cook\"; the phases of v1.36.0 are preflight, "), "{said}");
    let said = refusal(&cluster, &node, &["join", "phase", "control-plane-prepare"]).await;
    assert!(said.contains("name one of all, download-certs, certs, kubeconfig, control-plane"), "{said}");
    assert!(!node.disk().exists("/etc/kubernetes/bootstrap-kubelet.conf"), "of no use any more");

    let words =
        cluster.kubeadm(&node, &["reset", "phase", "remove-etcd-member"]).await.expect("nothing to do");
    assert!(words.starts_with("[reset] No etcd config found. Assuming external etcd\n"), "{words}");
    let args = ["reset", "--force", "--skip-phases=cleanup-node"];
    cluster.kubeadm(&node, &args).await.expect("skipped");
    assert!(node.services().is_active("kubelet") && node.disk().exists("/etc/kubernetes/kubelet.conf"));
    let text = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ResetConfiguration\nforce: true\nskipPhases: [preflight]\n";
    node.disk().write("/root/reset.yaml", text, 0o600).expect("written");
    let words = cluster.kubeadm(&node, &["reset", "--config=/root/reset.yaml"]).await.expect("reset");
    assert!(
        !words.contains("[preflight]") && words.contains("[reset] Stopping the kubelet service\n"),
        "{words}"
    );
    assert!(!node.services().is_active("kubelet") && !node.disk().exists("/etc/kubernetes/kubelet.conf"));
    let said = refusal(&cluster, &node, &["reset", "phase", "cook"]).await;
    assert!(said.contains("the phases of v1.36.0 are preflight, remove-etcd-member, cleanup-node"), "{said}");
}

#[chronoplane::test]
async fn the_version_and_the_commands_are_told(sim: Sim) {
    let host = sim.host("cp1");
    let version = kubeadm(&host, &["version", "--kubernetes-version=1.30"]).await.expect("told");
    assert!(
        version
            .starts_with("kubeadm version: &version.Info{Major:\"1\", Minor:\"30\", GitVersion:\"v1.30.0\""),
        "{version}"
    );
    assert_eq!(kubeadm(&host, &["version", "-o", "short"]).await.expect("told"), "v1.36.0\n");
    let json = kubeadm(&host, &["version", "-o", "json"]).await.expect("told");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["clientVersion"]["gitVersion"], "v1.36.0");
    let said = kubeadm(&host, &["version", "-o", "xml"]).await.expect_err("unknown").to_string();
    assert!(said.contains("invalid output format: xml"), "{said}");
    let help = kubeadm(&host, &["--help"]).await.expect("told");
    for command in ["init", "join", "reset", "token", "certs", "config", "kubeconfig", "version"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {help}");
    }
    let pulled = kubeadm(&host, &["config", "images", "pull"]).await.expect("pulled");
    assert!(
        pulled.starts_with("[config/images] Pulled registry.k8s.io/kube-apiserver:v1.36.0\n"),
        "{pulled}"
    );
}

/// Each component tells of its own flags, in upstream's groups where upstream has groups.
#[test]
fn every_component_tells_its_own_flags() {
    for (component, lines) in [
        (
            "apiserver",
            vec![
                "Secure serving flags:",
                "--etcd-servers strings",
                "--anonymous-auth ",
                "Refused: objects are stored unencrypted",
            ],
        ),
        (
            "etcd",
            vec!["Clustering:", "--initial-cluster string", "--client-cert-auth ", "Accepted; what it tunes"],
        ),
        (
            "controllers",
            vec!["Csrsigning controller flags:", "--cluster-signing-cert-file", "Nodeipam controller flags:"],
        ),
        ("scheduler", vec!["Leader election flags:", "--leader-elect"]),
        ("kubelet", vec!["--bootstrap-kubeconfig", "--rotate-certificates"]),
        ("kubeadm", vec!["Usage: kubeadm", "upgrade"]),
    ] {
        for flag in ["-h", "--help"] {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_chronoplane"))
                .args([component, flag])
                .output()
                .expect("the program starts");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{component} {flag}: {said}");
            for line in &lines {
                assert!(said.contains(line), "{component} {flag} lacks {line:?}: {said}");
            }
            assert!(!said.contains("chronoplane <COMMAND>"), "not the wrapper's: {said}");
        }
    }
}
