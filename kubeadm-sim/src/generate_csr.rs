//! `kubeadm certs generate-csr`: keys and requests for an authority that is kept elsewhere.

use clap::Args;
use pki::{
    PrivateKey,
    csr::Csr,
    kubeconfig::{Cluster, Kubeconfig, User},
};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    certs::{self, new_key},
    config::InitConfig,
    kubeconfigs,
    paths::KUBERNETES_DIR,
    session::{Failure, Result, Session},
};

#[derive(Args)]
pub(crate) struct GenerateCsrArgs {
    /// kubeadm configuration file
    #[arg(long)]
    config: Option<String>,
    /// Where keys and requests of certificates go
    #[arg(long)]
    cert_dir: Option<String>,
    /// Where kubeconfigs and their requests go
    #[arg(long, default_value = KUBERNETES_DIR)]
    kubeconfig_dir: String,
}

/// Runs the command.
pub(crate) fn run(s: &mut Session<'_>, args: &GenerateCsrArgs) -> Result<()> {
    let mut config = InitConfig::new(s.host, s.profile);
    if let Some(path) = &args.config {
        config.apply_file(path, &s.disk().read_to_string(path)?)?;
    }
    if let Some(dir) = &args.cert_dir {
        config.cluster.certificates_dir.clone_from(dir);
    }
    certificates(s, &config)?;
    kubeconfigs(s, &config, &args.kubeconfig_dir)
}

fn certificates(s: &mut Session<'_>, config: &InitConfig) -> Result<()> {
    let dir = &config.cluster.certificates_dir;
    s.say(format!("generating keys and CSRs in {dir}"));
    for wanted in certs::wanted(s, config)? {
        let path = format!("{dir}/{}", wanted.file);
        let (key, csr) = (format!("{path}.key"), format!("{path}.csr"));
        if s.disk().exists(&key) || s.disk().exists(&csr) {
            return Err(Failure::new(format!("file already exists: key or CSR {path}")));
        }
        let private = new_key(config, wanted.file)?;
        let request = request(
            wanted.file,
            &private,
            &wanted.common_name,
            &wanted.organizations,
            &wanted.dns_names,
            &wanted.ips,
        )?;
        s.disk().write(&key, private.to_pem(), 0o600)?;
        s.disk().write(&csr, request, 0o600)?;
        s.say(format!("  {}", wanted.file));
    }
    Ok(())
}

fn kubeconfigs(s: &mut Session<'_>, config: &InitConfig, dir: &str) -> Result<()> {
    s.say(format!("generating keys and CSRs in {dir}"));
    for wanted in kubeconfigs::wanted(s.profile, config) {
        let (path, csr) = (format!("{dir}/{}", wanted.file), format!("{dir}/{}.csr", wanted.file));
        if s.disk().exists(&path) || s.disk().exists(&csr) {
            return Err(Failure::new(format!("file already exists: kubeconfig or CSR {path}")));
        }
        let private = new_key(config, wanted.file)?;
        let request = request(wanted.file, &private, &wanted.user, &wanted.organizations, &[], &[])?;
        // Whoever signs the request puts certificate and authority in.
        let user = User { client_key_data: Some(STANDARD.encode(private.to_pem())), ..User::default() };
        let cluster = Cluster { server: wanted.server, ..Cluster::default() };
        let written = Kubeconfig::new(&config.cluster.cluster_name, cluster, &wanted.user, user);
        s.disk().write(&path, written.to_yaml(), 0o600)?;
        s.disk().write(&csr, request, 0o600)?;
        s.say(format!("  {}", wanted.file));
    }
    Ok(())
}

fn request(
    file: &str,
    key: &PrivateKey,
    common_name: &str,
    organizations: &[String],
    dns_names: &[String],
    ips: &[std::net::IpAddr],
) -> Result<String> {
    Csr::create(key, common_name, organizations, dns_names, ips)
        .map_err(|e| Failure::new(format!("failure while creating the CSR of {file}: {e}")))
}
