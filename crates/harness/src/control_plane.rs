//! One apiserver on a memory store, with controllers if they are asked for: for tests that need an API and no nodes.

use std::time::Duration;

use api::profile::Profile;
use client::Rest;
use kube::api::DynamicObject;
use pki::{
    Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey,
    kubeconfig::{Cluster as KubeCluster, Kubeconfig, User},
};
use serde_json::Value;
use world::{Gear, Host, Wall};

use crate::{
    Faults, Identity, IntoCondition, Manifests, Target,
    administrator::{Administrator, PATIENCE},
    cluster::HarnessError,
};

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
    /// Whether kube-controller-manager and kube-scheduler run too: garbage is collected, namespaces end, deployments get
    /// their pods, which no node runs.
    pub controllers: bool,
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
            controllers: false,
            flags: Vec::new(),
            check_certificate_dates: true,
        }
    }
}

/// A running apiserver with its administrator.
pub struct ControlPlane {
    host: Host,
    server: apiserver::Server,
    administrator: Administrator,
}

impl ControlPlane {
    /// Makes certificates on `host`, starts the apiserver there and waits until it is ready. Clients speak from there,
    /// too.
    ///
    /// # Errors
    /// A flag was wrong, or a start-up hook failed.
    pub async fn start(host: &Host, options: ControlPlaneOptions) -> Result<Self, HarnessError> {
        Self::start_before(host, host, options).await
    }

    /// As [`ControlPlane::start`], with clients on a host of their own: what happens to the clock of one is not the
    /// other's.
    ///
    /// # Errors
    /// As there.
    pub async fn start_before(
        host: &Host,
        workstation: &Host,
        options: ControlPlaneOptions,
    ) -> Result<Self, HarnessError> {
        let issuer = Issuer::new(host, &options)?;
        let kubeconfig = issuer.kubeconfig("kubernetes-admin", &["system:masters"])?;
        issuer.write_files()?;
        let mut args = flags(host, &options);
        args.extend(options.flags.iter().cloned());
        let mut parsed = apiserver::Options::parse(&args).map_err(HarnessError::new)?;
        parsed.key_algorithm = options.algorithm;
        parsed.check_certificate_dates = options.check_certificate_dates;
        let process = host.process("kube-apiserver");
        let server =
            apiserver::Server::start(process.host(), parsed, None).await.map_err(HarnessError::new)?;
        server.ready().await.map_err(HarnessError::new)?;
        let administrator = Administrator::new(workstation, host, &kubeconfig, options.profile)?;
        let plane = Self { host: host.clone(), server, administrator };
        if options.controllers {
            start_controllers(host, &issuer, options.profile)?;
            // The first sign that they work, and what every pod needs.
            plane.wait_for("serviceaccount/default", "create").await?;
        }
        Ok(plane)
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
        self.administrator.kubeconfig()
    }

    /// The administrator's `kube::Client`.
    ///
    /// # Errors
    /// The kubeconfig does not fit (it does, unless its files were changed).
    pub fn client(&self) -> Result<kube::Client, HarnessError> {
        self.administrator.client_from(self.administrator.workstation())
    }

    /// An administrator's `kube::Client` that speaks from another host.
    ///
    /// # Errors
    /// As [`ControlPlane::client`].
    pub fn client_from(&self, host: &Host) -> Result<kube::Client, HarnessError> {
        self.administrator.client_from(host)
    }

    /// Somebody else's `kube::Client`.
    ///
    /// # Errors
    /// The control plane's authority cannot be read, or has ended.
    pub fn client_as(&self, identity: &Identity) -> Result<kube::Client, HarnessError> {
        self.administrator.client_as(identity)
    }

    /// The administrator's `kube::Client`, some of whose requests go wrong.
    ///
    /// # Errors
    /// As [`ControlPlane::client`].
    pub fn faulty_client(&self, faults: &Faults) -> Result<kube::Client, HarnessError> {
        self.administrator.faulty_administrator(faults)
    }

    /// An administrator's JSON client that speaks from `from`.
    ///
    /// # Errors
    /// As [`ControlPlane::client`].
    pub fn admin(&self, from: &Host) -> Result<Rest, HarnessError> {
        let profile = self.administrator.profile();
        Rest::from_kubeconfig(from, self.kubeconfig(), profile.go(), "kubectl").map_err(HarnessError::new)
    }

    /// Applies objects as `kubectl apply --server-side --force-conflicts` does, and waits until definitions among them
    /// are established. Returns the objects as stored.
    ///
    /// # Errors
    /// The server refuses one; says which, and where it is from.
    pub async fn apply(&self, manifests: &Manifests) -> Result<Vec<DynamicObject>, HarnessError> {
        self.administrator.apply(manifests).await
    }

    /// Waits until the object is as `condition` says: `wait_for("configmap/web", "create")`. Returns it; null if it is
    /// gone.
    ///
    /// # Errors
    /// Not within five minutes: what was waited for, what was seen last, and when.
    pub async fn wait_for(
        &self,
        target: impl Into<Target>,
        condition: impl IntoCondition,
    ) -> Result<Value, HarnessError> {
        self.wait_for_within(target, condition, PATIENCE).await
    }

    /// As [`ControlPlane::wait_for`], for another time than five minutes.
    ///
    /// # Errors
    /// Not within that time.
    pub async fn wait_for_within(
        &self,
        target: impl Into<Target>,
        condition: impl IntoCondition,
        at_most: Duration,
    ) -> Result<Value, HarnessError> {
        self.administrator.wait_for(&target.into(), &condition.into_condition()?, at_most).await
    }

    /// Time passes, and every timer on the way fires. In the real gear it does so by itself.
    ///
    /// # Errors
    /// This is the real gear.
    pub async fn elapse(&self, d: Duration) -> Result<(), HarnessError> {
        match self.host.gear() {
            Gear::Simulated => {
                self.administrator.workstation().clock().sleep(d).await;
                Ok(())
            }
            Gear::Real => Err(HarnessError::new(format!(
                "in the real gear nothing makes {d:?} pass sooner; take the simulated one (#[chronoplane::test]), or set \
                 a wall clock with Real::step"
            ))),
        }
    }
}

fn flags(host: &Host, options: &ControlPlaneOptions) -> Vec<String> {
    let mut flags = vec![
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
        format!("--kubernetes-version={}", options.profile.git_version()),
    ];
    if !options.controllers {
        // Nobody makes the accounts that it wants pods to have.
        flags.push("--disable-admission-plugins=ServiceAccount".into());
    }
    flags
}

/// Starts kube-controller-manager and kube-scheduler as kubeadm's manifests have them.
fn start_controllers(host: &Host, issuer: &Issuer<'_>, profile: Profile) -> Result<(), HarnessError> {
    let config = |name: &str| -> Result<String, HarnessError> {
        let path = format!("/etc/kubernetes/{name}.conf");
        let config = issuer.kubeconfig(&format!("system:kube-{name}"), &[])?;
        config.save(host.disk(), &path).map_err(HarnessError::new)?;
        Ok(path)
    };
    let version = format!("--kubernetes-version={}", profile.git_version());
    let manager = vec![
        format!("--kubeconfig={}", config("controller-manager")?),
        format!("--cluster-signing-cert-file={DIR}/ca.crt"),
        format!("--cluster-signing-key-file={DIR}/ca.key"),
        "--controllers=*,bootstrapsigner,tokencleaner".into(),
        format!("--root-ca-file={DIR}/ca.crt"),
        format!("--service-account-private-key-file={DIR}/sa.key"),
        "--use-service-account-credentials=true".into(),
        "--leader-elect=false".into(),
        version.clone(),
    ];
    let scheduler =
        vec![format!("--kubeconfig={}", config("scheduler")?), "--leader-elect=false".into(), version];
    let process = host.process("kube-controller-manager");
    process.host().spawn(controllers::manager::run(process.host().clone(), manager));
    let process = host.process("kube-scheduler");
    process.host().spawn(controllers::scheduler::run(process.host().clone(), scheduler));
    Ok(())
}

/// The control plane's authority, and what it issues.
struct Issuer<'a> {
    host: &'a Host,
    algorithm: KeyAlgorithm,
    authority: Authority,
    from: Wall,
    to: Wall,
}

impl<'a> Issuer<'a> {
    fn new(host: &'a Host, options: &ControlPlaneOptions) -> Result<Self, HarnessError> {
        let now = host.clock().wall();
        let from = now.saturating_sub(Duration::from_secs(300)).unwrap_or(Wall::MIN);
        let to = now.saturating_add(options.validity).unwrap_or(Wall::MAX);
        let (algorithm, names) = (options.algorithm, ["kubernetes".to_owned()]);
        let authority = Authority::new_root(host.entropy(), algorithm, "kubernetes", &names, from, to)
            .map_err(HarnessError::new)?;
        Ok(Self { host, algorithm, authority, from, to })
    }

    fn issue(
        &self,
        common_name: &str,
        organizations: &[&str],
        server: bool,
    ) -> Result<CertifiedKey, HarnessError> {
        let key = PrivateKey::generate(self.algorithm).map_err(HarnessError::new)?;
        let mut spec = CertSpec {
            common_name: common_name.to_owned(),
            organizations: organizations.iter().map(|o| (*o).to_owned()).collect(),
            dns_names: Vec::new(),
            ips: Vec::new(),
            client_auth: !server,
            server_auth: server,
            not_before: self.from,
            not_after: self.to,
        };
        if server {
            spec.dns_names = vec!["kubernetes".into(), "kubernetes.default".into(), "localhost".into()];
            spec.ips = vec![self.host.net().address(), [127, 0, 0, 1].into(), [10, 96, 0, 1].into()];
        }
        let leaf =
            self.authority.issue(self.host.entropy(), &spec, &key.public()).map_err(HarnessError::new)?;
        CertifiedKey::new(vec![leaf], key).map_err(HarnessError::new)
    }

    fn kubeconfig(&self, user: &str, groups: &[&str]) -> Result<Kubeconfig, HarnessError> {
        let server = format!("https://{}:6443", self.host.net().address());
        let cluster = KubeCluster::new(&server, &self.authority.certificate.to_pem());
        let pair = self.issue(user, groups, false)?;
        Ok(Kubeconfig::new("kubernetes", cluster, user, User::with_certificate(&pair)))
    }

    /// What the apiserver reads.
    fn write_files(&self) -> Result<(), HarnessError> {
        let serving = self.issue("kube-apiserver", &[], true)?;
        let accounts = PrivateKey::generate(self.algorithm).map_err(HarnessError::new)?;
        let files = [
            ("ca.crt", self.authority.certificate.to_pem(), 0o644),
            ("ca.key", self.authority.key().to_pem(), 0o600),
            ("apiserver.crt", serving.chain_pem(), 0o644),
            ("apiserver.key", serving.key_pem(), 0o600),
            ("sa.key", accounts.to_pem(), 0o600),
            ("sa.pub", accounts.public().to_pem(), 0o600),
        ];
        for (name, contents, mode) in files {
            self.host.disk().write(format!("{DIR}/{name}"), contents, mode).map_err(HarnessError::new)?;
        }
        Ok(())
    }
}
