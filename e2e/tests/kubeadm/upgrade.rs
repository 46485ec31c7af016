//! A cluster's way to newer releases: what is exchanged, what is renewed, what is left, and what happens meanwhile.

use std::{io::Write, sync::Arc, time::Duration};

use api::profile::Profile;
use chronoplane::{Cluster, Machinery, TaskLauncher};
use client::{ListParams, Patch, Resource, Rest};
use parking_lot::Mutex;
use serde_json::{Value, json};
use world::{Exit, Host, Mono, Wall};

use crate::common::*;

/// Renewed with etcd, with the apiserver, with the others, and at the end.
const ETCDS: &[&str] = &[
    "/etc/kubernetes/pki/etcd/server.crt",
    "/etc/kubernetes/pki/etcd/peer.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
];
const APISERVERS: &[&str] = &[
    "/etc/kubernetes/pki/apiserver.crt",
    "/etc/kubernetes/pki/apiserver-kubelet-client.crt",
    "/etc/kubernetes/pki/front-proxy-client.crt",
    "/etc/kubernetes/pki/apiserver-etcd-client.crt",
];
const OTHERS: &[&str] = &[
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
];
/// So long that a certificate made afterwards ends visibly later.
const LATER: Duration = Duration::from_secs(120);
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";

fn all() -> Vec<&'static str> {
    [ETCDS, APISERVERS, OTHERS].concat()
}

fn ends(host: &Host, paths: &[&str]) -> Vec<Wall> {
    paths.iter().map(|path| certificate(host, path).not_after()).collect()
}

/// Installs another kubelet package and restarts the kubelet, as people do.
pub async fn install_kubelet(host: &Host, version: &str) {
    let profile = Profile::parse(version).expect("a version");
    Machinery::tasks(TaskLauncher::default()).install(host, profile);
    host.services().restart(host, "kubelet").await;
}

async fn kubelet_versions(rest: &Rest) -> Vec<String> {
    let nodes = rest.list(&Resource::core("nodes"), None, &ListParams::default()).await.expect("listed");
    let version = |node: &Value| node["status"]["nodeInfo"]["kubeletVersion"].as_str().map(str::to_owned);
    nodes.items.iter().filter_map(|node| version(node)).collect()
}

async fn server_version(rest: &Rest) -> String {
    let (_, body) = rest.raw(http::Method::GET, "/version", None).await.expect("an answer");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    body["gitVersion"].as_str().expect("a version").to_owned()
}

async fn image(rest: &Rest, resource: &Resource, name: &str) -> String {
    let object = rest.get(resource, Some("kube-system"), name).await.expect("there");
    let at = if resource.plural == "pods" {
        "/spec/containers/0/image"
    } else {
        "/spec/template/spec/containers/0/image"
    };
    object.pointer(at).and_then(Value::as_str).expect("an image").to_owned()
}

#[chronoplane::test(version = "1.31", nodes = 1)]
async fn two_minors_in_two_steps_and_the_kubelets_when_people_install_them(cluster: Cluster) {
    let (cp, node, rest) = (control_plane(&cluster), cluster.sim().host("node1"), cluster.admin());
    let kubelet_conf = cp.disk().read("/etc/kubernetes/kubelet.conf").expect("there");
    let mut installed = "v1.31.0";
    for (version, etcd, dns) in [("v1.32.0", "3.5.16-0", "v1.11.3"), ("v1.33.0", "3.5.21-0", "v1.12.0")] {
        cluster.sim().elapse(LATER).await;
        let own = format!("--kubernetes-version={version}");
        let plan = kubeadm(&cp, &["upgrade", "plan", &own]).await.expect("planned");
        for line in [
            "\nUpgrade to the latest stable version:\n".to_owned(),
            format!(
                "\nkubelet     cp1       {installed}   {version}\nkubelet     node1     {installed}   {version}\n"
            ),
            format!("\nkube-apiserver            cp1       {installed}"),
            format!("\n\tkubeadm upgrade apply {version}\n"),
        ] {
            assert!(plan.contains(&line), "{line}: {plan}");
        }
        let before = ends(&cp, &all());
        // The kubeadm of the release to go to is the one that goes there.
        let said = kubeadm(&cp, &["upgrade", "apply", version, "--yes"]).await.expect("upgraded");
        for line in [
            "[upgrade/preflight] Running preflight checks\n[upgrade] Running cluster health checks\n".to_owned(),
            format!("[upgrade/preflight] You have chosen to upgrade the cluster version to \"{version}\"\n[upgrade/versions] Cluster version: {installed}\n"),
            "[upgrade/staticpods] Preparing for \"etcd\" upgrade\n[upgrade/staticpods] Renewing etcd-server certificate\n".to_owned(),
            "[upgrade/staticpods] Renewing apiserver-etcd-client certificate\n[upgrade/staticpods] Moving new manifest to \"/etc/kubernetes/manifests/kube-apiserver.yaml\" and backing up old manifest to \"/etc/kubernetes/tmp/kubeadm-backup-manifests-".to_owned(),
            "[apiclient] Found 1 Pods for label selector component=kube-scheduler\n[upgrade/staticpods] Component \"kube-scheduler\" upgraded successfully!\n".to_owned(),
            "[addons] Applied essential addon: CoreDNS\n[addons] Applied essential addon: kube-proxy\n".to_owned(),
        ] {
            assert!(said.contains(&line), "{line}: {said}");
        }
        let end = format!(
            "\n[upgrade] SUCCESS! A control plane node of your cluster was upgraded to \"{version}\".\n"
        );
        assert!(said.contains(&end), "{said}");
        for (path, (old, new)) in all().iter().zip(before.iter().zip(ends(&cp, &all()))) {
            assert!(new >= *old + LATER, "{path} was renewed: {old} {new}");
        }
        assert_eq!(
            cp.disk().read("/etc/kubernetes/kubelet.conf").expect("there"),
            kubelet_conf,
            "the kubelet's own"
        );

        assert_eq!(server_version(rest).await, version);
        let pods = Resource::core("pods");
        assert!(image(rest, &pods, "kube-scheduler-cp1").await.ends_with(&format!(":{version}")));
        assert!(image(rest, &pods, "etcd-cp1").await.ends_with(&format!("etcd:{etcd}")));
        let coredns = image(rest, &Resource::new("apps", "v1", "deployments"), "coredns").await;
        assert!(coredns.ends_with(&format!(":{dns}")), "{coredns}");
        let stored = rest
            .get(&Resource::core("configmaps"), Some("kube-system"), "kubeadm-config")
            .await
            .expect("there");
        let stored = stored["data"]["ClusterConfiguration"].as_str().expect("stored");
        assert!(stored.contains(&format!("kubernetesVersion: {version}\n")), "{stored}");

        assert_eq!(
            kubelet_versions(rest).await,
            [installed, installed],
            "kubelets are people's own business"
        );
        let said = kubeadm(&node, &["upgrade", "node"]).await.expect("upgraded");
        for line in [
            "[upgrade/preflight] Skipping prepull. Not a control plane node.\n[upgrade/control-plane] Skipping phase. Not a control plane node.\n[upgrade/kubeconfig] Skipping phase. Not a control plane node.\n",
            "[kubelet-start] Writing kubelet configuration to file \"/var/lib/kubelet/config.yaml\"\n[upgrade/kubelet-config] The kubelet configuration for this node was successfully upgraded!\n[upgrade/addon] Skipping the addon/coredns phase. Not a control plane node.\n[upgrade/addon] Skipping the addon/kube-proxy phase. Not a control plane node.\n",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
        for host in [&cp, &node] {
            install_kubelet(host, version).await;
        }
        chronoplane::cluster::wait_for(&node, "both kubelets tell their new version", async || {
            let nodes = rest.list(&Resource::core("nodes"), None, &ListParams::default()).await.ok()?;
            let new = |node: &Value| node["status"]["nodeInfo"]["kubeletVersion"] == version;
            nodes.items.iter().all(|node| new(node)).then_some(())
        })
        .await
        .expect("they do");
        cluster.nodes_ready().await.expect("both");
        installed = version;
    }
}

#[chronoplane::test(version = "1.32")]
async fn without_renewal_every_certificate_stays(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let bytes = |path: &&str| cp.disk().read(path).expect("there");
    let before: Vec<_> = all().iter().map(bytes).collect();
    cluster.sim().elapse(LATER).await;
    let said = kubeadm(&cp, &["upgrade", "apply", "v1.33.0", "-y", "--certificate-renewal=false"])
        .await
        .expect("upgraded");
    assert!(!said.contains("Renewing"), "{said}");
    assert!(said.contains("Component \"kube-apiserver\" upgraded successfully!"), "{said}");
    assert_eq!(all().iter().map(bytes).collect::<Vec<_>>(), before);
}

#[chronoplane::test(version = "1.33")]
async fn what_does_not_change_is_not_renewed_either(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let components: Vec<_> = [ETCDS, APISERVERS, &OTHERS[..2]].concat();
    let bytes = |path: &&str| cp.disk().read(path).expect("there");
    let before: Vec<_> = components.iter().map(bytes).collect();
    let admins = ends(&cp, &OTHERS[2..]);
    cluster.sim().elapse(LATER).await;
    let said = kubeadm(&cp, &["upgrade", "apply", "v1.33.0", "--force"]).await.expect("nothing to do");
    for component in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        let line = format!(
            "[upgrade/staticpods] Current and new manifests of {component} are equal, skipping upgrade\n"
        );
        assert!(said.contains(&line), "{line}: {said}");
    }
    assert_eq!(
        components.iter().map(bytes).collect::<Vec<_>>(),
        before,
        "the trap: they end as if nobody had upgraded"
    );
    for (old, new) in admins.iter().zip(ends(&cp, &OTHERS[2..])) {
        assert!(new >= *old + LATER, "people's own are renewed all the same");
    }

    // A patch release changes the apiserver's manifest and leaves etcd's: etcd is renewed, and restarted for that.
    let said = kubeadm(&cp, &["upgrade", "apply", "v1.33.4", "-y"]).await.expect("upgraded");
    let line = "[upgrade/staticpods] Restarting the etcd static pod and backing up its manifest to \"/etc/kubernetes/tmp/kubeadm-backup-manifests-";
    assert!(said.contains(line), "{said}");
    assert!(said.contains("[upgrade/staticpods] Component \"etcd\" upgraded successfully!\n[upgrade/etcd] Waiting for etcd to become available\n"), "{said}");
    for (path, old) in components.iter().zip(&before) {
        assert_ne!(&bytes(path), old, "{path} is renewed");
    }
    assert_eq!(server_version(cluster.admin()).await, "v1.33.4");
}

#[chronoplane::test(version = "1.32")]
async fn an_authority_kept_elsewhere_signs_nothing_in_an_upgrade(cluster: Cluster) {
    let cp = control_plane(&cluster);
    cp.disk().remove("/etc/kubernetes/pki/ca.key").expect("there");
    cp.disk().remove("/etc/kubernetes/pki/front-proxy-ca.key").expect("there");
    let old = ends(&cp, &all());
    cluster.sim().elapse(LATER).await;
    let said = kubeadm(&cp, &["upgrade", "apply", "v1.33.0", "-y"]).await.expect("upgraded");
    for name in [
        "apiserver",
        "apiserver-kubelet-client",
        "front-proxy-client",
        "controller-manager.conf",
        "scheduler.conf",
        "admin.conf",
        "super-admin.conf",
    ] {
        let line =
            format!("[upgrade/staticpods] External CA detected, {name} certificate can't be renewed\n");
        assert!(said.contains(&line), "{line}: {said}");
    }
    for (path, (old, new)) in all().iter().zip(old.iter().zip(ends(&cp, &all()))) {
        let etcds = path.contains("etcd");
        assert_eq!(new > *old, etcds, "{path}: etcd's authority is here");
    }
}

/// Output with the moment of every line.
struct Timed {
    host: Host,
    lines: Vec<(Mono, String)>,
    open: Vec<u8>,
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut self.open)).into_owned();
                    self.lines.push((self.host.clock().monotonic(), line));
                }
                byte => self.open.push(*byte),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs kubeadm while somebody asks the cluster ten times a second; the lines, and the moments without an answer.
async fn watched(cluster: &Cluster, args: &[&str]) -> (Vec<(Mono, String)>, Vec<Mono>) {
    let (cp, rest) = (control_plane(cluster), cluster.admin().with_timeout(Duration::from_secs(1)));
    let silent = Arc::new(Mutex::new(Vec::new()));
    let (note, clock) = (silent.clone(), cp.clone());
    let asking = cluster.sim().host("workstation").spawn(async move {
        loop {
            let asked = clock.clock().monotonic();
            if rest.get(&Resource::core("namespaces"), None, "kube-system").await.is_err() {
                note.lock().push(asked);
            }
            clock.clock().sleep(Duration::from_millis(100)).await;
        }
    });
    let mut out = Timed { host: cp.clone(), lines: Vec::new(), open: Vec::new() };
    let process = cp.process("kubeadm");
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let exit = kubeadm_sim::run(process.host().clone(), args, &mut out).await;
    assert_eq!(exit, Exit::Success, "{:?}", out.lines);
    cluster.sim().elapse(Duration::from_secs(30)).await;
    asking.abort();
    let silent = silent.lock().clone();
    (out.lines, silent)
}

#[chronoplane::test(version = "1.32")]
async fn the_cluster_serves_but_for_the_exchange_of_etcd_and_the_apiserver(cluster: Cluster) {
    let (_, silent) =
        watched(&cluster, &["upgrade", "apply", "v1.32.0", "--force", "--kubernetes-version=v1.32.0"]).await;
    assert_eq!(silent, [], "nothing is exchanged");

    let (lines, silent) = watched(&cluster, &["upgrade", "apply", "v1.33.0", "-y"]).await;
    let at = |words: &str| {
        lines.iter().find(|(_, line)| line.contains(words)).unwrap_or_else(|| panic!("{words}: {lines:?}")).0
    };
    let windows = ["etcd", "kube-apiserver"].map(|component| {
        let moved = at(&format!("Moving new manifest to \"{MANIFESTS}/{component}.yaml\""));
        (moved, at(&format!("Component \"{component}\" upgraded successfully!")))
    });
    assert!(!silent.is_empty(), "an apiserver that is exchanged does not answer");
    // A request may hang for its second before it is given up, and be one that was sent before.
    let second = Duration::from_secs(1);
    for moment in &silent {
        let within = |(from, to): &(Mono, Mono)| *moment + second >= *from && *moment <= *to + second;
        assert!(windows.iter().any(within), "{moment:?} is in none of {windows:?}");
    }
}

#[chronoplane::test(version = "1.32")]
async fn an_apiserver_that_does_not_come_up_is_taken_back(cluster: Cluster) {
    let (cp, rest) = (control_plane(&cluster), cluster.admin());
    let maps = Resource::core("configmaps");
    let stored = rest.get(&maps, Some("kube-system"), "kubeadm-config").await.expect("there");
    let good = stored["data"]["ClusterConfiguration"].as_str().expect("stored").to_owned();
    let mut config: Value = serde_saphyr::from_str(&good).expect("YAML");
    config["apiServer"]["extraArgs"] = json!([{"name": "no-such-flag", "value": "x"}]);
    let store = async |text: String| {
        let patch = json!({"data": {"ClusterConfiguration": text}});
        rest.patch(&maps, Some("kube-system"), "kubeadm-config", Patch::Merge(&patch), None)
            .await
            .expect("stored");
    };
    store(config.to_string()).await;
    let manifest = format!("{MANIFESTS}/kube-apiserver.yaml");
    let before = cp.disk().read(&manifest).expect("there");
    let words =
        kubeadm(&cp, &["upgrade", "apply", "v1.33.0", "-y"]).await.expect_err("does not start").to_string();
    let expected = "error execution phase control-plane: couldn't complete the static pod upgrade: couldn't upgrade control \
                    plane. kubeadm has tried to recover everything into the earlier state. Errors faced: failed to obtain \
                    static Pod hash for component kube-apiserver on Node cp1: ";
    assert!(words.contains(expected), "{words}");
    assert_eq!(cp.disk().read(&manifest).expect("back"), before);
    chronoplane::cluster::wait_for(&cp, "the old apiserver serves", async || {
        let (status, _) = rest.raw(http::Method::GET, "/readyz", None).await.ok()?;
        status.is_success().then_some(())
    })
    .await
    .expect("again");
    assert_eq!(server_version(rest).await, "v1.32.0");
    // With the flag gone the same upgrade succeeds, once the controllers lead again.
    store(good).await;
    cluster.sim().elapse(Duration::from_secs(60)).await;
    kubeadm(&cp, &["upgrade", "apply", "v1.33.0", "-y"]).await.expect("upgraded");
    assert_eq!(server_version(rest).await, "v1.33.0");
}

#[chronoplane::test(version = "1.32")]
async fn what_may_not_be_is_refused_before_anything_changes(cluster: Cluster) {
    let (cp, rest) = (control_plane(&cluster), cluster.admin());
    let before = cp.disk().list(MANIFESTS).expect("there");
    let pki = cp.disk().read("/etc/kubernetes/pki/apiserver.crt").expect("there");
    for (args, words) in [
        (
            vec!["upgrade", "apply", "v1.34.0", "-y"],
            "error execution phase preflight: the version argument is invalid due to these fatal errors:\n\n\t- Specified version to upgrade to \"v1.34.0\" is too high; kubeadm can upgrade only 1 minor version at a time\n",
        ),
        (
            vec!["upgrade", "apply", "v1.31.0", "-y", "--kubernetes-version=v1.32.0"],
            "Kubeadm version v1.32.0 can only be used to upgrade to Kubernetes version 1.32\n\nCan be bypassed if you pass the --force flag",
        ),
        (
            vec!["upgrade", "apply", "v1.33.0-rc.1", "-y"],
            "\"v1.33.0-rc.1\" is an unstable version and such upgrades weren't allowed via setting the --allow-*-upgrades flags",
        ),
        (
            vec!["upgrade", "apply", "v1.33.0-rc.1", "-y", "--allow-release-candidate-upgrades"],
            "v1.33.0-rc.1 has no profile",
        ),
        (
            vec!["upgrade", "apply", "v1.33.0"],
            "won't proceed; the user didn't answer (Y|y) in order to continue",
        ),
        (vec!["upgrade", "apply"], "missing one or more required arguments. Required arguments: [version]"),
        (vec!["upgrade", "apply", "v1.33.0", "-y", "--skip-phases=cook"], "invalid phase name: cook"),
        (
            vec!["upgrade", "apply", "v1.33.0", "-y", "--kubeconfig=/none"],
            "couldn't create a Kubernetes client from file \"/none\"",
        ),
    ] {
        let said = kubeadm(&cp, &args).await.expect_err(words).to_string();
        assert!(said.contains(words), "{args:?}: {said}");
    }
    let said = kubeadm(&cp, &["upgrade", "apply", "v1.33.0", "--dry-run"]).await.expect("told");
    for line in [
        "[dryrun] Would upgrade your static Pod-hosted control plane to version \"v1.33.0\"\n",
        "[dryrun] Would write file \"/etc/kubernetes/manifests/kube-apiserver.yaml\" with content:\n",
        "\t    image: registry.k8s.io/kube-apiserver:v1.33.0\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let said = kubeadm(&cp, &["upgrade", "diff", "v1.33.0"]).await.expect("told");
    for line in [
        "--- /etc/kubernetes/manifests/kube-scheduler.yaml\n+++ new manifest\n@@ ",
        "\n-    image: registry.k8s.io/kube-scheduler:v1.32.0\n+    image: registry.k8s.io/kube-scheduler:v1.33.0\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let plan =
        kubeadm(&cp, &["upgrade", "plan", "--kubernetes-version=v1.33.0", "-o", "json"]).await.expect("told");
    let plan: Value = serde_json::from_str(&plan).expect("nothing but JSON");
    assert_eq!(
        plan["availableUpgrades"][0]["components"][0],
        json!({"name": "kubelet", "currentVersion": "v1.32.0", "newVersion": "v1.33.0", "nodeName": "cp1"})
    );

    rest.patch(
        &Resource::core("nodes"),
        None,
        "cp1",
        Patch::Merge(&json!({"metadata": {"labels": {"x": "y"}}})),
        None,
    )
    .await
    .expect("it serves");
    cp.disk().rename(format!("{MANIFESTS}/kube-scheduler.yaml"), "/root/kube-scheduler.yaml").expect("moved");
    let said =
        kubeadm(&cp, &["upgrade", "apply", "v1.33.0", "-y"]).await.expect_err("incomplete").to_string();
    assert!(said.contains("\t[ERROR StaticPodManifest]: The control plane seems to be Static Pod-hosted, but some of the manifests don't seem to exist on disk."), "{said}");
    cp.disk().rename("/root/kube-scheduler.yaml", format!("{MANIFESTS}/kube-scheduler.yaml")).expect("back");
    assert_eq!(cp.disk().list(MANIFESTS).expect("there"), before);
    assert_eq!(cp.disk().read("/etc/kubernetes/pki/apiserver.crt").expect("there"), pki);
    assert_eq!(server_version(rest).await, "v1.32.0");
}

#[chronoplane::test(version = "1.32")]
async fn a_phase_runs_alone_and_phases_are_skipped(cluster: Cluster) {
    let (cp, rest) = (control_plane(&cluster), cluster.admin());
    let said = kubeadm(&cp, &["upgrade", "apply", "v1.33.0", "-y", "--skip-phases=addon,kubelet-config"])
        .await
        .expect("upgraded");
    assert!(!said.contains("[addons]") && !said.contains("kubelet-config]"), "{said}");
    let coredns = async || image(rest, &Resource::new("apps", "v1", "deployments"), "coredns").await;
    assert!(coredns().await.ends_with(":v1.11.3"), "left as it was");
    let said = kubeadm(&cp, &["upgrade", "apply", "phase", "addon", "coredns"]).await.expect("upgraded");
    assert!(said.ends_with("[addons] Applied essential addon: CoreDNS\n"), "{said}");
    assert!(coredns().await.ends_with(":v1.12.0"));
}
