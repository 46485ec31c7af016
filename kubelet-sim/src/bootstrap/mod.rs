//! Which credentials a starting kubelet has, and how it gets its first ones
//! (`pkg/kubelet/certificate/bootstrap`).
//!
//! | rotateCertificates | with a bootstrap kubeconfig |
//! |---|---|
//! | true, from 1.14 on | the kubeconfig is written at once and names a certificate to come, which the certificate manager requests in the background (LoadClientConfig) |
//! | false, or before 1.14 | the kubelet does not start before it has a certificate (LoadClientCert) |

mod synchronous;
mod validity;

use std::path::{Path, PathBuf};

use pki::kubeconfig::{Cluster, Kubeconfig, User};
use world::{Host, Wall};

use crate::{
    certificates::{FileStore, Purpose},
    options::Options,
};
use validity::{Verdict, judge, load};

/// What a kubelet begins with.
pub(crate) struct Start {
    /// For everything once there is a certificate.
    pub config: Kubeconfig,
    /// For requesting certificates while there is no valid one.
    pub request: Kubeconfig,
}

/// Decides, and bootstraps as far as the kubelet may not start without.
///
/// # Errors
/// The kubelet must end; upstream's words.
pub(crate) async fn prepare(host: &Host, options: &Options) -> Result<Start, String> {
    if options.rotate && !options.profile.synchronous_bootstrap() {
        return load_client_config(host, options);
    }
    if let Some(path) = &options.bootstrap_kubeconfig {
        synchronous::load_client_cert(host, options, path).await?;
    }
    let config = load(host, &options.kubeconfig).map_err(|e| format!("invalid kubeconfig: {e}"))?;
    Ok(Start { request: config.clone(), config })
}

fn load_client_config(host: &Host, options: &Options) -> Result<Start, String> {
    let current = || load(host, &options.kubeconfig).map_err(|e| format!("unable to load kubeconfig: {e}"));
    let Some(path) = &options.bootstrap_kubeconfig else {
        let config = current()?;
        tracing::info!("No bootstrapping requested, will use kubeconfig");
        return Ok(Start { request: config.clone(), config });
    };
    let store = client_store(host, options)?;
    if still_valid(host, &options.kubeconfig)? {
        let config = current()?;
        tracing::info!("Current kubeconfig file contents are still valid, no bootstrap necessary");
        return Ok(Start { request: config.clone(), config });
    }
    let request = load_bootstrap(host, path)?;
    let current = store.current_path();
    let config = write_kubeconfig(host, &request, &options.kubeconfig, (&current, &current))?;
    tracing::info!(
        "Use the bootstrap credentials to request a cert, and set kubeconfig to point to the certificate dir"
    );
    Ok(Start { config, request })
}

/// The files of the client certificate.
fn client_store(host: &Host, options: &Options) -> Result<FileStore, String> {
    let syncs = options.profile.certificate_store_syncs();
    FileStore::open(host, &options.cert_dir, Purpose::Client, None, syncs)
        .map_err(|e| format!("unable to build bootstrap cert store: {e}"))
}

/// Whether the kubeconfig can be used without a bootstrap; says why not.
fn still_valid(host: &Host, path: &str) -> Result<bool, String> {
    match judge(host, path)? {
        Verdict::Valid => Ok(true),
        Verdict::Absent => Ok(false),
        Verdict::Unusable(why) => {
            tracing::error!("{why}");
            host.record("bootstrap", vec![("kubeconfig", why)]);
            Ok(false)
        }
    }
}

fn load_bootstrap(host: &Host, path: &str) -> Result<Kubeconfig, String> {
    load(host, path).map_err(|e| format!("unable to load bootstrap kubeconfig: {e}"))
}

/// Writes the kubeconfig that names the files of certificate and key (writeKubeconfigFromBootstrapping).
fn write_kubeconfig(
    host: &Host,
    bootstrap: &Kubeconfig,
    path: &str,
    (certificate, key): (&str, &str),
) -> Result<Kubeconfig, String> {
    let (_, from) = bootstrap.cluster().map_err(|e| e.to_string())?;
    let file =
        from.certificate_authority_data.is_none().then(|| from.certificate_authority.clone()).flatten();
    let cluster = Cluster {
        certificate_authority: file.map(|f| beside(bootstrap, &f)),
        certificate_authority_data: from.certificate_authority_data.clone(),
        insecure_skip_tls_verify: from.insecure_skip_tls_verify,
        server: from.server.clone(),
        tls_server_name: None,
    };
    let user = User::with_files(certificate, key);
    let mut config =
        Kubeconfig::with_context("default-context", "default-cluster", cluster, "default-auth", user);
    for named in &mut config.contexts {
        named.context.namespace = Some("default".into());
    }
    host.disk().write_contents(path, config.to_yaml(), 0o600).map_err(|e| e.to_string())?;
    config.origin = Some(PathBuf::from(path));
    Ok(config)
}

/// A path in a kubeconfig starts at the kubeconfig's own directory.
pub(crate) fn beside(config: &Kubeconfig, file: &str) -> String {
    match config.origin.as_deref().and_then(Path::parent) {
        Some(dir) => dir.join(file).display().to_string(),
        None => file.to_owned(),
    }
}

/// A time as Go prints it.
pub(crate) fn go_time(at: Wall) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()
}
