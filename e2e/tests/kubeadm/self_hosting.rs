//! Self-hosting in 1.9 and 1.10: static pods become DaemonSets, and the API stays.

use std::time::Duration;

use api::profile::Profile;
use chronoplane::{Machinery, Sim, TaskLauncher};
use client::{ListParams, Resource, Rest};
use pki::kubeconfig::Kubeconfig;
use serde_json::Value;
use world::{Host, Mono};

use crate::common::*;

const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// How often the client asks.
const LOOK: Duration = Duration::from_millis(200);

fn admin(host: &Host, from: &Host, profile: Profile) -> Rest {
    let config = Kubeconfig::load(host.disk(), "/etc/kubernetes/admin.conf").expect("there");
    Rest::from_kubeconfig(from, &config, profile.go(), "kubectl").expect("a client")
}

async fn init(host: &Host, minor: u16, more: &[&str]) -> String {
    let profile = Profile::of_minor(minor).expect("known");
    Machinery::tasks(TaskLauncher::default()).install(host, profile);
    let version = format!("--kubernetes-version=1.{minor}");
    let args = [&["init", "--encryption-algorithm=ECDSA-P256", &version], more].concat();
    kubeadm(host, &args).await.expect("made")
}

/// Pods of the control plane by name, and who owns each.
async fn owners(rest: &Rest) -> Vec<(String, String)> {
    let pods = rest
        .list(&Resource::core("pods"), Some("kube-system"), &ListParams::default())
        .await
        .expect("listed");
    let text = |pod: &Value, at: &str| pod.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    pods.items
        .iter()
        .map(|pod| (text(pod, "/metadata/name"), text(pod, "/metadata/ownerReferences/0/kind")))
        .filter(|(name, _)| COMPONENTS.iter().any(|component| name.contains(component)))
        .collect()
}

/// When a client far away was answered, and when not: the stretches without an answer.
async fn watch(from: Host, rest: Rest, until: impl Future<Output = ()>) -> Vec<(Mono, Duration)> {
    let mut until = std::pin::pin!(until);
    let (mut gaps, mut since): (Vec<(Mono, Duration)>, Option<Mono>) = (Vec::new(), None);
    loop {
        let now = from.clock().monotonic();
        let answered = rest.get(&Resource::core("namespaces"), None, "kube-system").await.is_ok();
        match (answered, since) {
            (false, None) => since = Some(now),
            (true, Some(began)) => {
                gaps.push((began, now.since(began)));
                since = None;
            }
            _ => {}
        }
        tokio::select! {
            biased;
            () = &mut until => return gaps,
            () = from.clock().sleep(LOOK) => {}
        }
    }
}

/// Every container of the control plane is ready.
async fn all_ready(from: &Host, rest: &Rest) {
    chronoplane::cluster::wait_for(from, "the self-hosted control plane is ready", async || {
        let pods =
            rest.list(&Resource::core("pods"), Some("kube-system"), &ListParams::default()).await.ok()?;
        let hosted: Vec<_> = pods
            .items
            .iter()
            .filter(|pod| {
                pod["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("self-hosted-"))
            })
            .collect();
        let ready = |pod: &&&std::sync::Arc<Value>| pod["status"]["containerStatuses"][0]["ready"] == true;
        (hosted.len() == COMPONENTS.len() && hosted.iter().filter(ready).count() == COMPONENTS.len())
            .then_some(())
    })
    .await
    .expect("all of them");
}

#[chronoplane::test]
async fn a_control_plane_moves_into_its_own_cluster(sim: Sim) {
    let (cp, node, away) = (sim.host("cp1"), sim.host("node1"), sim.host("workstation"));
    let profile = Profile::of_minor(10).expect("known");
    // The same cluster as the control run, before it moves.
    init(&cp, 10, &[]).await;
    let rest = admin(&cp, &away, profile);
    chronoplane::cluster::nodes_ready(&away, &rest, 1).await.expect("static so far");
    chronoplane::cluster::wait_for(&away, "every static pod has its mirror", async || {
        let owners = owners(&rest).await;
        (owners.len() == 3 && owners.iter().all(|(_, kind)| kind == "Node")).then_some(())
    })
    .await
    .expect("mirrors");

    let watcher = admin(&cp, &away, profile);
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let watching = away.spawn(watch(away.clone(), watcher, async move {
        // Gone with its sender as well.
        let _ = told.await;
    }));
    let args = ["alpha", "phase", "selfhosting", "convert-from-staticpods", "--kubernetes-version=1.10"];
    let words = kubeadm(&cp, &args).await.expect("converted");
    let _ = tell.send(());
    let gaps = watching.join().await.expect("watched");

    // Nobody serves from the old one's end until the new one's next start, ten or twenty seconds after it last
    // failed on the port: one stretch, and no other, however long the other components take.
    assert_eq!(gaps.len(), 1, "{gaps:?}\n{words}");
    let gap = gaps[0].1;
    assert!(gap > Duration::from_secs(1) && gap < Duration::from_secs(25), "{gap:?}\n{words}");

    let order: Vec<usize> = [
        "[apiclient] Found 1 Pods for label selector k8s-app=self-hosted-kube-apiserver\n",
        "[apiclient] The old Pod \"kube-apiserver-cp1\" is now removed (which is desired)\n[apiclient] All control plane components are healthy after ",
        "[self-hosted] self-hosted kube-apiserver ready after ",
        "[apiclient] The old Pod \"kube-controller-manager-cp1\" is now removed (which is desired)\n",
        "[self-hosted] self-hosted kube-controller-manager ready after ",
        "[self-hosted] self-hosted kube-scheduler ready after ",
    ]
    .iter()
    .map(|line| words.find(line).unwrap_or_else(|| panic!("{line}: {words}")))
    .collect();
    assert!(order.is_sorted(), "{words}");
    let manifests = cp.disk().list("/etc/kubernetes/manifests").expect("listed");
    assert_eq!(manifests, ["etcd.yaml"], "etcd stays");

    all_ready(&away, &rest).await;
    let after = owners(&rest).await;
    assert!(after.len() == 3 && after.iter().all(|(_, kind)| kind == "DaemonSet"), "{after:?}");
    let sets = Resource::new("apps", "v1", "daemonsets");
    let set = rest.get(&sets, Some("kube-system"), "self-hosted-kube-apiserver").await.expect("there");
    assert_eq!(set["spec"]["selector"]["matchLabels"]["k8s-app"], "self-hosted-kube-apiserver");
    let command = set["spec"]["template"]["spec"]["containers"][0]["command"].to_string();
    assert!(command.contains("--advertise-address=$(HOST_IP)"), "{command}");

    // A second conversion finds nothing to do, and nodes can join.
    let words = kubeadm(&cp, &args).await.expect("nothing to do");
    assert_eq!(words.matches("doesn't seem to be on the disk; trying the next one").count(), 3, "{words}");
    let version = "--kubernetes-version=1.10";
    let printed = kubeadm(&cp, &["token", "create", "--print-join-command", version]).await.expect("made");
    Machinery::tasks(TaskLauncher::default()).install(&node, profile);
    let join = [arguments(&printed), vec![version]].concat();
    kubeadm(&node, &join).await.expect("joined");
    chronoplane::cluster::nodes_ready(&away, &rest, 2)
        .await
        .expect("signed by a self-hosted controller manager");
}

#[chronoplane::test]
async fn init_moves_the_control_plane_with_its_certificates_in_secrets(sim: Sim) {
    for (minor, expected) in [(9, 6), (10, 8)] {
        let cp = sim.host(&format!("cp{minor}"));
        let gates = "--feature-gates=SelfHosting=true,StoreCertsInSecrets=true";
        let words = init(&cp, minor, &[gates]).await;
        assert_eq!(words.matches("[self-hosted] Created TLS secret ").count(), expected, "{words}");
        assert!(
            words.contains("[self-hosted] Created secret for kubeconfig file \"controller-manager.conf\"\n"),
            "{words}"
        );
        assert!(words.contains("Your Kubernetes master has initialized successfully!"), "{words}");
        let profile = Profile::of_minor(minor).expect("known");
        let rest = admin(&cp, &cp, profile);
        all_ready(&cp, &rest).await;
        let pods = rest
            .list(&Resource::core("pods"), Some("kube-system"), &ListParams::default())
            .await
            .expect("listed");
        let apiserver = pods.items.iter().find(|pod| {
            pod["metadata"]["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("self-hosted-kube-apiserver-"))
        });
        let uid = apiserver.expect("there")["metadata"]["uid"].as_str().expect("a UID").to_owned();
        let file =
            format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~projected/k8s-certs/apiserver.crt");
        assert!(cp.disk().exists(&file), "{file}");
        // What the host had is not what runs: an authority that is in a Secret alone signs for a new node.
        for path in [
            "/etc/kubernetes/pki",
            "/etc/kubernetes/controller-manager.conf",
            "/etc/kubernetes/scheduler.conf",
        ] {
            cp.disk().remove_all(path).expect("removed");
        }
        let version = format!("--kubernetes-version=1.{minor}");
        let printed =
            kubeadm(&cp, &["token", "create", "--print-join-command", &version]).await.expect("made");
        let node = sim.host(&format!("node{minor}"));
        Machinery::tasks(TaskLauncher::default()).install(&node, profile);
        let join = [arguments(&printed), vec![version.as_str()]].concat();
        kubeadm(&node, &join).await.expect("joined");
        chronoplane::cluster::nodes_ready(&cp, &rest, 2).await.expect("signed");
    }
}

#[chronoplane::test]
async fn other_releases_have_no_such_way(sim: Sim) {
    let cp = sim.host("cp1");
    let convert = ["alpha", "phase", "selfhosting", "convert-from-staticpods"];
    for (version, words) in [
        ("--kubernetes-version=1.8", "kubeadm v1.8.0 does not have it; 1.9 to 1.12 do"),
        ("--kubernetes-version=1.13", "kubeadm v1.13.0 does not have it"),
    ] {
        let said = kubeadm(&cp, &[&convert[..], &[version]].concat()).await.expect_err(words).to_string();
        assert!(said.contains(words), "{said}");
    }
    let gate = ["init", "--feature-gates=SelfHosting=true", "--kubernetes-version=1.13"];
    let said = kubeadm(&cp, &gate).await.expect_err("gone").to_string();
    assert!(said.contains("unrecognized feature-gate key: SelfHosting"), "{said}");
}
