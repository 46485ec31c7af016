//! From flags to what the authenticators believe: every file is read here, at start.

use std::path::PathBuf;

use pki::{PrivateKey, PublicKey, jwt::ServiceAccountSigner};
use world::Host;

use super::StartError;
use crate::{
    authn::{CaBundle, Config, Loopback, RequestHeaders, ServiceAccounts, StaticTokens, TokenIssuer},
    options::Options,
};

fn failed(flag: &'static str, path: &std::path::Path, why: impl std::fmt::Display) -> StartError {
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
    let disk = host.disk();
    let bundle = |flag: &'static str, path: &Option<PathBuf>| {
        let Some(path) = path else { return Ok(None) };
        let bundle = CaBundle::file(disk, path.clone()).map_err(|e| failed(flag, path, e))?;
        bundle.keep_fresh(host);
        Ok::<_, StartError>(Some(bundle))
    };
    let front = &options.request_header;
    let request_headers =
        bundle("requestheader-client-ca-file", &front.client_ca_file)?.map(|ca| RequestHeaders {
            ca,
            allowed_names: front.allowed_names.clone(),
            user: front.username_headers.clone(),
            uid: front.uid_headers.clone(),
            group: front.group_headers.clone(),
            extra_prefixes: front.extra_prefixes.clone(),
        });
    let static_tokens = match &options.token_auth_file {
        Some(path) => {
            Some(StaticTokens::file(disk, path.clone()).map_err(|e| failed("token-auth-file", path, e))?)
        }
        None => None,
    };
    let audiences = if options.api_audiences.is_empty() {
        options.service_account_issuers.clone()
    } else {
        options.api_audiences.clone()
    };
    let signing = match &options.service_account_signing_key_file {
        Some(path) => {
            let flag = "service-account-signing-key-file";
            let text = disk.read(path).map_err(|e| failed(flag, path, e))?;
            Some(PrivateKey::from_pem(&text).map_err(|e| failed(flag, path, e))?)
        }
        None => None,
    };
    let mut keys = Vec::new();
    for path in &options.service_account_key_files {
        let flag = "service-account-key-file";
        let text = disk.read(path).map_err(|e| failed(flag, path, e))?;
        keys.extend(PublicKey::all_from_pem(&text).map_err(|e| failed(flag, path, e))?);
    }
    if keys.is_empty()
        && let Some(key) = &signing
    {
        keys.push(key.public());
    }
    let issuers = options.service_account_issuers.clone();
    let service_accounts = (!keys.is_empty())
        .then(|| ServiceAccounts::new(issuers, audiences.clone(), &keys, options.service_account_lookup));
    let issuer = match (options.service_account_issuers.first(), &signing) {
        (Some(issuer), Some(key)) => Some(TokenIssuer::new(
            ServiceAccountSigner::new(issuer, key),
            audiences,
            options.service_account_max_expiration,
            options.service_account_extend_expiration,
        )),
        _ => None,
    };
    let config = Config {
        loopback: Some(Loopback::new(token, host.entropy().uuid())),
        request_headers,
        client_ca: bundle("client-ca-file", &options.client_ca_file)?,
        static_tokens,
        service_accounts,
        bootstrap_tokens: options.enable_bootstrap_token_auth,
        // Where everything is allowed, upstream lets nobody in without a name.
        anonymous: options.anonymous_auth,
        issuer,
        go: options.profile.go(),
    };
    Ok((config, keys))
}
