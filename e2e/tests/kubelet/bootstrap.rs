//! From a bootstrap token to a certificate: before the kubelet starts, or while it runs.

use api::object::ObjectExt as _;
use chronoplane::{ClusterOptions, cluster::wait_for};
use pki::kubeconfig::Kubeconfig;
use serde_json::json;

use crate::common::{
    BOOTSTRAP, CLASSIC, CLIENT, HOUR, KUBECONFIG, MINUTE, PACE, PKI, approve, approve_nothing, cluster,
    kubelet_by_hand, last_words, node, requests, run, until_ready_is, version, write_bootstrap,
};

#[test]
fn the_mode_depends_on_release_and_configuration() {
    let check = |release: &str, rotate: bool, named: &str, usages: &[&str]| {
        run(async |sim| {
            let cluster = cluster(&sim, version(release)).await;
            let host = kubelet_by_hand(&cluster, "n9", json!({"rotateCertificates": rotate})).await;
            until_ready_is(&cluster, "n9", "True").await;
            let requests = requests(&cluster, CLIENT, "n9").await;
            let [csr] = requests.as_slice() else { panic!("{release}: {requests:?}") };
            let digest =
                csr.name().strip_prefix(named).unwrap_or_else(|| panic!("{release}: {}", csr.name()));
            assert_eq!(digest.len(), if named == "csr-" { 5 } else { 43 }, "{release}: {}", csr.name());
            assert_eq!(csr["spec"]["usages"], json!(usages), "{release}");
            assert_eq!(csr.str_at("/spec/expirationSeconds"), "", "{release}");
            assert!(
                !host.disk().exists(format!("{PKI}/kubelet-client.key.tmp")),
                "{release}: of no use any more"
            );
            let config = Kubeconfig::load(host.disk(), KUBECONFIG).expect("written");
            let current = format!("{PKI}/kubelet-client-current.pem");
            let (user, cluster) = (&config.users[0], &config.clusters[0]);
            assert_eq!(
                (&*user.name, &*cluster.name, &*config.current_context, config.namespace()),
                ("default-auth", "default-cluster", "default-context", Some("default"))
            );
            assert_eq!(user.user.client_certificate.as_ref(), Some(&current));
            assert_eq!(user.user.client_key.as_ref(), Some(&current));
        });
    };
    let (plain, with_encipherment) =
        (["digital signature", "client auth"], ["digital signature", "key encipherment", "client auth"]);
    check("1.36", true, "csr-", &plain);
    check("1.36", false, "node-csr-", &plain);
    check("1.26", true, "csr-", &with_encipherment);
    check("1.14", true, "csr-", &with_encipherment);
    check("1.13", true, "node-csr-", &with_encipherment);
    check("1.12", false, "node-csr-", &with_encipherment);
}

#[test]
fn a_synchronous_kubelet_waits_an_hour_ends_and_finds_its_request_again() {
    run(async |sim| {
        let cluster = cluster(&sim, ClusterOptions::default()).await;
        approve_nothing(&cluster).await;
        let host = kubelet_by_hand(&cluster, "n9", json!({})).await;
        sim.set_periods(PACE);
        sim.elapse(HOUR - MINUTE).await;
        let first = requests(&cluster, CLIENT, "n9").await;
        let key = host.disk().read(format!("{PKI}/kubelet-client.key.tmp")).expect("kept between the tries");
        assert_eq!((first.len(), last_words(&host), node(&cluster, "n9").await), (1, None, None));
        assert!(!host.disk().exists(KUBECONFIG), "nothing to write there yet");
        sim.elapse(2 * MINUTE).await;
        let words = "failed to run Kubelet: timed out waiting for the condition";
        assert_eq!(last_words(&host).as_deref(), Some(words));
        let second = requests(&cluster, CLIENT, "n9").await;
        let names = |list: &[std::sync::Arc<serde_json::Value>]| {
            list.iter().map(|c| c.uid().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&second), names(&first), "the same request after the restart");
        assert_eq!(host.disk().read(format!("{PKI}/kubelet-client.key.tmp")).ok(), Some(key));
        approve(&cluster, &second[0]).await;
        until_ready_is(&cluster, "n9", "True").await;
    });
}

#[test]
fn somebody_elses_request_of_that_name_is_not_taken_up() {
    run(async |sim| {
        let cluster = cluster(&sim, ClusterOptions::default()).await;
        approve_nothing(&cluster).await;
        let host = kubelet_by_hand(&cluster, "n9", json!({})).await;
        sim.elapse(MINUTE).await;
        let ours = requests(&cluster, CLIENT, "n9").await.remove(0);
        host.services().stop("kubelet").await;
        // The same name, made with another key.
        let csrs = client::Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
        let key = pki::PrivateKey::generate(pki::KeyAlgorithm::EcdsaP256).expect("a key");
        let groups = ["system:nodes".to_owned()];
        let foreign = pki::csr::Csr::create(&key, "system:node:n9", &groups, &[], &[]).expect("made");
        let rest = cluster.admin();
        rest.delete(&csrs, None, ours.name(), &client::DeleteParams::default()).await.expect("deleted");
        let mut forged = json!({"metadata": {"name": ours.name()}, "spec": ours["spec"].clone()});
        forged["spec"]["request"] = api::object::base64(foreign.as_bytes()).into();
        rest.create(&csrs, None, &forged).await.expect("created");
        host.services().start(&host, "kubelet");
        sim.elapse(MINUTE / 12).await;
        let words = "failed to run Kubelet: retrieved csr is not compatible: error validating signature new CSR against old key: x509: ECDSA verification failure";
        assert_eq!(last_words(&host).as_deref(), Some(words));
    });
}

#[test]
fn a_rotating_kubelet_asks_anew_every_quarter_of_an_hour() {
    run(async |sim| {
        let cluster = cluster(&sim, ClusterOptions::default()).await;
        approve_nothing(&cluster).await;
        let host = kubelet_by_hand(&cluster, "n9", json!({"rotateCertificates": true})).await;
        sim.set_periods(PACE);
        let count = async || requests(&cluster, CLIENT, "n9").await.len();
        sim.elapse(14 * MINUTE).await;
        assert_eq!(count().await, 1);
        for quarter in 2..=4 {
            sim.elapse(15 * MINUTE + MINUTE / 6).await;
            assert_eq!(count().await, quarter);
        }
        assert!(host.disk().exists(KUBECONFIG), "written at once, though it names nothing yet");
        assert_eq!(node(&cluster, "n9").await, None);
        // No certificate, and nobody whose answers would show that the server is well.
        assert_eq!(last_words(&host), None, "it goes on trying");
        let last = requests(&cluster, CLIENT, "n9").await.pop().expect("there");
        approve(&cluster, &last).await;
        until_ready_is(&cluster, "n9", "True").await;
    });
}

#[test]
fn an_expired_certificate_needs_the_bootstrap_file_that_is_long_gone() {
    run(async |sim| {
        let cluster = cluster(&sim, crate::common::short_lived(1)).await;
        let host = sim.host("node1");
        host.services().stop("kubelet").await;
        sim.set_periods(PACE);
        sim.elapse(25 * HOUR).await;
        sim.set_periods(world::Periods::upstream());
        let began = sim.events().len();
        host.services().start(&host, "kubelet");
        sim.elapse(MINUTE - MINUTE / 12).await;
        assert_eq!(last_words(&host).as_deref(), Some(CLASSIC));
        let events = sim.events();
        let said = |kind: &str, words: &str| {
            let mine = events[began..].iter().filter(|e| e.host == "node1" && e.kind == kind);
            mine.filter(|e| e.fields.iter().any(|(_, value)| value.contains(words))).count()
        };
        assert_eq!(said("service", CLASSIC), 6, "systemd starts it again every ten seconds");
        let why =
            "part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired:";
        assert_eq!(said("bootstrap", why), 6);
        // The token of kubeadm init has ended too; the operator makes a new one.
        cluster.kubeadm(&sim.host("cp1"), &["token", "create"]).await.expect("created");
        write_bootstrap(&cluster, &host).await;
        until_ready_is(&cluster, "node1", "True").await;
        assert!(host.disk().exists(BOOTSTRAP));
    });
}

#[test]
fn a_power_cut_right_after_the_bootstrap_costs_an_older_kubelet_its_certificate() {
    let check = |release: &str, survives: bool| {
        run(async |sim| {
            let options = ClusterOptions { nodes: 1, ..version(release) };
            let cluster = cluster(&sim, options).await;
            let host = sim.host("node1");
            host.services().stop("kubelet").await;
            sim.disk("node1").lose_unsynced();
            host.services().start(&host, "kubelet");
            sim.elapse(MINUTE).await;
            let outcome = last_words(&host);
            assert_eq!(outcome.as_deref(), (!survives).then_some(CLASSIC), "{release}");
            if survives {
                let workstation = sim.host("workstation");
                wait_for(&workstation, "the lease is renewed", async || {
                    let node = node(&cluster, "node1").await?;
                    (crate::common::ready(&node) == "True").then_some(())
                })
                .await
                .expect("in time");
            }
        });
    };
    check("1.32", false);
    check("1.33", true);
}
