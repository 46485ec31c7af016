//! etcd's own flags, as kubeadm writes them into its manifest, and what they mean here.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{given::Given, window::Window};
use crate::Limits;

/// Flags that were understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `--name`.
    pub name: String,
    /// `--data-dir`.
    pub data_dir: PathBuf,
    /// `--listen-client-urls`.
    pub listen_client: Vec<Url>,
    /// `--advertise-client-urls`.
    pub advertise_client: Vec<String>,
    /// `--listen-peer-urls`.
    pub listen_peer: Vec<Url>,
    /// `--initial-advertise-peer-urls`.
    pub advertise_peer: Vec<String>,
    /// `--listen-metrics-urls`.
    pub listen_metrics: Vec<Url>,
    /// `--initial-cluster`: members' names and peer URLs.
    pub initial_cluster: Vec<(String, String)>,
    /// `--initial-cluster-state=existing`: the cluster is there already.
    pub existing: bool,
    /// `--initial-cluster-token`.
    pub cluster_token: String,
    /// `--cert-file`, `--key-file`, `--trusted-ca-file`, `--client-cert-auth`.
    pub client_tls: Tls,
    /// The same for peers.
    pub peer_tls: Tls,
    /// `--cipher-suites`.
    pub cipher_suites: Vec<String>,
    /// `--tls-min-version` as Kubernetes names it; empty for the default.
    pub min_tls: &'static str,
    /// `--max-request-bytes`, `--max-txn-ops`.
    pub limits: Limits,
    /// `--watch-progress-notify-interval`.
    pub progress_interval: Duration,
    /// `--auto-compaction-mode`, `--auto-compaction-retention`.
    pub window: Option<Window>,
}

/// One URL to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether it says `https`.
    pub secure: bool,
    /// The address.
    pub address: SocketAddr,
}

/// The files of one TLS side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Who signs clients' certificates.
    pub trusted_ca: Option<PathBuf>,
    /// Whether clients need one.
    pub client_cert_auth: bool,
}

/// Flags that cannot be obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// No flag of etcd's.
    #[error("unknown flag: --{flag}; this etcd takes the flags of etcd 3.6 that kubeadm writes")]
    Unknown {
        /// Its name.
        flag: String,
    },
    /// Something that is no flag.
    #[error("'{argument}' is not a valid flag; flags look like --name=value")]
    NotAFlag {
        /// What was given.
        argument: String,
    },
    /// The last flag lacks its value.
    #[error("flag needs an argument: --{flag}")]
    NoValue {
        /// Its name.
        flag: String,
    },
    /// A value that the flag does not take.
    #[error("invalid value {value:?} for flag --{flag}: {why}")]
    Value {
        /// Its name.
        flag: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A flag of etcd's that asks for what this one does not do.
    #[error("--{flag}={value} is not supported here: {instead}")]
    Unsupported {
        /// Its name.
        flag: String,
        /// The value.
        value: String,
        /// What to do.
        instead: &'static str,
    },
    /// Flags that do not go together.
    #[error("{0}")]
    Together(String),
}

impl Options {
    /// Reads the arguments, without the program's own name (a leading `etcd` is passed over).
    ///
    /// # Errors
    /// A flag that is unknown, or cannot be obeyed.
    pub fn parse(args: &[String]) -> Result<Self, UsageError> {
        let given = Given::read(args)?;
        let name = given.text("name").unwrap_or("default").to_owned();
        let urls = |flag, default: &str| given.urls(flag, default);
        let list = |flag: &str, default: String| -> Vec<String> {
            given.text(flag).map_or(default, str::to_owned).split(',').map(str::to_owned).collect()
        };
        let peers = list("initial-cluster", format!("{name}=http://localhost:2380"));
        let member = |member: String| match member.split_once('=') {
            Some((name, url)) => Ok((name.to_owned(), url.to_owned())),
            None => Err(given.bad("initial-cluster", &member, "members look like name=https://address:2380")),
        };
        let tls = |prefix: &str| {
            let file = |what: &str| given.path(&format!("{prefix}{what}"));
            Tls {
                cert: file("cert-file"),
                key: file("key-file"),
                trusted_ca: file("trusted-ca-file"),
                client_cert_auth: given.is_true(&format!("{prefix}client-cert-auth")),
            }
        };
        let defaults = Limits::default();
        let progress = "watch-progress-notify-interval";
        let experimental = "experimental-watch-progress-notify-interval";
        let this = Self {
            data_dir: given.path("data-dir").unwrap_or_else(|| format!("{name}.etcd").into()),
            listen_client: urls("listen-client-urls", "http://localhost:2379")?,
            advertise_client: list("advertise-client-urls", "http://localhost:2379".into()),
            listen_peer: urls("listen-peer-urls", "http://localhost:2380")?,
            advertise_peer: list("initial-advertise-peer-urls", "http://localhost:2380".into()),
            listen_metrics: urls("listen-metrics-urls", "")?,
            initial_cluster: peers.into_iter().map(member).collect::<Result<_, _>>()?,
            existing: given.text("initial-cluster-state") == Some("existing"),
            cluster_token: given.text("initial-cluster-token").unwrap_or("etcd-cluster").to_owned(),
            client_tls: tls(""),
            peer_tls: tls("peer-"),
            cipher_suites: given.text("cipher-suites").map_or_else(Vec::new, |text| {
                text.split(',').filter(|suite| !suite.is_empty()).map(str::to_owned).collect()
            }),
            min_tls: match given.text("tls-min-version") {
                None | Some("" | "TLS1.2") => "",
                Some("TLS1.3") => "VersionTLS13",
                Some(other) => return Err(given.bad("tls-min-version", other, "use TLS1.2 or TLS1.3")),
            },
            limits: Limits {
                request_bytes: given.number("max-request-bytes")?.unwrap_or(defaults.request_bytes),
                txn_ops: given.number("max-txn-ops")?.unwrap_or(defaults.txn_ops),
            },
            progress_interval: match given.duration(progress)? {
                Some(interval) => interval,
                None => given.duration(experimental)?.unwrap_or(Duration::from_secs(600)),
            },
            window: Window::read(&given)?,
            name,
        };
        this.check_together(&given)?;
        Ok(this)
    }

    fn check_together(&self, given: &Given) -> Result<(), UsageError> {
        let together = |why: String| Err(UsageError::Together(why));
        if given.text("listen-client-urls").is_some() && given.text("advertise-client-urls").is_none() {
            return together(
                "--advertise-client-urls is required when --listen-client-urls is set explicitly".into(),
            );
        }
        for (side, urls, tls) in
            [("", &self.listen_client, &self.client_tls), ("peer-", &self.listen_peer, &self.peer_tls)]
        {
            let files = tls.cert.is_some() && tls.key.is_some();
            if urls.iter().any(|url| url.secure) && !files {
                return together(format!("an https URL needs --{side}cert-file and --{side}key-file"));
            }
            if tls.client_cert_auth && tls.trusted_ca.is_none() {
                return together(format!("--{side}client-cert-auth needs --{side}trusted-ca-file"));
            }
        }
        if !self.initial_cluster.iter().any(|(name, _)| *name == self.name) {
            return together(format!(
                "couldn't find local name {:?} in the initial cluster configuration",
                self.name
            ));
        }
        Ok(())
    }

    /// The id of a cluster that begins with these flags: as stable as etcd's, though not the same number.
    pub(super) fn cluster_id(&self) -> u64 {
        let mut members: Vec<String> =
            self.initial_cluster.iter().map(|(name, url)| format!("{name}={url}")).collect();
        members.sort();
        id(&format!("{} {}", self.cluster_token, members.join(",")))
    }

    /// The id of one of the members that such a cluster begins with.
    pub(super) fn member_id(&self, name: &str) -> u64 {
        id(&format!("{} {name}", self.cluster_token))
    }
}

fn id(text: &str) -> u64 {
    Sha256::digest(text).iter().take(8).fold(0, |id, byte| (id << 8) | u64::from(*byte))
}

impl Url {
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (secure, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err("URL scheme must be http or https".into()),
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = rest.rsplit_once(':').ok_or("URL address does not have the form \"host:port\"")?;
        let port = port.parse().map_err(|_| format!("{port:?} is no port"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let ip = match host {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            host => host.parse().map_err(|_| format!("expected IP in URL for binding ({url})"))?,
        };
        Ok(Self { secure, address: SocketAddr::new(ip, port) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The command of kubeadm 1.36's manifest.
    const KUBEADM: &[&str] = &[
        "etcd",
        "--advertise-client-urls=https://10.0.0.2:2379",
        "--cert-file=/etc/kubernetes/pki/etcd/server.crt",
        "--client-cert-auth=true",
        "--data-dir=/var/lib/etcd",
        "--feature-gates=InitialCorruptCheck=true",
        "--initial-advertise-peer-urls=https://10.0.0.2:2380",
        "--initial-cluster=cp1=https://10.0.0.2:2380",
        "--key-file=/etc/kubernetes/pki/etcd/server.key",
        "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.2:2379",
        "--listen-metrics-urls=http://127.0.0.1:2381",
        "--listen-peer-urls=https://10.0.0.2:2380",
        "--name=cp1",
        "--peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt",
        "--peer-client-cert-auth=true",
        "--peer-key-file=/etc/kubernetes/pki/etcd/peer.key",
        "--peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
        "--snapshot-count=10000",
        "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
        "--watch-progress-notify-interval=5s",
    ];

    fn parse(args: &[&str]) -> Result<Options, UsageError> {
        Options::parse(&args.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_manifest_of_kubeadm_is_understood() {
        let options = parse(KUBEADM).unwrap();
        assert_eq!(options.name, "cp1");
        assert_eq!(options.data_dir, PathBuf::from("/var/lib/etcd"));
        let addresses: Vec<String> =
            options.listen_client.iter().map(|url| url.address.to_string()).collect();
        assert_eq!(addresses, ["127.0.0.1:2379", "10.0.0.2:2379"]);
        assert!(options.listen_client.iter().all(|url| url.secure));
        assert!(!options.listen_metrics[0].secure);
        assert!(options.client_tls.client_cert_auth && options.peer_tls.client_cert_auth);
        assert_eq!(options.progress_interval, Duration::from_secs(5));
        assert_eq!(options.initial_cluster, [("cp1".to_owned(), "https://10.0.0.2:2380".to_owned())]);
    }

    #[test]
    fn older_manifests_and_other_spellings_are_understood() {
        let old =
            ["--experimental-watch-progress-notify-interval=7s", "--experimental-initial-corrupt-check=true"];
        assert_eq!(parse(&old).unwrap().progress_interval, Duration::from_secs(7));
        assert_eq!(
            parse(&["-name", "default", "--client-cert-auth", "--trusted-ca-file", "/ca"]).unwrap().name,
            "default"
        );
        assert_eq!(parse(&[]).unwrap().data_dir, PathBuf::from("default.etcd"));
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused_by_name() {
        let rows: &[(&[&str], &str)] = &[
            (
                &["--nmae=x"],
                "unknown flag: --nmae; this etcd takes the flags of etcd 3.6 that kubeadm writes",
            ),
            (&["name"], "'name' is not a valid flag; flags look like --name=value"),
            (&["--name"], "flag needs an argument: --name"),
            (
                &["--client-cert-auth=maybe"],
                "invalid value \"maybe\" for flag --client-cert-auth: use true or false",
            ),
            (
                &["--listen-client-urls=https://etcd:2379"],
                "invalid value \"https://etcd:2379\" for flag --listen-client-urls: expected IP in URL for binding (https://etcd:2379)",
            ),
            (
                &["--listen-client-urls=http://127.0.0.1:2379"],
                "--advertise-client-urls is required when --listen-client-urls is set explicitly",
            ),
            (
                &[
                    "--listen-client-urls=https://127.0.0.1:2379",
                    "--advertise-client-urls=https://127.0.0.1:2379",
                ],
                "an https URL needs --cert-file and --key-file",
            ),
            (&["--client-cert-auth"], "--client-cert-auth needs --trusted-ca-file"),
            (
                &["--name=a", "--initial-cluster=b=http://1.1.1.1:2380"],
                "couldn't find local name \"a\" in the initial cluster configuration",
            ),
            (
                &["--auto-compaction-retention=often"],
                "invalid value \"often\" for flag --auto-compaction-retention: hours, or a duration like 30m",
            ),
            (
                &["--auto-compaction-mode=revision", "--auto-compaction-retention=1h"],
                "invalid value \"1h\" for flag --auto-compaction-retention: with --auto-compaction-mode=revision, a number of revisions",
            ),
            (
                &["--watch-progress-notify-interval=soon"],
                "invalid value \"soon\" for flag --watch-progress-notify-interval: durations look like 5s or 10m",
            ),
            (
                &["--max-request-bytes=-1"],
                "invalid value \"-1\" for flag --max-request-bytes: invalid digit found in string",
            ),
        ];
        for (args, expected) in rows {
            assert_eq!(parse(args).unwrap_err().to_string(), *expected, "{args:?}");
        }
    }
}
