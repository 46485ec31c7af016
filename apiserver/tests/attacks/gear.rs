//! A server as kubeadm would set it up, the authorities behind it, and people who come with whatever they have.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use apiserver::{Options, Server};
use http::{HeaderName, HeaderValue};
use pki::{Authority, CertSpec, CertifiedKey, ClientTls, KeyAlgorithm, PrivateKey, StaticIdentity};
use serde_json::{Value, json};
use wire::{HttpClient, body};
use world::{
    Host, Wall,
    sim::{Config, Sim},
};

pub const DAY: Duration = Duration::from_secs(86_400);
pub const SECOND: Duration = Duration::from_secs(1);
pub const ISSUER: &str = "https://kubernetes.default.svc";

/// Everything that is there.
pub struct Gear {
    pub sim: Sim,
    pub host: Host,
    pub clients: Authority,
    pub proxies: Authority,
    pub strangers: Authority,
    /// Signs tokens of service accounts.
    pub key: PrivateKey,
    _server: Server,
}

/// What somebody shows.
#[derive(Clone, Default)]
pub struct Caller {
    pub certificate: Option<CertifiedKey>,
    pub token: Option<String>,
    pub headers: Vec<(String, String)>,
}

impl Caller {
    pub fn nobody() -> Self {
        Self::default()
    }

    pub fn token(token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..Self::default() }
    }

    pub fn certificate(pair: CertifiedKey) -> Self {
        Self { certificate: Some(pair), ..Self::default() }
    }

    #[must_use]
    pub fn saying(mut self, headers: &[(&str, &str)]) -> Self {
        self.headers.extend(headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        self
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// Runs an attack on a fresh server.
pub fn attack<F, Fut>(story: F)
where
    F: FnOnce(Gear) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    world::sim::run(Config::default(), |sim| async move {
        let gear = Gear::start(&sim).await;
        story(gear).await;
    })
    .unwrap();
}

impl Gear {
    async fn start(sim: &Sim) -> Self {
        let host = sim.host("cp");
        let now = host.clock().wall();
        let authority = |name: &str| {
            let algorithm = KeyAlgorithm::EcdsaP256;
            Authority::new_root(host.entropy(), algorithm, name, &[], now - DAY, now + 3650 * DAY).unwrap()
        };
        let (clients, proxies, strangers) =
            (authority("kubernetes"), authority("front-proxy-ca"), authority("kubernetes"));
        let key = PrivateKey::generate(KeyAlgorithm::Rsa2048).unwrap();
        let disk = host.disk();
        disk.create_dir_all("/pki").unwrap();
        for (path, content) in [
            ("/pki/ca.crt", clients.certificate.to_pem()),
            ("/pki/front-proxy-ca.crt", proxies.certificate.to_pem()),
            ("/pki/sa.key", key.to_pem()),
            ("/pki/tokens.csv", "bob-token,bob,1\ncarol-token,carol,2\n".to_owned()),
        ] {
            disk.write(path, content, 0o600).unwrap();
        }
        let options = Options::parse([
            "--storage-backend=memory",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--enable-bootstrap-token-auth",
            "--client-ca-file=/pki/ca.crt",
            "--requestheader-client-ca-file=/pki/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--service-account-key-file=/pki/sa.key",
            "--service-account-signing-key-file=/pki/sa.key",
            &format!("--service-account-issuer={ISSUER}"),
            "--service-cluster-ip-range=10.96.0.0/12",
            "--token-auth-file=/pki/tokens.csv",
        ]);
        let server = Server::start(&host, options.unwrap(), None).await.unwrap();
        server.ready().await.unwrap();
        Self { sim: sim.clone(), host, clients, proxies, strangers, key, _server: server }
    }

    pub fn now(&self) -> Wall {
        self.host.clock().wall()
    }

    /// A certificate by `authority` for `cn` in `orgs`, for a day from now.
    pub fn issue(&self, authority: &Authority, cn: &str, orgs: &[&str]) -> CertifiedKey {
        self.issue_for(authority, cn, orgs, true, (self.now(), self.now() + DAY))
    }

    pub fn issue_for(
        &self,
        authority: &Authority,
        cn: &str,
        orgs: &[&str],
        client: bool,
        (not_before, not_after): (Wall, Wall),
    ) -> CertifiedKey {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let spec = CertSpec {
            common_name: cn.to_owned(),
            organizations: orgs.iter().map(|o| (*o).to_owned()).collect(),
            dns_names: vec![],
            ips: vec![],
            client_auth: client,
            server_auth: !client,
            not_before,
            not_after,
        };
        let leaf = authority.issue(self.host.entropy(), &spec, &key.public()).unwrap();
        CertifiedKey::new(vec![leaf], key).unwrap()
    }

    /// Who may do everything.
    pub fn admin(&self) -> Caller {
        Caller::certificate(self.issue(&self.clients, "admin", &["system:masters"]))
    }

    /// A kubelet.
    pub fn kubelet(&self, node: &str) -> Caller {
        Caller::certificate(self.issue(&self.clients, &format!("system:node:{node}"), &["system:nodes"]))
    }

    /// A connection of its own, so that several requests can go over one.
    pub fn connection(&self, caller: &Caller) -> HttpClient {
        let host = self.sim.host("laptop");
        let mut tls = ClientTls::new(&host, (1, 26)).insecure();
        if let Some(pair) = &caller.certificate {
            tls = tls.identity(Arc::new(StaticIdentity::new(pair).unwrap()));
        }
        HttpClient::new(&host, "https://cp:6443", Some(tls)).unwrap()
    }

    pub async fn send(&self, caller: &Caller, method: &str, path: &str, content: &Value) -> Answer {
        self.send_on(&self.connection(caller), caller, method, path, content).await
    }

    pub async fn send_on(
        &self,
        connection: &HttpClient,
        caller: &Caller,
        method: &str,
        path: &str,
        content: &Value,
    ) -> Answer {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let mut request = http::Request::builder().method(method).uri(path).header("content-type", kind);
        if let Some(token) = &caller.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in &caller.headers {
            let name: HeaderName = name.parse().unwrap();
            request = request.header(name, HeaderValue::from_str(value).unwrap());
        }
        let sent = if content.is_null() { body::empty() } else { body::full(content.to_string()) };
        let response = connection.send(request.body(sent).unwrap()).await.unwrap();
        let (head, content) = response.into_parts();
        let bytes = body::collect(content, 64 << 20).await.unwrap();
        Answer { code: head.status.as_u16(), body: String::from_utf8_lossy(&bytes).into_owned() }
    }

    pub async fn get(&self, caller: &Caller, path: &str) -> Answer {
        self.send(caller, "GET", path, &Value::Null).await
    }

    /// Something that the administrator makes; it must work.
    pub async fn make(&self, path: &str, object: Value) -> Value {
        let answer = self.send(&self.admin(), "POST", path, &object).await;
        assert_eq!(answer.code, 201, "{path}: {}", answer.body);
        answer.json()
    }

    /// Lets informers and memories catch up.
    pub async fn settle(&self) {
        self.sim.elapse(11 * SECOND).await;
    }

    /// A role in `default` with these rules, held by `user`.
    pub async fn grant(&self, name: &str, user: &str, rules: Value) {
        const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
        self.make(&format!("{RBAC}/roles"), json!({"metadata": {"name": name}, "rules": rules})).await;
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        });
        self.make(&format!("{RBAC}/rolebindings"), binding).await;
        self.settle().await;
    }

    /// An account in `default` and what a token request of its gives.
    pub async fn account(&self, name: &str) -> Value {
        let account = json!({"metadata": {"name": name}});
        self.make("/api/v1/namespaces/default/serviceaccounts", account).await
    }

    pub async fn token_of(&self, account: &str, spec: Value) -> String {
        let path = format!("/api/v1/namespaces/default/serviceaccounts/{account}/token");
        let answer = self.make(&path, json!({"spec": spec})).await;
        answer["status"]["token"].as_str().unwrap().to_owned()
    }
}

/// Who the server says that somebody is.
pub async fn who(gear: &Gear, caller: &Caller) -> String {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = gear.send(caller, "POST", path, &json!({})).await;
    match answer.code {
        201 => answer.json()["status"]["userInfo"]["username"].as_str().unwrap().to_owned(),
        code => code.to_string(),
    }
}

/// Counts how often each answer came, for messages.
pub fn tally(answers: &[(String, u16)]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for (_, code) in answers {
        *counts.entry(*code).or_default() += 1;
    }
    counts
}
