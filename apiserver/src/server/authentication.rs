//! From flags to what the authenticators believe: every file is read here, at start.

use std::{path::Path, sync::Arc};

use pki::{PrivateKey, PublicKey, Roots, jwt::ServiceAccountSigner};
use world::Host;

use super::{StartError, tls};
use crate::{
    authn::{
        AnonymousConfig, AuthenticationConfig, CaBundle, Config, Issuers, JwtConfig, Keystone, Loopback,
        PasswordFile, RequestHeaders, ServiceAccounts, StaticTokens, TokenIssuer, TokenWebhook,
    },
    options::Options,
    webhook_client::WebhookClient,
};

fn failed(flag: &'static str, path: &Path, why: impl std::fmt::Display) -> StartError {
    StartError::File { flag, path: path.to_owned(), why: why.to_string() }
}

/// Reads what the flags name; also the keys that service account tokens are verified with. `token` is
/// the loopback client's.
///
/// # Errors
/// A file that cannot be used.
pub(super) fn config(
    host: &Host,
    options: &Options,
    token: &str,
) -> Result<(Config, Vec<PublicKey>), StartError> {
    let read = Reader { host, options };
    let audiences = if options.api_audiences.is_empty() {
        options.service_account_issuers.clone()
    } else {
        options.api_audiences.clone()
    };
    let signing = read.signing_key()?;
    let keys = read.verifying_keys(signing.as_ref())?;
    let issuers = options.service_account_issuers.clone();
    let service_accounts = (!keys.is_empty())
        .then(|| ServiceAccounts::new(issuers, audiences.clone(), &keys, options.service_account_lookup))
        .map(|accounts| accounts.tracking(options.profile.tracks_token_secrets()));
    let issuer = match (options.service_account_issuers.first(), &signing) {
        (Some(issuer), Some(key)) => Some(TokenIssuer::new(
            ServiceAccountSigner::new(issuer, key),
            audiences.clone(),
            options.service_account_max_expiration,
            options.service_account_extend_expiration,
        )),
        _ => None,
    };
    let (issuers, anonymous) = read.issuers()?;
    let config = Config {
        loopback: Some(Loopback::new(token, host.entropy().uuid())),
        request_headers: read.request_headers()?,
        client_ca: read.bundle("client-ca-file", options.client_ca_file.as_deref())?,
        static_tokens: read.static_tokens()?,
        service_accounts,
        bootstrap_tokens: options.enable_bootstrap_token_auth,
        passwords: read.passwords()?,
        keystone: read.keystone()?,
        issuers,
        webhook: read.webhook(&audiences)?,
        audiences,
        anonymous: anonymous.unwrap_or(AnonymousConfig::everywhere(options.anonymous_auth)),
        issuer,
        go: options.profile.go(),
        certificates_name_uids: options.profile.certificates_name_uids(),
    };
    Ok((config, keys))
}

struct Reader<'a> {
    host: &'a Host,
    options: &'a Options,
}

impl Reader<'_> {
    fn content(&self, flag: &'static str, path: &Path) -> Result<Vec<u8>, StartError> {
        self.host.disk().read(path).map_err(|e| failed(flag, path, e))
    }

    /// Authorities that are read again while the server runs, in releases that do so.
    fn bundle(&self, flag: &'static str, path: Option<&Path>) -> Result<Option<Arc<CaBundle>>, StartError> {
        let Some(path) = path else { return Ok(None) };
        let bundle = CaBundle::file(self.host.disk(), path).map_err(|e| failed(flag, path, e))?;
        if self.options.profile.rereads_client_authorities() {
            bundle.keep_fresh(self.host);
        }
        Ok(Some(bundle))
    }

    /// Authorities that are read once.
    fn roots(&self, flag: &'static str, path: Option<&Path>) -> Result<Option<Roots>, StartError> {
        let Some(path) = path else { return Ok(None) };
        let pem = self.content(flag, path)?;
        let roots = Roots::from_pem(&pem).map_err(|e| failed(flag, path, e))?;
        match roots.is_empty() {
            true => Err(failed(flag, path, "there is no certificate in it")),
            false => Ok(Some(roots)),
        }
    }

    fn request_headers(&self) -> Result<Option<RequestHeaders>, StartError> {
        let front = &self.options.request_header;
        let ca = self.bundle("requestheader-client-ca-file", front.client_ca_file.as_deref())?;
        Ok(ca.map(|ca| RequestHeaders {
            ca,
            allowed_names: front.allowed_names.clone(),
            user: front.username_headers.clone(),
            uid: front.uid_headers.clone(),
            group: front.group_headers.clone(),
            extra_prefixes: front.extra_prefixes.clone(),
        }))
    }

    fn static_tokens(&self) -> Result<Option<StaticTokens>, StartError> {
        let Some(path) = &self.options.token_auth_file else { return Ok(None) };
        let table = StaticTokens::file(self.host.disk(), path.clone());
        table.map(Some).map_err(|e| failed("token-auth-file", path, e))
    }

    fn passwords(&self) -> Result<Option<PasswordFile>, StartError> {
        let Some(path) = &self.options.basic_auth_file else { return Ok(None) };
        let table = PasswordFile::file(self.host.disk(), path.clone());
        table.map(Some).map_err(|e| failed("basic-auth-file", path, e))
    }

    fn keystone(&self) -> Result<Option<Keystone>, StartError> {
        let Some(keystone) = &self.options.keystone else { return Ok(None) };
        let roots = self.roots("experimental-keystone-ca-file", keystone.ca_file.as_deref())?;
        Ok(Some(Keystone::new(self.host, &keystone.url, roots, self.options.profile.go())))
    }

    fn webhook(&self, audiences: &[String]) -> Result<Option<TokenWebhook>, StartError> {
        let hook = &self.options.token_webhook;
        let Some(path) = &hook.config_file else { return Ok(None) };
        let (go, agent) = (self.options.profile.go(), self.options.user_agent());
        let client = WebhookClient::from_file(self.host, path, go, &agent)
            .map_err(|e| failed("authentication-token-webhook-config-file", path, e))?;
        let clock = self.host.clock().clone();
        Ok(Some(TokenWebhook::new(client, &hook.version, hook.cache_ttl, audiences.to_vec(), clock)))
    }

    fn signing_key(&self) -> Result<Option<PrivateKey>, StartError> {
        let Some(path) = &self.options.service_account_signing_key_file else { return Ok(None) };
        let flag = "service-account-signing-key-file";
        let key = PrivateKey::from_pem(&self.content(flag, path)?);
        key.map(Some).map_err(|e| failed(flag, path, e))
    }

    fn verifying_keys(&self, signing: Option<&PrivateKey>) -> Result<Vec<PublicKey>, StartError> {
        let mut keys = Vec::new();
        for path in &self.options.service_account_key_files {
            let flag = "service-account-key-file";
            let text = self.content(flag, path)?;
            keys.extend(PublicKey::all_from_pem(&text).map_err(|e| failed(flag, path, e))?);
        }
        if !keys.is_empty() {
            return Ok(keys);
        }
        if let Some(key) = signing {
            return Ok(vec![key.public()]);
        }
        // As upstream: the server's own key, whatever made it.
        let path = tls::key_file(self.options);
        let own = self.host.disk().read(&path).ok().and_then(|pem| PublicKey::all_from_pem(&pem).ok());
        if own.is_none() {
            tracing::warn!("No TLS key provided, service account token authentication disabled");
        }
        Ok(own.unwrap_or_default())
    }

    /// Issuers of ID tokens, and who may be anonymous if a file says so.
    fn issuers(&self) -> Result<(Option<Arc<Issuers>>, Option<AnonymousConfig>), StartError> {
        let (host, go) = (self.host, self.options.profile.go());
        let disallowed = &self.options.service_account_issuers;
        if let Some(path) = &self.options.authentication_config {
            let flag = "authentication-config";
            let content = self.content(flag, path)?;
            let config =
                AuthenticationConfig::parse(&content, disallowed).map_err(|e| failed(flag, path, e))?;
            let is_flag = self.options.given.iter().any(|(flag, _)| flag == "anonymous-auth");
            if config.anonymous.is_some() && is_flag {
                return Err(StartError::Flags(
                    "--anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file".to_owned(),
                ));
            }
            let issuers = Issuers::new(host, config.jwt, go);
            issuers.keep_fresh(host.disk(), path.clone(), content, disallowed.clone());
            return Ok((Some(issuers), config.anonymous));
        }
        let Some(flags) = &self.options.oidc else { return Ok((None, None)) };
        let ca = self.roots("oidc-ca-file", flags.ca_file.as_deref())?.map(|roots| roots.to_pem());
        let config = JwtConfig::from_flags(flags, ca, disallowed);
        let config = config.map_err(|e| StartError::Flags(e.to_string()))?;
        Ok((Some(Issuers::new(host, vec![config], go)), None))
    }
}
