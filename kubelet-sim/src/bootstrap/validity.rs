//! Whether a kubeconfig that is there will do, or a bootstrap is due (isClientConfigStillValid), with
//! upstream's words for each reason.

use pki::{
    Certificate, CertifiedKey,
    kubeconfig::{Kubeconfig, KubeconfigError, User},
};
use world::Host;

use super::{beside, go_time};
use crate::certificates::words_of_pair;

/// What a kubeconfig is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is none.
    Absent,
    /// It will not do, and why.
    Unusable(String),
    /// Every certificate of its chain has time left. Neither NotBefore counts nor whether anybody
    /// trusts it.
    Valid,
}

/// Looks at the kubeconfig at `path`.
///
/// # Errors
/// It is there and cannot be read: bootstrapping stops at once.
pub(super) fn judge(host: &Host, path: &str) -> Result<Verdict, String> {
    let unusable = |why: String| Ok(Verdict::Unusable(why));
    let config = match Kubeconfig::load(host.disk(), path) {
        Ok(config) => config,
        Err(KubeconfigError::Unreadable { why, .. }) if why.is_not_found() => return Ok(Verdict::Absent),
        Err(KubeconfigError::Unreadable { why, .. }) => {
            return Err(format!("error reading existing bootstrap kubeconfig {path}: {why}"));
        }
        Err(e) => {
            return unusable(format!("unable to read existing bootstrap client config from {path}: {e}"));
        }
    };
    if let Err(why) = confirm_usable(host, &config) {
        return unusable(format!("unable to read existing bootstrap client config from {path}: {why}"));
    }
    let user = match config.user() {
        Ok(user) => user.map(|(_, user)| user.clone()).unwrap_or_default(),
        Err(why) => {
            return unusable(format!(
                "unable to load transport configuration from existing bootstrap client config read from {path}: {why}"
            ));
        }
    };
    let chain = match client_chain(host, &config, &user) {
        Ok(chain) => chain,
        Err(why) => {
            return unusable(format!(
                "unable to load TLS configuration from existing bootstrap client config read from {path}: {why}"
            ));
        }
    };
    let Some(chain) = chain else {
        return unusable(format!(
            "unable to load TLS certificates from existing bootstrap client config read from {path}: data does not contain any valid RSA or ECDSA certificates"
        ));
    };
    let now = host.clock().wall();
    match chain.iter().find(|c| now > c.not_after()) {
        Some(expired) => unusable(format!(
            "part of the existing bootstrap client certificate in {path} is expired: {}",
            go_time(expired.not_after())
        )),
        None => Ok(Verdict::Valid),
    }
}

/// The client's chain; `None` when the kubeconfig has none (a token, or nothing).
fn client_chain(host: &Host, config: &Kubeconfig, user: &User) -> Result<Option<Vec<Certificate>>, String> {
    if let (None, Some(certificate), Some(key)) =
        (&user.client_certificate_data, &user.client_certificate, &user.client_key)
    {
        let read = |file: &str| host.disk().read(beside(config, file)).map_err(|e| e.to_string());
        let pair = CertifiedKey::from_pem(&read(certificate)?, &read(key)?);
        return pair.map(|pair| Some(pair.chain)).map_err(|e| words_of_pair(&e));
    }
    let pair = config.client_pair(host.disk()).map_err(|e| e.to_string())?;
    Ok(pair.map(|pair| pair.chain))
}

/// Reads a kubeconfig that must be there and whose files can be read.
///
/// # Errors
/// In clientcmd's words where it has some.
pub(super) fn load(host: &Host, path: &str) -> Result<Kubeconfig, String> {
    let config = Kubeconfig::load(host.disk(), path).map_err(|e| match e {
        KubeconfigError::Unreadable { why, .. } if why.is_not_found() => {
            format!("stat {path}: no such file or directory")
        }
        e => e.to_string(),
    })?;
    confirm_usable(host, &config)?;
    config.server().map_err(|e| e.to_string())?;
    Ok(config)
}

/// clientcmd's ConfirmUsable, as far as it looks at files.
fn confirm_usable(host: &Host, config: &Kubeconfig) -> Result<(), String> {
    let mut wrong = Vec::new();
    let mut look = |what: &str, file: &Option<String>, data: &Option<String>, of: &str| {
        let Some(file) = file.as_ref().filter(|_| data.is_none()) else { return };
        let path = beside(config, file);
        if let Err(why) = host.disk().read(&path) {
            wrong.push(format!("unable to read {what} {path} for {of} due to {why}"));
        }
    };
    if let Ok((name, cluster)) = config.cluster() {
        let (file, data) = (&cluster.certificate_authority, &cluster.certificate_authority_data);
        look("certificate-authority", file, data, name);
    }
    if let Ok(Some((name, user))) = config.user() {
        look("client-cert", &user.client_certificate, &user.client_certificate_data, name);
        look("client-key", &user.client_key, &user.client_key_data, name);
    }
    match wrong.as_slice() {
        [] => Ok(()),
        [one] => Err(format!("invalid configuration: {one}")),
        many => Err(format!("invalid configuration: [{}]", many.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use pki::{KeyAlgorithm, kubeconfig::Cluster, loopback::self_signed_server};
    use world::sim::{Config, Sim, run};

    use super::*;

    const PATH: &str = "/etc/kubernetes/kubelet.conf";
    const PEM: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

    /// The verdict on what `write` leaves, at a time after the start of the world.
    fn check(seconds: i64, write: impl FnOnce(&Host), expect: Result<Verdict, &str>) {
        let got = run(Config::default(), async |sim: Sim| {
            let host = sim.host("n1");
            write(&host);
            sim.step("n1", jiff::SignedDuration::from_secs(seconds));
            judge(&host, PATH)
        });
        assert_eq!(got.expect("a runtime"), expect.map_err(str::to_owned));
    }

    fn save(host: &Host, user: User) {
        let cluster = Cluster::new("https://10.0.0.1:6443", "");
        Kubeconfig::new("kubernetes", cluster, "u", user).save(host.disk(), PATH).expect("saved");
    }

    fn pair(host: &Host) -> CertifiedKey {
        let now = host.clock().wall();
        self_signed_server("n1", &[], &[], now, host.entropy(), KeyAlgorithm::EcdsaP256).expect("made").pair
    }

    fn unusable(words: &str) -> Result<Verdict, &str> {
        Ok(Verdict::Unusable(words.to_owned()))
    }

    #[test]
    fn each_reason_has_its_words() {
        let bad = "existing bootstrap client config from /etc/kubernetes/kubelet.conf:";
        let read_from = "from existing bootstrap client config read from /etc/kubernetes/kubelet.conf:";
        check(0, |_| {}, Ok(Verdict::Absent));
        let embedded = |host: &Host| save(host, User::with_certificate(&pair(host)));
        check(0, embedded, Ok(Verdict::Valid));
        // Made with an hour in the past, for 365 days: its last second is one of them.
        let year = 365 * 86_400 - 3600;
        check(year, embedded, Ok(Verdict::Valid));
        check(
            year + 1,
            embedded,
            unusable(
                "part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired: 2026-12-31 23:00:00 +0000 UTC",
            ),
        );
        check(-1_000_000_000, embedded, Ok(Verdict::Valid));
        check(
            0,
            |host| save(host, User::with_files(PEM, PEM)),
            unusable(&format!(
                "unable to read {bad} invalid configuration: [unable to read client-cert {PEM} for u due to open {PEM}: no such file or directory, unable to read client-key {PEM} for u due to open {PEM}: no such file or directory]"
            )),
        );
        let files = |contents: fn(&CertifiedKey) -> String| {
            move |host: &Host| {
                host.disk().write(PEM, contents(&pair(host)), 0o600).expect("written");
                save(host, User::with_files(PEM, PEM));
            }
        };
        check(0, files(|pair| pair.chain_pem() + &pair.key_pem()), Ok(Verdict::Valid));
        check(
            0,
            files(|_| String::new()),
            unusable(&format!(
                "unable to load TLS configuration {read_from} tls: failed to find any PEM data in certificate input"
            )),
        );
        check(
            0,
            files(CertifiedKey::chain_pem),
            unusable(&format!(
                "unable to load TLS configuration {read_from} tls: failed to find any PEM data in key input"
            )),
        );
        check(
            0,
            |host| save(host, User::with_token("x")),
            unusable(&format!(
                "unable to load TLS certificates {read_from} data does not contain any valid RSA or ECDSA certificates"
            )),
        );
        check(
            0,
            |host| host.disk().write(PATH, [0xff], 0o600).expect("written"),
            Err(
                "error reading existing bootstrap kubeconfig /etc/kubernetes/kubelet.conf: read /etc/kubernetes/kubelet.conf: not valid UTF-8",
            ),
        );
    }

    #[test]
    fn a_missing_bootstrap_file_is_the_classic() {
        let words = run(Config::default(), async |sim: Sim| {
            super::super::load_bootstrap(&sim.host("n1"), "/etc/kubernetes/bootstrap-kubelet.conf")
        });
        assert_eq!(
            words.expect("a runtime").map(drop),
            Err("unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory".to_owned())
        );
    }
}
