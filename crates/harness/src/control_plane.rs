//! One apiserver on a memory store, for tests that need an API and nothing else.

use std::time::Duration;

use api::profile::Profile;
use client::Rest;
use pki::{
    Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey,
    kubeconfig::{Cluster as KubeCluster, Kubeconfig, User},
};
use world::{Host, Wall};

use crate::cluster::HarnessError;

const DIR: &str = "/etc/kubernetes/pki";
const DAY: Duration = Duration::from_secs(86_400);

/// How the apiserver is set up.
#[derive(Clone, Debug)]
pub struct ControlPlaneOptions {
    /// The release that it behaves as.
    pub profile: Profile,
    /// Of all keys.
    pub algorithm: KeyAlgorithm,
    /// Validity of the certificates on disk; they end last, so that the loopback certificate is the
    /// first to die.
    pub validity: Duration,
    /// More flags of kube-apiserver, which win over ours.
    pub flags: Vec<String>,
    /// Whether the apiserver's own client checks dates: the switch of a story's proof.
    pub check_certificate_dates: bool,
}

impl Default for ControlPlaneOptions {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            algorithm: KeyAlgorithm::EcdsaP256,
            validity: DAY * 3650,
            flags: Vec::new(),
            check_certificate_dates: true,
        }
    }
}

/// A running apiserver with its administrator.
pub struct ControlPlane {
    host: Host,
    server: apiserver::Server,
    kubeconfig: Kubeconfig,
    profile: Profile,
}

impl ControlPlane {
    /// Makes certificates on `host`, starts the apiserver there and waits until it is ready.
    ///
    /// # Errors
    /// A flag was wrong, or a start-up hook failed.
    pub async fn start(host: &Host, options: ControlPlaneOptions) -> Result<Self, HarnessError> {
        let kubeconfig = write_pki(host, &options)?;
        let mut args = flags(host, options.profile);
        args.extend(options.flags);
        let mut parsed = apiserver::Options::parse(&args).map_err(HarnessError::new)?;
        parsed.key_algorithm = options.algorithm;
        parsed.check_certificate_dates = options.check_certificate_dates;
        let process = host.process("kube-apiserver");
        let server =
            apiserver::Server::start(process.host(), parsed, None).await.map_err(HarnessError::new)?;
        server.ready().await.map_err(HarnessError::new)?;
        Ok(Self { host: host.clone(), server, kubeconfig, profile: options.profile })
    }

    /// The host it runs on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The running server.
    pub fn server(&self) -> &apiserver::Server {
        &self.server
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Kubeconfig {
        &self.kubeconfig
    }

    /// An administrator's `kube::Client` that speaks from `from`.
    ///
    /// # Errors
    /// The kubeconfig does not fit (it does, unless its files were changed).
    pub fn client(&self, from: &Host) -> Result<kube::Client, HarnessError> {
        client::kube_client(from, &self.kubeconfig, self.profile.go()).map_err(HarnessError::new)
    }

    /// An administrator's JSON client that speaks from `from`.
    ///
    /// # Errors
    /// As [`ControlPlane::client`].
    pub fn admin(&self, from: &Host) -> Result<Rest, HarnessError> {
        Rest::from_kubeconfig(from, &self.kubeconfig, self.profile.go(), "kubectl").map_err(HarnessError::new)
    }
}

fn flags(host: &Host, profile: Profile) -> Vec<String> {
    vec![
        format!("--advertise-address={}", host.net().address()),
        "--authorization-mode=Node,RBAC".into(),
        format!("--client-ca-file={DIR}/ca.crt"),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--enable-bootstrap-token-auth=true".into(),
        "--secure-port=6443".into(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        format!("--service-account-key-file={DIR}/sa.pub"),
        format!("--service-account-signing-key-file={DIR}/sa.key"),
        "--service-cluster-ip-range=10.96.0.0/12".into(),
        "--storage-backend=memory".into(),
        format!("--tls-cert-file={DIR}/apiserver.crt"),
        format!("--tls-private-key-file={DIR}/apiserver.key"),
        format!("--kubernetes-version={}", profile.git_version()),
    ]
}

fn write_pki(host: &Host, options: &ControlPlaneOptions) -> Result<Kubeconfig, HarnessError> {
    let (now, entropy, disk) = (host.clock().wall(), host.entropy(), host.disk());
    let from = now.saturating_sub(Duration::from_secs(300)).unwrap_or(Wall::MIN);
    let to = now.saturating_add(options.validity).unwrap_or(Wall::MAX);
    let names = ["kubernetes".to_owned()];
    let ca = Authority::new_root(entropy, options.algorithm, "kubernetes", &names, from, to)
        .map_err(HarnessError::new)?;
    let issue =
        |common_name: &str, organizations: &[&str], server: bool| -> Result<CertifiedKey, HarnessError> {
            let key = PrivateKey::generate(options.algorithm).map_err(HarnessError::new)?;
            let spec = CertSpec {
                common_name: common_name.to_owned(),
                organizations: organizations.iter().map(|o| (*o).to_owned()).collect(),
                dns_names: if server {
                    vec!["kubernetes".into(), "kubernetes.default".into(), "localhost".into()]
                } else {
                    Vec::new()
                },
                ips: if server {
                    vec![host.net().address(), [127, 0, 0, 1].into(), [10, 96, 0, 1].into()]
                } else {
                    Vec::new()
                },
                client_auth: !server,
                server_auth: server,
                not_before: from,
                not_after: to,
            };
            let leaf = ca.issue(entropy, &spec, &key.public()).map_err(HarnessError::new)?;
            CertifiedKey::new(vec![leaf], key).map_err(HarnessError::new)
        };
    let serving = issue("kube-apiserver", &[], true)?;
    let admin = issue("kubernetes-admin", &["system:masters"], false)?;
    let accounts = PrivateKey::generate(options.algorithm).map_err(HarnessError::new)?;
    let files = [
        ("ca.crt", ca.certificate.to_pem(), 0o644),
        ("ca.key", ca.key().to_pem(), 0o600),
        ("apiserver.crt", serving.chain_pem(), 0o644),
        ("apiserver.key", serving.key_pem(), 0o600),
        ("sa.key", accounts.to_pem(), 0o600),
        ("sa.pub", accounts.public().to_pem(), 0o600),
    ];
    for (name, contents, mode) in files {
        disk.write(format!("{DIR}/{name}"), contents, mode).map_err(HarnessError::new)?;
    }
    let cluster =
        KubeCluster::new(&format!("https://{}:6443", host.net().address()), &ca.certificate.to_pem());
    Ok(Kubeconfig::new("kubernetes", cluster, "kubernetes-admin", User::with_certificate(&admin)))
}
