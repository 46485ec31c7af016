//! Which lists of the built-in kinds a strategic merge patch merges, and by which key.
//!
//! Upstream writes these facts as tags on its Go types (`patchStrategy`, `patchMergeKey`); here they
//! are one table, by Go type. What is not listed has no strategy: a map is merged key by key, a list
//! is replaced as a whole. Tolerations and taints are such lists, though they look like maps.
//!
//! The same table serves OpenAPI, which publishes it as `x-kubernetes-patch-strategy` and
//! `x-kubernetes-patch-merge-key`, because `kubectl apply` reads it there.

/// How a patch meets one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Maps are merged, lists are replaced: what upstream does without a tag.
    Default,
    /// A list of maps, merged by the value of a key.
    MergeBy(&'static str),
    /// A list of plain values, merged as a set.
    MergeSet,
    /// Replaced as a whole, even if it is a map.
    Replace,
}

/// What is known of one field of a type.
#[derive(Debug)]
pub struct Field {
    /// JSON name.
    pub name: &'static str,
    /// How a patch meets it.
    pub strategy: Strategy,
    /// Whether clients send `$retainKeys` for it (unions: volumes, a deployment's strategy).
    pub retain_keys: bool,
    /// The type of the field, or of the elements of its list.
    pub of: Option<&'static Type>,
}

/// A type that has fields worth listing, directly or further down.
#[derive(Debug)]
pub struct Type {
    /// The name in upstream's OpenAPI definitions.
    pub name: &'static str,
    /// The fields that matter; all others are [`Strategy::Default`] all the way down.
    pub fields: &'static [Field],
}

impl Type {
    /// The facts of a field, if there are any.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Field {
    /// The value of `x-kubernetes-patch-strategy`, if the field has one.
    pub fn openapi_strategy(&self) -> Option<&'static str> {
        match (self.strategy, self.retain_keys) {
            (Strategy::MergeBy(_) | Strategy::MergeSet, true) => Some("merge,retainKeys"),
            (Strategy::MergeBy(_) | Strategy::MergeSet, false) => Some("merge"),
            (Strategy::Replace, _) => Some("replace"),
            (Strategy::Default, true) => Some("retainKeys"),
            (Strategy::Default, false) => None,
        }
    }
}

/// The facts of a kind. Kinds that are not listed have those of their metadata.
pub fn of_kind(group: &str, kind: &str) -> &'static Type {
    KINDS.iter().find(|row| row.0 == group && row.1 == kind).map_or(&OBJECT, |row| row.2)
}

/// The facts of an OpenAPI definition, such as `io.k8s.api.core.v1.PodSpec`.
pub fn of_definition(name: &str) -> Option<&'static Type> {
    fn find(here: &'static Type, name: &str) -> Option<&'static Type> {
        if here.name == name {
            return Some(here);
        }
        here.fields.iter().filter_map(|field| field.of).find_map(|of| find(of, name))
    }
    KINDS.iter().find_map(|row| find(row.2, name))
}

const fn merge_by(name: &'static str, key: &'static str) -> Field {
    Field { name, strategy: Strategy::MergeBy(key), retain_keys: false, of: None }
}

const fn merge_set(name: &'static str) -> Field {
    Field { name, strategy: Strategy::MergeSet, retain_keys: false, of: None }
}

const fn inside(name: &'static str, of: &'static Type) -> Field {
    Field { name, strategy: Strategy::Default, retain_keys: false, of: Some(of) }
}

const fn replace(name: &'static str) -> Field {
    Field { name, strategy: Strategy::Replace, retain_keys: false, of: None }
}

impl Field {
    const fn of(self, of: &'static Type) -> Field {
        Field { of: Some(of), ..self }
    }

    const fn retain_keys(self) -> Field {
        Field { retain_keys: true, ..self }
    }
}

const META: Field = inside("metadata", &OBJECT_META);
const CONDITIONS: Field = merge_by("conditions", "type");

macro_rules! types {
    ($($name:ident = $upstream:literal [$($field:expr),* $(,)?];)*) => {
        $(static $name: Type = Type { name: $upstream, fields: &[$($field),*] };)*
    };
}

types! {
    OBJECT = "" [META];
    OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" [
        merge_by("ownerReferences", "uid"), merge_set("finalizers")
    ];

    CONTAINER = "io.k8s.api.core.v1.Container" [
        merge_by("ports", "containerPort"),
        merge_by("env", "name"),
        merge_by("volumeMounts", "mountPath"),
        merge_by("volumeDevices", "devicePath"),
    ];
    EPHEMERAL_CONTAINER = "io.k8s.api.core.v1.EphemeralContainer" [
        merge_by("ports", "containerPort"),
        merge_by("env", "name"),
        merge_by("volumeMounts", "mountPath"),
        merge_by("volumeDevices", "devicePath"),
    ];
    POD_SPEC = "io.k8s.api.core.v1.PodSpec" [
        merge_by("volumes", "name").retain_keys(),
        merge_by("initContainers", "name").of(&CONTAINER),
        merge_by("containers", "name").of(&CONTAINER),
        merge_by("ephemeralContainers", "name").of(&EPHEMERAL_CONTAINER),
        merge_by("imagePullSecrets", "name"),
        merge_by("hostAliases", "ip"),
        merge_by("topologySpreadConstraints", "topologyKey"),
        merge_by("schedulingGates", "name"),
        merge_by("resourceClaims", "name").retain_keys(),
    ];
    CONTAINER_STATUS = "io.k8s.api.core.v1.ContainerStatus" [
        merge_by("volumeMounts", "mountPath"), merge_by("allocatedResourcesStatus", "name")
    ];
    POD_STATUS = "io.k8s.api.core.v1.PodStatus" [
        CONDITIONS,
        merge_by("podIPs", "ip"),
        merge_by("hostIPs", "ip"),
        merge_by("resourceClaimStatuses", "name").retain_keys(),
        inside("containerStatuses", &CONTAINER_STATUS),
    ];
    POD = "io.k8s.api.core.v1.Pod" [META, inside("spec", &POD_SPEC), inside("status", &POD_STATUS)];
    POD_TEMPLATE_SPEC = "io.k8s.api.core.v1.PodTemplateSpec" [META, inside("spec", &POD_SPEC)];
    POD_TEMPLATE = "io.k8s.api.core.v1.PodTemplate" [META, inside("template", &POD_TEMPLATE_SPEC)];
    CLAIM_STATUS = "io.k8s.api.core.v1.PersistentVolumeClaimStatus" [CONDITIONS];
    CLAIM = "io.k8s.api.core.v1.PersistentVolumeClaim" [META, inside("status", &CLAIM_STATUS)];

    SERVICE_SPEC = "io.k8s.api.core.v1.ServiceSpec" [merge_by("ports", "port")];
    SERVICE_STATUS = "io.k8s.api.core.v1.ServiceStatus" [CONDITIONS];
    SERVICE = "io.k8s.api.core.v1.Service" [META, inside("spec", &SERVICE_SPEC), inside("status", &SERVICE_STATUS)];
    SERVICE_ACCOUNT = "io.k8s.api.core.v1.ServiceAccount" [
        META, merge_by("secrets", "name")
    ];
    NAMESPACE_STATUS = "io.k8s.api.core.v1.NamespaceStatus" [CONDITIONS];
    NAMESPACE = "io.k8s.api.core.v1.Namespace" [META, inside("status", &NAMESPACE_STATUS)];
    NODE_SPEC = "io.k8s.api.core.v1.NodeSpec" [merge_set("podCIDRs")];
    NODE_STATUS = "io.k8s.api.core.v1.NodeStatus" [CONDITIONS, merge_by("addresses", "type")];
    NODE = "io.k8s.api.core.v1.Node" [META, inside("spec", &NODE_SPEC), inside("status", &NODE_STATUS)];
    CONTROLLER_STATUS = "io.k8s.api.core.v1.ReplicationControllerStatus" [CONDITIONS];
    CONTROLLER_SPEC = "io.k8s.api.core.v1.ReplicationControllerSpec" [inside("template", &POD_TEMPLATE_SPEC)];
    CONTROLLER = "io.k8s.api.core.v1.ReplicationController" [
        META, inside("spec", &CONTROLLER_SPEC), inside("status", &CONTROLLER_STATUS)
    ];

    DEPLOYMENT_SPEC = "io.k8s.api.apps.v1.DeploymentSpec" [
        inside("template", &POD_TEMPLATE_SPEC),
        Field { name: "strategy", strategy: Strategy::Default, retain_keys: true, of: None },
    ];
    DEPLOYMENT_STATUS = "io.k8s.api.apps.v1.DeploymentStatus" [CONDITIONS];
    DEPLOYMENT = "io.k8s.api.apps.v1.Deployment" [
        META, inside("spec", &DEPLOYMENT_SPEC), inside("status", &DEPLOYMENT_STATUS)
    ];
    REPLICA_SET_SPEC = "io.k8s.api.apps.v1.ReplicaSetSpec" [inside("template", &POD_TEMPLATE_SPEC)];
    REPLICA_SET_STATUS = "io.k8s.api.apps.v1.ReplicaSetStatus" [CONDITIONS];
    REPLICA_SET = "io.k8s.api.apps.v1.ReplicaSet" [
        META, inside("spec", &REPLICA_SET_SPEC), inside("status", &REPLICA_SET_STATUS)
    ];
    DAEMON_SET_SPEC = "io.k8s.api.apps.v1.DaemonSetSpec" [inside("template", &POD_TEMPLATE_SPEC)];
    DAEMON_SET_STATUS = "io.k8s.api.apps.v1.DaemonSetStatus" [CONDITIONS];
    DAEMON_SET = "io.k8s.api.apps.v1.DaemonSet" [
        META, inside("spec", &DAEMON_SET_SPEC), inside("status", &DAEMON_SET_STATUS)
    ];
    STATEFUL_SET_SPEC = "io.k8s.api.apps.v1.StatefulSetSpec" [inside("template", &POD_TEMPLATE_SPEC)];
    STATEFUL_SET_STATUS = "io.k8s.api.apps.v1.StatefulSetStatus" [CONDITIONS];
    STATEFUL_SET = "io.k8s.api.apps.v1.StatefulSet" [
        META, inside("spec", &STATEFUL_SET_SPEC), inside("status", &STATEFUL_SET_STATUS)
    ];

    JOB_SPEC = "io.k8s.api.batch.v1.JobSpec" [inside("template", &POD_TEMPLATE_SPEC)];
    JOB_STATUS = "io.k8s.api.batch.v1.JobStatus" [CONDITIONS];
    JOB = "io.k8s.api.batch.v1.Job" [META, inside("spec", &JOB_SPEC), inside("status", &JOB_STATUS)];
    JOB_TEMPLATE = "io.k8s.api.batch.v1.JobTemplateSpec" [META, inside("spec", &JOB_SPEC)];
    CRON_JOB_SPEC = "io.k8s.api.batch.v1.CronJobSpec" [inside("jobTemplate", &JOB_TEMPLATE)];
    CRON_JOB = "io.k8s.api.batch.v1.CronJob" [META, inside("spec", &CRON_JOB_SPEC)];

    BUDGET_SPEC = "io.k8s.api.policy.v1.PodDisruptionBudgetSpec" [replace("selector")];
    BUDGET_STATUS = "io.k8s.api.policy.v1.PodDisruptionBudgetStatus" [CONDITIONS];
    BUDGET = "io.k8s.api.policy.v1.PodDisruptionBudget" [
        META, inside("spec", &BUDGET_SPEC), inside("status", &BUDGET_STATUS)
    ];
    AUTOSCALER_STATUS = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus" [CONDITIONS];
    AUTOSCALER = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler" [META, inside("status", &AUTOSCALER_STATUS)];
    SERVICE_CIDR_STATUS = "io.k8s.api.networking.v1.ServiceCIDRStatus" [CONDITIONS];
    SERVICE_CIDR = "io.k8s.api.networking.v1.ServiceCIDR" [META, inside("status", &SERVICE_CIDR_STATUS)];
    CSI_NODE_SPEC = "io.k8s.api.storage.v1.CSINodeSpec" [merge_by("drivers", "name")];
    CSI_NODE = "io.k8s.api.storage.v1.CSINode" [META, inside("spec", &CSI_NODE_SPEC)];
    FLOW_SCHEMA_STATUS = "io.k8s.api.flowcontrol.v1.FlowSchemaStatus" [CONDITIONS];
    FLOW_SCHEMA = "io.k8s.api.flowcontrol.v1.FlowSchema" [META, inside("status", &FLOW_SCHEMA_STATUS)];
    PRIORITY_LEVEL_STATUS = "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationStatus" [CONDITIONS];
    PRIORITY_LEVEL = "io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration" [
        META, inside("status", &PRIORITY_LEVEL_STATUS)
    ];
    API_SERVICE_STATUS = "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus" [CONDITIONS];
    API_SERVICE = "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService" [
        META, inside("status", &API_SERVICE_STATUS)
    ];

    MUTATING_WEBHOOK = "io.k8s.api.admissionregistration.v1.MutatingWebhook" [merge_by("matchConditions", "name")];
    MUTATING_WEBHOOKS = "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration" [
        META, merge_by("webhooks", "name").of(&MUTATING_WEBHOOK)
    ];
    VALIDATING_WEBHOOK = "io.k8s.api.admissionregistration.v1.ValidatingWebhook" [merge_by("matchConditions", "name")];
    VALIDATING_WEBHOOKS = "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration" [
        META, merge_by("webhooks", "name").of(&VALIDATING_WEBHOOK)
    ];
    ADMISSION_POLICY_SPEC = "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicySpec" [
        merge_by("matchConditions", "name"), merge_by("variables", "name")
    ];
    ADMISSION_POLICY = "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy" [
        META, inside("spec", &ADMISSION_POLICY_SPEC)
    ];
    MUTATION_POLICY_SPEC = "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicySpec" [
        merge_by("matchConditions", "name")
    ];
    MUTATION_POLICY = "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicy" [
        META, inside("spec", &MUTATION_POLICY_SPEC)
    ];
    RESOURCE_CLAIM_STATUS = "io.k8s.api.resource.v1.ResourceClaimStatus" [merge_by("reservedFor", "uid")];
    RESOURCE_CLAIM = "io.k8s.api.resource.v1.ResourceClaim" [META, inside("status", &RESOURCE_CLAIM_STATUS)];
}

static KINDS: &[(&str, &str, &Type)] = &[
    ("", "Pod", &POD),
    ("", "PodTemplate", &POD_TEMPLATE),
    ("", "Service", &SERVICE),
    ("", "ServiceAccount", &SERVICE_ACCOUNT),
    ("", "Namespace", &NAMESPACE),
    ("", "Node", &NODE),
    ("", "ReplicationController", &CONTROLLER),
    ("", "PersistentVolumeClaim", &CLAIM),
    ("apps", "Deployment", &DEPLOYMENT),
    ("apps", "ReplicaSet", &REPLICA_SET),
    ("apps", "DaemonSet", &DAEMON_SET),
    ("apps", "StatefulSet", &STATEFUL_SET),
    ("batch", "Job", &JOB),
    ("batch", "CronJob", &CRON_JOB),
    ("policy", "PodDisruptionBudget", &BUDGET),
    ("autoscaling", "HorizontalPodAutoscaler", &AUTOSCALER),
    ("networking.k8s.io", "ServiceCIDR", &SERVICE_CIDR),
    ("storage.k8s.io", "CSINode", &CSI_NODE),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema", &FLOW_SCHEMA),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", &PRIORITY_LEVEL),
    ("apiregistration.k8s.io", "APIService", &API_SERVICE),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", &MUTATING_WEBHOOKS),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", &VALIDATING_WEBHOOKS),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", &ADMISSION_POLICY),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy", &MUTATION_POLICY),
    ("resource.k8s.io", "ResourceClaim", &RESOURCE_CLAIM),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// One row per fact that a client relies on: kind, path, strategy as OpenAPI spells it, key.
    #[test]
    fn rows() {
        #[track_caller]
        fn check(group: &str, kind: &str, path: &str, strategy: Option<&str>, key: Option<&str>) {
            let mut here = Some(of_kind(group, kind));
            let mut field = None;
            for name in path.split('.') {
                field = here.and_then(|here| here.field(name));
                here = field.and_then(|field| field.of);
            }
            let got = field.and_then(Field::openapi_strategy);
            let got_key =
                field.and_then(|f| if let Strategy::MergeBy(key) = f.strategy { Some(key) } else { None });
            assert_eq!((got, got_key), (strategy, key), "{kind} {path}");
        }
        let merge = Some("merge");
        check("", "Pod", "spec.containers", merge, Some("name"));
        check("", "Pod", "spec.containers.env", merge, Some("name"));
        check("", "Pod", "spec.containers.envFrom", None, None);
        check("", "Pod", "spec.initContainers.ports", merge, Some("containerPort"));
        check("", "Pod", "spec.containers.volumeMounts", merge, Some("mountPath"));
        check("", "Pod", "spec.containers.command", None, None);
        check("", "Pod", "spec.tolerations", None, None);
        check("", "Pod", "spec.volumes", Some("merge,retainKeys"), Some("name"));
        check("", "Pod", "spec.hostAliases", merge, Some("ip"));
        check("", "Pod", "status.conditions", merge, Some("type"));
        check("", "Pod", "metadata.ownerReferences", merge, Some("uid"));
        check("", "Pod", "metadata.finalizers", merge, None);
        check("", "Node", "spec.taints", None, None);
        check("", "Node", "status.addresses", merge, Some("type"));
        check("", "Service", "spec.ports", merge, Some("port"));
        check("", "ServiceAccount", "secrets", merge, Some("name"));
        check("", "ServiceAccount", "imagePullSecrets", None, None);
        check("apps", "Deployment", "spec.template.spec.containers.ports", merge, Some("containerPort"));
        check("apps", "Deployment", "spec.strategy", Some("retainKeys"), None);
        check(
            "batch",
            "CronJob",
            "spec.jobTemplate.spec.template.spec.volumes",
            Some("merge,retainKeys"),
            Some("name"),
        );
        check("policy", "PodDisruptionBudget", "spec.selector", Some("replace"), None);
        check("", "ConfigMap", "metadata.ownerReferences", merge, Some("uid"));
        check("example.com", "Widget", "spec.containers", None, None);
    }

    #[test]
    fn definitions_are_found_by_upstreams_name() {
        for name in
            ["io.k8s.api.core.v1.Container", "io.k8s.api.batch.v1.JobSpec", "io.k8s.api.core.v1.NodeStatus"]
        {
            assert_eq!(of_definition(name).map(|found| found.name), Some(name));
        }
        assert!(of_definition("io.k8s.api.core.v1.Toleration").is_none());
    }
}
