//! The flags of authorization besides the modes: files, and how a webhook is asked.

use std::{path::PathBuf, time::Duration};

use super::{
    Options,
    parse::{UsageError, Values},
};
use crate::authz::{Mode, webhook::ReviewVersion};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationOptions {
    /// `--authorization-config`.
    pub config_file: Option<PathBuf>,
    /// `--authorization-policy-file`.
    pub policy_file: Option<PathBuf>,
    /// `--authorization-webhook-config-file`.
    pub webhook_config_file: Option<PathBuf>,
    /// `--authorization-webhook-version`.
    pub webhook_version: String,
    /// `--authorization-webhook-cache-authorized-ttl`.
    pub webhook_authorized: Duration,
    /// `--authorization-webhook-cache-unauthorized-ttl`.
    pub webhook_unauthorized: Duration,
}

impl Default for AuthorizationOptions {
    fn default() -> Self {
        Self {
            config_file: None,
            policy_file: None,
            webhook_config_file: None,
            webhook_version: "v1beta1".to_owned(),
            webhook_authorized: Duration::from_secs(300),
            webhook_unauthorized: Duration::from_secs(30),
        }
    }
}

/// Flags that the file of `--authorization-config` takes the place of.
const LEGACY: [&str; 5] = [
    "authorization-mode",
    "authorization-webhook-config-file",
    "authorization-webhook-version",
    "authorization-webhook-cache-authorized-ttl",
    "authorization-webhook-cache-unauthorized-ttl",
];

/// The gate of the file, on by default from [`FILE_BY_DEFAULT`].
const GATE: &str = "StructuredAuthorizationConfiguration";
const FILE_SINCE: u16 = 29;
const FILE_BY_DEFAULT: u16 = 30;

pub(super) fn read(v: &Values, o: &mut Options) -> Result<(), UsageError> {
    v.list("authorization-mode", &mut o.authorization_modes);
    for mode in &o.authorization_modes {
        if Mode::parse(mode).is_none() {
            return Err(UsageError::Together(format!("authorization-mode {mode:?} is not a valid mode")));
        }
    }
    let flags = &mut o.authorization;
    v.path("authorization-config", &mut flags.config_file);
    v.path("authorization-policy-file", &mut flags.policy_file);
    v.path("authorization-webhook-config-file", &mut flags.webhook_config_file);
    if let Some(version) = v.last("authorization-webhook-version") {
        ReviewVersion::parse(version).map_err(UsageError::Together)?;
        version.clone_into(&mut flags.webhook_version);
    }
    v.duration("authorization-webhook-cache-authorized-ttl", &mut flags.webhook_authorized)?;
    v.duration("authorization-webhook-cache-unauthorized-ttl", &mut flags.webhook_unauthorized)
}

/// What only the whole command line shows: the release, the gates, and which flags go together.
pub(super) fn check(v: &Values, o: &Options) -> Result<(), UsageError> {
    if o.authorization.config_file.is_none() {
        return Ok(());
    }
    if o.profile.minor() < FILE_SINCE {
        return Err(UsageError::Unknown("authorization-config".to_owned()));
    }
    if o.profile.minor() < FILE_BY_DEFAULT && !o.has_gate(GATE) {
        return Err(UsageError::Together(format!(
            "--authorization-config cannot be used without enabling {GATE} feature flag"
        )));
    }
    if LEGACY.iter().any(|flag| v.is_given(flag)) {
        return Err(UsageError::Together(
            "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags \
             are defined"
                .to_owned(),
        ));
    }
    Ok(())
}
