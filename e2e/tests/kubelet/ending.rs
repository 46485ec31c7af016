//! A certificate that nobody renews: when the kubelet ends, and when it must not.

use api::object::ObjectExt as _;
use world::Periods;

use crate::common::{
    CLASSIC, HOUR, MINUTE, PACE, PKI, cluster, issue, last_words, ready, reconfigure, run, short_lived,
    stop_controllers, until_ready_is,
};

/// Signed for a day that began five minutes before.
const LIFE: std::time::Duration = std::time::Duration::from_secs(24 * 3600 - 300);

#[test]
fn without_a_signer_the_kubelet_ends_five_minutes_after_its_certificate() {
    run(async |sim| {
        let cluster = cluster(&sim, short_lived(1)).await;
        let host = sim.host("node1");
        stop_controllers(&cluster);
        sim.set_periods(PACE);
        let pem = host.disk().read(format!("{PKI}/kubelet-client-current.pem")).expect("there");
        let end = pki::Certificate::parse_pem(&pem).expect("readable")[0].not_after();
        let left = std::time::Duration::try_from(end.duration_since(host.clock().wall())).expect("ahead");
        sim.elapse(left + 5 * MINUTE - MINUTE / 6).await;
        assert_eq!(last_words(&host), None, "ten seconds before");
        sim.elapse(MINUTE / 2).await;
        let exits: Vec<String> = sim
            .events()
            .iter()
            .filter(|e| e.host == "node1" && e.kind == "service")
            .flat_map(|e| e.fields.iter().filter(|(name, _)| *name == "exit").map(|(_, words)| words.clone()))
            .collect();
        let words = "No valid client certificate is found and the server is responsive, exiting.";
        assert_eq!(exits.first().map(String::as_str), Some(words));
        sim.elapse(MINUTE / 6).await;
        assert_eq!(last_words(&host).as_deref(), Some(CLASSIC), "and the restart finds no bootstrap file");
    });
}

/// The control run: while nobody answers, ending would help nobody.
#[test]
fn without_a_server_the_kubelet_waits() {
    run(async |sim| {
        let cluster = cluster(&sim, short_lived(1)).await;
        let host = sim.host("node1");
        sim.set_periods(PACE);
        sim.elapse(12 * HOUR).await;
        sim.cut("node1", "cp1");
        sim.elapse(LIFE - 12 * HOUR + 2 * HOUR).await;
        assert_eq!(last_words(&host), None);
        let token = cluster.kubeadm(&sim.host("cp1"), &["token", "list"]).await.expect("listed");
        assert!(!token.contains("authentication"), "the bootstrap token has ended: {token}");
        sim.heal("node1", "cp1");
        sim.set_periods(Periods::upstream());
        sim.elapse(10 * MINUTE).await;
        assert_eq!(last_words(&host).as_deref(), Some(CLASSIC), "now the server answers: 401");
    });
}

#[test]
fn a_full_disk_keeps_the_old_certificate_until_there_is_room() {
    run(async |sim| {
        let cluster = cluster(&sim, short_lived(1)).await;
        let host = sim.host("node1");
        let current = || host.disk().read_link(format!("{PKI}/kubelet-client-current.pem")).expect("a link");
        let first = current();
        sim.disk("node1").set_full(true);
        sim.set_periods(PACE);
        sim.elapse(22 * HOUR).await;
        let unkept =
            "Unable to store the new cert/key pair: could not open \"/var/lib/kubelet/pki/kubelet-client-";
        let told = sim.events();
        let told = told.iter().filter(|e| e.host == "node1" && e.kind == "csr");
        let told = told.filter(|e| {
            e.fields.iter().any(|(_, v)| v.starts_with(unkept) && v.ends_with("no space left on device"))
        });
        assert!(told.count() > 10, "every 32 seconds since the deadline");
        let (_, metrics) = cluster
            .admin()
            .raw(http::Method::GET, "/api/v1/nodes/node1/proxy/metrics", None)
            .await
            .expect("answered");
        let metrics = String::from_utf8_lossy(&metrics).into_owned();
        let name = "kubelet_certificate_manager_client_expiration_renew_errors ";
        let errors = metrics.lines().find_map(|line| line.strip_prefix(name)).expect("a counter");
        assert!(errors.parse::<u64>().expect("a number") > 10, "{errors}");
        assert!(!metrics.contains("kubelet_server_expiration_renew_errors"), "nobody renews that one");
        assert_eq!(current(), first);
        let files = host.disk().list(PKI).expect("listed");
        assert_eq!(files.iter().filter(|f| f.starts_with("kubelet-client-20")).count(), 1, "{files:?}");
        sim.disk("node1").set_full(false);
        sim.elapse(MINUTE).await;
        assert_ne!(current(), first, "the next try succeeds");
        sim.elapse(3 * HOUR).await;
        sim.set_periods(Periods::upstream());
        sim.elapse(2 * MINUTE).await;
        let node = until_ready_is(&cluster, "node1", "True").await;
        assert_eq!((ready(&node), node.name()), ("True", "node1"), "after the old one has ended");
    });
}

/// Without rotation somebody else may replace the file; the kubelet looks every five minutes.
#[test]
fn a_file_that_is_replaced_by_hand_is_read_within_five_minutes() {
    run(async |sim| {
        let cluster = cluster(&sim, short_lived(1)).await;
        let host = sim.host("node1");
        reconfigure(&host, |config| config["rotateCertificates"] = false.into()).await;
        sim.elapse(MINUTE).await;
        let closed = || {
            let events = sim.events();
            let ours = events.iter().filter(|e| e.host == "node1" && e.kind == "client");
            ours.filter(|e| e.fields.contains(&("connections", "closed".into()))).count()
        };
        // The bootstrap of the kubelet that still rotated closed some too.
        let before = closed();
        let pair = issue(&cluster, &host, "system:node:node1", &["system:nodes"]);
        let file = host.disk().read_link(format!("{PKI}/kubelet-client-current.pem")).expect("a link");
        host.disk().write(file, pair.chain_pem() + &pair.key_pem(), 0o600).expect("written");
        sim.elapse(5 * MINUTE + MINUTE / 6).await;
        assert_eq!(closed(), before + 1);
        sim.elapse(11 * MINUTE).await;
        assert_eq!(closed(), before + 1, "only when it changed");
        sim.set_periods(PACE);
        sim.elapse(25 * HOUR).await;
        sim.set_periods(Periods::upstream());
        sim.elapse(5 * MINUTE).await;
        let node = until_ready_is(&cluster, "node1", "True").await;
        assert_eq!(ready(&node), "True", "the first certificate has ended, the second has not");
    });
}
