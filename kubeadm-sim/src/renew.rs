//! `kubeadm certs renew`: new certificates like the old ones, from the authorities on this host.
//!
//! Subject, names and uses are the old certificate's, not the configuration's; key and dates are new. Authorities
//! and kubelet.conf are never renewed, and nothing is restarted: running components keep what they have read.

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use pki::{Authority, CertSpec, Certificate, CertifiedKey, ExtendedUsage, kubeconfig::Kubeconfig};

use crate::{
    certs::{after, issue, leaf_not_before, load_authority},
    config::InitConfig,
    managed::{self, Managed, Place},
    session::{Failure, Result, Session},
    stored,
};

#[derive(Args)]
pub(crate) struct RenewArgs {
    /// What to renew: all, or a name that check-expiration shows
    certificate: String,
    #[command(flatten)]
    sources: stored::Sources,
}

/// Runs the command.
pub(crate) async fn run(s: &mut Session<'_>, args: RenewArgs) -> Result<()> {
    let all = args.certificate == "all";
    let renewed = |row: &&Managed| s.profile.renews_kubeconfigs() || !matches!(row.place, Place::Kubeconfig);
    let wanted = |row: &&Managed| all || row.name == args.certificate;
    let rows: Vec<&Managed> = managed::of(s.profile, false).filter(renewed).filter(wanted).collect();
    if rows.is_empty() {
        let known: Vec<&str> = managed::of(s.profile, false).map(|row| row.name).collect();
        return Err(Failure::new(format!(
            "invalid subcommand {:?}; name one of all, {}",
            args.certificate,
            known.join(", ")
        )));
    }
    let config = stored::load(s, "renew", &args.sources, true).await?;
    let external = config.cluster.external_etcd.is_some();
    let here: Vec<&str> = managed::of(s.profile, external).map(|row| row.name).collect();
    for row in rows.into_iter().filter(|row| here.contains(&row.name)) {
        let what = row.long_name;
        let words = match renew(s, &config, row)? {
            Renewal::Done => format!("{what} renewed"),
            Renewal::Missing => format!("MISSING! {what}"),
            Renewal::External => format!("Detected external {}, {what} can't be renewed", row.authority.file),
        };
        s.say(words);
    }
    if all {
        s.say(
            "\nDone renewing certificates. You must restart the kube-apiserver, kube-controller-manager, \
             kube-scheduler and etcd, so that they can use the new certificates.",
        );
    }
    Ok(())
}

/// How a renewal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    Done,
    /// There is no such certificate on this host.
    Missing,
    /// Its authority's key is kept elsewhere.
    External,
}

/// Replaces a certificate and its key.
pub(crate) fn renew(s: &Session<'_>, config: &InitConfig, row: &Managed) -> Result<Renewal> {
    let dir = &config.cluster.certificates_dir;
    if !s.disk().exists(row.path(dir)) {
        return Ok(Renewal::Missing);
    }
    let old = row.load(s, dir)?;
    if row.authority.is_external(s, dir) {
        return Ok(Renewal::External);
    }
    let authority = load_authority(s, dir, row.authority.file)
        .map_err(|e| e.within(&format!("failed to renew certificate {}", row.name)))?;
    let (certificate, key) = issue(s, config, &authority, row.name, &like(s, config, &authority, &old))?;
    match row.place {
        Place::Files(file) => {
            s.disk().write(format!("{dir}/{file}.key"), key.to_pem(), 0o600)?;
            s.disk().write(format!("{dir}/{file}.crt"), certificate.to_pem(), 0o644)?;
        }
        Place::Kubeconfig => {
            let pair = CertifiedKey::new(vec![certificate], key).map_err(|e| {
                Failure::new(format!("unable to use the new certificate of {}: {e}", row.name))
            })?;
            embed(s, &row.path(dir), &authority, &pair)?;
        }
    }
    Ok(Renewal::Done)
}

/// What to ask of the authority to get `old` again with new dates.
fn like(s: &Session<'_>, config: &InitConfig, authority: &Authority, old: &Certificate) -> CertSpec {
    let serves = |usage: &ExtendedUsage| old.usages().contains(usage);
    CertSpec {
        common_name: old.subject_cn().to_owned(),
        organizations: old.organizations().to_vec(),
        dns_names: old.dns_names().to_vec(),
        ips: old.ip_addresses().to_vec(),
        client_auth: serves(&ExtendedUsage::ClientAuth),
        server_auth: serves(&ExtendedUsage::ServerAuth),
        not_before: leaf_not_before(s, &authority.certificate),
        not_after: after(s.started, config.cluster.leaf_validity),
    }
}

/// Replaces the credentials of the kubeconfig's current user, and the authority that its cluster trusts.
fn embed(s: &Session<'_>, path: &str, authority: &Authority, pair: &CertifiedKey) -> Result<()> {
    let mut config = Kubeconfig::load(s.disk(), path)?;
    let (cluster, _) = config.cluster()?;
    let cluster = cluster.to_owned();
    let user = config.user()?.map(|(name, _)| name.to_owned()).unwrap_or_default();
    for named in config.clusters.iter_mut().filter(|named| named.name == cluster) {
        named.cluster.certificate_authority = None;
        named.cluster.certificate_authority_data = Some(STANDARD.encode(authority.certificate.to_pem()));
    }
    for named in config.users.iter_mut().filter(|named| named.name == user) {
        named.user.client_certificate = None;
        named.user.client_certificate_data = Some(STANDARD.encode(pair.chain_pem()));
        named.user.client_key = None;
        named.user.client_key_data = Some(STANDARD.encode(pair.key_pem()));
    }
    s.disk().write(path, config.to_yaml(), 0o600)?;
    Ok(())
}
