//! The folder for `KUBEBUILDER_ASSETS`, used exactly as Go's envtest does: the questions that it asks its programs, its
//! flags, its health checks, its signals. Go's modules are not at hand everywhere; this is the protocol of
//! controller-runtime's `pkg/internal/testing`, played by hand.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, CustomResource, CustomResourceExt,
    api::{Patch, PatchParams, PostParams},
    runtime::wait::{await_condition, conditions},
};
use pki::{Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::Entropy;

/// The patience with a program that starts, and with one that ends. envtest's is twenty seconds; how busy this machine is
/// is not the question here.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often envtest asks.
const INTERVAL: Duration = Duration::from_millis(100);

/// `ps.CheckFlag`: whether the program's help has a line that begins with that flag.
fn knows(program: &Path, flag: &str) -> bool {
    let help = Command::new(program).arg("--help").output().unwrap();
    assert!(help.status.success(), "{} --help: {help:?}", program.display());
    let text = String::from_utf8([help.stdout, help.stderr].concat()).unwrap();
    let flag = format!("--{flag}");
    text.lines().any(|line| {
        let rest = line.trim_start().strip_prefix(&flag);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// As `addr.Suggest`: ports of 127.0.0.1 that are free. Below those that the kernel gives to whoever asks for any: until a
/// program listens there, nobody else gets them.
fn free_ports<const N: usize>() -> [u16; N] {
    let entropy = Entropy::system();
    let held = [(); N].map(|()| {
        let mut ports = std::iter::repeat_with(|| 10_000 + entropy.below(20_000) as u16).take(1000);
        ports.find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()).expect("a free port")
    });
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// A program that was started, and ends with the test if need be.
struct Started(Child, u16);

impl Started {
    #[allow(clippy::disallowed_methods, reason = "as envtest, which knows the system's clock alone")]
    fn new(program: &Path, args: &[String], port: u16, healthy: impl Fn(u16) -> bool) -> Self {
        let child = Command::new(program).args(args).stdout(Stdio::null()).spawn().unwrap();
        let mut this = Self(child, port);
        let began = Instant::now();
        while !healthy(port) {
            assert_eq!(this.0.try_wait().unwrap(), None, "{} has ended", program.display());
            assert!(began.elapsed() < PATIENCE, "{} is not healthy", program.display());
            std::thread::sleep(INTERVAL);
        }
        this
    }

    /// `ps.Stop`: SIGTERM, and nothing else.
    #[allow(clippy::disallowed_methods, reason = "as envtest, which knows the system's clock alone")]
    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let began = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(INTERVAL);
        }
        TcpListener::bind((Ipv4Addr::LOCALHOST, self.1)).expect("its port is free again");
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `GET /health` of etcd, without TLS.
fn etcd_is_healthy(port: u16) -> bool {
    let get = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        write!(stream, "GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    get().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The certificate authorities of envtest are small, and live for ten years.
struct TinyCa(Authority);

impl TinyCa {
    fn new() -> Self {
        let (from, to) = span();
        let names = ["envtest-environment".to_owned()];
        let root = Authority::new_root(
            &Entropy::system(),
            KeyAlgorithm::EcdsaP256,
            "envtest-environment",
            &names,
            from,
            to,
        );
        Self(root.unwrap())
    }

    fn issue(&self, name: &str, groups: &[&str], server: bool) -> CertifiedKey {
        let (not_before, not_after) = span();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let spec = CertSpec {
            common_name: name.into(),
            organizations: groups.iter().map(|group| (*group).to_owned()).collect(),
            dns_names: if server { vec!["localhost".into()] } else { Vec::new() },
            ips: if server { vec![Ipv4Addr::LOCALHOST.into()] } else { Vec::new() },
            client_auth: !server,
            server_auth: server,
            not_before,
            not_after,
        };
        let leaf = self.0.issue(&Entropy::system(), &spec, &key.public()).unwrap();
        CertifiedKey::new(vec![leaf], key).unwrap()
    }
}

fn span() -> (world::Wall, world::Wall) {
    let now = world::real::system();
    (now - SignedDuration::from_mins(5), now + SignedDuration::from_hours(24 * 365 * 10))
}

#[derive(CustomResource, Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[kube(group = "example.com", version = "v1", kind = "Widget", namespaced)]
struct WidgetSpec {
    size: u32,
}

fn envtest_s_protocol_is_played_from_start_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let assets = dir.path().join("assets");
    let made =
        Command::new(env!("CARGO_BIN_EXE_chronoplane")).args(["envtest", "--dir"]).arg(&assets).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{made:?}");
    assert_eq!(
        String::from_utf8(made.stdout).unwrap(),
        format!("export KUBEBUILDER_ASSETS={}\n", assets.display())
    );

    // What envtest finds out before it starts anything. An API server that knows the insecure port is told to have none.
    let (etcd, apiserver) = (assets.join("etcd"), assets.join("kube-apiserver"));
    assert!(knows(&apiserver, "secure-port") && knows(&etcd, "unsafe-no-fsync"));
    let insecure = knows(&apiserver, "insecure-port").then(|| "--insecure-port=0".to_owned());

    let data = dir.path().join("etcd");
    let [client_port, peer_port, secure_port] = free_ports();
    let client_url = format!("http://127.0.0.1:{client_port}");
    let etcd = Started::new(
        &etcd,
        &[
            format!("--advertise-client-urls={client_url}"),
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={client_url}"),
            format!("--listen-peer-urls=http://127.0.0.1:{peer_port}"),
            "--unsafe-no-fsync=true".into(),
        ],
        client_port,
        etcd_is_healthy,
    );

    let certs = dir.path().join("certs");
    std::fs::create_dir(&certs).unwrap();
    let (serving, clients, accounts) = (TinyCa::new(), TinyCa::new(), TinyCa::new());
    let pair = serving.issue("kube-apiserver", &[], true);
    for (name, text) in [
        ("apiserver.crt", pair.chain_pem()),
        ("apiserver.key", pair.key_pem()),
        ("sa-signer.crt", accounts.0.certificate.to_pem()),
        ("sa-signer.key", accounts.0.key().to_pem()),
        ("client-cert-auth-ca.crt", clients.0.certificate.to_pem()),
    ] {
        std::fs::write(certs.join(name), text).unwrap();
    }
    let file = |name: &str| certs.join(name).display().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let careless = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
    let ready = |port: u16| {
        let asked = careless.get(format!("https://127.0.0.1:{port}/readyz")).send();
        runtime.block_on(asked).is_ok_and(|answer| answer.status() == 200)
    };
    let apiserver = Started::new(
        &apiserver,
        &Vec::from_iter(insecure.into_iter().chain([
            "--allow-privileged=true".into(),
            "--authorization-mode=RBAC".into(),
            "--bind-address=127.0.0.1".into(),
            format!("--cert-dir={}", certs.display()),
            format!("--client-ca-file={}", file("client-cert-auth-ca.crt")),
            "--disable-admission-plugins=ServiceAccount".into(),
            format!("--etcd-servers={client_url}"),
            format!("--secure-port={secure_port}"),
            format!("--service-account-issuer=https://127.0.0.1:{secure_port}/"),
            format!("--service-account-key-file={}", file("sa-signer.crt")),
            format!("--service-account-signing-key-file={}", file("sa-signer.key")),
            "--service-cluster-ip-range=10.0.0.0/24".into(),
        ])),
        secure_port,
        ready,
    );

    let admin = clients.issue("admin", &["system:masters"], false);
    let config = pki::kubeconfig::Kubeconfig::new(
        "envtest",
        pki::kubeconfig::Cluster::new(
            &format!("https://127.0.0.1:{secure_port}"),
            &serving.0.certificate.to_pem(),
        ),
        "admin",
        pki::kubeconfig::User::with_certificate(&admin),
    );
    chronoplane::real::run(async |world| {
        // The machine's own address, from which envtest's client speaks.
        let client = client::kube_client(
            &world.host_at("machine", Ipv4Addr::LOCALHOST),
            &config,
            chronoplane::Profile::default().go(),
        )
        .unwrap();
        use_it(client).await;
    })
    .unwrap();

    apiserver.stop();
    etcd.stop();
}

/// What `envtest.Environment.Start` does, and then the first test of a controller.
async fn use_it(client: kube::Client) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    await_condition(namespaces, "default", |n: Option<&Namespace>| n.is_some()).await.unwrap();
    let definitions = Api::all(client.clone());
    let apply = PatchParams::apply("envtest").force();
    definitions.patch("widgets.example.com", &apply, &Patch::Apply(Widget::crd())).await.unwrap();
    await_condition(definitions, "widgets.example.com", conditions::is_crd_established()).await.unwrap();
    let widgets: Api<Widget> = Api::default_namespaced(client.clone());
    let made =
        widgets.create(&PostParams::default(), &Widget::new("w", WidgetSpec { size: 3 })).await.unwrap();
    assert_eq!(widgets.get("w").await.unwrap().metadata.uid, made.metadata.uid);
    // Without the plugin that envtest switches off, pods may be created although nobody makes accounts.
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::default_namespaced(client.clone());
    let pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }));
    pods.create(&PostParams::default(), &pod.unwrap()).await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    assert!(maps.get_opt("none").await.unwrap().is_none());
}

fn a_folder_with_other_programs_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("etcd"), "somebody's").unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_chronoplane"))
        .args(["envtest", "--dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("is there already, and no link; name another --dir"), "{why}");
    assert_eq!(std::fs::read_to_string(dir.path().join("etcd")).unwrap(), "somebody's");
}

pub const TESTS: &[(&str, fn())] = &[
    (
        "envtest::envtest_s_protocol_is_played_from_start_to_stop",
        envtest_s_protocol_is_played_from_start_to_stop,
    ),
    ("envtest::a_folder_with_other_programs_is_left_alone", a_folder_with_other_programs_is_left_alone),
];
