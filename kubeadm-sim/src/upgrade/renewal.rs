//! The certificates that an upgrade renews: those of a component, right before it is exchanged
//! (`renewCertsByComponent` of `cmd/kubeadm/app/phases/upgrade/staticpods.go`).

use crate::{
    config::InitConfig,
    managed,
    renew::{self, Renewal},
    session::{Failure, Result, Session},
};

/// Whose certificates these are, in the order of their renewal.
fn certificates(component: &str, local_etcd: bool) -> Vec<&'static str> {
    match component {
        "etcd" if local_etcd => vec!["etcd-server", "etcd-peer", "etcd-healthcheck-client"],
        "kube-apiserver" => {
            let mut names = vec!["apiserver", "apiserver-kubelet-client", "front-proxy-client"];
            if local_etcd {
                names.push("apiserver-etcd-client");
            }
            names
        }
        "kube-controller-manager" => vec!["controller-manager.conf"],
        "kube-scheduler" => vec!["scheduler.conf"],
        _ => Vec::new(),
    }
}

/// Renews what a component uses.
///
/// # Errors
/// A certificate is not there or its authority cannot be read.
pub(super) fn component(s: &mut Session<'_>, config: &InitConfig, component: &str) -> Result<()> {
    for name in certificates(component, config.cluster.external_etcd.is_none()) {
        s.say(format!("[upgrade/staticpods] Renewing {name} certificate"));
        one(s, config, name)?;
    }
    Ok(())
}

/// Renews the administrators' own kubeconfigs, without a word when all is well.
///
/// # Errors
/// As [`component`].
pub(super) fn administrators(s: &mut Session<'_>, config: &InitConfig) -> Result<()> {
    one(s, config, "admin.conf").map_err(|e| e.within("failed to upgrade the admin.conf certificates"))?;
    // It stays with the first control plane, and people are told to put it away.
    let has = |s: &Session<'_>| s.disk().exists(crate::paths::SUPER_ADMIN_CONF);
    if s.profile.super_admin_conf() && has(s) {
        one(s, config, "super-admin.conf")
            .map_err(|e| e.within("failed to upgrade the super-admin.conf certificates"))?;
    }
    Ok(())
}

fn one(s: &mut Session<'_>, config: &InitConfig, name: &'static str) -> Result<()> {
    let external_etcd = config.cluster.external_etcd.is_some();
    let Some(row) = managed::of(s.profile, external_etcd).find(|row| row.name == name) else {
        return Err(Failure::new(format!("{name} is not a valid certificate for this cluster")));
    };
    match renew::renew(s, config, row)? {
        Renewal::Done => Ok(()),
        Renewal::External => {
            s.say(format!("[upgrade/staticpods] External CA detected, {name} certificate can't be renewed"));
            Ok(())
        }
        Renewal::Missing => {
            let path = row.path(&config.cluster.certificates_dir);
            Err(Failure::new(format!(
                "failed to load existing certificate {name}: open {path}: no such file or directory"
            )))
        }
    }
}
