//! front-proxy-rotated: the front proxy gets a new authority, and an aggregated API answers 401.
//!
//! The apiserver shows an extension server its front-proxy certificate and says in headers who is asking. The
//! authority of that certificate is published in kube-system/extension-apiserver-authentication, and extension servers
//! take it from there into a file or read it themselves. Up to 1.18 the library of both servers read that authority
//! once: 1.17 and 1.18 meant to follow the file and did not hand on what they had read (kubernetes/kubernetes#90360,
//! fixed in 1.19 and later patches of the two). After a rotation the extension refuses its own apiserver until it is
//! restarted; a minute later the aggregator notices by its discovery check and takes the whole group away. Nothing here
//! ends at an instant, so there is no edge: what differs is whether it heals within a minute or never.
//!
//! The extension server is one of this project's own apiservers with a definition in it, of the cluster's release.

use std::{sync::Arc, time::Duration};

use api::{
    object::{ObjectExt, base64},
    profile::Profile,
};
use apiserver::{Options, Server};
use chronoplane::cluster::WORKSTATION;
use client::{Auth, Resource, Rest};
use jiff::SignedDuration;
use pki::{Authority, CertSpec, CertifiedKey, ClientTls, KeyAlgorithm, PrivateKey};
use serde_json::json;
use store::Store;
use wire::HttpClient;
use world::sim::Config;

use super::{DAY, PKI, UNKNOWN, kubeadm, line, remove, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, raw},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "front-proxy-rotated",
    sentence: "The front proxy's authority is rotated, and aggregated APIs answer 401 until they are restarted.",
    reference: "kubernetes/kubernetes#90360 (fixed in 1.19)",
    symptoms: &["x509: certificate signed by unknown authority", "failing or missing response from … 401"],
    range: (13, 18),
    tell,
    real: InReal::Not("needs to elapse: the aggregator finds after a minute that its extension refuses it"),
};

const EXT: &str = "ext";
const PORT: u16 = 8443;
const NAME: &str = "flowers.kube-system.svc";
const ROSES: &str = "/apis/flower.example.org/v1/namespaces/default/roses";
const FRONT: &[&str] =
    &["front-proxy-ca.crt", "front-proxy-ca.key", "front-proxy-client.crt", "front-proxy-client.key"];
/// Where the extension has the front proxy's authority.
const TRUSTED: &str = "/etc/front-proxy-ca.crt";

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let stale = !settings.profile.rereads_client_authorities();
    play(settings, teller, true, stale)?;
    briefly(teller, "Control run, the same restart without a rotation", || {
        play(settings, teller, false, false)
    })?;
    if stale {
        let fixed = Settings { profile: Profile::of_minor(19).map_err(StoryError::new)?, ..settings.clone() };
        briefly(teller, "Fixed run, the rotation with 1.19", || play(&fixed, teller, true, false))?;
    }
    teller.say("\nIn a real cluster: publish old and new authority together, rotate the client certificate after that,");
    teller.say("and restart extension servers (metrics-server, your own) whose library is of 1.18 or older.");
    Ok(())
}

/// Upstream's own periods: how soon files are read again is the story.
fn play(settings: &Settings, teller: &Teller, rotates: bool, stale: bool) -> Result<(), StoryError> {
    let config = Config { seed: settings.seed, ..Config::default() };
    Stage::play(settings, teller, config, <_>::default(), async |stage| {
        let extension = Extension::new(stage)?;
        trust(stage).await?;
        let server = extension.serve(stage).await?;
        extension.define(stage).await?;
        extension.register(stage).await?;
        stage.cluster.elapse(Duration::from_secs(30)).await;
        let before = stage.get(ROSES).await;
        stage.check("kubectl get roses", before.0 == 200, before.0.to_string());
        let at = shown(stage.now());
        if rotates {
            remove(stage, PKI, FRONT)?;
            kubeadm(stage, &["init", "phase", "certs", "all", "--encryption-algorithm=ECDSA-P256"]).await?;
        }
        stage.restart(&["kube-apiserver"]).await?;
        trust(stage).await?;
        stage.say(format!(
            "{at} UTC: a new authority and certificate for the front proxy; the apiserver is restarted,"
        ));
        stage.say("  and the extension finds the new authority in its file.");
        stage.cluster.elapse(Duration::from_secs(180)).await;
        outcome(stage, stale).await?;
        server.shutdown().await;
        extension.serve(stage).await?;
        stage.cluster.elapse(Duration::from_secs(90)).await;
        let healed = stage.get(ROSES).await;
        stage.check("the extension server is restarted", healed.0 == 200, healed.0.to_string());
        Ok(())
    })
}

async fn outcome(stage: &Stage, stale: bool) -> Result<(), StoryError> {
    let after = stage.get(ROSES).await;
    let seen = line(&after);
    stage.check(
        "kubectl get roses, three minutes later",
        (after.0 == 200) != stale,
        seen.lines().next().unwrap_or_default(),
    );
    let service = stage.cluster.admin().get(&services(), None, "v1.flower.example.org").await;
    let service = service.map_err(StoryError::new)?;
    let available = service.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == "Available");
    let words = available.map(|c| c.str_at("/message").to_owned()).unwrap_or_default();
    stage.check(
        "the APIService",
        (words.contains("failing or missing") && words.contains("401")) == stale,
        words,
    );
    // Who follows the file has refused for up to a minute too.
    let since = stage.now() - SignedDuration::from_secs(90);
    let events = stage.sim().events();
    let log = events.iter().filter(|e| e.actor == "flowers" && e.kind == "authentication" && e.at > since);
    let words = log.flat_map(|e| e.fields.iter().map(|(_, text)| text)).find(|text| text.contains(UNKNOWN));
    let words = words.cloned().unwrap_or_default();
    stage.check("the extension's log", words.is_empty() != stale, words);
    Ok(())
}

fn services() -> Resource {
    Resource::new("apiregistration.k8s.io", "v1", "apiservices")
}

/// What the cluster publishes about its front proxy, put into the extension's file.
async fn trust(stage: &Stage) -> Result<(), StoryError> {
    let maps = Resource::core("configmaps");
    let name = "extension-apiserver-authentication";
    let published =
        stage.cluster.admin().get(&maps, Some("kube-system"), name).await.map_err(StoryError::new)?;
    let authority = published.str_at("/data/requestheader-client-ca-file").to_owned();
    stage.host(EXT).disk().write(TRUSTED, authority, 0o644).map_err(StoryError::new)
}

/// The extension server: its store outlives its restarts.
struct Extension {
    authority: Authority,
    store: Arc<dyn Store>,
}

impl Extension {
    /// Its authority and its serving certificate, on its disk.
    fn new(stage: &Stage) -> Result<Self, StoryError> {
        let host = stage.host(EXT);
        let (now, entropy) = (host.clock().wall(), host.entropy());
        let end = now + 365 * DAY;
        let authority = Authority::new_root(entropy, KeyAlgorithm::EcdsaP256, "flower-ca", &[], now, end)
            .map_err(StoryError::new)?;
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(StoryError::new)?;
        let spec = CertSpec {
            common_name: NAME.to_owned(),
            organizations: vec![],
            dns_names: vec![NAME.to_owned()],
            ips: vec![],
            client_auth: false,
            server_auth: true,
            not_before: now,
            not_after: end,
        };
        let leaf = authority.issue(entropy, &spec, &key.public()).map_err(StoryError::new)?;
        let pair = CertifiedKey::new(vec![leaf], key).map_err(StoryError::new)?;
        let disk = host.disk();
        disk.create_dir_all("/etc").map_err(StoryError::new)?;
        for (path, text) in [
            ("/etc/serving.crt", pair.chain_pem()),
            ("/etc/serving.key", pair.key_pem()),
            ("/etc/tokens.csv", "owner-token,owner,1,\"system:masters\"\n".to_owned()),
        ] {
            disk.write(path, text, 0o600).map_err(StoryError::new)?;
        }
        Ok(Self { authority, store: store::memory(&host) })
    }

    async fn serve(&self, stage: &Stage) -> Result<Server, StoryError> {
        let options = Options::parse([
            "--storage-backend=memory",
            "--token-auth-file=/etc/tokens.csv",
            "--anonymous-auth=false",
            "--authorization-mode=AlwaysAllow",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            &format!("--requestheader-client-ca-file={TRUSTED}"),
            "--tls-cert-file=/etc/serving.crt",
            "--tls-private-key-file=/etc/serving.key",
            &format!("--secure-port={PORT}"),
            "--service-cluster-ip-range=10.97.0.0/16",
            &format!("--kubernetes-version={}", stage.settings.profile.git_version()),
        ])
        .map_err(StoryError::new)?;
        let process = stage.host(EXT).process("flowers");
        let server = Server::start(process.host(), options, Some(self.store.clone())).await;
        let server = server.map_err(StoryError::new)?;
        server.ready().await.map_err(StoryError::new)?;
        Ok(server)
    }

    /// Roses, known to the extension server alone.
    async fn define(&self, stage: &Stage) -> Result<(), StoryError> {
        let from = stage.host(WORKSTATION);
        let tls = ClientTls::new(&from, stage.settings.profile.go()).insecure();
        let http =
            HttpClient::new(&from, &format!("https://{EXT}:{PORT}"), Some(tls)).map_err(StoryError::new)?;
        let owner = Rest::new(http, Auth::bearer("owner-token"), "owner");
        let definition = json!({
            "metadata": {"name": "roses.flower.example.org"},
            "spec": {
                "group": "flower.example.org",
                "names": {"kind": "Rose", "plural": "roses"},
                "scope": "Namespaced",
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                }}}],
            },
        });
        let definitions = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
        owner.create(&definitions, None, &definition).await.map_err(StoryError::new)?;
        let served = async || (raw(&owner, ROSES).await.0 == 200).then_some(());
        stage.cluster.elapse_until("roses are served", Duration::from_secs(30), served).await?;
        Ok(())
    }

    /// Service, endpoints, API service.
    async fn register(&self, stage: &Stage) -> Result<(), StoryError> {
        let (admin, ns) = (stage.cluster.admin(), Some("kube-system"));
        let service = json!({"metadata": {"name": "flowers"}, "spec": {"ports": [{"port": 443}]}});
        admin.create(&Resource::core("services"), ns, &service).await.map_err(StoryError::new)?;
        let ip = stage.host(EXT).net().address().to_string();
        let endpoints = json!({
            "metadata": {"name": "flowers"},
            "subsets": [{"addresses": [{"ip": ip}], "ports": [{"port": PORT}]}],
        });
        admin.create(&Resource::core("endpoints"), ns, &endpoints).await.map_err(StoryError::new)?;
        let service = json!({
            "metadata": {"name": "v1.flower.example.org"},
            "spec": {
                "group": "flower.example.org",
                "version": "v1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64(self.authority.certificate.to_pem().as_bytes()),
                "service": {"namespace": "kube-system", "name": "flowers"},
            },
        });
        admin.create(&services(), None, &service).await.map_err(StoryError::new)?;
        Ok(())
    }
}
