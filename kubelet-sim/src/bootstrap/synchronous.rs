//! The first certificate of a kubelet that does not start without one (LoadClientCert): its request
//! has a name that is found again after a restart.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::Rest;
use pki::{
    Certificate, CertifiedKey, KeyAlgorithm, KeyError, PrivateKey, csr::digested_name, kubeconfig::Kubeconfig,
};
use world::{Entropy, Gear, Host};

use super::{client_store, load_bootstrap, still_valid, write_kubeconfig};
use crate::{
    certificates::{Ask, Purpose, Template, issued, submit},
    options::Options,
};

/// Kept between two tries, so that the request's name stays the same.
const KEY_FILE: &str = "kubelet-client.key.tmp";
/// How long a server is waited for that is not well, between two looks, and for one answer.
const SERVER_WAIT: Duration = Duration::from_secs(60);
const SERVER_POLL: Duration = Duration::from_secs(2);
const SERVER_TIMEOUT: Duration = Duration::from_secs(1);
/// `[0] prime256v1` (1.2.840.10045.3.1.7).
const P256: &[u8] = &[0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// How long the certificate is waited for; then the kubelet ends.
const WAIT: Duration = Duration::from_secs(3600);

/// Returns when the kubeconfig at `options.kubeconfig` can be used, after a bootstrap if need be.
///
/// # Errors
/// The kubelet must end; upstream's words.
pub(super) async fn load_client_cert(host: &Host, options: &Options, bootstrap: &str) -> Result<(), String> {
    let unseen = options.profile.kubeconfig_taken_unseen() && host.disk().exists(&options.kubeconfig);
    if unseen || still_valid(host, &options.kubeconfig)? {
        tracing::info!(path = options.kubeconfig, "Kubeconfig exists and is valid, skipping bootstrap");
        return Ok(());
    }
    tracing::info!("Using bootstrap kubeconfig to generate TLS client cert, key and kubeconfig file");
    let bootstrap = load_bootstrap(host, bootstrap)?;
    let rest = client_of(host, options, &bootstrap)?;
    let store = client_store(host, options)?;
    let (plain, (certificate_path, plain_key)) =
        (options.profile.plain_client_certificate(), store.plain_paths());
    let key_path = if plain { plain_key } else { format!("{}/{KEY_FILE}", options.cert_dir) };
    // A file that cannot be read is as good as none. Where the two are apart nobody looks at what rotation left.
    let key = match store.current() {
        Ok(Some(pair)) if !plain => pair.key,
        Ok(_) | Err(_) => {
            tracing::info!(
                "No valid private key and/or certificate found, reusing existing private key or creating a new one"
            );
            load_or_generate(host, &key_path)?
        }
    };
    if let Err(e) = wait_for_server(host, &rest).await {
        tracing::info!("Error waiting for apiserver to come up: {e}");
    }
    let pem = request(host, options, &rest, &key).await?;
    let chain = Certificate::parse_pem(&pem).map_err(|e| format!("invalid certificate data: {e}"))?;
    let pair = CertifiedKey::new(chain, key).map_err(|e| e.to_string())?;
    if plain {
        store.keep_plain(&pair).map_err(|e| e.to_string())?;
        let files = (certificate_path.as_str(), key_path.as_str());
        return write_kubeconfig(host, &bootstrap, &options.kubeconfig, files).map(drop);
    }
    store.update(&pair).map_err(|e| e.to_string())?;
    if let Err(why) = host.disk().remove(&key_path)
        && !why.is_not_found()
    {
        tracing::info!(path = key_path, "Failed cleaning up private key file: {why}");
    }
    let current = store.current_path();
    write_kubeconfig(host, &bootstrap, &options.kubeconfig, (&current, &current)).map(drop)
}

fn client_of(host: &Host, options: &Options, bootstrap: &Kubeconfig) -> Result<Rest, String> {
    Rest::from_kubeconfig(host, bootstrap, options.profile.go(), &options.user_agent())
        .map_err(|e| format!("unable to create certificates signing request client: {e}"))
}

fn load_or_generate(host: &Host, path: &str) -> Result<PrivateKey, String> {
    match host.disk().read(path) {
        Ok(pem) => {
            return PrivateKey::from_pem(&pem)
                .map_err(|e| format!("error loading key from {path}: {e}; remove the file to begin anew"));
        }
        Err(e) if !e.is_not_found() => return Err(format!("error loading key from {path}: {e}")),
        Err(_) => {}
    }
    let key = match host.gear() {
        Gear::Simulated => seeded_key(host.entropy()),
        Gear::Real => PrivateKey::generate(KeyAlgorithm::EcdsaP256),
    };
    let key = key.map_err(|e| format!("error generating key: {e}"))?;
    host.disk().write(path, key.to_pem(), 0o600).map_err(|e| format!("error writing key to {path}: {e}"))?;
    Ok(key)
}

/// A key of the host's own chance. The name of the request is a digest of it, and names are in the trace: elsewhere keys
/// need not be the same each time, and cannot be, for the crypto library takes no seed.
fn seeded_key(entropy: &Entropy) -> Result<PrivateKey, KeyError> {
    let mut secret = [0; 32];
    entropy.fill(&mut secret);
    // Below the order of the group, which begins with ones.
    secret[0] &= 0x7f;
    // ECPrivateKey (RFC 5915): version 1, the number, the curve P-256; the public key is reckoned from it.
    let der = [[0x30, 0x31, 2, 1, 1, 4, 0x20].as_slice(), &secret, P256].concat();
    let text =
        format!("-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n", STANDARD.encode(der));
    PrivateKey::from_pem(text.as_bytes())
}

async fn wait_for_server(host: &Host, rest: &Rest) -> Result<(), String> {
    let rest = rest.with_timeout(SERVER_TIMEOUT);
    let well = async {
        loop {
            match rest.raw(http::Method::GET, "/healthz", None).await {
                Ok((status, _)) if status.is_success() => return,
                Ok((status, body)) => {
                    let said = String::from_utf8_lossy(&body).into_owned();
                    tracing::info!("Failed to connect to apiserver: {status}: {said}");
                }
                Err(e) => tracing::info!("Failed to connect to apiserver: {e}"),
            }
            host.clock().sleep(host.entropy().jitter(SERVER_POLL, 0.2)).await;
        }
    };
    let waited = host.clock().timeout(SERVER_WAIT, well).await;
    waited.map_err(|_| "timed out waiting to connect to apiserver".to_owned())
}

async fn request(host: &Host, options: &Options, rest: &Rest, key: &PrivateKey) -> Result<Vec<u8>, String> {
    let template = Template::client(&options.node_name);
    let usages = Purpose::Client.usages(options.profile, key);
    let name = name(options, &template, &usages, key);
    let ask = Ask {
        host,
        rest,
        name: Some(&name),
        purpose: Purpose::Client,
        template: &template,
        usages: &usages,
        key,
    };
    let submitted = submit(&ask).await.map_err(|e| e.to_string())?;
    tracing::info!("Waiting for client certificate to be issued");
    issued(host, rest, &submitted, WAIT).await.map_err(|e| e.to_string())
}

fn name(options: &Options, template: &Template, usages: &[&str], key: &PrivateKey) -> String {
    let pem = key.to_pem();
    let public = key.public();
    let about =
        if options.profile.csr_name_hashes_private_key() { pem.as_bytes() } else { public.spki_der() };
    digested_name(about, &template.common_name, &template.organizations, usages)
}

#[cfg(test)]
mod tests {
    use api::profile::Profile;

    use super::*;

    #[test]
    fn a_seeded_key_is_the_seeds() {
        let key = |seed| seeded_key(&Entropy::seeded(seed, "n1")).expect("a key").to_pem();
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
        let again = PrivateKey::from_pem(key(1).as_bytes()).expect("readable");
        assert_eq!(again.to_pem(), key(1), "with its public half");
    }

    #[test]
    fn the_name_depends_on_key_subject_and_usages() {
        let key = || PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let (a, b) = (key(), key());
        let at = |minor, key: &PrivateKey, node: &str| {
            let options =
                Options { profile: Profile::of_minor(minor).expect("known"), ..Options::for_tests() };
            let usages = Purpose::Client.usages(options.profile, key);
            name(&options, &Template::client(node), &usages, key)
        };
        let first = at(36, &a, "n1");
        assert_eq!(at(36, &a, "n1"), first, "the same every time");
        assert_eq!(first.len(), "node-csr-".len() + 43, "{first}");
        for (other, why) in [
            (at(36, &b, "n1"), "another key"),
            (at(36, &a, "n2"), "another node"),
            (at(26, &a, "n1"), "key encipherment is asked for too"),
        ] {
            assert_ne!(other, first, "{why}");
        }
        assert_ne!(at(12, &a, "n1"), at(13, &a, "n1"), "the private key's text was hashed");
    }
}
