//! One webhook of a configuration, read once and used until the configuration changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use api::{object::ObjectExt as _, selector::LabelSelector};
use client::Informer;
use parking_lot::Mutex;
use serde_json::Value;

use super::{conditions::Conditions, rules::Rule};
use crate::callout::{Callouts, Webhook};

/// A version of `admission.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReviewVersion {
    V1,
    V1Beta1,
}

impl ReviewVersion {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1Beta1 => "v1beta1",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Hook {
    /// Tells the webhook from all others: configuration, name, and which of that name.
    pub uid: String,
    pub name: String,
    pub configuration: String,
    pub rules: Vec<Rule>,
    pub namespaces: Result<LabelSelector, String>,
    pub objects: Result<LabelSelector, String>,
    pub conditions: Conditions,
    /// Whether versions that the rules do not name are converted to one that they name.
    pub equivalent: bool,
    /// Whether a request goes on when the webhook cannot be asked.
    pub ignores_failure: bool,
    /// What it does besides answering, as it says.
    pub side_effects: Option<String>,
    pub timeout: Option<Duration>,
    /// The first of its versions that is known here.
    pub review_version: Option<ReviewVersion>,
    /// Whether it is asked again when others changed the object after it.
    pub reinvoked: bool,
    client_config: Value,
    webhook: OnceLock<Result<Webhook, String>>,
}

impl Hook {
    fn new(configuration: &str, webhook: &Value, number: usize) -> Self {
        let selector = |pointer: &str| match webhook.at(pointer) {
            Some(selector) => LabelSelector::from_object(selector).map_err(|e| e.to_string()),
            None => Ok(LabelSelector::nothing()),
        };
        let name = webhook.str_at("/name");
        let versions = webhook.list_at("/admissionReviewVersions");
        let ignores_failure = webhook.str_at("/failurePolicy") == "Ignore";
        let seconds = webhook.i64_at("/timeoutSeconds").and_then(|s| u64::try_from(s).ok());
        Self {
            uid: format!("{configuration}/{name}/{number}"),
            name: name.to_owned(),
            configuration: configuration.to_owned(),
            rules: webhook.list_at("/rules").iter().map(Rule::new).collect(),
            namespaces: selector("/namespaceSelector"),
            objects: selector("/objectSelector"),
            conditions: Conditions::new(webhook.list_at("/matchConditions"), ignores_failure),
            equivalent: webhook.str_at("/matchPolicy") == "Equivalent",
            ignores_failure,
            side_effects: Some(webhook.str_at("/sideEffects")).filter(|s| !s.is_empty()).map(str::to_owned),
            timeout: seconds.map(Duration::from_secs),
            review_version: versions.iter().find_map(|version| match version.as_str() {
                Some("v1") => Some(ReviewVersion::V1),
                Some("v1beta1") => Some(ReviewVersion::V1Beta1),
                _ => None,
            }),
            reinvoked: webhook.str_at("/reinvocationPolicy") == "IfNeeded",
            client_config: webhook.at("/clientConfig").cloned().unwrap_or_default(),
            webhook: OnceLock::new(),
        }
    }

    /// The way to it.
    ///
    /// # Errors
    /// Its configuration names nobody, or trusts nothing that is a certificate.
    pub(super) fn webhook(&self, callouts: &Callouts) -> Result<&Webhook, String> {
        self.webhook.get_or_init(|| callouts.to(&self.client_config)).as_ref().map_err(String::clone)
    }
}

/// The version of a configuration, and its webhooks as they were read.
type Read = (String, Vec<Arc<Hook>>);

/// The webhooks of all configurations of one kind.
#[derive(Debug)]
pub(super) struct Hooks {
    pub(super) informer: Informer,
    /// The way to them.
    pub(super) callouts: Callouts,
    known: Mutex<BTreeMap<String, Read>>,
}

impl Hooks {
    pub(super) fn new(informer: &Informer, callouts: &Callouts) -> Self {
        Self { informer: informer.clone(), callouts: callouts.clone(), known: Mutex::default() }
    }

    /// By the name of their configuration, then by their place in it.
    pub(super) fn all(&self) -> Vec<Arc<Hook>> {
        if self.informer.is_empty() {
            return Vec::new();
        }
        let configurations = self.informer.list();
        let mut known = self.known.lock();
        known.retain(|name, _| configurations.iter().any(|c| c.name() == name));
        let mut all = Vec::new();
        for configuration in &configurations {
            let version = format!("{}/{}", configuration.uid(), configuration.resource_version());
            match known.get(configuration.name()) {
                Some((read, hooks)) if *read == version => all.extend(hooks.iter().cloned()),
                _ => {
                    let hooks = read(configuration);
                    all.extend(hooks.iter().cloned());
                    known.insert(configuration.name().to_owned(), (version, hooks));
                }
            }
        }
        all
    }
}

fn read(configuration: &Value) -> Vec<Arc<Hook>> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let webhooks = configuration.list_at("/webhooks").iter();
    webhooks
        .map(|webhook| {
            let number = seen.entry(webhook.str_at("/name")).or_default();
            let hook = Hook::new(configuration.name(), webhook, *number);
            *number += 1;
            Arc::new(hook)
        })
        .collect()
}
