//! The `certs` phase: every certificate and key below /etc/kubernetes/pki, as `cert_rows` lists them.
//!
//! Existing files are kept: a CA or a leaf that is there is used, even when it has expired (with a
//! warning); a leaf that its CA did not sign is refused. A CA without its key is external. The order is
//! the release's own.

use std::{net::IpAddr, time::Duration};

use api::profile::{LeafStart, Profile, console};
use pki::{Authority, CertSpec, Certificate, PrivateKey, Roots, Usage, X509Error, verify_chain};
use world::Wall;

use crate::{
    cert_rows::{AUTHORITIES, AuthorityRow, LEAVES, LeafRow, organizations},
    config::InitConfig,
    external_ca,
    paths::BACKDATE,
    phases::Parts,
    session::{Failure, Result, Session},
    subject_names::subject_names,
};

/// The phase's parts in the release's order.
pub(crate) fn parts(profile: Profile) -> Vec<&'static str> {
    profile.certificate_order().to_vec()
}

/// What a part makes.
enum Made {
    Authority(&'static AuthorityRow),
    Leaf(&'static LeafRow),
    Keys,
}

impl Made {
    fn by(part: &str) -> Self {
        let authority = AUTHORITIES.iter().find(|row| row.part == part).map(Self::Authority);
        let leaf = || LEAVES.iter().find(|row| row.part == part).map(Self::Leaf);
        authority.or_else(leaf).unwrap_or(Self::Keys)
    }

    /// The file of etcd's that it makes, and what that is.
    fn of_etcd(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Authority(row) => row.is_etcds().then_some((row.file, "certificate authority")),
            Self::Leaf(row) => (row.authority == "etcd/ca").then_some((row.file, "certificate")),
            Self::Keys => None,
        }
    }
}

/// Runs the phase.
pub(crate) fn run(s: &mut Session<'_>, config: &InitConfig, parts: &Parts) -> Result<()> {
    let dir = config.cluster.certificates_dir.clone();
    s.tell(&console::CERTS_FOLDER, &[&dir]);
    if external_ca::is_used(s, &dir) {
        s.tell(&console::EXTERNAL_CA, &[]);
        return Ok(());
    }
    for part in self::parts(s.profile).into_iter().filter(|part| parts.has(part)) {
        let made = Made::by(part);
        if config.cluster.external_etcd.is_some()
            && let Some((file, what)) = made.of_etcd()
        {
            s.tell(&console::ETCD_ELSEWHERE, &[file, what]);
            continue;
        }
        match made {
            Made::Authority(row) => make_authority(s, config, row)?,
            Made::Leaf(row) => make_leaf(s, config, row)?,
            Made::Keys => {
                s.tell(&console::CERTS_VALID_EARLY, &[&dir]);
                make_service_account_keys(s, config)?;
            }
        }
    }
    s.tell(&console::CERTS_VALID, &[&dir]);
    Ok(())
}

/// A leaf certificate before anybody signed it.
pub(crate) struct Wanted {
    pub file: &'static str,
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub ips: Vec<IpAddr>,
}

/// Every leaf that the configuration asks for, for a signer elsewhere.
pub(crate) fn wanted(s: &mut Session<'_>, config: &InitConfig) -> Result<Vec<Wanted>> {
    LEAVES
        .iter()
        .map(|row| {
            let (dns_names, ips) = subject_names(s, config, &row.sans)?;
            Ok(Wanted {
                file: row.file,
                common_name: row.name.on(&config.node_name),
                organizations: organizations((row.group)(s.profile)),
                dns_names,
                ips,
            })
        })
        .collect()
}

/// The certificates of a further control plane, from authorities that are there.
pub(crate) fn join(s: &mut Session<'_>, config: &InitConfig) -> Result<()> {
    let dir = config.cluster.certificates_dir.clone();
    s.say(format!("[certs] Using certificateDir folder {dir:?}"));
    let external = config.cluster.external_etcd.is_some();
    for authority in AUTHORITIES.iter().filter(|authority| !(external && authority.is_etcds())) {
        for leaf in LEAVES.iter().filter(|leaf| leaf.authority == authority.file) {
            make_leaf(s, config, leaf)?;
        }
    }
    s.say(format!("[certs] Valid certificates and keys now exist in {dir:?}"));
    make_service_account_keys(s, config)
}

/// The authority in `<dir>/<file>.crt` and `.key`.
pub(crate) fn load_authority(s: &Session<'_>, dir: &str, file: &str) -> Result<Authority> {
    let (crt, key) = (format!("{dir}/{file}.crt"), format!("{dir}/{file}.key"));
    let cert = s.disk().read(&crt)?;
    let key = s.disk().read(&key)?;
    Authority::from_pem(&cert, &key)
        .map_err(|e| Failure::new(format!("failure loading {file} certificate authority: {crt}: {e}")))
}

/// The first certificate of a PEM file.
pub(crate) fn first_certificate(s: &Session<'_>, path: &str) -> Result<Certificate> {
    let pem = s.disk().read(path)?;
    let mut certificates = Certificate::parse_pem(&pem)
        .map_err(|e| Failure::new(format!("couldn't load the certificate file {path}: {e}")))?;
    if certificates.is_empty() {
        return Err(Failure::new(format!(
            "couldn't load the certificate file {path}: it holds no certificate"
        )));
    }
    Ok(certificates.remove(0))
}

fn make_authority(s: &mut Session<'_>, config: &InitConfig, row: &AuthorityRow) -> Result<()> {
    let path = format!("{}/{}", config.cluster.certificates_dir, row.file);
    let (crt, key) = (format!("{path}.crt"), format!("{path}.key"));
    match (s.disk().exists(&crt), s.disk().exists(&key)) {
        (true, true) => {
            let certificate = first_certificate(s, &crt).map_err(|e| {
                e.within(&format!(
                    "failure loading {} certificate authority: failed to load certificate",
                    row.file
                ))
            })?;
            load_authority(s, &config.cluster.certificates_dir, row.file)?;
            warn_about_dates(s, row.file, &certificate);
            s.tell(&console::AUTHORITY_KEPT, &[row.file]);
            return Ok(());
        }
        (true, false) if s.profile.external_ca_is_all_or_nothing() => {
            return Err(Failure::new(format!(
                "failure loading {} certificate: failed to load key: couldn't load the private key file {key}: open \
                 {key}: no such file or directory; external CA mode needs every other certificate and the service \
                 account keys below {}",
                row.file, config.cluster.certificates_dir
            )));
        }
        (true, false) => {
            s.say(format!("[certs] Using existing {} keyless certificate authority", row.file));
            return Ok(());
        }
        (false, true) => {
            return Err(Failure::new(format!(
                "failure loading {} certificate authority: failed to load certificate: couldn't load the certificate \
                 file {crt}: open {crt}: no such file or directory; put the certificate that belongs to {key} there, \
                 or move the key away to have a new pair made",
                row.file
            )));
        }
        (false, false) => {}
    }
    s.tell(&console::CERT_BEGUN, &[row.file]);
    let from = before(s.started, s.profile.authority_backdate());
    let to = after(s.started, config.cluster.ca_validity);
    let common_name =
        if s.profile.authorities_share_a_name() { AUTHORITIES[0].common_name } else { row.common_name };
    let (algorithm, names) = (config.cluster.algorithm, [common_name.to_owned()]);
    let authority = if s.profile.authority_serial_is_zero() {
        Authority::new_root_numbered_zero(algorithm, common_name, &names, from, to)
    } else {
        Authority::new_root(s.host.entropy(), algorithm, common_name, &names, from, to)
    }
    .map_err(|e| Failure::new(format!("couldn't create the {} certificate authority: {e}", row.file)))?;
    s.disk().write(&key, authority.key().to_pem(), 0o600)?;
    s.disk().write(&crt, authority.certificate.to_pem(), 0o644)?;
    record(s, row.file, &authority.certificate);
    s.tell(&console::CERT_MADE, &[row.file]);
    Ok(())
}

fn make_leaf(s: &mut Session<'_>, config: &InitConfig, row: &LeafRow) -> Result<()> {
    let dir = &config.cluster.certificates_dir;
    let (crt, key) = (format!("{dir}/{}.crt", row.file), format!("{dir}/{}.key", row.file));
    if s.disk().exists(&crt) && s.disk().exists(&key) {
        let (leaf, authority) =
            (first_certificate(s, &crt)?, first_certificate(s, &format!("{dir}/{}.crt", row.authority))?);
        if !signed_by(&leaf, &authority) {
            return Err(Failure::new(format!(
                "[certs] certificate {} not signed by CA certificate {}",
                row.file, row.authority
            )));
        }
        if !belongs(s, &leaf, &key)? {
            return Err(Failure::new(format!(
                "[certs] certificate {crt} and key {key}: tls: private key does not match public key; move both away to \
                 have a new pair made"
            )));
        }
        warn_about_dates(s, row.file, &leaf);
        s.tell(&console::CERT_KEPT, &[row.file]);
        return Ok(());
    }
    if !s.disk().exists(format!("{dir}/{}.key", row.authority)) {
        return Err(Failure::new(format!(
            "invalid or incomplete external CA: failure loading key for {}: couldn't load the private key file {key}: \
             open {key}: no such file or directory",
            row.file
        )));
    }
    let authority = load_authority(s, dir, row.authority)?;
    s.tell(&console::CERT_BEGUN, &[row.file]);
    let (dns_names, ips) = subject_names(s, config, &row.sans)?;
    let shown: Vec<String> = ips.iter().map(IpAddr::to_string).collect();
    let names = [row.file.to_owned(), dns_names.join(" "), shown.join(" ")];
    let spec = CertSpec {
        common_name: row.name.on(&config.node_name),
        organizations: organizations((row.group)(s.profile)),
        dns_names,
        ips,
        client_auth: row.client,
        server_auth: row.server,
        not_before: leaf_not_before(s, &authority.certificate),
        not_after: after(s.started, config.cluster.leaf_validity),
    };
    let (leaf, private) = issue(s, config, &authority, row.file, &spec)?;
    s.disk().write(&key, private.to_pem(), 0o600)?;
    s.disk().write(&crt, leaf.to_pem(), 0o644)?;
    s.tell(&console::CERT_MADE, &[row.file]);
    if row.server {
        s.tell(&console::CERT_NAMES, &names.each_ref().map(String::as_str));
    }
    Ok(())
}

/// Makes a key and lets `authority` sign its certificate, which the world's trace then knows.
pub(crate) fn issue(
    s: &Session<'_>,
    config: &InitConfig,
    authority: &Authority,
    file: &str,
    spec: &CertSpec,
) -> Result<(Certificate, PrivateKey)> {
    let key = new_key(config, file)?;
    let certificate = authority
        .issue(s.host.entropy(), spec, &key.public())
        .map_err(|e| Failure::new(format!("unable to sign the certificate of {file}: {e}")))?;
    record(s, file, &certificate);
    Ok((certificate, key))
}

pub(crate) fn new_key(config: &InitConfig, file: &str) -> Result<PrivateKey> {
    PrivateKey::generate(config.cluster.algorithm)
        .map_err(|e| Failure::new(format!("unable to create the private key of {file}: {e}")))
}

pub(crate) fn leaf_not_before(s: &Session<'_>, authority: &Certificate) -> Wall {
    match s.profile.leaf_start() {
        LeafStart::AuthorityStart => authority.not_before(),
        LeafStart::Backdated => before(s.started, BACKDATE),
    }
}

/// Whether the signature holds; dates are another question, asked at a moment when the leaf is valid.
pub(crate) fn signed_by(leaf: &Certificate, authority: &Certificate) -> bool {
    let roots = Roots::new(vec![authority.clone()]);
    let verdict = verify_chain(std::slice::from_ref(leaf), &roots, leaf.not_before(), Usage::Any, None);
    !matches!(verdict, Err(X509Error::UnknownAuthority { .. }))
}

/// Whether a file holds the key of a certificate.
fn belongs(s: &Session<'_>, certificate: &Certificate, path: &str) -> Result<bool> {
    let key = PrivateKey::from_pem(&s.disk().read(path)?)
        .map_err(|e| Failure::new(format!("couldn't load the private key file {path}: {e}")))?;
    Ok(key.public() == certificate.public_key())
}

fn make_service_account_keys(s: &mut Session<'_>, config: &InitConfig) -> Result<()> {
    let path = format!("{}/sa", config.cluster.certificates_dir);
    let (key, public) = (format!("{path}.key"), format!("{path}.pub"));
    if s.disk().exists(&key) {
        s.tell(&console::KEYS_KEPT, &[]);
        return Ok(());
    }
    s.tell(&console::KEYS_BEGUN, &[]);
    let private = new_key(config, "sa")?;
    s.disk().write(&key, private.to_pem(), 0o600)?;
    // kubeadm writes the public half 0600 too.
    s.disk().write(&public, private.public().to_pem(), 0o600)?;
    s.tell(&console::KEYS_MADE, &[]);
    Ok(())
}

fn warn_about_dates(s: &mut Session<'_>, name: &str, certificate: &Certificate) {
    let (from, to) = (certificate.not_before(), certificate.not_after());
    let what = match s.started {
        now if now < from => "the certificate is not valid yet",
        now if now > to => "the certificate has expired",
        _ => return,
    };
    s.say(format!(
        "WARNING: could not validate bounds for certificate {name}: {what}: NotBefore: {from}, NotAfter: {to}"
    ));
}

fn record(s: &Session<'_>, what: &str, certificate: &Certificate) {
    if s.host.trace().is_recording() {
        let named = std::iter::once(("file", what.to_owned()));
        s.host.record("certificate", named.chain(certificate.evidence()).collect());
    }
}

fn before(at: Wall, d: Duration) -> Wall {
    at.saturating_sub(d).unwrap_or(Wall::MIN)
}

pub(crate) fn after(at: Wall, d: Duration) -> Wall {
    at.saturating_add(d).unwrap_or(Wall::MAX)
}
