//! kubeadm's command line on a cluster in the simulated gear: what it changes, and what that means for the
//! cluster one second before and one second after.

use std::time::Duration;

use chronoplane::{Cluster, Machinery, TaskLauncher};
use client::Resource;
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
