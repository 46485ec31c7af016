//! The certificates that a server makes for itself: the loopback client's, and the self-signed ones of
//! `--cert-dir`. One generator upstream (client-go `util/cert`), two uses.

use std::{net::IpAddr, path::Path, time::Duration};

use world::{Disk, DiskError, Entropy, Wall};

use crate::{
    Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey, Roots,
    authority::{IssueError, self_signed_serving},
    pair::PairError,
};

/// The name that the loopback client asks for.
pub const LOOPBACK_NAME: &str = "apiserver-loopback-client";

/// How the generator builds what it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One certificate that is no authority, with the number 1: the releases of 2015.
    Bare,
    /// One certificate, its own authority (up to 1.9).
    SelfSigned,
    /// A leaf and the authority that signed it, whose key is thrown away.
    CaAndLeaf,
}

/// What the generator is asked for.
#[derive(Clone, Debug)]
pub struct SelfSigned {
    /// The first name or address, and the head of the common names.
    pub host: String,
    /// Further addresses, as they come.
    pub ips: Vec<IpAddr>,
    /// Further DNS names, as they come.
    pub dns_names: Vec<String>,
    /// What is built.
    pub shape: Shape,
    /// How long before now the validity begins (1 h from 1.12 on).
    pub backdate: Duration,
    /// How long it lasts, from its beginning.
    pub max_age: Duration,
    /// The kind of keys.
    pub algorithm: KeyAlgorithm,
}

/// The generator's result.
#[derive(Clone, Debug)]
pub struct SelfSignedPair {
    /// What is served: the leaf, then the authority if there is one.
    pub pair: CertifiedKey,
    /// What a client of it trusts: the very certificates that are served.
    pub trust: Roots,
}

/// The loopback certificate of an apiserver that starts at `now`.
///
/// # Errors
/// The crypto library failed.
pub fn loopback_certificate(
    shape: Shape,
    backdate: Duration,
    max_age: Duration,
    now: Wall,
    entropy: &Entropy,
    algorithm: KeyAlgorithm,
) -> Result<SelfSignedPair, SelfSignedError> {
    let host = LOOPBACK_NAME.to_owned();
    let spec =
        SelfSigned { host, ips: Vec::new(), dns_names: Vec::new(), shape, backdate, max_age, algorithm };
    self_signed(&spec, now, entropy)
}

/// A self-signed serving certificate for `host`, further addresses and names, with today's generator:
/// authority and leaf, valid for 365 days from one hour ago. This is `apiserver.crt` of `--cert-dir`,
/// `kubelet.crt`, and what controller-manager and scheduler keep in memory.
///
/// # Errors
/// The crypto library failed.
pub fn self_signed_server(
    host: &str,
    ips: &[IpAddr],
    dns_names: &[String],
    now: Wall,
    entropy: &Entropy,
    algorithm: KeyAlgorithm,
) -> Result<SelfSignedPair, SelfSignedError> {
    let spec = SelfSigned {
        host: host.to_owned(),
        ips: ips.to_vec(),
        dns_names: dns_names.to_vec(),
        shape: Shape::CaAndLeaf,
        backdate: HOUR,
        max_age: YEAR,
        algorithm,
    };
    self_signed(&spec, now, entropy)
}

const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why the generator failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelfSignedError {
    /// Issuing.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// Putting together.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// A fixture is half there, or cannot be written.
    #[error("{0}")]
    Fixture(String),
    /// Such a validity ends after, or begins before, all time.
    #[error("the validity of the certificate does not fit the calendar")]
    Dates,
}

/// The generator.
///
/// # Errors
/// The crypto library failed, or the dates do not fit the calendar.
pub fn self_signed(
    spec: &SelfSigned,
    now: Wall,
    entropy: &Entropy,
) -> Result<SelfSignedPair, SelfSignedError> {
    let not_before = now.checked_sub(spec.backdate).map_err(|_| SelfSignedError::Dates)?;
    let not_after = not_before.checked_add(spec.max_age).map_err(|_| SelfSignedError::Dates)?;
    let (mut ips, mut dns_names) = (Vec::new(), Vec::new());
    match spec.host.parse::<IpAddr>() {
        Ok(ip) => ips.push(ip),
        Err(_) => dns_names.push(spec.host.clone()),
    }
    ips.extend(&spec.ips);
    dns_names.extend(spec.dns_names.iter().cloned());
    let stamp = now.as_second();
    let common_name = format!("{}@{stamp}", spec.host);

    let (chain, key) = match spec.shape {
        Shape::Bare | Shape::SelfSigned => {
            let key = PrivateKey::generate(spec.algorithm).map_err(IssueError::from)?;
            let (dates, number) =
                ((not_before, not_after), (spec.shape == Shape::SelfSigned).then_some(entropy));
            (vec![self_signed_serving(number, &key, &common_name, &dns_names, &ips, dates)?], key)
        }
        Shape::CaAndLeaf => {
            let ca_name = format!("{}-ca@{stamp}", spec.host);
            let ca = Authority::new_root(entropy, spec.algorithm, &ca_name, &[], not_before, not_after)?;
            let key = PrivateKey::generate(spec.algorithm).map_err(IssueError::from)?;
            let leaf = CertSpec {
                common_name,
                organizations: Vec::new(),
                dns_names,
                ips,
                client_auth: false,
                server_auth: true,
                not_before,
                not_after,
            };
            (vec![ca.issue(entropy, &leaf, &key.public())?, ca.certificate], key)
        }
    };
    let trust = Roots::new(chain.clone());
    Ok(SelfSignedPair { pair: CertifiedKey::new(chain, key)?, trust })
}

/// The generator for those who want the same pair each time (`GenerateSelfSignedCertKeyWithFixtures`): what lies in
/// `directory` under the names that are asked for is taken, and what is made is put there, good for a hundred years.
///
/// # Errors
/// As [`self_signed`], or half a pair is there, or the pair cannot be written.
pub fn self_signed_with_fixtures(
    spec: &SelfSigned,
    disk: &Disk,
    directory: &Path,
    now: Wall,
    entropy: &Entropy,
) -> Result<CertifiedKey, SelfSignedError> {
    let ips: Vec<String> = spec.ips.iter().map(ToString::to_string).collect();
    let base = format!("{}_{}_{}", spec.host, ips.join("-"), spec.dns_names.join("-"));
    let certificate = directory.join(format!("{base}.crt"));
    let key = directory.join(format!("{base}.key"));
    if let Ok(chain) = disk.read(&certificate) {
        let private = disk.read(&key).map_err(|e| {
            let (certificate, key) = (certificate.display(), key.display());
            SelfSignedError::Fixture(format!("cert {certificate} can be read, but key {key} cannot: {e}"))
        })?;
        return Ok(CertifiedKey::from_pem(&chain, &private)?);
    }
    let made = self_signed(&SelfSigned { max_age: 100 * YEAR, ..spec.clone() }, now, entropy)?.pair;
    let failed = |what: &str, e: DiskError| {
        SelfSignedError::Fixture(format!("failed to write {what} fixture to {}: {e}", certificate.display()))
    };
    disk.write(&certificate, made.chain_pem(), 0o644).map_err(|e| failed("cert", e))?;
    disk.write(&key, made.key_pem(), 0o600).map_err(|e| failed("key", e))?;
    Ok(made)
}
