//! `cfssl gencert` and `cfssljson -bare`: the part of CloudFlare's toolkit with which recipes make etcd's
//! certificates, from the same JSON to the same files (`cfssl/cli/gencert`, `cmd/cfssljson`).
//!
//! ```text
//!   cfssl gencert -initca ca-csr.json                                  | cfssljson -bare ca
//!   cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json \
//!         -profile=client client.json                                  | cfssljson -bare client
//! ```
//!
//! On a host of a world the first half is [`gencert`], the second [`write_bare`].

use std::{
    collections::BTreeMap,
    io::Read as _,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use pki::{Authority, Grant, KeyAlgorithm, PrivateKey, csr::Csr, parse_usages};
use serde::{Deserialize, Serialize};
use world::{Host, Wall};

use crate::{cli::Refusal, components::Place};

/// How long cfssl's authorities live unless their request says otherwise (`csr.CAConfig`): five years.
const CA_EXPIRY: Duration = Duration::from_secs(43_800 * 3600);
/// How long before now certificates begin.
const BACKDATE: Duration = Duration::from_secs(300);

/// A certificate request (`csr.CertificateRequest`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    #[serde(rename = "CN", default)]
    common_name: String,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    key: KeyRequest,
    #[serde(default)]
    names: Vec<Name>,
    ca: Option<CaRequest>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRequest {
    algo: String,
    size: u32,
}

impl Default for KeyRequest {
    /// `csr.NewKeyRequest`.
    fn default() -> Self {
        Self { algo: "ecdsa".into(), size: 256 }
    }
}

impl KeyRequest {
    fn algorithm(&self) -> Result<KeyAlgorithm, CfsslError> {
        match (self.algo.as_str(), self.size) {
            ("rsa", 2048) => Ok(KeyAlgorithm::Rsa2048),
            ("rsa", 3072) => Ok(KeyAlgorithm::Rsa3072),
            ("rsa", 4096) => Ok(KeyAlgorithm::Rsa4096),
            ("ecdsa", 256) => Ok(KeyAlgorithm::EcdsaP256),
            ("ecdsa", 384) => Ok(KeyAlgorithm::EcdsaP384),
            (algo, size) => Err(CfsslError::Key { algo: algo.to_owned(), size }),
        }
    }
}

/// One entry of `names`. Of a subject's parts only organisations are used: Kubernetes and etcd read no others.
#[derive(Debug, Deserialize)]
struct Name {
    #[serde(rename = "O", default)]
    organization: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaRequest {
    expiry: Option<String>,
}

/// What a signer grants (`config.Config`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    signing: Signing,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signing {
    default: Option<Profile>,
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    expiry: Option<String>,
    #[serde(default)]
    usages: Vec<String>,
}

/// What `cfssl gencert` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generated {
    cert: String,
    csr: String,
    key: String,
}

/// Why nothing was generated: what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CfsslError {
    /// The command line.
    #[error(
        "{0}; this cfssl knows: gencert -initca CSRJSON, and gencert -ca=CERT -ca-key=KEY [-config=CONFIG] \
             [-profile=PROFILE] [-hostname=HOSTNAME,…] CSRJSON"
    )]
    Usage(String),
    /// A file.
    #[error(transparent)]
    Disk(#[from] world::DiskError),
    /// JSON of another form.
    #[error("{file}: {why}; write it as `cfssl print-defaults` shows")]
    Json {
        /// Where.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A key that cannot be made.
    #[error(
        "a key with algo {algo:?} and size {size} is not made here; use rsa with 2048, 3072 or 4096, or ecdsa with 256 or 384"
    )]
    Key {
        /// `algo`.
        algo: String,
        /// `size`.
        size: u32,
    },
    /// A profile that the configuration lacks.
    #[error("the configuration has no profile {name:?}; it has {known}")]
    Profile {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A duration, a usage or a certificate.
    #[error("{0}")]
    Value(String),
}

fn value(e: impl std::fmt::Display) -> CfsslError {
    CfsslError::Value(e.to_string())
}

/// The flags of one `gencert`.
#[derive(Debug, Default)]
struct Flags {
    initca: bool,
    values: BTreeMap<&'static str, String>,
    request: Option<String>,
}

impl Flags {
    const NAMES: [&'static str; 5] = ["ca", "ca-key", "config", "profile", "hostname"];

    fn parse(args: &[String]) -> Result<Self, CfsslError> {
        let usage = |why: String| CfsslError::Usage(why);
        let mut args = args.iter().map(String::as_str);
        match args.next() {
            Some("gencert") => {}
            other => return Err(usage(format!("no command {:?}", other.unwrap_or_default()))),
        }
        let mut flags = Self::default();
        while let Some(arg) = args.next() {
            // Go's flags take one dash or two. A lone dash is what cfssljson reads from, and means nothing here.
            let Some(flag) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else {
                flags.request = Some(arg.to_owned());
                continue;
            };
            let (name, given) = flag.split_once('=').map_or((flag, None), |(name, v)| (name, Some(v)));
            if name == "initca" {
                flags.initca = given.is_none_or(|v| v == "true");
                continue;
            }
            let Some(name) = Self::NAMES.iter().find(|known| **known == name) else {
                return Err(usage(format!("flag provided but not defined: -{name}")));
            };
            let Some(given) = given.or_else(|| args.next()) else {
                return Err(usage(format!("flag needs an argument: -{name}")));
            };
            flags.values.insert(name, given.to_owned());
        }
        Ok(flags)
    }

    fn needed(&self, name: &str) -> Result<&str, CfsslError> {
        let given = self.values.get(name).map(String::as_str);
        given.ok_or_else(|| {
            CfsslError::Usage(format!(
                "need a CA certificate and its key (provide with -ca, -ca-key): -{name} is not given"
            ))
        })
    }
}

/// Runs `cfssl <args>` on `host`, relative paths below `dir`.
///
/// # Errors
/// See [`CfsslError`].
pub fn gencert(host: &Host, dir: &Path, args: &[String]) -> Result<Generated, CfsslError> {
    let flags = Flags::parse(args)?;
    let Some(file) = &flags.request else {
        return Err(CfsslError::Usage("no certificate request is named".into()));
    };
    let request: Request = read_json(host, &dir.join(file))?;
    let now = host.clock().wall();
    let not_before = now.saturating_sub(BACKDATE).unwrap_or(Wall::MIN);
    let until = |expiry: Duration| not_before.saturating_add(expiry).unwrap_or(Wall::MAX);
    let key = PrivateKey::generate(request.key.algorithm()?).map_err(value)?;
    let given = flags.values.get("hostname").filter(|names| !names.is_empty());
    let hosts: Vec<String> = match given {
        Some(names) => names.split(',').map(|name| name.trim().to_owned()).collect(),
        None => request.hosts.clone(),
    };
    let (ips, dns): (Vec<String>, Vec<String>) = hosts.into_iter().partition(|h| h.parse::<IpAddr>().is_ok());
    let ips: Vec<IpAddr> = ips.iter().filter_map(|ip| ip.parse().ok()).collect();
    let csr = Csr::create(&key, &request.common_name, &request.organizations(), &dns, &ips).map_err(value)?;
    let cert = if flags.initca {
        let expiry = match request.ca.as_ref().and_then(|ca| ca.expiry.as_deref()) {
            Some(text) => duration(text)?,
            None => CA_EXPIRY,
        };
        let name = &request.common_name;
        Authority::with_key(host.entropy(), key.clone(), name, &dns, not_before, until(expiry))
            .map_err(value)?
            .certificate
    } else {
        let pair =
            [flags.needed("ca")?, flags.needed("ca-key")?].map(|file| host.disk().read(dir.join(file)));
        let [ca, ca_key] = pair;
        let authority = Authority::from_pem(&ca?, &ca_key?).map_err(value)?;
        let config = match flags.values.get("config") {
            Some(file) => Some(read_json::<Config>(host, &dir.join(file))?),
            None => None,
        };
        let (expiry, usages) = granted(config.as_ref(), flags.values.get("profile").map(String::as_str))?;
        let (key_usage, extended) = parse_usages(usages.iter().map(String::as_str)).map_err(value)?;
        let grant = Grant { key_usage, extended, not_before, not_after: until(expiry) };
        let parsed = Csr::parse(csr.as_bytes()).map_err(value)?;
        authority.sign_csr(host.entropy(), &parsed, &grant).map_err(value)?
    };
    Ok(Generated { cert: cert.to_pem(), csr, key: key.to_pem() })
}

/// Writes `<name>.pem`, `<name>-key.pem` and `<name>.csr`, as `cfssljson -bare <name>` does.
///
/// # Errors
/// The disk refuses.
pub fn write_bare(host: &Host, name: &Path, generated: &Generated) -> Result<(), CfsslError> {
    let file = |suffix: &str| {
        let mut path = name.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    };
    host.disk().write(file("-key.pem"), &generated.key, 0o600)?;
    host.disk().write(file(".pem"), &generated.cert, 0o644)?;
    host.disk().write(file(".csr"), &generated.csr, 0o644)?;
    Ok(())
}

impl Request {
    fn organizations(&self) -> Vec<String> {
        self.names.iter().map(|name| name.organization.clone()).filter(|o| !o.is_empty()).collect()
    }
}

/// How long and for what: the named profile, else the default one, else cfssl's own (a year, for everything usual).
fn granted(config: Option<&Config>, name: Option<&str>) -> Result<(Duration, Vec<String>), CfsslError> {
    const YEAR: Duration = Duration::from_secs(8760 * 3600);
    let own = || ["signing", "key encipherment", "server auth", "client auth"].map(str::to_owned).to_vec();
    let Some(config) = config else { return Ok((YEAR, own())) };
    let profiles = &config.signing.profiles;
    let default = config.signing.default.as_ref();
    let profile = match name {
        None => default,
        Some(name) => Some(profiles.get(name).ok_or_else(|| CfsslError::Profile {
            name: name.to_owned(),
            known: profiles.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })?),
    };
    let expiry = profile.and_then(|p| p.expiry.as_deref()).or_else(|| default?.expiry.as_deref());
    let usages = profile.map(|p| p.usages.clone()).filter(|usages| !usages.is_empty());
    Ok((expiry.map_or(Ok(YEAR), duration)?, usages.unwrap_or_else(own)))
}

fn duration(text: &str) -> Result<Duration, CfsslError> {
    api::duration::parse(text).map_err(|e| CfsslError::Value(format!("expiry {text:?}: {e}")))
}

fn read_json<T: for<'a> Deserialize<'a>>(host: &Host, path: &Path) -> Result<T, CfsslError> {
    let text = host.disk().read(path)?;
    serde_json::from_slice(&text)
        .map_err(|e| CfsslError::Json { file: path.display().to_string(), why: e.to_string() })
}

/// This machine, and the directory that relative paths are below.
fn here() -> Result<(Host, PathBuf), Refusal> {
    Ok((Place::of_this_process()?.host(), std::env::current_dir()?))
}

/// `chronoplane cfssl`: JSON on standard output.
///
/// # Errors
/// As [`gencert`].
pub fn main(args: &[String]) -> Result<ExitCode, Refusal> {
    let (host, dir) = here()?;
    let generated = gencert(&host, &dir, args)?;
    outln!("{}", serde_json::to_string(&generated)?);
    Ok(ExitCode::SUCCESS)
}

/// `chronoplane cfssljson -bare NAME`: files from JSON on standard input.
///
/// # Errors
/// No such JSON, or the disk refuses.
pub fn main_json(args: &[String]) -> Result<ExitCode, Refusal> {
    let names: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let bare = args.iter().any(|arg| arg == "-bare" || arg == "--bare");
    let ([name], true) = (names.as_slice(), bare) else {
        return Err(Refusal("say where to write: cfssljson -bare NAME".into()));
    };
    let mut text = String::new();
    std::io::stdin().lock().take(1 << 20).read_to_string(&mut text)?;
    let generated: Generated = serde_json::from_str(&text).map_err(|e| {
        Refusal(format!("standard input is not what cfssl prints: {e}; pipe `cfssl gencert …` into it"))
    })?;
    let (host, dir) = here()?;
    write_bare(&host, &dir.join(name), &generated)?;
    Ok(ExitCode::SUCCESS)
}
