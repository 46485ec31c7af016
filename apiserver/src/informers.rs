//! What the server knows about its own objects, learnt as anybody would: over the loopback client.
//!
//! When the loopback connection dies these stand still, and everything that reads them goes on with
//! what they last held. That is the point.

use client::{Informer, InformerOptions, Resource, Rest};
use world::Host;

const ADMISSION: &str = "admissionregistration.k8s.io";

/// What is held as text. Nodes are asked by name, for tokens and mirrors of pods alone; of roles and bindings there are
/// many from the start, and the authorizer has what they say in a form of its own.
const SELDOM_READ: [&str; 5] = ["nodes", "roles", "rolebindings", "clusterroles", "clusterrolebindings"];

/// The server's own informers.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each is the informer of the resource that names it")]
pub struct Informers {
    pub namespaces: Informer,
    pub limit_ranges: Informer,
    pub resource_quotas: Informer,
    pub service_accounts: Informer,
    /// All secrets, as upstream's shared informer: bootstrap tokens and legacy tokens are read here.
    pub secrets: Informer,
    pub pods: Informer,
    pub persistent_volumes: Informer,
    pub volume_attachments: Informer,
    pub resource_slices: Informer,
    pub nodes: Informer,
    pub roles: Informer,
    pub role_bindings: Informer,
    pub cluster_roles: Informer,
    pub cluster_role_bindings: Informer,
    pub priority_classes: Informer,
    pub storage_classes: Informer,
    pub ingress_classes: Informer,
    pub runtime_classes: Informer,
    pub flow_schemas: Informer,
    pub priority_levels: Informer,
    pub crds: Informer,
    pub api_services: Informer,
    /// Config maps of `kube-system`: `extension-apiserver-authentication` among them.
    pub config_maps: Informer,
    pub services: Informer,
    pub endpoints: Informer,
    pub service_cidrs: Informer,
    pub ip_addresses: Informer,
    pub mutating_webhooks: Informer,
    pub validating_webhooks: Informer,
    pub validating_policies: Informer,
    pub validating_bindings: Informer,
    pub mutating_policies: Informer,
    pub mutating_bindings: Informer,
}

impl Informers {
    /// Starts all of them at once; each begins with a list over `rest`. Of what the server does not serve there is
    /// nothing, and nothing to wait for.
    pub fn start(host: &Host, rest: &Rest, serves: impl Fn(&str, &str) -> bool) -> Self {
        let all = |group: &'static str, version: &'static str, plural: &'static str| {
            if !group.is_empty() && !serves(group, version) {
                return Informer::fixed(Vec::new());
            }
            let options = InformerOptions {
                untracked: true,
                packed: SELDOM_READ.contains(&plural),
                ..InformerOptions::default()
            };
            Informer::start(host, rest, Resource::new(group, version, plural), options)
        };
        let core = |plural: &'static str| all("", "v1", plural);
        let admission = |plural: &'static str| all(ADMISSION, "v1", plural);
        let rbac = |plural: &'static str| all("rbac.authorization.k8s.io", "v1", plural);
        let kube_system = InformerOptions {
            namespace: Some("kube-system".to_owned()),
            untracked: true,
            ..InformerOptions::default()
        };
        Self {
            namespaces: core("namespaces"),
            limit_ranges: core("limitranges"),
            resource_quotas: core("resourcequotas"),
            service_accounts: core("serviceaccounts"),
            secrets: core("secrets"),
            pods: core("pods"),
            persistent_volumes: core("persistentvolumes"),
            volume_attachments: all("storage.k8s.io", "v1", "volumeattachments"),
            resource_slices: all("resource.k8s.io", "v1", "resourceslices"),
            nodes: core("nodes"),
            roles: rbac("roles"),
            role_bindings: rbac("rolebindings"),
            cluster_roles: rbac("clusterroles"),
            cluster_role_bindings: rbac("clusterrolebindings"),
            priority_classes: all("scheduling.k8s.io", "v1", "priorityclasses"),
            storage_classes: all("storage.k8s.io", "v1", "storageclasses"),
            ingress_classes: all("networking.k8s.io", "v1", "ingressclasses"),
            runtime_classes: all("node.k8s.io", "v1", "runtimeclasses"),
            flow_schemas: all("flowcontrol.apiserver.k8s.io", "v1", "flowschemas"),
            priority_levels: all("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations"),
            crds: all("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
            api_services: all("apiregistration.k8s.io", "v1", "apiservices"),
            config_maps: Informer::start(host, rest, Resource::core("configmaps"), kube_system),
            services: core("services"),
            endpoints: core("endpoints"),
            service_cidrs: all("networking.k8s.io", "v1", "servicecidrs"),
            ip_addresses: all("networking.k8s.io", "v1", "ipaddresses"),
            mutating_webhooks: admission("mutatingwebhookconfigurations"),
            validating_webhooks: admission("validatingwebhookconfigurations"),
            validating_policies: admission("validatingadmissionpolicies"),
            validating_bindings: admission("validatingadmissionpolicybindings"),
            mutating_policies: admission("mutatingadmissionpolicies"),
            mutating_bindings: admission("mutatingadmissionpolicybindings"),
        }
    }

    /// Informers that hold nothing and never change: for unit tests of what reads them. Replace the
    /// fields that matter with [`Informer::fixed`].
    pub fn empty() -> Self {
        let none = || Informer::fixed(Vec::new());
        Self {
            namespaces: none(),
            limit_ranges: none(),
            resource_quotas: none(),
            service_accounts: none(),
            secrets: none(),
            pods: none(),
            persistent_volumes: none(),
            volume_attachments: none(),
            resource_slices: none(),
            nodes: none(),
            roles: none(),
            role_bindings: none(),
            cluster_roles: none(),
            cluster_role_bindings: none(),
            priority_classes: none(),
            storage_classes: none(),
            ingress_classes: none(),
            runtime_classes: none(),
            flow_schemas: none(),
            priority_levels: none(),
            crds: none(),
            api_services: none(),
            config_maps: none(),
            services: none(),
            endpoints: none(),
            service_cidrs: none(),
            ip_addresses: none(),
            mutating_webhooks: none(),
            validating_webhooks: none(),
            validating_policies: none(),
            validating_bindings: none(),
            mutating_policies: none(),
            mutating_bindings: none(),
        }
    }

    /// Name and informer of each, for the `informer-sync` check.
    pub fn named(&self) -> [(&'static str, &Informer); 33] {
        [
            ("*v1.Namespace", &self.namespaces),
            ("*v1.LimitRange", &self.limit_ranges),
            ("*v1.ResourceQuota", &self.resource_quotas),
            ("*v1.ServiceAccount", &self.service_accounts),
            ("*v1.Secret", &self.secrets),
            ("*v1.Pod", &self.pods),
            ("*v1.PersistentVolume", &self.persistent_volumes),
            ("*v1.VolumeAttachment", &self.volume_attachments),
            ("*v1.ResourceSlice", &self.resource_slices),
            ("*v1.Node", &self.nodes),
            ("*v1.Role", &self.roles),
            ("*v1.RoleBinding", &self.role_bindings),
            ("*v1.ClusterRole", &self.cluster_roles),
            ("*v1.ClusterRoleBinding", &self.cluster_role_bindings),
            ("*v1.PriorityClass", &self.priority_classes),
            ("*v1.StorageClass", &self.storage_classes),
            ("*v1.IngressClass", &self.ingress_classes),
            ("*v1.RuntimeClass", &self.runtime_classes),
            ("*v1.FlowSchema", &self.flow_schemas),
            ("*v1.PriorityLevelConfiguration", &self.priority_levels),
            ("*v1.CustomResourceDefinition", &self.crds),
            ("*v1.APIService", &self.api_services),
            ("*v1.ConfigMap", &self.config_maps),
            ("*v1.Service", &self.services),
            ("*v1.Endpoints", &self.endpoints),
            ("*v1.ServiceCIDR", &self.service_cidrs),
            ("*v1.IPAddress", &self.ip_addresses),
            ("*v1.MutatingWebhookConfiguration", &self.mutating_webhooks),
            ("*v1.ValidatingWebhookConfiguration", &self.validating_webhooks),
            ("*v1.ValidatingAdmissionPolicy", &self.validating_policies),
            ("*v1.ValidatingAdmissionPolicyBinding", &self.validating_bindings),
            ("*v1.MutatingAdmissionPolicy", &self.mutating_policies),
            ("*v1.MutatingAdmissionPolicyBinding", &self.mutating_bindings),
        ]
    }
}
