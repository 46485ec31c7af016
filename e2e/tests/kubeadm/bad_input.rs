//! What people get wrong, each with kubeadm's words, and what a full or read-only disk leaves behind: nothing that
//! could be read as whole.

use api::profile::Profile;
use chronoplane::{Cluster, Machinery, Sim, TaskLauncher};
use client::{Patch, Resource};
use serde_json::json;

use crate::common::*;

const OTHER_PIN: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[chronoplane::test(nodes = 1)]
async fn a_join_that_cannot_be_is_refused_in_kubeadms_words(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let printed = cluster.kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let good = arguments(&printed);
    let with = |at: usize, text: &'static str| {
        let mut args = good.clone();
        args[at] = text;
        args
    };
    let node = fresh(&cluster, "node2");
    let before = tree(&node);
    for (args, words) in [
        (with(3, "nonsense"), "the bootstrap token was not of the form"),
        (
            with(3, "zzzzzz.0123456789abcdef"),
            "couldn't validate the identity of the API Server: could not find a JWS signature in the cluster-info \
             ConfigMap for token ID \"zzzzzz\"",
        ),
        (
            with(5, OTHER_PIN),
            "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:",
        ),
        (with(5, "md5:00"), "unknown hash format \"md5\""),
        (good[..4].to_vec(), "Set unsafeSkipCAVerification as true in your kubeadm config file or pass"),
        (good[..1].to_vec(), "required; see kubeadm token create --print-join-command"),
        ([&good[..], &["--skip-phases=cook"]].concat(), "invalid phase name: cook"),
    ] {
        let said = refusal(&cluster, &node, &args).await;
        assert!(said.contains(words), "{args:?}: {said}");
        assert_eq!(tree(&node), before, "{args:?} left something behind");
    }

    let disk = cluster.sim().disk("node2");
    disk.set_full(true);
    let said = refusal(&cluster, &node, &good).await;
    assert!(
        said.contains("error execution phase kubelet-start: open /etc/kubernetes/")
            && said.contains("no space left on device"),
        "{said}"
    );
    disk.set_full(false);
    assert_eq!(tree(&node), before, "a full disk holds no half of a kubeconfig");

    // cluster-info without a signature for the token, then with another content under the same signature.
    let (maps, admin) = (Resource::core("configmaps"), cluster.admin());
    let info = admin.get(&maps, Some("kube-public"), "cluster-info").await.expect("there");
    let kubeconfig = info["data"]["kubeconfig"].as_str().expect("text");
    let forged = json!({"data": {"kubeconfig": format!("{kubeconfig}\n")}});
    let manager = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
    let manifest = cp.disk().read(manager).expect("there");
    cp.disk().remove(manager).expect("no signer from here on");
    chronoplane::cluster::wait_for(&cp, "the signer ends", async || {
        let at = std::net::SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 10_257));
        cp.net().listen(at).await.is_ok().then_some(())
    })
    .await
    .expect("ends");
    admin
        .patch(&maps, Some("kube-public"), "cluster-info", Patch::Merge(&forged), None)
        .await
        .expect("forged");
    let said = refusal(&cluster, &node, &good).await;
    let words = "failed to verify JWS signature of received cluster info object, can't trust this API Server";
    assert!(said.contains(words), "{said}");
    cp.disk().write(manager, manifest, 0o600).expect("back");
    let key = format!("jws-kubeconfig-{}", &good[3][..6]);
    chronoplane::cluster::wait_for(&cp, "the signer signs what is there now", async || {
        let now = admin.get(&maps, Some("kube-public"), "cluster-info").await.ok()?;
        (now["data"][&key].is_string() && now["data"][&key] != info["data"][&key]).then_some(())
    })
    .await
    .expect("signed");
    cluster.kubeadm(&node, &good).await.expect("the control run: signed again, it joins");
    let said = refusal(&cluster, &node, &good).await;
    for check in [
        "[ERROR FileAvailable--etc-kubernetes-kubelet.conf]: /etc/kubernetes/kubelet.conf already exists",
        "[ERROR Port-10250]: Port 10250 is in use",
        "[ERROR FileAvailable--etc-kubernetes-pki-ca.crt]: /etc/kubernetes/pki/ca.crt already exists",
        "[preflight] If you know what you are doing, you can make a check non-fatal with",
    ] {
        assert!(said.contains(check), "joined twice: {check}: {said}");
    }
    let said = refusal(&cluster, &cp, &["init"]).await;
    assert!(said.contains("[ERROR DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty"), "{said}");
}

/// What a file says is not said again: each command names the flags that it does not take beside `--config`.
#[chronoplane::test]
async fn flags_beside_a_file_are_refused_by_name(sim: Sim) {
    let host = sim.host("cp1");
    let text = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: \
                ClusterConfiguration\nencryptionAlgorithm: ECDSA-P256\n";
    host.disk().write("/root/kubeadm.yaml", text, 0o600).expect("written");
    let before = tree(&host);
    for (args, flags) in [
        (vec!["init", "--pod-network-cidr=10.244.0.0/16", "--token-ttl=1h"], "pod-network-cidr token-ttl"),
        (vec!["init", "phase", "certs", "ca", "--cert-dir=/p"], "cert-dir"),
        (
            vec!["join", "10.0.0.1:6443", "--token=abcdef.0123456789abcdef", "--control-plane"],
            "control-plane token",
        ),
        (vec!["reset", "--force", "--cri-socket=unix:///x"], "cri-socket force"),
        (vec!["upgrade", "node", "--etcd-upgrade=false"], "etcd-upgrade"),
        (vec!["upgrade", "plan", "--print-config"], "print-config"),
    ] {
        let args = [&args[..], &["--config=/root/kubeadm.yaml"]].concat();
        let said = kubeadm(&host, &args).await.expect_err(flags).to_string();
        assert!(
            said.contains(&format!("can not mix '--config' with arguments [{flags}]")),
            "{args:?}: {said}"
        );
    }
    assert_eq!(tree(&host), before, "nothing was done");
    let allowed =
        ["init", "phase", "certs", "ca", "--config=/root/kubeadm.yaml", "--kubernetes-version=1.36"];
    kubeadm(&host, &allowed).await.expect("which kubeadm it is may be said");
}

/// An apiserver that does not start, in the words of each release, with what to look at next.
#[chronoplane::test]
async fn a_control_plane_that_does_not_come_up_is_told(sim: Sim) {
    for (minor, flags, lines) in [
        (
            36,
            "[{name: no-such-flag, value: \"1\"}]",
            vec![
                "[kubelet-check] The kubelet is healthy after 500ms\n",
                "[control-plane-check] kube-apiserver is not healthy after 4m0",
                "\nA control plane component may have crashed or exited when started by the container runtime.\n",
                "\t- 'crictl --runtime-endpoint unix:///var/run/containerd/containerd.sock logs CONTAINERID'\n",
                "failed while waiting for the control plane to start: [kube-apiserver check failed at https://",
            ],
        ),
        (
            31,
            "[{name: no-such-flag, value: \"1\"}]",
            vec![
                "[api-check] Waiting for a healthy API server. This can take up to 4m0s\n",
                "[api-check] The API server is not healthy after 4m0",
                "\nA control plane component may have crashed or exited when started by the container runtime.\n",
            ],
        ),
        (
            24,
            "{no-such-flag: \"1\"}",
            vec![
                "[kubelet-check] Initial timeout of 40s passed.\n",
                "\nUnfortunately, an error has occurred:\n\t",
                "\nAdditionally, a control plane component may have crashed or exited when started by the container runtime.\n",
                "couldn't initialize a Kubernetes cluster",
            ],
        ),
    ] {
        let (host, profile) = (sim.host(&format!("cp{minor}")), Profile::of_minor(minor).expect("known"));
        Machinery::tasks(TaskLauncher::default()).install(&host, profile);
        let version = profile.kubeadm_config().version;
        let text = format!(
            "apiVersion: kubeadm.k8s.io/{version}\nkind: ClusterConfiguration\napiServer: {{extraArgs: {flags}}}\n"
        );
        host.disk().write("/root/kubeadm.yaml", text, 0o600).expect("written");
        let release = format!("--kubernetes-version=1.{minor}");
        let args = ["init", "--config=/root/kubeadm.yaml", "--encryption-algorithm=ECDSA-P256", &release];
        let said = kubeadm(&host, &args).await.expect_err("it does not start").to_string();
        for line in lines {
            assert!(said.contains(line), "1.{minor}: {line}: {said}");
        }
    }
}

#[chronoplane::test]
async fn damaged_and_mismatched_files_stop_init_by_name(sim: Sim) {
    let cp = sim.host("cp1");
    let pki = "/etc/kubernetes/pki";
    let certs = async |part: &str| {
        kubeadm(&cp, &["init", "phase", "certs", part, "--encryption-algorithm=ECDSA-P256"])
            .await
            .map_err(|e| e.to_string())
    };
    certs("all").await.expect("made");
    let read = |file: &str| cp.disk().read(format!("{pki}/{file}")).expect("there");
    let write = |file: &str, contents: &[u8]| {
        cp.disk().write(format!("{pki}/{file}"), contents, 0o600).expect("written");
    };
    let other = read("front-proxy-ca.key");
    for (part, file, contents, words) in [
        (
            "ca",
            "ca.crt",
            b"-----BEGIN CERTIFICATE-----\nMIIB".as_slice(),
            "failure loading ca certificate authority: failed to load certificate: couldn't load the certificate file \
             /etc/kubernetes/pki/ca.crt:",
        ),
        ("ca", "ca.key", &other, "private key does not match public key"),
        (
            "apiserver",
            "apiserver.key",
            &other,
            "[certs] certificate /etc/kubernetes/pki/apiserver.crt and key /etc/kubernetes/pki/apiserver.key: tls: private \
             key does not match public key; move both away to have a new pair made",
        ),
        (
            "apiserver",
            "apiserver.key",
            b"x",
            "couldn't load the private key file /etc/kubernetes/pki/apiserver.key",
        ),
    ] {
        let good = read(file);
        certs(part).await.expect("the control run");
        write(file, contents);
        let said = certs(part).await.expect_err(words);
        assert!(
            said.contains(words) && said.contains("error execution phase certs"),
            "{part} {file}: {said}"
        );
        write(file, &good);
    }
}

#[chronoplane::test]
async fn a_full_or_read_only_disk_leaves_no_half_written_file(sim: Sim) {
    let (cp, disk) = (sim.host("cp1"), sim.disk("cp1"));
    let init = async |phase: &str, part: &str| {
        kubeadm(&cp, &["init", "phase", phase, part, "--encryption-algorithm=ECDSA-P256"])
            .await
            .map_err(|e| e.to_string())
    };
    for (fault, words) in [(true, "no space left on device"), (false, "permission denied")] {
        let set = |on| if fault { disk.set_full(on) } else { disk.set_read_only(on) };
        for (phase, part) in
            [("certs", "all"), ("kubeconfig", "all"), ("control-plane", "all"), ("etcd", "local")]
        {
            let before = tree(&cp);
            set(true);
            let said = init(phase, part).await.expect_err("cannot write");
            assert!(
                said.contains(&format!("error execution phase {phase}: ")) && said.contains(words),
                "{phase}: {said}"
            );
            set(false);
            assert_eq!(tree(&cp), before, "{phase}: not one byte");
            init(phase, part).await.expect("the control run goes on from there");
        }
        cp.disk().remove_all("/etc/kubernetes").expect("removed");
    }
    set_full_half_way(&cp, &disk).await;
}

/// The disk fills up between two files: what was written is whole, and the next run goes on from there.
async fn set_full_half_way(cp: &world::Host, disk: &world::MemoryDisk) {
    let certs = async |part: &str| {
        kubeadm(cp, &["init", "phase", "certs", part, "--encryption-algorithm=ECDSA-P256"]).await
    };
    certs("ca").await.expect("made");
    disk.set_full(true);
    certs("apiserver").await.expect_err("full");
    disk.set_full(false);
    assert!(!cp.disk().exists("/etc/kubernetes/pki/apiserver.key"));
    certs("all").await.expect("goes on with the same authority");
    let (ca, leaf) =
        (certificate(cp, "/etc/kubernetes/pki/ca.crt"), certificate(cp, "/etc/kubernetes/pki/apiserver.crt"));
    assert_eq!(leaf.issuer_cn(), ca.subject_cn());
}
