//! heapster-wrong-root: everything hangs on the certificate that an apiserver made for itself.
//!
//! In 2015 an apiserver started without certificates made a pair under /var/run/kubernetes, and where nobody said
//! otherwise its key signed the tokens of service accounts and its certificate was handed to pods as the root. That
//! works: for the names that the certificate carries. An article of that time suspected the common name, which is the
//! host's name or address and a time; it plays no part. What breaks it is the next start that finds no pair (/var/run
//! does not outlive a reboot): the server makes another one. Pods that have the old root refuse the server, and to
//! those who learn the new one it says 401, for the old key signed their tokens.
//!
//! Root and token reach the pod in the secret that the controller manager makes for each account; when it starts with
//! another pair it puts the new root into the secrets, and leaves the tokens as they are.

use std::{sync::Arc, time::Duration};

use api::object::{ObjectExt as _, unbase64};
use apiserver::{Options, Server};
use client::{Auth, Resource, Rest};
use pki::{
    Certificate, CertifiedKey, ClientTls, Roots,
    kubeconfig::{self, Kubeconfig},
};
use serde_json::{Value, json};
use store::Store;
use wire::HttpClient;
use world::{Host, Unit, sim::Sim};

use super::UNKNOWN;
use crate::{
    catalogue::{Entry, InReal},
    scenarios::config,
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "heapster-wrong-root",
    sentence: "The apiserver's self-made pair is root and token key for pods, until it makes another one.",
    reference: "an article of 2015, from which this project grew",
    symptoms: &["x509: certificate is valid for …, not …", "x509: certificate signed by unknown authority"],
    range: (8, 23),
    tell,
    real: InReal::Not("needs an apiserver without kubeadm, which is all that makes clusters there"),
};

const CRT: &str = "/var/run/kubernetes/apiserver.crt";
const KEY: &str = "/var/run/kubernetes/apiserver.key";
const NS: Option<&str> = Some("default");
const NAMES: [&str; 4] = ["kubernetes.default.svc", "kubernetes.default", "kubernetes", "10.0.0.1"];
const TOKENS: &str = "admin-token,admin,1,\"system:masters\"\n";
const ACCOUNT: &str = "heapster";
const MANAGER: &str = "kube-controller-manager";
const MANAGER_CONF: &str = "/etc/controller-manager.conf";
/// Looks for what the controller manager is to make, one a second.
const LOOKS: usize = 60;

/// One apiserver, its store, and a node with a pod.
struct World {
    sim: Sim,
    host: Host,
    store: Arc<dyn Store>,
    settings: Settings,
}

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    world::sim::run(config(settings), async |sim| {
        teller.enter(&sim);
        let host = sim.host("master");
        let world = World { sim: sim.clone(), store: store::memory(&host), host, settings: settings.clone() };
        let outcome = story(&world, teller).await;
        teller.record(sim.events());
        outcome
    })?
}

async fn story(world: &World, teller: &Teller) -> Result<(), StoryError> {
    let server = world.start().await?;
    let old = world.leaf()?;
    teller.say(format!("An apiserver without certificates makes its own: CN {}.", old.subject_cn()));
    world.manage().await?;
    let admin = world.admin()?;
    let account = json!({"metadata": {"name": ACCOUNT}});
    admin.create(&Resource::core("serviceaccounts"), NS, &account).await.map_err(StoryError::new)?;
    let mut own = Pod::default();
    own.read(world).await?;
    teller.say("Its key signs the token of a service account; the pod gets its certificate as the root.");
    let is_own = own.root.contains(old.to_pem().trim());
    teller.check(
        "the account's secret holds the server's certificate as the root",
        is_own,
        own.secret.clone(),
    );
    for name in NAMES {
        let seen = world.ask(&own, name).await?;
        teller.check(format!("the pod asks https://{name}"), seen == "200", seen);
    }
    let seen = world.ask(&own, "heapster").await?;
    let held = seen.contains("x509: certificate is valid for ") && seen.ends_with("not heapster");
    teller.check("a name that it does not carry", held, seen);

    server.shutdown().await;
    let server = world.start().await?;
    let seen = world.ask(&own, "kubernetes").await?;
    teller.say("The control: a new start finds the pair and uses it.");
    teller.check("the pod asks again", seen == "200" && world.leaf()? == old, seen);

    world.host.services().stop(MANAGER).await;
    server.shutdown().await;
    for file in [CRT, KEY] {
        world.host.disk().remove(file).map_err(StoryError::new)?;
    }
    world.sim.elapse(Duration::from_secs(60)).await;
    world.start().await?;
    teller.say("A reboot: /var/run is empty, the server makes another pair.");
    let seen = world.ask(&own, "kubernetes").await?;
    teller.check("the pod asks again", seen.contains(UNKNOWN), seen);

    world.manage().await?;
    let mut fresh = Pod { root: own.root.clone(), ..Pod::default() };
    fresh.read(world).await?;
    teller.say("The controller manager puts the new root into the account's secret; the kubelet brings it to the pod.");
    let kept = fresh.token == own.token;
    teller.check("the token in it", kept, if kept { "the old one" } else { "another one" });
    let seen = world.ask(&fresh, "kubernetes").await?;
    teller.check("with the new root", seen == "401", seen);
    teller.say("\nIn a real cluster: give the apiserver its certificates and keys (--tls-cert-file,");
    teller.say("--service-account-key-file) from a place that outlives a reboot, and pods the authority as their root.");
    Ok(())
}

/// What a pod finds mounted.
#[derive(Default)]
struct Pod {
    secret: String,
    root: String,
    token: String,
}

impl Pod {
    /// Reads the account's secret as soon as its root is another one than so far.
    async fn read(&mut self, world: &World) -> Result<(), StoryError> {
        let (admin, secrets) = (world.admin()?, Resource::core("secrets"));
        let old = std::mem::take(&mut self.root);
        for _ in 0..LOOKS {
            let account = admin.get(&Resource::core("serviceaccounts"), NS, ACCOUNT).await;
            let account = account.map_err(StoryError::new)?;
            let name =
                account.list_at("/secrets").first().map(|named| named.str_at("/name")).unwrap_or_default();
            if !name.is_empty() {
                let secret = admin.get(&secrets, NS, name).await.map_err(StoryError::new)?;
                let part = |key: &str| text_of(&secret, key);
                (self.secret, self.root, self.token) = (name.to_owned(), part("ca.crt"), part("token"));
                if self.root != old {
                    return Ok(());
                }
            }
            world.sim.elapse(Duration::from_secs(1)).await;
        }
        Err(StoryError("the account has no secret with a root".into()))
    }

    fn roots(&self) -> Result<Roots, StoryError> {
        Roots::from_pem(self.root.as_bytes()).map_err(StoryError::new)
    }
}

fn text_of(secret: &Value, key: &str) -> String {
    let bytes = unbase64(secret.str_at(&format!("/data/{key}"))).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl World {
    /// A server without any certificate or key of ours.
    async fn start(&self) -> Result<Server, StoryError> {
        let disk = self.host.disk();
        disk.create_dir_all("/etc").map_err(StoryError::new)?;
        disk.write("/etc/tokens.csv", TOKENS, 0o600).map_err(StoryError::new)?;
        let mut options = Options::parse([
            "--storage-backend=memory",
            "--token-auth-file=/etc/tokens.csv",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            &format!("--kubernetes-version={}", self.settings.profile.git_version()),
        ])
        .map_err(StoryError::new)?;
        options.check_certificate_dates = self.settings.check_certificate_dates;
        let server = Server::start(&self.host, options, Some(self.store.clone())).await;
        let server = server.map_err(StoryError::new)?;
        server.ready().await.map_err(StoryError::new)?;
        Ok(server)
    }

    fn pair(&self) -> Result<CertifiedKey, StoryError> {
        let read = |path: &str| self.host.disk().read(path).map_err(StoryError::new);
        CertifiedKey::from_pem(&read(CRT)?, &read(KEY)?).map_err(StoryError::new)
    }

    fn leaf(&self) -> Result<Certificate, StoryError> {
        self.pair()?.leaf().cloned().ok_or_else(|| StoryError("the server made no certificate".into()))
    }

    /// A client on a node that trusts `roots` and asks for the server by `name`.
    fn client(&self, roots: Roots, name: &str, token: &str) -> Result<Rest, StoryError> {
        let node = self.sim.host("node1");
        let tls = ClientTls::new(&node, self.settings.profile.go()).roots(roots).server_name(name);
        let http = HttpClient::new(&node, "https://master:6443", Some(tls)).map_err(StoryError::new)?;
        Ok(Rest::new(http, Auth::bearer(token), "heapster"))
    }

    /// What the pod meets that asks for the server by `name`: the code of an answer, or why there is none.
    async fn ask(&self, pod: &Pod, name: &str) -> Result<String, StoryError> {
        let answer = self.client(pod.roots()?, name, &pod.token)?.raw(http::Method::GET, "/api", None).await;
        Ok(answer.map_or_else(|error| error.to_string(), |(code, _)| code.as_u16().to_string()))
    }

    fn admin(&self) -> Result<Rest, StoryError> {
        self.client(Roots::from(self.leaf()?), "kubernetes", "admin-token")
    }

    /// Starts a controller manager that signs with the key and hands out the certificate that are there.
    async fn manage(&self) -> Result<(), StoryError> {
        let cluster = kubeconfig::Cluster {
            tls_server_name: Some("kubernetes".into()),
            ..kubeconfig::Cluster::new("https://master:6443", &self.leaf()?.to_pem())
        };
        let user = kubeconfig::User::with_token("admin-token");
        let conf = Kubeconfig::new("kubernetes", cluster, "admin", user);
        conf.save(self.host.disk(), MANAGER_CONF).map_err(StoryError::new)?;
        let args = [
            format!("--kubeconfig={MANAGER_CONF}"),
            format!("--service-account-private-key-file={KEY}"),
            format!("--root-ca-file={CRT}"),
            format!("--kubernetes-version={}", self.settings.profile.git_version()),
            "--controllers=serviceaccount-token".to_owned(),
            "--leader-elect=false".to_owned(),
        ];
        let unit = Unit::new(move |host: Host| controllers::manager::run(host, args.to_vec()));
        self.host.services().install(MANAGER, unit);
        self.host.services().start(&self.host, MANAGER);
        Ok(())
    }
}
