//! The files that kubeadm makes for etcd, on a host's disk.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use pki::{Authority, CertSpec, KeyAlgorithm, PrivateKey};
use store::EtcdOptions;
use world::{Host, Wall};

pub const DIR: &str = "/etc/kubernetes/pki";

fn file(name: &str) -> PathBuf {
    PathBuf::from(DIR).join(name)
}

fn later(at: Wall, d: Duration) -> Wall {
    at.checked_add(d).unwrap()
}

/// An authority whose leaves live as long as they are asked to.
pub struct EtcdCa(Authority, Host);

impl EtcdCa {
    pub fn new(host: &Host) -> Self {
        let now = host.clock().wall();
        let end = later(now, Duration::from_secs(10 * 365 * 86_400));
        let names = ["etcd-ca".to_owned()];
        let ca = Authority::new_root(host.entropy(), KeyAlgorithm::EcdsaP256, "etcd-ca", &names, now, end)
            .unwrap();
        Self(ca, host.clone())
    }

    /// Writes `<name>.crt` and `<name>.key` to `on`, and the CA beside them.
    pub fn issue(&self, on: &Host, name: &str, common_name: &str, ips: Vec<IpAddr>, lives: Duration) {
        let now = self.1.clock().wall();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let spec = CertSpec {
            common_name: common_name.into(),
            organizations: Vec::new(),
            dns_names: vec!["localhost".into()],
            server_auth: !ips.is_empty(),
            ips,
            client_auth: true,
            not_before: now,
            not_after: later(now, lives),
        };
        let certificate = self.0.issue(self.1.entropy(), &spec, &key.public()).unwrap();
        let disk = on.disk();
        disk.write(file(&format!("{name}.crt")), certificate.to_pem(), 0o644).unwrap();
        disk.write(file(&format!("{name}.key")), key.to_pem(), 0o600).unwrap();
        disk.write(file("etcd/ca.crt"), self.0.certificate.to_pem(), 0o644).unwrap();
    }

    /// All that kubeadm makes for one control-plane host.
    pub fn kubeadm(&self, on: &Host, lives: Duration) {
        let ips = vec![on.net().address(), "127.0.0.1".parse().unwrap()];
        self.issue(on, "etcd/server", on.name(), ips.clone(), lives);
        self.issue(on, "etcd/peer", on.name(), ips, lives);
        self.apiserver(on, lives);
    }

    /// What an apiserver shows to etcd, on a host of its own.
    pub fn apiserver(&self, on: &Host, lives: Duration) {
        self.issue(on, "apiserver-etcd-client", "kube-apiserver-etcd-client", Vec::new(), lives);
    }
}

/// The apiserver's client with the files of [`EtcdCa::kubeadm`].
pub fn client(endpoints: Vec<String>) -> EtcdOptions {
    EtcdOptions {
        endpoints,
        ca: Some(file("etcd/ca.crt")),
        cert: Some(file("apiserver-etcd-client.crt")),
        key: Some(file("apiserver-etcd-client.key")),
        go: (1, 26),
    }
}

/// The command of kubeadm's manifest on `host`.
pub fn manifest(host: &Host) -> Vec<String> {
    let (ip, name) = (host.net().address(), host.name());
    [
        "etcd".to_owned(),
        format!("--advertise-client-urls=https://{ip}:2379"),
        format!("--cert-file={DIR}/etcd/server.crt"),
        "--client-cert-auth=true".into(),
        "--data-dir=/var/lib/etcd".into(),
        "--feature-gates=InitialCorruptCheck=true".into(),
        format!("--initial-advertise-peer-urls=https://{ip}:2380"),
        format!("--initial-cluster={name}=https://{ip}:2380"),
        format!("--key-file={DIR}/etcd/server.key"),
        format!("--listen-client-urls=https://127.0.0.1:2379,https://{ip}:2379"),
        "--listen-metrics-urls=http://127.0.0.1:2381".into(),
        format!("--listen-peer-urls=https://{ip}:2380"),
        format!("--name={name}"),
        format!("--peer-cert-file={DIR}/etcd/peer.crt"),
        "--peer-client-cert-auth=true".into(),
        format!("--peer-key-file={DIR}/etcd/peer.key"),
        format!("--peer-trusted-ca-file={DIR}/etcd/ca.crt"),
        "--snapshot-count=10000".into(),
        format!("--trusted-ca-file={DIR}/etcd/ca.crt"),
        "--watch-progress-notify-interval=5s".into(),
    ]
    .into()
}
