//! The flags of authentication, and what becomes of them.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    Options,
    parse::{UsageError, Values, invalid},
};

/// Front-proxy authentication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// `--requestheader-client-ca-file`.
    pub client_ca_file: Option<PathBuf>,
    /// `--requestheader-allowed-names`.
    pub allowed_names: Vec<String>,
    /// `--requestheader-username-headers`.
    pub username_headers: Vec<String>,
    /// `--requestheader-uid-headers`.
    pub uid_headers: Vec<String>,
    /// `--requestheader-group-headers`.
    pub group_headers: Vec<String>,
    /// `--requestheader-extra-headers-prefix`.
    pub extra_prefixes: Vec<String>,
}

/// `--oidc-*`: one issuer of ID tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oidc {
    /// `--oidc-issuer-url`.
    pub issuer_url: String,
    /// `--oidc-client-id`.
    pub client_id: String,
    /// `--oidc-ca-file`.
    pub ca_file: Option<PathBuf>,
    /// `--oidc-username-claim`.
    pub username_claim: String,
    /// `--oidc-username-prefix`; `-` is none at all.
    pub username_prefix: String,
    /// `--oidc-groups-claim`.
    pub groups_claim: String,
    /// `--oidc-groups-prefix`.
    pub groups_prefix: String,
    /// `--oidc-required-claim`.
    pub required_claims: BTreeMap<String, String>,
    /// `--oidc-signing-algs`.
    pub signing_algs: Vec<String>,
}

/// `--authentication-token-webhook-*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenWebhook {
    /// The kubeconfig that names the webhook.
    pub config_file: Option<PathBuf>,
    /// `v1` or `v1beta1`.
    pub version: String,
    /// How long an answer is remembered.
    pub cache_ttl: Duration,
}

impl Default for TokenWebhook {
    fn default() -> Self {
        Self { config_file: None, version: "v1beta1".to_owned(), cache_ttl: Duration::from_secs(120) }
    }
}

/// `--experimental-keystone-*`, of releases up to 1.9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keystone {
    /// Where Keystone answers.
    pub url: String,
    /// Who signed its certificate; without it the host's authorities count.
    pub ca_file: Option<PathBuf>,
}

/// The last release that knew a flag, and what to say after it.
const ENDED: &[(&str, u16, &str)] = &[
    ("basic-auth-file", 18, "basic authentication was removed in Kubernetes 1.19"),
    ("experimental-keystone-url", 9, KEYSTONE),
    ("experimental-keystone-ca-file", 9, KEYSTONE),
];
const KEYSTONE: &str = "Keystone passwords were removed in Kubernetes 1.10: give Keystone's tokens to a webhook, by --authentication-token-webhook-config-file";

pub(super) fn read(v: &Values, o: &mut Options) -> Result<(), UsageError> {
    for (flag, last, why) in ENDED {
        if v.last(flag).is_some_and(|value| value != "0") && o.profile.minor() > *last {
            return Err(UsageError::Refused { flag: (*flag).to_owned(), why: (*why).to_owned() });
        }
    }
    v.path("basic-auth-file", &mut o.basic_auth_file);
    o.keystone = keystone(v)?;
    v.path("client-ca-file", &mut o.client_ca_file);
    v.path("token-auth-file", &mut o.token_auth_file);
    v.switch("anonymous-auth", &mut o.anonymous_auth)?;
    v.switch("enable-bootstrap-token-auth", &mut o.enable_bootstrap_token_auth)?;
    v.path("requestheader-client-ca-file", &mut o.request_header.client_ca_file);
    v.list("requestheader-allowed-names", &mut o.request_header.allowed_names);
    v.list("requestheader-username-headers", &mut o.request_header.username_headers);
    v.list("requestheader-uid-headers", &mut o.request_header.uid_headers);
    v.list("requestheader-group-headers", &mut o.request_header.group_headers);
    v.list("requestheader-extra-headers-prefix", &mut o.request_header.extra_prefixes);
    service_accounts(v, o)?;
    o.oidc = oidc(v)?;
    v.path("authentication-config", &mut o.authentication_config);
    if o.authentication_config.is_some() && o.oidc.is_some() {
        return Err(UsageError::Together(
            "authentication-config file and oidc-* flags are mutually exclusive".to_owned(),
        ));
    }
    webhook(v, o)
}

fn service_accounts(v: &Values, o: &mut Options) -> Result<(), UsageError> {
    v.list("service-account-issuer", &mut o.service_account_issuers);
    let mut keys = Vec::new();
    v.list("service-account-key-file", &mut keys);
    o.service_account_key_files = keys.into_iter().map(PathBuf::from).collect();
    v.path("service-account-signing-key-file", &mut o.service_account_signing_key_file);
    v.switch("service-account-lookup", &mut o.service_account_lookup)?;
    v.switch("service-account-extend-token-expiration", &mut o.service_account_extend_expiration)?;
    if v.last("service-account-max-token-expiration").is_some() {
        let mut longest = Duration::ZERO;
        v.duration("service-account-max-token-expiration", &mut longest)?;
        o.service_account_max_expiration = (!longest.is_zero()).then_some(longest);
        let allowed = Duration::from_secs(3600)..=Duration::from_secs(1 << 32);
        if !longest.is_zero() && !allowed.contains(&longest) {
            return Err(UsageError::Together(
                "the service-account-max-token-expiration must be between 1 hour and 2^32 seconds".to_owned(),
            ));
        }
    }
    v.text("service-account-jwks-uri", &mut o.service_account_jwks_uri);
    if let Some(uri) = o.service_account_jwks_uri.as_ref().filter(|uri| !uri.starts_with("https://")) {
        return Err(UsageError::Together(format!(
            "service-account-jwks-uri requires https scheme, parsed as: {uri}"
        )));
    }
    v.list("service-account-api-audiences", &mut o.api_audiences);
    v.list("api-audiences", &mut o.api_audiences);
    Ok(())
}

fn keystone(v: &Values) -> Result<Option<Keystone>, UsageError> {
    let Some(url) = v.last("experimental-keystone-url") else { return Ok(None) };
    if !url.starts_with("https") {
        return Err(UsageError::Together("Auth URL should be secure and start with https".to_owned()));
    }
    let mut ca_file = None;
    v.path("experimental-keystone-ca-file", &mut ca_file);
    Ok(Some(Keystone { url: url.to_owned(), ca_file }))
}

/// What rustls' library can verify of what upstream takes.
const SIGNING_ALGS: [&str; 8] = ["ES256", "ES384", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];

const OIDC_FLAGS: [&str; 9] = [
    "oidc-issuer-url",
    "oidc-client-id",
    "oidc-ca-file",
    "oidc-username-claim",
    "oidc-username-prefix",
    "oidc-groups-claim",
    "oidc-groups-prefix",
    "oidc-signing-algs",
    "oidc-required-claim",
];

fn oidc(v: &Values) -> Result<Option<Oidc>, UsageError> {
    let text = |flag: &str, default: &str| v.last(flag).unwrap_or(default).to_owned();
    let mut oidc = Oidc {
        issuer_url: text("oidc-issuer-url", ""),
        client_id: text("oidc-client-id", ""),
        username_claim: text("oidc-username-claim", "sub"),
        username_prefix: text("oidc-username-prefix", ""),
        groups_claim: text("oidc-groups-claim", ""),
        groups_prefix: text("oidc-groups-prefix", ""),
        signing_algs: vec!["RS256".to_owned()],
        ..Oidc::default()
    };
    v.path("oidc-ca-file", &mut oidc.ca_file);
    v.list("oidc-signing-algs", &mut oidc.signing_algs);
    for pair in v.all("oidc-required-claim") {
        let malformed = || invalid("oidc-required-claim", pair, "malformed pair, expect string=string");
        let (claim, value) = pair.split_once('=').ok_or_else(malformed)?;
        oidc.required_claims.insert(claim.trim().to_owned(), value.trim().to_owned());
    }
    let is_any = OIDC_FLAGS.iter().any(|flag| v.last(flag).is_some());
    if is_any && (oidc.issuer_url.is_empty() || oidc.client_id.is_empty()) {
        return Err(UsageError::Together(
            "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set"
                .to_owned(),
        ));
    }
    if oidc.issuer_url.is_empty() {
        return Ok(None);
    }
    for algorithm in &oidc.signing_algs {
        if algorithm == "ES512" {
            let why = "signatures by ES512 cannot be verified here: leave it out";
            return Err(invalid("oidc-signing-algs", algorithm, why));
        }
        if !SIGNING_ALGS.contains(&algorithm.as_str()) {
            return Err(UsageError::Together(format!("oidc: unsupported signing alg: {algorithm:?}")));
        }
    }
    Ok(Some(oidc))
}

fn webhook(v: &Values, o: &mut Options) -> Result<(), UsageError> {
    let hook = &mut o.token_webhook;
    v.path("authentication-token-webhook-config-file", &mut hook.config_file);
    if let Some(version) = v.last("authentication-token-webhook-version") {
        version.clone_into(&mut hook.version);
    }
    if hook.config_file.is_some() && !["v1", "v1beta1"].contains(&hook.version.as_str()) {
        return Err(UsageError::Together(format!(
            "unsupported authentication webhook version {:?}, supported versions are \"v1\", \"v1beta1\"",
            hook.version
        )));
    }
    v.duration("authentication-token-webhook-cache-ttl", &mut hook.cache_ttl)
}
