//! As whom webhooks are called: `WebhookAdmissionConfiguration`, one for each of the two plugins.

use std::path::Path;

use api::object::ObjectExt as _;
use world::Host;

use super::super::ConfigFile;
use crate::callout::Credentials;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::admission) struct Logins {
    pub(super) mutating: Option<Credentials>,
    pub(super) validating: Option<Credentials>,
}

impl Logins {
    /// From the two plugins' sections of `--admission-control-config-file`.
    ///
    /// # Errors
    /// The plugin at fault, and what is wrong with its section or the kubeconfig file that this names.
    pub(in crate::admission) fn read(host: &Host, file: &ConfigFile) -> Result<Self, (&'static str, String)> {
        let of = |plugin: &'static str| -> Result<Option<Credentials>, (&'static str, String)> {
            let words = |why: String| (plugin, why);
            let Some(config) = file.section(plugin) else { return Ok(None) };
            let known = matches!(
                (config.api_version(), config.kind()),
                ("apiserver.config.k8s.io/v1", "WebhookAdmissionConfiguration")
                    | ("apiserver.config.k8s.io/v1alpha1", "WebhookAdmission")
            );
            if !known {
                return Err(words(format!(
                    "no kind {:?} is registered for version {:?}",
                    config.kind(),
                    config.api_version()
                )));
            }
            let path = config.str_at("/kubeConfigFile");
            if !path.starts_with('/') {
                let why = "must be an absolute file path";
                return Err(words(format!("kubeConfigFile: Invalid value: {path:?}: {why}")));
            }
            Credentials::load(host, Path::new(path)).map(Some).map_err(|e| words(e.to_string()))
        };
        Ok(Self { mutating: of("MutatingAdmissionWebhook")?, validating: of("ValidatingAdmissionWebhook")? })
    }
}
