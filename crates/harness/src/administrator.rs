//! Who may do everything in a cluster, and sits before it: clients for anyone, manifests applied, conditions awaited.

use std::{fmt, sync::Arc, time::Duration};

use api::profile::Profile;
use client::{Auth, Faults, Rest, ServiceAccountToken};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    discovery::{ApiCapabilities, ApiResource, Scope, pinned_kind},
};
use pki::{
    Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey,
    kubeconfig::{Kubeconfig, User},
};
use serde_json::Value;
use wire::HttpClient;
use world::{Host, rfc3339};

use crate::{Condition, HarnessError, Identity, Manifests, Target, identity::Who, manifests::Manifest};

/// Who applies manifests, for the server's bookkeeping.
const MANAGER: &str = "chronoplane";
/// The cluster's authority, on the host of its first control plane.
const CA: &str = "/etc/kubernetes/pki/ca.crt";
const CA_KEY: &str = "/etc/kubernetes/pki/ca.key";
/// How long is waited for what should take seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// How often is looked, as a part of the longest wait; and the least between two looks.
const LOOKS: u32 = 1_000;
const LOOK: Duration = Duration::from_millis(200);

/// See the module.
pub(crate) struct Administrator {
    /// Where people sit.
    workstation: Host,
    /// Where the authority's key is.
    control_plane: Host,
    kubeconfig: Kubeconfig,
    profile: Profile,
    rest: Rest,
}

impl Administrator {
    pub(crate) fn new(
        workstation: &Host,
        control_plane: &Host,
        kubeconfig: &Kubeconfig,
        profile: Profile,
    ) -> Result<Self, HarnessError> {
        let rest = Rest::from_kubeconfig(workstation, kubeconfig, profile.go(), "kubectl");
        Ok(Self {
            workstation: workstation.clone(),
            control_plane: control_plane.clone(),
            kubeconfig: kubeconfig.clone(),
            profile,
            rest: rest.map_err(HarnessError::new)?,
        })
    }

    pub(crate) fn workstation(&self) -> &Host {
        &self.workstation
    }

    pub(crate) fn kubeconfig(&self) -> &Kubeconfig {
        &self.kubeconfig
    }

    pub(crate) fn profile(&self) -> Profile {
        self.profile
    }

    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    pub(crate) fn client_from(&self, host: &Host) -> Result<kube::Client, HarnessError> {
        client::kube_client(host, &self.kubeconfig, self.profile.go()).map_err(HarnessError::new)
    }

    pub(crate) fn client_as(&self, identity: &Identity) -> Result<kube::Client, HarnessError> {
        self.faulty_client(identity, &Faults::new())
    }

    pub(crate) fn faulty_client(
        &self,
        identity: &Identity,
        faults: &Faults,
    ) -> Result<kube::Client, HarnessError> {
        let host = &self.workstation;
        let (config, auth, namespace) = match &identity.0 {
            Who::User { name, groups, life } => {
                let pair = self.certificate(name, groups, *life)?;
                (self.config_of(name, User::with_certificate(&pair))?, Auth::None, "default")
            }
            Who::ServiceAccount { namespace, name } => {
                let tokens = ServiceAccountToken::new(host, &self.rest, namespace, name);
                (self.config_of(name, User::default())?, Auth::Token(Arc::new(tokens)), namespace.as_str())
            }
            Who::Anonymous => (self.config_of("nobody", User::default())?, Auth::None, "default"),
        };
        let tls = config.client_tls(host, self.profile.go()).map_err(HarnessError::new)?;
        let server = config.server().map_err(HarnessError::new)?;
        let http = HttpClient::new(host, server, tls).map_err(HarnessError::new)?;
        Ok(client::faulty_kube_client(http.user_agent("kube-rs"), auth, namespace, faults))
    }

    pub(crate) fn faulty_administrator(&self, faults: &Faults) -> Result<kube::Client, HarnessError> {
        let host = &self.workstation;
        let (http, auth) =
            client::connection(host, &self.kubeconfig, self.profile.go()).map_err(HarnessError::new)?;
        Ok(client::faulty_kube_client(http.user_agent("kube-rs"), auth, "default", faults))
    }

    fn config_of(&self, name: &str, user: User) -> Result<Kubeconfig, HarnessError> {
        let (cluster, server) = self.kubeconfig.cluster().map_err(HarnessError::new)?;
        Ok(Kubeconfig::new(cluster, server.clone(), name, user))
    }

    /// A client certificate of the cluster's authority; valid from when that is.
    fn certificate(
        &self,
        name: &str,
        groups: &[String],
        life: Option<Duration>,
    ) -> Result<CertifiedKey, HarnessError> {
        let disk = self.control_plane.disk();
        let read = |path: &str| disk.read(path).map_err(HarnessError::new);
        let authority = Authority::from_pem(&read(CA)?, &read(CA_KEY)?).map_err(HarnessError::new)?;
        let ends = authority.certificate.not_after();
        let now = self.workstation.clock().wall();
        let not_after = match life {
            Some(life) => now.saturating_add(life).map_or(ends, |at| at.min(ends)),
            None => ends,
        };
        let spec = CertSpec {
            common_name: name.to_owned(),
            organizations: groups.to_vec(),
            dns_names: Vec::new(),
            ips: Vec::new(),
            client_auth: true,
            server_auth: false,
            not_before: authority.certificate.not_before(),
            not_after,
        };
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(HarnessError::new)?;
        let leaf =
            authority.issue(self.workstation.entropy(), &spec, &key.public()).map_err(HarnessError::new)?;
        CertifiedKey::new(vec![leaf], key).map_err(HarnessError::new)
    }

    pub(crate) async fn apply(&self, manifests: &Manifests) -> Result<Vec<DynamicObject>, HarnessError> {
        let client = self.client_from(&self.workstation)?;
        let mut applied = Vec::new();
        for manifest in manifests.in_order() {
            applied.push(self.apply_one(&client, manifest).await?);
            if manifest.kind() == "CustomResourceDefinition" {
                let target = format!("customresourcedefinitions.apiextensions.k8s.io/{}", manifest.name());
                let established = Condition::status("Established", "True");
                self.wait_for(&target.as_str().into(), &established, PATIENCE).await?;
                for kind in manifest.defines() {
                    self.served(&client, &kind).await.map_err(|e| manifest.wrong(&e))?;
                }
            }
        }
        Ok(applied)
    }

    async fn apply_one(
        &self,
        client: &kube::Client,
        manifest: &Manifest,
    ) -> Result<DynamicObject, HarnessError> {
        let object: DynamicObject =
            serde_json::from_value(manifest.object.clone()).map_err(|e| manifest.wrong(&e))?;
        let (group, version) = match manifest.text("/apiVersion").split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", manifest.text("/apiVersion")),
        };
        let kind = GroupVersionKind::gvk(group, version, manifest.kind());
        let (resource, capabilities) = self.served(client, &kind).await.map_err(|e| manifest.wrong(&e))?;
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Cluster => Api::all_with(client.clone(), &resource),
            Scope::Namespaced => {
                let namespace = object.metadata.namespace.clone();
                Api::namespaced_with(client.clone(), namespace.as_deref().unwrap_or("default"), &resource)
            }
        };
        let params = PatchParams::apply(MANAGER).force();
        api.patch(manifest.name(), &params, &Patch::Apply(&object)).await.map_err(|e| manifest.wrong(&e))
    }

    /// Where objects of a kind are served. A definition is served a moment after it is established.
    async fn served(
        &self,
        client: &kube::Client,
        kind: &GroupVersionKind,
    ) -> Result<(ApiResource, ApiCapabilities), kube::Error> {
        let clock = self.workstation.clock();
        let deadline = clock.monotonic() + PATIENCE;
        loop {
            match pinned_kind(client, kind).await {
                Ok(found) => return Ok(found),
                Err(e) => {
                    if clock.monotonic() >= deadline || !self.defines(&kind.group).await {
                        return Err(e);
                    }
                }
            }
            clock.sleep(LOOK).await;
        }
    }

    /// Whether somebody has defined resources of that group.
    async fn defines(&self, group: &str) -> bool {
        let definitions = client::Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
        let all = self.rest.list(&definitions, None, &Default::default()).await;
        all.is_ok_and(|all| all.items.iter().any(|d| d.pointer("/spec/group").is_some_and(|g| g == group)))
    }

    pub(crate) async fn wait_for(
        &self,
        target: &Target,
        condition: &Condition,
        at_most: Duration,
    ) -> Result<Value, HarnessError> {
        let clock = self.workstation.clock();
        let deadline = clock.monotonic() + at_most;
        let mut found = None;
        loop {
            let seen = match self.look(target, &mut found).await {
                Ok(object) => match condition.judge(object.as_ref()) {
                    Ok(()) => return Ok(object.unwrap_or_default()),
                    Err(seen) => seen,
                },
                Err(why) => why,
            };
            if clock.monotonic() >= deadline {
                let now = rfc3339(clock.wall());
                return Err(HarnessError::new(format!(
                    "waited {at_most:?} in vain until {target} {condition}; at {now}: {seen}"
                )));
            }
            clock.sleep((at_most / LOOKS).max(LOOK)).await;
        }
    }

    /// The object, if it is there; where it is served is asked until it is known.
    async fn look(
        &self,
        target: &Target,
        found: &mut Option<crate::target::Found>,
    ) -> Result<Option<Value>, String> {
        if found.is_none() {
            *found = Some(target.find(&self.rest).await.map_err(|e| e.to_string())??);
        }
        let Some(at) = found else { return Ok(None) };
        self.rest.get_opt(&at.resource, at.namespace.as_deref(), &at.name).await.map_err(|e| e.to_string())
    }
}

impl fmt::Debug for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Administrator({:?})", self.rest)
    }
}
