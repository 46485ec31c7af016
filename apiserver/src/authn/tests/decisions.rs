//! One table of verdicts for each authenticator, in `decisions/*.yaml`: what a request shows, when, and who it is
//! then. Each row names the fact that it holds (sections of the facts that this project was written from).
//!
//! A row's credentials are named, not spelled: certificates are issued, tokens signed and times put in as the row is
//! judged. `@90` in a claim is ninety seconds after the world began, as is `at: 90`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use client::Informer;
use http::HeaderMap;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pki::{Authority, CertSpec, Certificate, KeyAlgorithm, PrivateKey, jwt::key_id};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use world::{Host, Wall, sim::Sim};

use super::{Ca, DAY, Fake, authn, idp::Idp, peer, run};
use crate::authn::Remarks;
use crate::{
    authn::{
        AnonymousConfig, AuthenticationConfig, Config, Issuers, JwtConfig, Keystone, Loopback, PasswordFile,
        RequestHeaders, ServiceAccounts, StaticTokens, TokenWebhook,
    },
    identity::User,
    informers::Informers,
    options::Oidc,
    webhook_client::WebhookClient,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// What is believed: the names in [`Gear::config`].
    believes: Vec<String>,
    /// Content of files, for those that need some.
    #[serde(default)]
    file: String,
    /// Objects of the informers, by resource.
    #[serde(default)]
    objects: BTreeMap<String, Vec<Value>>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    fact: String,
    why: String,
    #[serde(default)]
    show: Show,
    /// Seconds after the world began; fractions count.
    #[serde(default)]
    at: f64,
    #[serde(default = "any_path")]
    path: String,
    /// `name [groups]`, or 401.
    is: String,
    /// Part of what the log says.
    #[serde(default)]
    log: Option<String>,
    /// What else is known of the user.
    #[serde(default)]
    user: Option<Value>,
}

fn any_path() -> String {
    "/api/v1/pods".to_owned()
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Show {
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    bearer: Option<String>,
    #[serde(default)]
    basic: Option<String>,
    #[serde(default)]
    certificate: Option<Shown>,
    #[serde(default)]
    jwt: Option<Jwt>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    #[serde(default)]
    cn: String,
    #[serde(default)]
    o: Vec<String>,
    /// `clients`, `proxies`, `strangers`, or `itself`.
    ca: String,
    #[serde(default)]
    for_servers: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwt {
    /// A key of [`Gear::keys`]; `none` signs nothing, `public:x` uses x's public key as a shared secret.
    key: String,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    claims: Map<String, Value>,
}

/// What all rows of a table share.
struct Gear {
    host: Host,
    start: Wall,
    authorities: BTreeMap<&'static str, Ca>,
    keys: BTreeMap<&'static str, PrivateKey>,
    issuers: Option<Arc<Issuers>>,
    hook: Option<WebhookClient>,
    idp: Idp,
}

impl Gear {
    async fn new(sim: &Sim, host: &Host, table: &Table) -> Self {
        let authority = |name| (name, Ca::new(host, name));
        let key = |name, algorithm| (name, PrivateKey::generate(algorithm).unwrap());
        let (rsa, p256, p384) = (KeyAlgorithm::Rsa2048, KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384);
        let keys = BTreeMap::from([
            key("idp-rsa", rsa),
            key("idp-p256", p256),
            key("idp-p384", p384),
            key("stranger", rsa),
            key("sa", rsa),
            key("sa-new", p256),
        ]);
        let idp = Idp::start(sim, &[&keys["idp-rsa"], &keys["idp-p256"], &keys["idp-p384"]]).await;
        let mut gear = Self {
            host: host.clone(),
            start: host.clock().wall(),
            authorities: ["clients", "proxies", "strangers"].map(authority).into(),
            keys,
            issuers: None,
            hook: None,
            idp,
        };
        let configs = if table.believes.iter().any(|b| b == "oidc-flags") {
            vec![JwtConfig::from_flags(&gear.oidc_flags(), Some(gear.idp.ca_pem()), &[]).unwrap()]
        } else if table.believes.iter().any(|b| b == "authentication-config") {
            let pem = gear.idp.ca_pem().replace('\n', "\\n");
            AuthenticationConfig::parse(table.file.replace("$CA", &pem).as_bytes(), &[]).unwrap().jwt
        } else {
            Vec::new()
        };
        if !configs.is_empty() {
            gear.issuers = Some(Issuers::new(host, configs, (1, 26)));
        }
        if table.believes.iter().any(|b| b == "webhook") {
            gear.hook = Some(gear.idp.webhook(host));
        }
        sim.elapse(Duration::from_secs(1)).await;
        gear
    }

    fn oidc_flags(&self) -> Oidc {
        Oidc {
            issuer_url: Idp::URL.to_owned(),
            client_id: "kubernetes".to_owned(),
            username_claim: "email".to_owned(),
            groups_claim: "groups".to_owned(),
            groups_prefix: "oidc:".to_owned(),
            required_claims: BTreeMap::from([("hd".to_owned(), "example.com".to_owned())]),
            signing_algs: ["RS256", "PS256", "ES256", "ES384"].map(str::to_owned).to_vec(),
            ..Oidc::default()
        }
    }

    fn config(&self, table: &Table) -> Config {
        let mut config = Config { audiences: vec!["api".to_owned()], ..Config::default() };
        for believed in &table.believes {
            let disk = self.host.disk();
            match believed.as_str() {
                "loopback" => config.loopback = Some(Loopback::new("loopback-token", "uid")),
                "certificates" => config.client_ca = Some(self.authorities["clients"].bundle()),
                "proxies" => {
                    let names = vec!["front-proxy-client".to_owned()];
                    let ca = self.authorities["proxies"].bundle();
                    config.request_headers = Some(RequestHeaders::standard(ca, names));
                }
                "tokens" => {
                    disk.write("/table", &table.file, 0o600).unwrap();
                    config.static_tokens = Some(StaticTokens::file(disk, "/table").unwrap());
                }
                "passwords" => {
                    disk.write("/table", &table.file, 0o600).unwrap();
                    config.passwords = Some(PasswordFile::file(disk, "/table").unwrap());
                }
                "keystone" => {
                    let url = format!("{}/v3", Idp::URL);
                    config.keystone = Some(Keystone::new(&self.host, &url, Some(self.idp.roots()), (1, 10)));
                }
                "bootstrap" => config.bootstrap_tokens = true,
                "service-accounts" => {
                    let issuers = vec!["https://api".to_owned(), "https://old-name".to_owned()];
                    let keys = [self.keys["sa"].public(), self.keys["sa-new"].public()];
                    let audiences = vec!["api".to_owned()];
                    config.service_accounts = Some(ServiceAccounts::new(issuers, audiences, &keys, true));
                }
                "oidc-flags" | "authentication-config" => config.issuers.clone_from(&self.issuers),
                "webhook" => {
                    let (client, clock) = (self.hook.clone().unwrap(), self.host.clock().clone());
                    let ttl = Duration::from_secs(120);
                    config.webhook =
                        Some(TokenWebhook::new(client, "v1", ttl, config.audiences.clone(), clock));
                }
                "anonymous" => config.anonymous = AnonymousConfig::everywhere(true),
                "anonymous-health" => {
                    let text = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n\
                                anonymous: {enabled: true, conditions: [{path: /livez}]}\n";
                    config.anonymous =
                        AuthenticationConfig::parse(text.as_bytes(), &[]).unwrap().anonymous.unwrap();
                }
                other => panic!("nobody believes {other}"),
            }
        }
        config
    }

    /// For a day from the beginning of the world.
    fn certificates(&self, shown: &Shown) -> Vec<Certificate> {
        let (from, to) = (self.start, self.start + DAY);
        if shown.ca == "itself" {
            let (entropy, algorithm) = (self.host.entropy(), KeyAlgorithm::EcdsaP256);
            let own = Authority::new_root(entropy, algorithm, &shown.cn, &[], from, to).unwrap();
            return vec![own.certificate];
        }
        let spec = CertSpec {
            common_name: shown.cn.clone(),
            organizations: shown.o.clone(),
            dns_names: vec![],
            ips: vec![],
            client_auth: !shown.for_servers,
            server_auth: shown.for_servers,
            not_before: from,
            not_after: to,
        };
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let authority = &self.authorities[shown.ca.as_str()].authority;
        vec![authority.issue(self.host.entropy(), &spec, &key.public()).unwrap()]
    }

    fn token(&self, jwt: &Jwt) -> String {
        let claims: Map<String, Value> = jwt.claims.iter().map(|(k, v)| (k.clone(), self.timed(v))).collect();
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        if jwt.key == "none" {
            let alg = jwt.alg.as_deref().unwrap_or("none");
            return format!("{}.{}.", encode(&json!({"alg": alg})), encode(&Value::Object(claims)));
        }
        let (name, is_secret) = match jwt.key.strip_prefix("public:") {
            Some(name) => (name, true),
            None => (jwt.key.as_str(), false),
        };
        let key = &self.keys[name];
        let pem = key.to_pem();
        let (default, encoding) = match (is_secret, key.is_rsa()) {
            (true, _) => ("HS256", EncodingKey::from_secret(key.public().to_pem().as_bytes())),
            (_, true) => ("RS256", EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()),
            (_, false) => {
                let alg = if name.ends_with("p384") { "ES384" } else { "ES256" };
                (alg, EncodingKey::from_ec_der(key.pkcs8_der()))
            }
        };
        let algorithm: Algorithm = jwt.alg.as_deref().unwrap_or(default).parse().unwrap();
        let mut header = Header::new(algorithm);
        header.kid = Some(jwt.kid.clone().unwrap_or_else(|| key_id(&key.public())));
        jsonwebtoken::encode(&header, &claims, &encoding).unwrap()
    }

    /// With `@90` as seconds.
    fn timed(&self, value: &Value) -> Value {
        match value.as_str().and_then(|text| text.strip_prefix('@')) {
            Some(seconds) => json!(self.start.as_second() + seconds.parse::<i64>().unwrap()),
            None => value.clone(),
        }
    }

    fn request(&self, show: &Show) -> (HeaderMap, Vec<Certificate>) {
        let mut headers = HeaderMap::new();
        for (name, value) in &show.headers {
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        if let Some(token) = show.bearer.clone().or_else(|| show.jwt.as_ref().map(|jwt| self.token(jwt))) {
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        if let Some(pair) = &show.basic {
            let pair = STANDARD.encode(pair);
            headers.insert("authorization", format!("Basic {pair}").parse().unwrap());
        }
        let certificates = show.certificate.as_ref().map(|shown| self.certificates(shown));
        (headers, certificates.unwrap_or_default())
    }
}

/// What a table's servers know. `$SHOWN` as the token of a secret is the one that the row shows.
fn informers(table: &Table, shown: &str) -> Informers {
    let objects = |resource: &str| table.objects.get(resource).cloned().unwrap_or_default();
    let of = |resource: &str| Informer::fixed(objects(resource));
    let mut secrets = objects("secrets");
    for secret in secrets.iter_mut().filter(|secret| secret.str_at("/data/token") == "$SHOWN") {
        secret.set_at("/data/token", STANDARD.encode(shown));
    }
    Informers {
        secrets: Informer::fixed(secrets),
        service_accounts: of("serviceaccounts"),
        pods: of("pods"),
        nodes: of("nodes"),
        ..Informers::empty()
    }
}

fn check(name: &'static str, text: &'static str) {
    run(|sim, fake: Fake| async move {
        let table: Table = serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let gear = Gear::new(&sim, &fake.host, &table).await;
        let (mut allowed, mut denied) = (0, 0);
        for Row { fact, why, show, at, path, is, log, user } in &table.rows {
            let told = format!("{name}, {fact}: {why}");
            // A new one for each row: what the last row showed is not remembered.
            let (mut headers, certificates) = gear.request(show);
            let token =
                headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
            let authn = authn(&fake, gear.config(&table), &informers(&table, token.unwrap_or_default()));
            let away = Duration::from_secs_f64(at.abs());
            let now = if *at < 0.0 { gear.start - away } else { gear.start + away };
            let peer = peer(certificates);
            let mut errors = Vec::new();
            authn.identify(&mut headers.clone(), &peer, now, &mut errors, &mut Remarks::default()).await;
            let found = authn.authenticate(&mut headers, &peer, path, now, &mut Remarks::default()).await;
            let shown = match &found {
                Ok(User { name, groups, .. }) => format!("{name} [{}]", groups.join(" ")),
                Err(status) => status.code.to_string(),
            };
            assert_eq!(shown, *is, "{told}; the log says {errors:?}");
            if let Some(log) = log {
                assert!(errors.iter().any(|e| e.contains(log)), "{told}: {log:?} is not in {errors:?}");
            }
            if let Some(user) = user {
                let found = found.as_ref().unwrap().to_value();
                for (key, wanted) in user.as_object().unwrap() {
                    assert_eq!(found.get(key), Some(wanted), "{told}: {key}");
                }
            }
            if found.is_ok() { allowed += 1 } else { denied += 1 }
        }
        assert!(allowed > 0 && denied > 0, "{name} has {allowed} rows that allow and {denied} that deny");
    });
}

macro_rules! tables {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            check(stringify!($name), include_str!(concat!("decisions/", stringify!($name), ".yaml")));
        }
    )*};
}

tables!(
    certificates,
    front_proxy,
    static_tokens,
    passwords,
    keystone,
    service_accounts,
    bootstrap_tokens,
    oidc_flags,
    oidc_config,
    webhook,
    anonymous
);
