//! What the kubelet's own port is served with.

use api::object::ObjectExt as _;
use chronoplane::{Cluster, ClusterOptions, cluster::wait_for};
use client::Resource;
use pki::{Certificate, CertifiedKey, ClientTls, Roots, csr::Csr};
use serde_json::json;
use world::{Host, Periods};

use crate::common::{
    HOUR, MINUTE, PACE, PKI, SERVING, approve, cluster, issue, reconfigure, requests, run, until_ready_is,
    version,
};

/// The certificate that a handshake with the kubelet shows, or the words of its failure. `trusting`
/// checks it as an apiserver with `--kubelet-certificate-authority` does.
async fn served(cluster: &Cluster, host: &Host, trusting: bool) -> Result<String, String> {
    let cp = cluster.sim().host("cp1");
    let mut tls = ClientTls::new(&cp, cluster.options().profile.go());
    tls = if trusting {
        tls.roots(
            Roots::from_pem(&cp.disk().read("/etc/kubernetes/pki/ca.crt").expect("there")).expect("roots"),
        )
    } else {
        tls.insecure()
    };
    let url = format!("https://{}:10250", host.net().address());
    let client = wire::HttpClient::new(&cp, &url, Some(tls)).expect("a client");
    let request = http::Request::get("/healthz").body(wire::body::empty()).expect("a request");
    client.send(request).await.map_err(|e| e.to_string())?;
    let events = cluster.sim().events();
    let shaken = events.iter().rfind(|e| {
        e.host == "cp1" && e.kind == "handshake" && e.fields.iter().any(|(_, v)| v.ends_with(":10250"))
    });
    let serial = |(name, value): &(&'static str, String)| (*name == "serial").then(|| value.clone());
    Ok(shaken.and_then(|e| e.fields.iter().find_map(serial)).expect("recorded"))
}

fn leaf(host: &Host, path: &str) -> Certificate {
    Certificate::parse_pem(&host.disk().read(path).expect("there")).expect("readable").remove(0)
}

#[chronoplane::test(nodes = 1)]
async fn by_default_the_kubelet_signs_for_itself(cluster: Cluster) {
    let host = cluster.sim().host("node1");
    let own = leaf(&host, &format!("{PKI}/kubelet.crt"));
    let stamp = own.subject_cn().strip_prefix("node1@").expect("the host's name").to_owned();
    assert_eq!(own.issuer_cn(), format!("node1-ca@{stamp}"));
    assert_eq!(own.not_after().duration_since(own.not_before()).as_hours(), 365 * 24);
    assert_eq!(host.disk().stat(format!("{PKI}/kubelet.key")).map(|s| s.mode), Some(0o600));
    assert_eq!(served(&cluster, &host, false).await, Ok(own.serial_hex()));
    let refused = served(&cluster, &host, true).await.expect_err("it names the host and nothing else");
    let ip = host.net().address();
    let words = format!("x509: cannot validate certificate for {ip} because it doesn't contain any IP SANs");
    assert!(refused.contains(&words), "{refused}");
    // Kept over a restart; half of it is no pair.
    host.services().restart(&host, "kubelet").await;
    cluster.sim().elapse(MINUTE).await;
    assert_eq!(served(&cluster, &host, false).await, Ok(own.serial_hex()));
    host.disk().remove(format!("{PKI}/kubelet.key")).expect("removed");
    host.services().restart(&host, "kubelet").await;
    cluster.sim().elapse(MINUTE / 12).await;
    let words = "failed to run Kubelet: error reading /var/lib/kubelet/pki/kubelet.key, certificate and key must be supplied as a pair";
    assert_eq!(crate::common::last_words(&host).as_deref(), Some(words));
}

#[chronoplane::test(nodes = 1)]
async fn a_requested_serving_certificate_waits_for_somebody_who_approves(cluster: Cluster) {
    let (sim, host) = (cluster.sim(), cluster.sim().host("node1"));
    let pod = json!({"metadata": {"name": "talker"}, "spec": {"containers": [
        {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", "echo hello; sleep 7d"]}]}});
    cluster.admin().create(&Resource::core("pods"), Some("default"), &pod).await.expect("created");
    reconfigure(&host, |config| config["serverTLSBootstrap"] = true.into()).await;
    sim.elapse(MINUTE).await;
    until_ready_is(&cluster, "node1", "True").await;
    let read = async || {
        let path = "/api/v1/namespaces/default/pods/talker/log";
        let (status, body) = cluster.admin().raw(http::Method::GET, path, None).await.expect("answered");
        (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
    };
    let (status, words) = read().await;
    let url = format!("https://{}:10250/containerLogs/default/talker/c", host.net().address());
    let said: serde_json::Value = serde_json::from_str(&words).expect("a Status");
    let expected = format!("Get {url:?}: remote error: tls: internal error");
    assert_eq!((status, said["message"].as_str()), (500, Some(expected.as_str())));
    let refused = sim.events();
    let why = |e: &world::Event| {
        e.host == "node1"
            && e.fields.iter().any(|(_, v)| v == "no serving certificate available for the kubelet")
    };
    assert!(refused.iter().any(why), "the kubelet knows why");
    let pending = requests(&cluster, SERVING, "node1").await;
    assert_eq!(pending.len(), 1);
    let request = Csr::parse(&api::object::unbase64(pending[0].str_at("/spec/request")).expect("base64"));
    let request = request.expect("readable");
    assert_eq!(
        (request.dns_names(), request.ips()),
        (&["node1".to_owned()][..], &[host.net().address()][..])
    );
    assert_eq!(pending[0]["spec"]["usages"], json!(["digital signature", "server auth"]));
    assert_eq!(pending[0]["spec"]["username"], "system:node:node1");
    sim.set_periods(PACE);
    sim.elapse(HOUR).await;
    sim.set_periods(Periods::upstream());
    let pending = requests(&cluster, SERVING, "node1").await;
    assert_eq!(pending.len(), 5, "a new one every quarter of an hour");
    approve(&cluster, pending.last().expect("there")).await;
    wait_for(&sim.host("workstation"), "the log can be read", async || {
        (read().await == (200, "hello\n".into())).then_some(())
    })
    .await
    .expect("in time");
    let current = leaf(&host, &format!("{PKI}/kubelet-server-current.pem"));
    assert_eq!(current.issuer_cn(), "kubernetes");
    assert_eq!(served(&cluster, &host, true).await, Ok(current.serial_hex()), "and it can be trusted");
    // Another address is another certificate: what is on disk no longer does.
    let flags = "KUBELET_KUBEADM_ARGS=\"--node-ip=10.0.0.77\"\n";
    host.disk().write("/var/lib/kubelet/kubeadm-flags.env", flags, 0o644).expect("written");
    host.services().restart(&host, "kubelet").await;
    sim.elapse(MINUTE).await;
    let newest = requests(&cluster, SERVING, "node1").await.pop().expect("there");
    let request = Csr::parse(&api::object::unbase64(newest.str_at("/spec/request")).expect("base64"));
    assert_eq!(
        request.expect("readable").ips(),
        ["10.0.0.77".parse::<std::net::IpAddr>().expect("an address")]
    );
}

#[test]
fn certificates_in_files_are_read_again_from_1_31_on() {
    let check = |release: &str, reloads: bool| {
        run(async |sim| {
            let cluster = cluster(&sim, ClusterOptions { nodes: 1, ..version(release) }).await;
            let host = sim.host("node1");
            let write = |pair: &CertifiedKey| {
                host.disk().write("/etc/kubelet/tls.crt", pair.chain_pem(), 0o644).expect("written");
                host.disk().write("/etc/kubelet/tls.key", pair.key_pem(), 0o600).expect("written");
                pair.leaf().expect("a leaf").serial_hex()
            };
            let first = write(&issue(&cluster, &host, "node1", &[]));
            reconfigure(&host, |config| {
                config["tlsCertFile"] = "/etc/kubelet/tls.crt".into();
                config["tlsPrivateKeyFile"] = "/etc/kubelet/tls.key".into();
            })
            .await;
            sim.elapse(MINUTE).await;
            assert_eq!(served(&cluster, &host, true).await, Ok(first.clone()), "{release}");
            let second = write(&issue(&cluster, &host, "node1", &[]));
            sim.elapse(MINUTE).await;
            let expected = if reloads { &second } else { &first };
            assert_eq!(served(&cluster, &host, true).await.as_ref(), Ok(expected), "{release}");
            // Half a pair is never served.
            host.disk().write("/etc/kubelet/tls.key", "", 0o600).expect("written");
            assert_eq!(served(&cluster, &host, true).await.as_ref(), Ok(expected), "{release}");
        });
    };
    check("1.30", false);
    check("1.36", true);
}
