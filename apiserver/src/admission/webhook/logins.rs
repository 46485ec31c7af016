//! As whom webhooks are called: `WebhookAdmissionConfiguration`, one for each of the two plugins.

use std::path::{Path, PathBuf};

use api::object::ObjectExt as _;
use world::Host;

use super::super::config::AdmissionConfiguration;
use crate::callout::Credentials;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    pub(super) mutating: Option<Credentials>,
    pub(super) validating: Option<Credentials>,
}

impl Logins {
    /// From the file of `--admission-control-config-file`.
    ///
    /// # Errors
    /// The file at fault, and what is wrong with it.
    pub(crate) fn load(host: &Host, file: Option<&Path>) -> Result<Self, (PathBuf, String)> {
        let Some(file) = file else { return Ok(Self::default()) };
        let fail = |why: String| (file.to_owned(), why);
        let configuration = AdmissionConfiguration::load(host.disk(), file).map_err(fail)?;
        let of = |plugin: &str| -> Result<Option<Credentials>, (PathBuf, String)> {
            let words = |why: String| fail(format!("couldn't init admission plugin {plugin:?}: {why}"));
            let Some(config) = configuration.plugin(plugin).map_err(words)? else { return Ok(None) };
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
