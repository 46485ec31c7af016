//! Which authorizers there are, in which order: from the flags, or from the file of `--authorization-config`.

mod file;
mod validate;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use world::Disk;

use super::{Decision, Mode, webhook::ReviewVersion};
use crate::options::Options;

/// What a webhook of the flags is called.
const DEFAULT_WEBHOOK: &str = "default";
/// For one try of a webhook of the flags.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The chain as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    pub(super) authorizers: Vec<Entry>,
}

/// One authorizer of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: Mode,
    pub(super) name: String,
    /// Of the mode `Webhook`, and of no other.
    pub(super) webhook: Option<WebhookEntry>,
}

/// A webhook of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WebhookEntry {
    pub(super) kubeconfig: PathBuf,
    pub(super) timeout: Duration,
    pub(super) authorized: Duration,
    pub(super) unauthorized: Duration,
    pub(super) version: ReviewVersion,
    pub(super) on_error: Decision,
    pub(super) conditions: Vec<String>,
}

impl Configuration {
    /// What a command line asks for.
    ///
    /// # Errors
    /// One sentence about the flags or the file, in upstream's words.
    pub fn load(disk: &Disk, options: &Options) -> Result<Self, String> {
        match &options.authorization.config_file {
            Some(path) => {
                let content = disk.read(path).map_err(|e| e.to_string())?;
                Self::parse(disk, options.profile.minor(), &content, &BTreeSet::new())
            }
            None => Self::of_flags(options),
        }
    }

    /// Reads the file's content; `required` are the modes that may not be missing.
    ///
    /// # Errors
    /// All that is wrong with it, in upstream's words.
    pub(super) fn parse(
        disk: &Disk,
        minor: u16,
        content: &[u8],
        required: &BTreeSet<Mode>,
    ) -> Result<Self, String> {
        let file = file::read(minor, content)
            .map_err(|why| format!("failed to load AuthorizationConfiguration from file: {why}"))?;
        let this = validate::configuration(disk, &file)?;
        let mut errors: Vec<String> = Vec::new();
        for entry in this.authorizers.iter().filter(|entry| entry.mode != Mode::Webhook) {
            let expected = entry.mode.name().to_lowercase();
            if entry.name != expected {
                let (mode, name) = (entry.mode.name(), &entry.name);
                errors.push(format!("expected name {expected} for authorizer {mode} instead of {name}"));
            }
        }
        let missing: Vec<&str> = required.difference(&this.modes()).map(|mode| mode.name()).collect();
        if !missing.is_empty() {
            errors.push(format!("missing required types: [{}]", missing.join(" ")));
        }
        if errors.is_empty() { Ok(this) } else { Err(super::rbac::aggregate(&errors)) }
    }

    fn of_flags(options: &Options) -> Result<Self, String> {
        let flags = &options.authorization;
        let modes = Mode::parse_all(&options.authorization_modes).map_err(|e| e.to_string())?;
        let mut errors: Vec<&str> = Vec::new();
        let mut needs = |mode: Mode, file: &Option<PathBuf>, missing: &'static str, idle: &'static str| match (
            modes.contains(&mode),
            file,
        ) {
            (true, None) => errors.push(missing),
            (false, Some(_)) => errors.push(idle),
            _ => {}
        };
        needs(
            Mode::Abac,
            &flags.policy_file,
            "authorization-mode ABAC's authorization policy file not passed",
            "cannot specify --authorization-policy-file without mode ABAC",
        );
        needs(
            Mode::Webhook,
            &flags.webhook_config_file,
            "authorization-mode Webhook's authorization config file not passed",
            "cannot specify --authorization-webhook-config-file without mode Webhook",
        );
        if !errors.is_empty() {
            return Err(super::rbac::aggregate(&errors));
        }
        let mut authorizers = Vec::new();
        for mode in modes {
            authorizers.push(match (mode, &flags.webhook_config_file) {
                (Mode::Webhook, Some(kubeconfig)) => Entry {
                    mode,
                    name: DEFAULT_WEBHOOK.to_owned(),
                    webhook: Some(WebhookEntry {
                        kubeconfig: kubeconfig.clone(),
                        timeout: DEFAULT_TIMEOUT,
                        authorized: flags.webhook_authorized,
                        unauthorized: flags.webhook_unauthorized,
                        version: ReviewVersion::parse(&flags.webhook_version)?,
                        on_error: Decision::NoOpinion,
                        conditions: Vec::new(),
                    }),
                },
                _ => Entry::of_mode(mode),
            });
        }
        Ok(Self { authorizers })
    }

    /// A chain of modes that need no file.
    pub(super) fn of_modes(modes: &[Mode]) -> Self {
        Self { authorizers: modes.iter().map(|mode| Entry::of_mode(*mode)).collect() }
    }

    /// The modes that it has, webhooks aside: these must stay.
    pub(super) fn modes(&self) -> BTreeSet<Mode> {
        self.authorizers.iter().map(|entry| entry.mode).filter(|mode| *mode != Mode::Webhook).collect()
    }
}

impl Entry {
    fn of_mode(mode: Mode) -> Self {
        Self { mode, name: mode.name().to_lowercase(), webhook: None }
    }
}
