//! An etcd that is not the cluster's: started before it, and still there when the cluster is killed.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use chronoplane_cli::components::{PLACE, Place};
use world::{
    Host,
    real::{Block, Real},
};

use crate::tls;

/// An etcd beside the cluster; killed when dropped.
pub struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Beside {
    /// Starts `program`, which takes etcd's flags, on `host`; gives the flags of `up` for it.
    pub fn start(mut program: Command, host: &Host, files: &Path) -> (Self, Vec<String>) {
        let pki = files.join(tls::DIR.trim_start_matches('/'));
        let url = format!("https://{}:2379", host.net().address());
        let file = |name: &str| pki.join(name).display().to_string();
        let child = program
            .arg(format!("--data-dir={}", files.join("etcd-data").display()))
            .args([format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")])
            .arg(format!("--listen-peer-urls=http://{}:2380", host.net().address()))
            .arg(format!("--initial-advertise-peer-urls=http://{}:2380", host.net().address()))
            .arg(format!("--initial-cluster=default=http://{}:2380", host.net().address()))
            .args([
                format!("--cert-file={}", file("etcd/server.crt")),
                format!("--key-file={}", file("etcd/server.key")),
            ])
            .args([format!("--trusted-ca-file={}", file("etcd/ca.crt")), "--client-cert-auth".to_owned()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let flags = [
            format!("--etcd={url}"),
            format!("--etcd-cafile={}", file("etcd/ca.crt")),
            format!("--etcd-certfile={}", file("apiserver-etcd-client.crt")),
            format!("--etcd-keyfile={}", file("apiserver-etcd-client.key")),
            // The newest whose kubeadm takes Debian's etcd.
            "--kubernetes-version=1.31".to_owned(),
        ];
        (Self(child.unwrap()), flags.into())
    }
}

/// A world with one host, whose etcd files are made.
pub fn etcd_host(root: &Path) -> (Real, Host, PathBuf) {
    let world = Real::new(root.to_owned(), Block::reserve().unwrap());
    let host = world.host("etcd1").unwrap();
    tls::EtcdCa::new(&host).kubeadm(&host, Duration::from_secs(86_400));
    (world, host, root.join("etcd1"))
}

/// Our etcd on `host`, with this machine's files.
pub fn ours(host: &Host) -> Command {
    let std::net::IpAddr::V4(address) = host.net().address() else { panic!("IPv4") };
    let place = Place { name: "etcd1".into(), address, root: "/".into() };
    let mut program = Command::new(env!("CARGO_BIN_EXE_chronoplane"));
    program.args(["etcd", "--"]).env(PLACE, serde_json::to_string(&place).unwrap());
    program
}
