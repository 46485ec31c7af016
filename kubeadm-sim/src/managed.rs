//! The certificates that `kubeadm certs` looks after, by the names that its commands take
//! (`cmd/kubeadm/app/phases/certs/renewal/manager.go`). kubelet.conf is none of them: kubelets renew themselves.

use api::profile::Profile;
use pki::{Certificate, kubeconfig::Kubeconfig};

use crate::{
    certs::first_certificate,
    paths::KUBERNETES_DIR,
    session::{Failure, Result, Session},
};

/// A certificate authority of the cluster.
pub(crate) struct ManagedAuthority {
    /// What tables call it.
    pub name: &'static str,
    /// Below the directory of certificates, without ending.
    pub file: &'static str,
}

/// Where a certificate lies.
pub(crate) enum Place {
    /// `<certificates>/<file>.crt` and `.key`.
    Files(&'static str),
    /// Embedded in the kubeconfig of its own name.
    Kubeconfig,
}

/// A certificate that can be renewed.
pub(crate) struct Managed {
    /// What commands and tables call it.
    pub name: &'static str,
    /// What sentences call it.
    pub long_name: &'static str,
    /// Where it lies.
    pub place: Place,
    /// Who signs it.
    pub authority: &'static ManagedAuthority,
    exists: fn(Profile) -> bool,
}

const CA: ManagedAuthority = ManagedAuthority { name: "ca", file: "ca" };
const ETCD_CA: ManagedAuthority = ManagedAuthority { name: "etcd-ca", file: "etcd/ca" };
const FRONT_PROXY_CA: ManagedAuthority = ManagedAuthority { name: "front-proxy-ca", file: "front-proxy-ca" };

/// Sorted by name, as the second table of `check-expiration` is.
const AUTHORITIES: &[ManagedAuthority] = &[CA, ETCD_CA, FRONT_PROXY_CA];

const fn files(
    name: &'static str,
    file: &'static str,
    authority: &'static ManagedAuthority,
    long_name: &'static str,
) -> Managed {
    Managed { name, long_name, place: Place::Files(file), authority, exists: |_| true }
}

const fn embedded(name: &'static str, long_name: &'static str, exists: fn(Profile) -> bool) -> Managed {
    Managed { name, long_name, place: Place::Kubeconfig, authority: &CA, exists }
}

/// Sorted by name.
const ROWS: &[Managed] = &[
    embedded(
        "admin.conf",
        "certificate embedded in the kubeconfig file for the admin to use and for kubeadm itself",
        |_| true,
    ),
    files("apiserver", "apiserver", &CA, "certificate for serving the Kubernetes API"),
    files(
        "apiserver-etcd-client",
        "apiserver-etcd-client",
        &ETCD_CA,
        "certificate the apiserver uses to access etcd",
    ),
    files(
        "apiserver-kubelet-client",
        "apiserver-kubelet-client",
        &CA,
        "certificate for the API server to connect to kubelet",
    ),
    embedded(
        "controller-manager.conf",
        "certificate embedded in the kubeconfig file for the controller manager to use",
        |_| true,
    ),
    files(
        "etcd-healthcheck-client",
        "etcd/healthcheck-client",
        &ETCD_CA,
        "certificate for liveness probes to healthcheck etcd",
    ),
    files("etcd-peer", "etcd/peer", &ETCD_CA, "certificate for etcd nodes to communicate with each other"),
    files("etcd-server", "etcd/server", &ETCD_CA, "certificate for serving etcd"),
    files(
        "front-proxy-client",
        "front-proxy-client",
        &FRONT_PROXY_CA,
        "certificate for the front proxy client",
    ),
    embedded(
        "scheduler.conf",
        "certificate embedded in the kubeconfig file for the scheduler manager to use",
        |_| true,
    ),
    embedded(
        "super-admin.conf",
        "certificate embedded in the kubeconfig file for the super-admin",
        Profile::super_admin_conf,
    ),
];

/// What a release looks after, sorted by name; etcd's only where it is on the control plane.
pub(crate) fn of(profile: Profile, external_etcd: bool) -> impl Iterator<Item = &'static Managed> {
    let elsewhere = move |authority: &ManagedAuthority| external_etcd && authority.name == ETCD_CA.name;
    ROWS.iter().filter(move |row| (row.exists)(profile) && !elsewhere(row.authority))
}

/// The authorities, sorted by name.
pub(crate) fn authorities(external_etcd: bool) -> impl Iterator<Item = &'static ManagedAuthority> {
    AUTHORITIES.iter().filter(move |row| !(external_etcd && row.name == ETCD_CA.name))
}

impl ManagedAuthority {
    /// Whether somebody else keeps its key: the key is not on this host.
    pub(crate) fn is_external(&self, s: &Session<'_>, dir: &str) -> bool {
        !s.disk().exists(format!("{dir}/{}.key", self.file))
    }
}

impl Managed {
    /// The file with the certificate.
    pub(crate) fn path(&self, dir: &str) -> String {
        match self.place {
            Place::Files(file) => format!("{dir}/{file}.crt"),
            Place::Kubeconfig => format!("{KUBERNETES_DIR}/{}", self.name),
        }
    }

    /// The certificate as it lies on this host.
    pub(crate) fn load(&self, s: &Session<'_>, dir: &str) -> Result<Certificate> {
        let path = self.path(dir);
        let found = match self.place {
            Place::Files(_) => first_certificate(s, &path),
            Place::Kubeconfig => embedded_certificate(s, &path),
        };
        found.map_err(|e| e.within(&format!("failed to load existing certificate {}", self.name)))
    }
}

fn embedded_certificate(s: &Session<'_>, path: &str) -> Result<Certificate> {
    let pair = Kubeconfig::load(s.disk(), path)?.client_pair(s.disk())?;
    let leaf = pair.and_then(|pair| pair.leaf().cloned());
    leaf.ok_or_else(|| {
        Failure::new(format!("kubeconfig file {path} does not have an embedded client certificate"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(minor: u16, count: usize, last: &str) {
        let names: Vec<&str> =
            of(Profile::of_minor(minor).expect("known"), false).map(|row| row.name).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!((names.len(), names.last().copied()), (count, Some(last)), "1.{minor}: {names:?}");
    }

    #[test]
    fn each_release_lists_the_files_that_it_writes() {
        check(28, 10, "scheduler.conf");
        check(29, 11, "super-admin.conf");
        check(36, 11, "super-admin.conf");
        assert!(of(Profile::default(), true).all(|row| !row.name.contains("etcd")));
        assert_eq!(authorities(true).count(), 2);
    }
}
