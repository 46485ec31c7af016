//! heapster-wrong-root: everything hangs on the certificate that an apiserver made for itself.
//!
//! In 2015 an apiserver started without certificates made a pair under /var/run/kubernetes, and where nobody said
//! otherwise its key signed the tokens of service accounts and its certificate was handed to pods as the root. That
//! works: for the names that the certificate carries. An article of that time suspected the common name, which is the
//! host's name or address and a time; it plays no part. What breaks it is the next start that finds no pair (/var/run
//! does not outlive a reboot): the server makes another one. Pods that have the old root refuse the server, and to
//! those who learn the new one it says 401, for the old key signed their tokens.
//!
//! One part is left out: the secret with the token that the controller manager of those days made for each account is
//! made by hand here, as it signs and stores it.

use std::{sync::Arc, time::Duration};

use apiserver::{Options, Server};
use client::{Auth, Resource, Rest};
use pki::{
    Certificate, CertifiedKey, ClientTls, Roots,
    jwt::{Claims, LEGACY_ISSUER, ServiceAccountSigner},
};
use serde_json::json;
use store::Store;
use wire::HttpClient;
use world::{Host, sim::Sim};

use super::UNKNOWN;
use crate::{
    catalogue::Entry,
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
};

const CRT: &str = "/var/run/kubernetes/apiserver.crt";
const KEY: &str = "/var/run/kubernetes/apiserver.key";
const NAMES: [&str; 4] = ["kubernetes.default.svc", "kubernetes.default", "kubernetes", "10.0.0.1"];
const TOKENS: &str = "admin-token,admin,1,\"system:masters\"\n";

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
    let (old, roots) = (world.leaf()?, Roots::from(world.leaf()?));
    teller.say(format!("An apiserver without certificates makes its own: CN {}.", old.subject_cn()));
    let token = world.token().await?;
    teller.say("Its key signs the token of a service account; the pod gets its certificate as the root.");
    for name in NAMES {
        let seen = world.ask(&roots, name, &token).await?;
        teller.check(format!("the pod asks https://{name}"), seen == "200", seen);
    }
    let seen = world.ask(&roots, "heapster", &token).await?;
    let held = seen.contains("x509: certificate is valid for ") && seen.ends_with("not heapster");
    teller.check("a name that it does not carry", held, seen);

    server.shutdown().await;
    let server = world.start().await?;
    let seen = world.ask(&roots, "kubernetes", &token).await?;
    teller.say("The control: a new start finds the pair and uses it.");
    teller.check("the pod asks again", seen == "200" && world.leaf()? == old, seen);

    server.shutdown().await;
    for file in [CRT, KEY] {
        world.host.disk().remove(file).map_err(StoryError::new)?;
    }
    world.sim.elapse(Duration::from_secs(60)).await;
    world.start().await?;
    teller.say("A reboot: /var/run is empty, the server makes another pair.");
    let seen = world.ask(&roots, "kubernetes", &token).await?;
    teller.check("the pod asks again", seen.contains(UNKNOWN), seen);
    let seen = world.ask(&Roots::from(world.leaf()?), "kubernetes", &token).await?;
    teller.check("with the new root", seen == "401", seen);
    teller.say("\nIn a real cluster: give the apiserver its certificates and keys (--tls-cert-file,");
    teller.say("--service-account-key-file) from a place that outlives a reboot, and pods the authority as their root.");
    Ok(())
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

    /// What a pod meets that holds `roots` and `token`: the code of an answer, or why there is none.
    async fn ask(&self, roots: &Roots, name: &str, token: &str) -> Result<String, StoryError> {
        let answer = self.client(roots.clone(), name, token)?.raw(http::Method::GET, "/api", None).await;
        Ok(answer.map_or_else(|error| error.to_string(), |(code, _)| code.as_u16().to_string()))
    }

    /// A token as the controller of those days signed it with the key that the server had made, and its secret.
    async fn token(&self) -> Result<String, StoryError> {
        let admin = self.client(Roots::from(self.leaf()?), "kubernetes", "admin-token")?;
        let ns = Some("default");
        let account = json!({"metadata": {"name": "heapster"}});
        let account = admin.create(&Resource::core("serviceaccounts"), ns, &account).await;
        let account = account.map_err(StoryError::new)?;
        let mut claims =
            Claims { subject: "system:serviceaccount:default:heapster".to_owned(), ..Claims::default() };
        for (key, value) in [
            ("namespace", "default"),
            ("secret.name", "heapster-token"),
            ("service-account.name", "heapster"),
            ("service-account.uid", account["metadata"]["uid"].as_str().unwrap_or_default()),
        ] {
            claims.other.insert(format!("kubernetes.io/serviceaccount/{key}"), value.into());
        }
        let signer = ServiceAccountSigner::new(LEGACY_ISSUER, &self.pair()?.key);
        let token = signer.sign(&claims).map_err(StoryError::new)?;
        let secret = json!({
            "metadata": {
                "name": "heapster-token",
                "annotations": {"kubernetes.io/service-account.name": "heapster"},
            },
            "type": "kubernetes.io/service-account-token",
            "stringData": {"token": token},
        });
        admin.create(&Resource::core("secrets"), ns, &secret).await.map_err(StoryError::new)?;
        self.sim.elapse(Duration::from_secs(2)).await;
        Ok(token)
    }
}
