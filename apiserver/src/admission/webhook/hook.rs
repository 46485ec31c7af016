//! One webhook of a configuration, read once and used until the configuration changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use api::object::ObjectExt as _;
use client::Informer;
use parking_lot::Mutex;
use serde_json::Value;

use super::{super::matching::Criteria, conditions::Conditions};
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
    /// Which requests it is asked about.
    pub criteria: Criteria,
    pub conditions: Conditions,
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
    webhook: OnceLock<Webhook>,
}

impl Hook {
    fn new(configuration: &str, webhook: &Value, number: usize) -> Self {
        let name = webhook.str_at("/name");
        let versions = webhook.list_at("/admissionReviewVersions");
        let ignores_failure = webhook.str_at("/failurePolicy") == "Ignore";
        let seconds = webhook.i64_at("/timeoutSeconds").and_then(|s| u64::try_from(s).ok());
        Self {
            uid: format!("{configuration}/{name}/{number}"),
            name: name.to_owned(),
            configuration: configuration.to_owned(),
            criteria: Criteria::of_webhook(webhook),
            conditions: Conditions::new(webhook.list_at("/matchConditions"), ignores_failure),
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
        if let Some(webhook) = self.webhook.get() {
            return Ok(webhook);
        }
        // A failure is not kept: what it is for, a file of credentials perhaps, may be there next time.
        let webhook = callouts.to(&self.client_config)?;
        Ok(self.webhook.get_or_init(|| webhook))
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pki::{Authority, CertSpec, KeyAlgorithm, PrivateKey};
    use serde_json::json;

    use super::*;
    use crate::{
        callout::{Credentials, Services},
        informers::Informers,
    };

    const LOGIN: &str = "
apiVersion: v1
kind: Config
users:
- name: '*'
  user: {client-certificate: /own.crt, client-key: /own.key}
";

    #[test]
    fn what_kept_a_webhook_from_being_called_may_pass() {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let host = sim.host("cp");
            let disk = host.disk();
            disk.write("/hooks.conf", LOGIN, 0o600).unwrap();
            let login = Credentials::load(&host, Path::new("/hooks.conf")).unwrap();
            let services = Services::new(&host, &Informers::empty());
            let callouts = Callouts::new(&host, (1, 26), services).known_as(Some(login));
            let webhook = json!({"name": "w", "clientConfig": {"url": "https://hook:8443/"}});
            let hook = Hook::new("c", &webhook, 0);
            assert!(hook.webhook(&callouts).is_err_and(|why| why.contains("/own.crt")));

            let (now, day) = (host.clock().wall(), Duration::from_secs(86_400));
            let algorithm = KeyAlgorithm::EcdsaP256;
            let ca = Authority::new_root(host.entropy(), algorithm, "ca", &[], now, now + day).unwrap();
            let key = PrivateKey::generate(algorithm).unwrap();
            let spec = CertSpec {
                common_name: "apiserver".to_owned(),
                organizations: vec![],
                dns_names: vec![],
                ips: vec![],
                client_auth: true,
                server_auth: false,
                not_before: now,
                not_after: now + day,
            };
            let leaf = ca.issue(host.entropy(), &spec, &key.public()).unwrap();
            disk.write("/own.crt", leaf.to_pem(), 0o644).unwrap();
            disk.write("/own.key", key.to_pem(), 0o600).unwrap();
            assert_eq!(hook.webhook(&callouts).err(), None);
        })
        .unwrap();
    }
}
