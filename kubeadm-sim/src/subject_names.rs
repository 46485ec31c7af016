//! The names and addresses in the serving certificates that kubeadm makes.

use std::{collections::BTreeSet, net::IpAddr};

use api::profile::EtcdNames;

use crate::{
    config::InitConfig,
    session::{Result, Session},
};

/// Which names a certificate of the cluster carries.
pub(crate) enum Sans {
    None,
    ApiServer,
    EtcdServer,
    EtcdPeer,
}

/// The names and addresses, without repetition.
pub(crate) fn subject_names(
    s: &mut Session<'_>,
    config: &InitConfig,
    sans: &Sans,
) -> Result<(Vec<String>, Vec<IpAddr>)> {
    let (mut dns, mut ips) = (Vec::new(), Vec::new());
    match sans {
        Sans::None => return Ok((dns, ips)),
        Sans::ApiServer => {
            let domain = &config.cluster.dns_domain;
            dns.extend([
                config.node_name.clone(),
                "kubernetes".into(),
                "kubernetes.default".into(),
                "kubernetes.default.svc".into(),
                format!("kubernetes.default.svc.{domain}"),
            ]);
            ips.extend([config.cluster.service_ip(1)?, config.advertise_address]);
            let endpoint = config.cluster.control_plane_endpoint.clone();
            let host = endpoint.as_deref().map(|e| e.rsplit_once(':').map_or(e, |(host, _)| host));
            let extra = host.into_iter().map(str::to_owned).chain(config.cluster.cert_sans.iter().cloned());
            add(s, "apiserver", extra, &mut dns, &mut ips);
        }
        Sans::EtcdServer | Sans::EtcdPeer => {
            let names = s.profile.etcd_names();
            let serves_clients = matches!(sans, Sans::EtcdServer);
            // Each kind was once known only where it was asked for.
            let node = !(serves_clients && names == EtcdNames::Apart);
            let local = serves_clients || names != EtcdNames::Apart;
            let advertised = !serves_clients || names == EtcdNames::Both;
            dns.extend(node.then(|| config.node_name.clone()));
            dns.extend(local.then(|| "localhost".to_owned()));
            ips.extend(advertised.then_some(config.advertise_address));
            ips.extend(local.then_some(IpAddr::from([127, 0, 0, 1])));
            if local && names != EtcdNames::Apart {
                ips.push(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
            }
            let (file, extra) = match sans {
                Sans::EtcdServer => ("etcd/server", &config.cluster.etcd_server_sans),
                _ => ("etcd/peer", &config.cluster.etcd_peer_sans),
            };
            add(s, file, extra.iter().cloned(), &mut dns, &mut ips);
        }
    }
    if s.profile.certificate_names_as_given() {
        let mut seen = BTreeSet::new();
        dns.retain(|name| seen.insert(name.clone()));
    } else {
        dns.sort();
        dns.dedup();
    }
    let mut seen = Vec::new();
    ips.retain(|ip| {
        !seen.contains(ip) && {
            seen.push(*ip);
            true
        }
    });
    Ok((dns, ips))
}

/// Adds what the configuration asks for, each as what it is.
fn add(
    s: &Session<'_>,
    file: &str,
    extra: impl Iterator<Item = String>,
    dns: &mut Vec<String>,
    ips: &mut Vec<IpAddr>,
) {
    for name in extra {
        let bare = name.strip_prefix("*.").unwrap_or(&name);
        match name.parse() {
            Ok(ip) => ips.push(ip),
            Err(_) if api::names::dns1123_subdomain(bare).is_empty() => dns.push(name),
            Err(_) => s.say(format!(
                "[certificates] WARNING: '{name}' was not added to the '{file}' SAN, because it is not a valid IP or RFC-1123 compliant DNS entry"
            )),
        }
    }
}
