//! An upgrade of a cluster with two control planes and its words in a file: the first goes with `apply`, the second
//! follows with `node`, and only then the addons are of the new release.

use api::profile::Profile;
use chronoplane::Sim;
use client::{Resource, Rest};
use serde_json::Value;
use world::Host;

use crate::{common::*, stacked::Stacked};

const FILE: &str = "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: UpgradeConfiguration
plan:
  kubernetesVersion: v1.36.0
diff:
  kubernetesVersion: v1.36.0
  contextLines: 0
apply:
  kubernetesVersion: v1.36.0
  certificateRenewal: false
  patches:
    directory: /root/patches
node:
  patches:
    directory: /root/patches
  skipPhases: [kubelet-config]
timeouts:
  upgradeManifests: 3m0s
";

/// What the apiserver says it is, as soon as it says so.
async fn version(from: &Host, rest: &Rest) -> String {
    chronoplane::cluster::wait_for(from, "the apiserver tells its version", async || {
        let (_, body) = rest.raw(http::Method::GET, "/version", None).await.ok()?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        body["gitVersion"].as_str().map(str::to_owned)
    })
    .await
    .expect("it does")
}

async fn coredns(rest: &Rest) -> String {
    let deployments = Resource::new("apps", "v1", "deployments");
    let object = rest.get(&deployments, Some("kube-system"), "coredns").await.expect("there");
    object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image").to_owned()
}

fn certificate(host: &Host) -> Vec<u8> {
    host.disk().read(format!("{PKI}/apiserver.crt")).expect("there")
}

#[chronoplane::test]
async fn the_second_control_plane_follows_the_first(sim: Sim) {
    let (old, new) = (Profile::of_minor(35).expect("known"), Profile::of_minor(36).expect("known"));
    let cluster = Stacked::init(&sim, old).await;
    cluster.join(1).await;
    let workstation = sim.host("workstation");
    chronoplane::cluster::nodes_ready(&workstation, &cluster.kubectl(), 2).await.expect("both");
    let patch = "metadata: {labels: {team: blue}}\n";
    for host in &cluster.hosts[..2] {
        host.disk().write("/root/upgrade.yaml", FILE, 0o600).expect("written");
        host.disk().write("/root/patches/kube-apiserver.yaml", patch, 0o600).expect("written");
    }
    let (cp1, cp2) = (&cluster.hosts[0], &cluster.hosts[1]);
    let with = "--config=/root/upgrade.yaml";
    let plan = kubeadm(cp1, new, &["upgrade", "plan", with]).await.expect("planned");
    assert!(plan.contains("\n\tkubeadm upgrade apply v1.36.0\n"), "{plan}");
    let diff = kubeadm(cp1, new, &["upgrade", "diff", with]).await.expect("told");
    let scheduler = "-    image: registry.k8s.io/kube-scheduler:v1.35.0\n+    image: registry.k8s.io/kube-scheduler:v1.36.0\n";
    assert!(diff.contains(scheduler), "{diff}");
    for (args, words) in [
        (
            vec!["upgrade", "apply", with, "-y", "--certificate-renewal=true", "--patches=/p"],
            "can not mix '--config' with arguments [certificate-renewal patches]",
        ),
        (vec!["upgrade", "apply", with], "won't proceed; the user didn't answer (Y|y) in order to continue"),
    ] {
        let said = kubeadm(cp1, new, &args).await.expect_err(words).to_string();
        assert!(said.contains(words), "{args:?}: {said}");
    }

    let (dns, before) = (coredns(&cluster.kubectl()).await, certificate(cp1));
    let said = kubeadm(cp1, new, &["upgrade", "apply", with, "-y"]).await.expect("upgraded");
    for line in [
        "[patches] Reading patches from path \"/root/patches\"\n",
        "[patches] Applied patch of type \"application/strategic-merge-patch+json\" to target \"kube-apiserver\"\n",
        "to version \"v1.36.0\" (timeout: 3m0s)...\n",
        "[upgrade/staticpods] This can take up to 3m0s\n",
        "[upgrade/addon] Skipping upgrade of addons because control plane instances [cp2] have not been upgraded\n",
        "\n[upgrade] SUCCESS! A control plane node of your cluster was upgraded to \"v1.36.0\".\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("Renewing"), "the file says not to: {said}");
    assert_eq!(certificate(cp1), before);
    let manifest = cp1.disk().read_to_string(format!("{MANIFESTS}/kube-apiserver.yaml")).expect("there");
    assert!(manifest.contains("team: blue"), "{manifest}");
    assert_eq!(
        (version(&workstation, &cluster.at(0)).await, version(&workstation, &cluster.at(1)).await),
        ("v1.36.0".into(), "v1.35.0".into())
    );
    assert_eq!(coredns(&cluster.at(1)).await, dns, "not before the last control plane");

    let before = certificate(cp2);
    let said = kubeadm(cp2, new, &["upgrade", "node", with]).await.expect("upgraded");
    for line in [
        "[upgrade/preflight] Pulling images required for setting up a Kubernetes cluster\n",
        "[upgrade/control-plane] Upgrading your Static Pod-hosted control plane instance to version \"v1.36.0\"...\n",
        "[upgrade/staticpods] Renewing apiserver certificate\n",
        "[upgrade/control-plane] The control plane instance for this node was successfully upgraded!\n",
        "[addons] Applied essential addon: CoreDNS\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("kubelet-config]"), "left out by the file: {said}");
    assert_ne!(certificate(cp2), before, "the section of `node` says nothing of renewal");
    for n in 0..2 {
        assert_eq!(version(&workstation, &cluster.at(n)).await, "v1.36.0");
    }
    assert_ne!(coredns(&cluster.kubectl()).await, dns, "the last one brings the addons along");
    chronoplane::cluster::nodes_ready(&workstation, &cluster.kubectl(), 2).await.expect("both");
}
