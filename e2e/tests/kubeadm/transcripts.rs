//! What kubeadm prints and leaves behind, release by release, as snapshots.
//!
//! All are written anew by `INSTA_UPDATE=always cargo test -p chronoplane-cli --test kubeadm transcripts`; what changed
//! is then in the diff, to be read before it is committed.

use api::profile::Profile;
use chronoplane::{Machinery, Sim, TaskLauncher};
use pki::Certificate;
use world::sim;

use crate::{common::kubeadm, decoded};

const TOKEN: &str = "abcdef.0123456789abcdef";
const DIRS: &[&str] = &["/etc/kubernetes", "/var/lib/kubelet"];

/// A control plane and a worker of a release in a new world.
fn check(minor: u16) {
    let profile = Profile::of_minor(minor).expect("known");
    let told = sim::run(sim::Config::default(), async |sim| tell(&sim, profile).await).expect("a world");
    for (what, text) in told {
        insta::assert_snapshot!(format!("{what}-1.{minor}"), text);
    }
}

async fn tell(sim: &Sim, profile: Profile) -> Vec<(&'static str, String)> {
    let (cp, node) = (sim.host("cp1"), sim.host("node1"));
    for host in [&cp, &node] {
        Machinery::tasks(TaskLauncher::default()).install(host, profile);
    }
    let version = format!("--kubernetes-version={}", profile.git_version());
    let token = format!("--token={TOKEN}");
    let init = kubeadm(&cp, &["init", &version, &token]).await.expect("made");
    let ca = Certificate::parse_pem(&cp.disk().read("/etc/kubernetes/pki/ca.crt").expect("made"))
        .expect("readable");
    let pin = ca[0].public_key().pin();
    let files = decoded::tree(&cp, DIRS);
    let endpoint = format!("{}:6443", cp.net().address());
    let hash = format!("--discovery-token-ca-cert-hash={pin}");
    let join = kubeadm(&node, &["join", &endpoint, &version, &token, &hash]).await.expect("joined");
    let joined = decoded::tree(&node, DIRS);
    let hide = |text: String| text.replace(&pin, "sha256:<pin>");
    vec![
        ("init", hide(init)),
        ("init-files", hide(files)),
        ("join", hide(join)),
        ("join-files", hide(joined)),
    ]
}

#[test]
fn of_1_13() {
    check(13);
}

#[test]
fn of_1_18() {
    check(18);
}

#[test]
fn of_1_24() {
    check(24);
}

#[test]
fn of_1_29() {
    check(29);
}

#[test]
fn of_1_31() {
    check(31);
}

#[test]
fn of_1_33() {
    check(33);
}

#[test]
fn of_1_36() {
    check(36);
}
