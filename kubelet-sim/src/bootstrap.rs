//! Which kubeconfig a starting kubelet uses, and whether it must ask for a first certificate
//! (client-go `util/certificate`, kubelet `certificate/bootstrap`: LoadClientConfig).

use pki::kubeconfig::{Kubeconfig, User};
use world::Host;

use crate::options::Options;

/// What a starting kubelet begins with.
pub(crate) struct Start {
    /// For everything once a certificate is there.
    pub config: Kubeconfig,
    /// For the request of a first certificate.
    pub request: Kubeconfig,
    /// Whether `request` are bootstrap credentials.
    pub bootstrapping: bool,
}

/// Decides, and in a bootstrap writes the kubeconfig that names the certificate to come.
pub(crate) fn load(host: &Host, options: &Options) -> Result<Start, String> {
    let disk = host.disk();
    let Some(bootstrap_path) = &options.bootstrap_kubeconfig else {
        let config = Kubeconfig::load(disk, &options.kubeconfig).map_err(|e| e.to_string())?;
        return Ok(Start { request: config.clone(), config, bootstrapping: false });
    };
    if let Ok(config) = Kubeconfig::load(disk, &options.kubeconfig) {
        match config.client_pair(disk).map(|pair| pair.map(|p| p.chain).unwrap_or_default()) {
            // Only NotAfter counts here: neither NotBefore nor whether anybody trusts it.
            Ok(chain) if !chain.is_empty() => {
                match chain.iter().find(|c| c.not_after() < host.clock().wall()) {
                    None => return Ok(Start { request: config.clone(), config, bootstrapping: false }),
                    Some(expired) => tracing::error!(
                        "part of the existing bootstrap client certificate in {} is expired: {}",
                        options.kubeconfig,
                        expired.not_after()
                    ),
                }
            }
            _ => {}
        }
    }
    if !disk.exists(bootstrap_path) {
        return Err(format!(
            "unable to load bootstrap kubeconfig: stat {bootstrap_path}: no such file or directory"
        ));
    }
    let request = Kubeconfig::load(disk, bootstrap_path)
        .map_err(|e| format!("unable to load bootstrap kubeconfig: {e}"))?;
    let current = crate::certificates::current_path(&options.cert_dir);
    let (_, cluster) = request.cluster().map_err(|e| e.to_string())?;
    let user = User::with_files(&current, &current);
    let mut config =
        Kubeconfig::with_context("default-context", "default-cluster", cluster.clone(), "default-auth", user);
    for named in &mut config.contexts {
        named.context.namespace = Some("default".into());
    }
    disk.write_unsynced(&options.kubeconfig, config.to_yaml(), 0o600).map_err(|e| e.to_string())?;
    Ok(Start { config, request, bootstrapping: true })
}
