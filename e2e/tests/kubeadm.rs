//! kubeadm's command line on a cluster in the simulated gear: what it changes, and what that means for the
//! cluster one second before and one second after.

use std::time::Duration;

use api::profile::Profile;
use chronoplane::{Cluster, HarnessError, Machinery, Sim, TaskLauncher};
use client::{DeleteParams, ListParams, Resource, Rest};
use pki::{Certificate, csr::Csr, kubeconfig::Kubeconfig, token::TokenSecret};
use world::Host;

fn control_plane(cluster: &Cluster) -> Host {
    cluster.sim().host("cp1")
}

/// A host with a kubelet's package and nothing else.
fn fresh(cluster: &Cluster, name: &str) -> Host {
    let host = cluster.sim().host(name);
    Machinery::tasks(TaskLauncher::default()).install(&host, cluster.options().profile);
    host
}

const DAY: Duration = Duration::from_secs(86_400);

fn certificate(host: &Host, path: &str) -> Certificate {
    let pem = host.disk().read(path).expect("there");
    if path.ends_with(".conf") {
        let config = Kubeconfig::load(host.disk(), path).expect("readable");
        let pair = config.client_pair(host.disk()).expect("readable").expect("embedded");
        return pair.leaf().expect("a leaf").clone();
    }
    Certificate::parse_pem(&pem).expect("readable").remove(0)
}

/// kubeadm's words when it refuses.
async fn refusal(cluster: &Cluster, host: &Host, args: &[&str]) -> String {
    cluster.kubeadm(host, args).await.expect_err(&format!("{args:?} is refused")).to_string()
}

async fn sleep_until_before(cluster: &Cluster, at: world::Wall, margin: Duration) {
    let left = at.duration_since(control_plane(cluster).clock().wall());
    cluster.sim().elapse(Duration::try_from(left).expect("ahead") - margin).await;
}

/// The arguments of a printed join command, without the program's name.
fn arguments(printed: &str) -> Vec<&str> {
    printed.split_whitespace().skip(1).collect()
}

#[chronoplane::test(sparse)]
async fn a_token_of_an_hour_lets_nodes_in_for_an_hour(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let printed =
        cluster.kubeadm(&cp, &["token", "create", "--ttl=1h", "--print-join-command"]).await.expect("made");
    assert!(printed.starts_with("kubeadm join ") && printed.lines().count() == 1, "{printed:?}");
    let join = arguments(&printed);
    let token: pki::token::BootstrapToken = join[3].parse().expect("a token");
    let secret = cluster
        .admin()
        .get(&Resource::core("secrets"), Some("kube-system"), &token.secret_name())
        .await
        .expect("there");
    let end = TokenSecret::from_object(&secret).expect("readable").expiration.expect("after an hour");

    sleep_until_before(&cluster, end, Duration::from_secs(1)).await;
    let early = fresh(&cluster, "early");
    let joined = cluster.kubeadm(&early, &join).await.expect("one second before its end");
    assert!(joined.contains("This node has joined the cluster:"), "{joined}");

    let now = cp.clock().wall();
    if now <= end {
        cluster
            .sim()
            .elapse(Duration::try_from(end.duration_since(now)).expect("ahead") + Duration::from_secs(1))
            .await;
    }
    let late = fresh(&cluster, "late");
    let words = refusal(&cluster, &late, &join).await;
    let expected = format!(
        "couldn't validate the identity of the API Server: could not find a JWS signature in the cluster-info \
         ConfigMap for token ID {:?}",
        token.id()
    );
    assert!(words.contains(&expected), "{words}");
}

#[chronoplane::test]
async fn tokens_are_made_listed_and_deleted(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let generated = cluster.kubeadm(&cp, &["token", "generate"]).await.expect("printed");
    let token = generated.trim();
    let args =
        ["token", "create", token, "--ttl=0", "--usages=signing", "--groups=", "--description=for ever"];
    let made = cluster.kubeadm(&cp, &args).await.expect("made");
    assert_eq!(made.trim(), token);
    let listed = cluster.kubeadm(&cp, &["token", "list"]).await.expect("listed");
    let row = listed.lines().find(|line| line.starts_with(token)).unwrap_or_else(|| panic!("{listed}"));
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[1..], ["<forever>", "<never>", "signing", "for", "ever", "<none>"], "{listed}");
    assert_eq!(listed.lines().count(), 3, "the header, init's token and this one: {listed}");

    let id = &token[..6];
    let words = refusal(&cluster, &cp, &["token", "create", token]).await;
    assert!(words.contains(&format!("a token with id {id:?} already exists")), "{words}");
    let deleted = cluster.kubeadm(&cp, &["token", "delete", id]).await.expect("deleted");
    assert_eq!(deleted, format!("bootstrap token {id:?} deleted\n"));
    for (args, expected) in [
        (
            vec!["token", "delete", id],
            format!("failed to delete bootstrap token {id:?}: secrets \"bootstrap-token-{id}\" not found"),
        ),
        (vec!["token", "delete"], "missing argument".into()),
        (
            vec!["token", "create", "ABCDEF.0123456789abcdef"],
            "the bootstrap token was not of the form".into(),
        ),
        (vec!["token", "create", "--ttl=1day"], "time: unknown unit \"day\" in duration \"1day\"".into()),
        (vec!["token", "list", "--kubeconfig=/none"], "failed to load admin kubeconfig".into()),
    ] {
        let words = refusal(&cluster, &cp, &args).await;
        assert!(words.contains(&expected), "{args:?}: {words}");
    }
}

/// Files that `certs renew all` renews, and those that it must leave alone.
const RENEWED: &[&str] = &[
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/pki/apiserver.crt",
    "/etc/kubernetes/pki/apiserver-etcd-client.crt",
    "/etc/kubernetes/pki/apiserver-kubelet-client.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
    "/etc/kubernetes/pki/etcd/peer.crt",
    "/etc/kubernetes/pki/etcd/server.crt",
    "/etc/kubernetes/pki/front-proxy-client.crt",
];
const KEPT: &[&str] = &[
    "/etc/kubernetes/pki/ca.crt",
    "/etc/kubernetes/pki/etcd/ca.crt",
    "/etc/kubernetes/pki/front-proxy-ca.crt",
    "/etc/kubernetes/pki/sa.key",
    "/etc/kubernetes/kubelet.conf",
];

#[chronoplane::test(sparse)]
async fn after_300_days_every_certificate_is_renewed_for_a_year(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let made = certificate(&cp, "/etc/kubernetes/pki/apiserver.crt");
    cluster.sim().elapse(DAY * 300).await;
    let table = cluster.kubeadm(&cp, &["certs", "check-expiration"]).await.expect("printed");
    let lines: Vec<&str> = table.lines().collect();
    let reading = "[check-expiration] Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...";
    assert_eq!(lines[0], reading, "{table}");
    assert!(!table.contains("Error reading configuration"), "{table}");
    let residual = |name: &str| {
        let row = lines
            .iter()
            .find(|line| line.starts_with(&format!("{name} ")))
            .unwrap_or_else(|| panic!("{table}"));
        row.split_whitespace().nth(6).unwrap_or_default().to_owned()
    };
    for (name, left) in [("apiserver", "64d"), ("super-admin.conf", "64d"), ("etcd-ca", "9y")] {
        assert_eq!(residual(name), left, "{name}: {table}");
    }

    let bytes = |path: &&str| cp.disk().read(path).expect("there");
    let kept: Vec<_> = KEPT.iter().map(bytes).collect();
    let old: Vec<_> = RENEWED.iter().map(|path| certificate(&cp, path)).collect();
    let now = cp.clock().wall();
    let words = cluster.kubeadm(&cp, &["certs", "renew", "all"]).await.expect("renewed");
    assert!(words.contains("\ncertificate for serving the Kubernetes API renewed\n"), "{words}");
    assert_eq!(words.matches(" renewed\n").count(), RENEWED.len(), "{words}");
    assert!(words.contains("\nDone renewing certificates. You must restart the kube-apiserver,"), "{words}");
    for (path, old) in RENEWED.iter().zip(&old) {
        let new = certificate(&cp, path);
        assert_eq!(new.subject_der(), old.subject_der(), "{path}");
        assert_eq!((new.dns_names(), new.ip_addresses()), (old.dns_names(), old.ip_addresses()), "{path}");
        assert_eq!(new.usages(), old.usages(), "{path}");
        assert_ne!(new.public_key(), old.public_key(), "{path}: a new key");
        let year = new.not_after().duration_since(now).as_secs();
        assert!((365 * 86_400 - 5..=365 * 86_400).contains(&year), "{path}: {year} s left");
        assert_eq!(now.duration_since(new.not_before()).as_secs(), 300, "{path}: five minutes before");
    }
    assert_eq!(
        KEPT.iter().map(bytes).collect::<Vec<_>>(),
        kept,
        "authorities and the kubelet's own are left"
    );

    cluster.restart_apiserver().await.expect("comes back with the new files");
    cluster.nodes_ready().await.expect("and serves");
    let end = certificate(&cp, "/etc/kubernetes/pki/apiserver.crt").not_after();
    assert!(end > made.not_after() + DAY * 299, "{end}");
}

#[chronoplane::test]
async fn what_cannot_be_renewed_is_named(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let disk = cp.disk();
    disk.remove("/etc/kubernetes/pki/front-proxy-ca.key").expect("there");
    disk.remove("/etc/kubernetes/scheduler.conf").expect("there");
    let table = cluster.kubeadm(&cp, &["certs", "check-expiration"]).await.expect("printed");
    assert!(table.contains("!MISSING! scheduler.conf"), "{table}");
    let external =
        |name: &str| table.lines().filter(|l| l.starts_with(name)).all(|l| l.trim_end().ends_with(" yes"));
    assert!(external("front-proxy-") && !external("apiserver "), "{table}");
    for (name, words) in [
        (
            "front-proxy-client",
            "Detected external front-proxy-ca, certificate for the front proxy client can't be renewed\n",
        ),
        (
            "scheduler.conf",
            "MISSING! certificate embedded in the kubeconfig file for the scheduler manager to use\n",
        ),
        ("etcd-server", "certificate for serving etcd renewed\n"),
    ] {
        let said = cluster.kubeadm(&cp, &["certs", "renew", name]).await.expect("said");
        assert!(said.ends_with(words), "{name}: {said}");
    }
    disk.write("/etc/kubernetes/pki/ca.crt", "-----BEGIN CERTIFICATE-----\nMIIB", 0o644).expect("written");
    let words = refusal(&cluster, &cp, &["certs", "renew", "apiserver"]).await;
    assert!(
        words.contains("failed to renew certificate apiserver: failure loading ca certificate authority"),
        "{words}"
    );
    assert!(words.contains("/etc/kubernetes/pki/ca.crt"), "{words}");
    let words = refusal(&cluster, &cp, &["certs", "renew", "kubelet.conf"]).await;
    assert!(words.contains("\"kubelet.conf\"") && words.contains("name one of all, admin.conf"), "{words}");
}

#[chronoplane::test]
async fn requests_for_an_authority_elsewhere_name_what_init_would_sign(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let args = ["certs", "generate-csr", "--cert-dir=/tmp/pki", "--kubeconfig-dir=/tmp/conf"];
    let words = cluster.kubeadm(&cp, &args).await.expect("written");
    assert!(words.starts_with("generating keys and CSRs in /tmp/pki\n  apiserver\n"), "{words}");
    let csr = Csr::parse(&cp.disk().read("/tmp/pki/apiserver.csr").expect("there")).expect("a request");
    let signed = certificate(&cp, "/etc/kubernetes/pki/apiserver.crt");
    assert_eq!((csr.common_name(), csr.dns_names()), (signed.subject_cn(), signed.dns_names()));
    assert_eq!(csr.ips(), signed.ip_addresses());
    let csr = Csr::parse(&cp.disk().read("/tmp/conf/admin.conf.csr").expect("there")).expect("a request");
    assert_eq!(csr.organizations(), ["kubeadm:cluster-admins"]);
    assert!(refusal(&cluster, &cp, &args).await.contains("already exists"), "a key is never overwritten");
    let key = cluster.kubeadm(&cp, &["certs", "certificate-key"]).await.expect("printed");
    assert!(key.trim().len() == 64 && key.trim().bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
}

#[chronoplane::test(sparse)]
async fn uploaded_certificates_are_gone_after_two_hours(cluster: Cluster) {
    let (cp, rest) = (control_plane(&cluster), cluster.admin());
    let secrets = Resource::core("secrets");
    let there =
        async || rest.get_opt(&secrets, Some("kube-system"), "kubeadm-certs").await.expect("an answer");
    let words = cluster.kubeadm(&cp, &["init", "phase", "upload-certs"]).await.expect("nothing to do");
    assert_eq!(words, "[upload-certs] Skipping phase. Please see --upload-certs\n");
    let words =
        cluster.kubeadm(&cp, &["init", "phase", "upload-certs", "--upload-certs"]).await.expect("stored");
    let lines: Vec<&str> = words.lines().collect();
    let storing = "[upload-certs] Storing the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace";
    assert_eq!(lines[..2], [storing, "[upload-certs] Using certificate key:"], "{words}");
    assert_eq!(lines[2].len(), 64, "{words}");

    let stored = there().await.expect("stored");
    let keys: Vec<&String> = stored["data"].as_object().expect("data").keys().collect();
    assert_eq!(keys.len(), 8, "{keys:?}");
    assert!(keys.iter().any(|key| *key == "etcd-ca.key"), "{keys:?}");
    let owner = stored["metadata"]["ownerReferences"][0]["name"].as_str().expect("an owner").to_owned();
    let token = rest.get(&secrets, Some("kube-system"), &owner).await.expect("the token that owns it");
    let token = TokenSecret::from_object(&token).expect("readable");
    assert!(!token.signing && !token.authentication, "it opens no door");
    let listed = cluster.kubeadm(&cp, &["token", "list"]).await.expect("listed");
    let row =
        listed.lines().find(|line| line.contains("Proxy for managing TTL for the kubeadm-certs secret"));
    assert!(row.is_some_and(|row| row.contains("<none>") && row.contains("1h")), "{listed}");

    let end = token.expiration.expect("after two hours");
    sleep_until_before(&cluster, end, Duration::from_secs(1)).await;
    assert!(there().await.is_some(), "one second before");
    cluster.sim().elapse(Duration::from_secs(2)).await;
    chronoplane::cluster::wait_for(&cp, "the garbage collector took it", async || {
        there().await.is_none().then_some(())
    })
    .await
    .expect("gone with its owner");
}

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
        "error execution phase preflight: [preflight] Some fatal errors occurred:",
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

#[chronoplane::test(sparse)]
async fn a_wrong_token_or_pin_opens_nothing(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let printed = cluster.kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let good = arguments(&printed);
    let node = fresh(&cluster, "node1");
    let with = |at: usize, text: &'static str| {
        let mut args = good.clone();
        args[at] = text;
        args
    };
    const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    for (args, words) in [
        (with(3, "nonsense"), "the bootstrap token was not of the form"),
        (
            with(3, "zzzzzz.0123456789abcdef"),
            "could not find a JWS signature in the cluster-info ConfigMap for token ID \"zzzzzz\"",
        ),
        (
            with(5, OTHER),
            "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:",
        ),
        (with(5, "md5:00"), "unknown hash format \"md5\""),
        (good[..4].to_vec(), "using token-based discovery without caCertHashes can be unsafe."),
    ] {
        let said = refusal(&cluster, &node, &args).await;
        assert!(said.contains(words), "{args:?}: {said}");
        assert!(!node.disk().exists("/etc/kubernetes/bootstrap-kubelet.conf"), "{args:?}");
    }
    cluster.kubeadm(&node, &good).await.expect("the right ones do");
}

/// kubeadm on a host of no cluster yet.
async fn kubeadm(host: &Host, args: &[&str]) -> Result<String, HarnessError> {
    chronoplane::cluster::kubeadm(host, args.iter().map(|arg| (*arg).to_owned()).collect()).await
}

/// An etcd on a host of its own, made with kubeadm's phases as its documentation has it.
async fn etcd_host(sim: &Sim) -> Host {
    let host = sim.host("etcd1");
    for part in ["etcd-ca", "etcd-server", "etcd-peer", "apiserver-etcd-client"] {
        let args = ["init", "phase", "certs", part, "--encryption-algorithm=ECDSA-P256"];
        kubeadm(&host, &args).await.expect("made");
    }
    kubeadm(&host, &["init", "phase", "etcd", "local"]).await.expect("written");
    let manifest = host.disk().read_to_string("/etc/kubernetes/manifests/etcd.yaml").expect("there");
    let pod: serde_json::Value = serde_saphyr::from_str(&manifest).expect("YAML");
    let command = pod["spec"]["containers"][0]["command"].as_array().expect("a command");
    let args = command.iter().skip(1).map(|arg| arg.as_str().expect("text").to_owned()).collect();
    let process = host.process("etcd");
    let inner = process.host().clone();
    process.host().spawn(store::server::run(inner, args));
    host
}

/// A first control plane with that etcd; what its init printed.
async fn first_control_plane(etcd: &Host, cp: &Host) -> String {
    for file in ["etcd/ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key"] {
        let path = format!("/etc/kubernetes/pki/{file}");
        cp.disk().write(&path, etcd.disk().read(&path).expect("made"), 0o600).expect("copied");
    }
    let pki = "/etc/kubernetes/pki";
    let configuration = serde_json::json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "controlPlaneEndpoint": format!("{}:6443", cp.net().address()),
        "encryptionAlgorithm": "ECDSA-P256",
        "etcd": {"external": {
            "caFile": format!("{pki}/etcd/ca.crt"),
            "certFile": format!("{pki}/apiserver-etcd-client.crt"),
            "endpoints": [format!("https://{}:2379", etcd.net().address())],
            "keyFile": format!("{pki}/apiserver-etcd-client.key"),
        }},
        "kind": "ClusterConfiguration",
    });
    cp.disk().write("/root/kubeadm.yaml", configuration.to_string(), 0o600).expect("written");
    Machinery::tasks(TaskLauncher::default()).install(cp, Profile::default());
    kubeadm(cp, &["init", "--config=/root/kubeadm.yaml", "--upload-certs"]).await.expect("made")
}

#[chronoplane::test]
async fn a_second_control_plane_joins_with_the_uploaded_certificates(sim: Sim) {
    let (etcd, cp1, cp2) = (etcd_host(&sim).await, sim.host("cp1"), sim.host("cp2"));
    let printed = first_control_plane(&etcd, &cp1).await;
    assert!(
        printed.contains("[certs] External etcd mode: Skipping etcd/ca certificate authority generation"),
        "{printed}"
    );
    let command = printed.split("running the following command on each as root:").nth(1).expect("a command");
    let command: Vec<&str> =
        command.split_whitespace().filter(|word| *word != "\\").skip(1).take(8).collect();
    assert_eq!(command[6], "--control-plane", "{command:?}");

    let zeros = "0".repeat(64);
    Machinery::tasks(TaskLauncher::default()).install(&cp2, Profile::default());
    let key = printed
        .split("--certificate-key ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .expect("a key");
    let with_key = |key| {
        let mut args = command[..7].to_vec();
        args.extend(["--certificate-key", key]);
        args
    };
    let words = kubeadm(&cp2, &with_key(&zeros)).await.expect_err("another key").to_string();
    assert!(
        words.contains("error decoding secret data with provided key: cipher: message authentication failed"),
        "{words}"
    );
    assert!(!cp2.disk().exists("/etc/kubernetes/pki/ca.key"), "nothing was written");

    let words = kubeadm(&cp2, &with_key(key)).await.expect("joined");
    for line in [
        "[download-certs] Saving the certificates to the folder: \"/etc/kubernetes/pki\"\n",
        "[certs] Using the existing \"sa\" key\n",
        "This node has joined the cluster and a new control plane instance was created:\n",
    ] {
        assert!(words.contains(line), "{line}: {words}");
    }
    for path in ["/etc/kubernetes/super-admin.conf", "/etc/kubernetes/manifests/etcd.yaml"] {
        assert!(!cp2.disk().exists(path), "{path}");
    }
    assert_eq!(cp2.disk().read("/etc/kubernetes/pki/sa.key"), cp1.disk().read("/etc/kubernetes/pki/sa.key"));
    let own = certificate(&cp2, "/etc/kubernetes/pki/apiserver.crt");
    assert!(own.ip_addresses().contains(&cp2.net().address()), "{:?}", own.ip_addresses());
    // The second apiserver is asked, not the first.
    let mut config = Kubeconfig::load(cp2.disk(), "/etc/kubernetes/admin.conf").expect("there");
    config.clusters[0].cluster.server = format!("https://{}:6443", cp2.net().address());
    let rest = Rest::from_kubeconfig(&cp2, &config, Profile::default().go(), "kubectl").expect("a client");
    chronoplane::cluster::nodes_ready(&cp2, &rest, 2).await.expect("both");
    let node = rest.get(&Resource::core("nodes"), None, "cp2").await.expect("there");
    assert_eq!(node["spec"]["taints"][0]["key"], "node-role.kubernetes.io/control-plane");
    let table = kubeadm(&cp2, &["certs", "check-expiration"]).await.expect("printed");
    assert!(!table.contains("etcd"), "{table}");
}

#[chronoplane::test]
async fn a_cluster_without_an_endpoint_or_with_its_own_etcd_takes_no_second_control_plane(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let printed = cluster.kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let mut join = arguments(&printed);
    join.push("--control-plane");
    let host = fresh(&cluster, "cp2");
    let words = refusal(&cluster, &host, &join).await;
    for line in [
        "One or more conditions for hosting a new control plane instance is not satisfied.",
        "[unable to add a new control plane instance to a cluster that doesn't have a stable controlPlaneEndpoint address]",
    ] {
        assert!(words.contains(line), "{words}");
    }
    let endpoint = format!("--control-plane-endpoint={}", cp.net().address());
    cluster.kubeadm(&cp, &["init", "phase", "upload-config", "kubeadm", &endpoint]).await.expect("stored");
    let words = refusal(&cluster, &host, &join).await;
    let missing = "[failure loading certificate for CA: couldn't load the certificate file /etc/kubernetes/pki/ca.crt: \
                   open /etc/kubernetes/pki/ca.crt: no such file or directory, failure loading key for service account:";
    assert!(words.contains(missing), "{words}");
    join.extend(["--certificate-key", "00"]);
    let words = refusal(&cluster, &host, &join).await;
    assert!(words.contains("takes no second member; make the cluster with an external etcd"), "{words}");
    assert!(!host.disk().exists("/etc/kubernetes/manifests/kube-apiserver.yaml"), "nothing was written");
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
            "unknown configuration schema.GroupVersionKind{",
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

#[chronoplane::test(sparse)]
async fn a_user_of_ones_own_gets_a_kubeconfig(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let args = ["kubeconfig", "user", "--client-name=jane", "--org=system:masters", "--validity-period=24h"];
    let text = cluster.kubeadm(&cp, &args).await.expect("printed");
    let config = Kubeconfig::parse(&text, None).expect("a kubeconfig");
    let rest = Rest::from_kubeconfig(&cp, &config, Profile::default().go(), "kubectl").expect("a client");
    chronoplane::cluster::nodes_ready(&cp, &rest, 1).await.expect("let in");
    let pair = config.client_pair(cp.disk()).expect("readable").expect("embedded");
    let end = pair.leaf().expect("a leaf").not_after();
    sleep_until_before(&cluster, end, Duration::from_secs(1)).await;
    rest.list(&Resource::core("nodes"), None, &ListParams::default()).await.expect("one second before");
    cluster.sim().elapse(Duration::from_secs(3)).await;
    let late = Rest::from_kubeconfig(&cp, &config, Profile::default().go(), "kubectl").expect("a client");
    late.list(&Resource::core("nodes"), None, &ListParams::default()).await.expect_err("after its end");
}

#[chronoplane::test(sparse)]
async fn an_authority_kept_elsewhere_makes_a_cluster_that_signs_nothing(sim: Sim) {
    let cp = sim.host("cp1");
    let algorithm = "--encryption-algorithm=ECDSA-P256";
    for phase in ["certs", "kubeconfig"] {
        kubeadm(&cp, &["init", "phase", phase, "all", algorithm]).await.expect("made");
    }
    for key in ["ca", "front-proxy-ca"] {
        cp.disk().remove(format!("/etc/kubernetes/pki/{key}.key")).expect("there");
    }
    Machinery::tasks(TaskLauncher::default()).install(&cp, Profile::default());
    let conf = "/etc/kubernetes/scheduler.conf";
    let kept = cp.disk().read(conf).expect("there");
    cp.disk().remove(conf).expect("removed");
    let words = kubeadm(&cp, &["init", algorithm]).await.expect_err("incomplete").to_string();
    assert!(
        words.contains(
            "error execution phase kubeconfig: the scheduler.conf file does not exists or it is not valid:"
        ),
        "{words}"
    );
    cp.disk().write(conf, kept, 0o600).expect("back");
    let words = kubeadm(&cp, &["init", algorithm]).await.expect("complete");
    assert!(words.contains("[certs] Using existing ca keyless certificate authority\n"), "{words}");
    let manifest = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
    let manifest = cp.disk().read_to_string(manifest).expect("there");
    assert!(manifest.contains("--cluster-signing-key-file=\n"), "{manifest}");
    let printed = kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let node = sim.host("node1");
    Machinery::tasks(TaskLauncher::default()).install(&node, Profile::default());
    let words = kubeadm(&node, &arguments(&printed)).await.expect_err("nobody signs").to_string();
    assert!(words.contains("timed out waiting for the kubelet's TLS bootstrap"), "{words}");
    let words = kubeadm(&cp, &["init", "phase", "upload-certs", "--upload-certs"]).await.expect_err("no key");
    assert!(words.to_string().contains("can't use upload-certs with an external CA"), "{words}");
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

#[chronoplane::test(version = "1.28")]
async fn an_older_release_knows_no_super_admin(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let words = cluster.kubeadm(&cp, &["certs", "renew", "all"]).await.expect("renewed");
    assert_eq!(words.matches(" renewed\n").count(), RENEWED.len() - 1, "{words}");
    assert!(!words.contains("super-admin") && !words.contains("MISSING!"), "{words}");
    let start = |path: &str| certificate(&cp, path).not_before();
    assert_eq!(
        start("/etc/kubernetes/pki/apiserver.crt"),
        start("/etc/kubernetes/pki/ca.crt"),
        "leaves began with their authority then"
    );
    let words = cluster.kubeadm(&cp, &["reset", "--dry-run", "--force"]).await.expect("told");
    assert!(
        words.contains(
            "[reset] Would delete files: [/etc/kubernetes/admin.conf /etc/kubernetes/kubelet.conf "
        ),
        "{words}"
    );
    assert!(cp.disk().exists("/etc/kubernetes/admin.conf") && cp.services().is_active("kubelet"));
    assert!(refusal(&cluster, &cp, &["config", "print", "init-defaults"]).await.contains("v1beta3"));
}
