//! Cluster roles and bindings that are not a controller's: for people, nodes and components.
//!
//! The content is upstream's for 1.36 with its default feature gates; rules behind gates that are
//! off by default are left out.

use super::spec::{
    EVENTS, READ, READ_UPDATE, READ_WRITE, Role, Rule, Subject, Subject::*, WRITE, named, on, role, urls,
};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";
const COORDINATION: &str = "coordination.k8s.io";
const DISCOVERY: &str = "discovery.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const RESOURCE: &str = "resource.k8s.io";
const STORAGE: &str = "storage.k8s.io";

const ACCESS_REVIEWS: [Rule; 2] =
    [on("create", AUTHENTICATION, "tokenreviews"), on("create", AUTHORIZATION, "subjectaccessreviews")];

/// What a kubelet may do, before the node authorizer and NodeRestriction narrow it to its own node.
pub(super) const NODE_RULES: &[Rule] = &[
    on("create", AUTHENTICATION, "tokenreviews"),
    on("create", AUTHORIZATION, "subjectaccessreviews localsubjectaccessreviews"),
    on(READ, "core", "services"),
    on("create get list watch", "core", "nodes"),
    on("update patch", "core", "nodes/status"),
    on("update patch", "core", "nodes"),
    EVENTS,
    on(READ, "core", "pods"),
    on("create delete", "core", "pods"),
    on("update patch", "core", "pods/status"),
    on("create", "core", "pods/eviction"),
    on(READ, "core", "secrets configmaps"),
    on("get", "core", "persistentvolumeclaims persistentvolumes"),
    on("get", "core", "endpoints"),
    on("create get list watch", CERTIFICATES, "certificatesigningrequests"),
    on("get create update patch delete", COORDINATION, "leases"),
    on("get", STORAGE, "volumeattachments"),
    on("create", "core", "serviceaccounts/token"),
    on("get update patch", "core", "persistentvolumeclaims/status"),
    on(READ, STORAGE, "csidrivers"),
    on("get create update patch delete", STORAGE, "csinodes"),
    on(READ, "node.k8s.io", "runtimeclasses"),
    on("get", RESOURCE, "resourceclaims"),
    on("deletecollection", RESOURCE, "resourceslices"),
    on("get", "core", "serviceaccounts"),
];

const VIEW_RULES: &[Rule] = &[
    on(
        READ,
        "core",
        "pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status \
         endpoints persistentvolumeclaims persistentvolumeclaims/status configmaps",
    ),
    on(
        READ,
        "core",
        "limitranges resourcequotas bindings pods/status resourcequotas/status namespaces/status \
         replicationcontrollers/status pods/log",
    ),
    on(READ, "core", "namespaces"),
    on(READ, "core events.k8s.io", "events"),
    on(READ, DISCOVERY, "endpointslices"),
    on(
        READ,
        "apps",
        "controllerrevisions statefulsets statefulsets/status statefulsets/scale daemonsets daemonsets/status \
         deployments deployments/status deployments/scale replicasets replicasets/status replicasets/scale",
    ),
    on(READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    on(READ, "batch", "jobs cronjobs cronjobs/status jobs/status"),
    on(
        READ,
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses \
         ingresses/status replicasets replicasets/scale replicasets/status replicationcontrollers/scale \
         networkpolicies",
    ),
    on(READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    on(READ, NETWORKING, "networkpolicies ingresses ingresses/status"),
    on(READ, RESOURCE, "resourceclaims resourceclaims/status resourceclaimtemplates"),
];

const EDIT_RULES: &[Rule] = &[
    on(READ, "core", "pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy"),
    on("impersonate", "core", "serviceaccounts"),
    on(WRITE, "core", "pods pods/attach pods/proxy pods/exec pods/portforward"),
    on("create", "core", "pods/eviction"),
    on(
        WRITE,
        "core",
        "replicationcontrollers replicationcontrollers/scale serviceaccounts services services/proxy \
         persistentvolumeclaims configmaps secrets",
    ),
    on("create", "core", "serviceaccounts/token"),
    on(WRITE, "core events.k8s.io", "events"),
    on(
        WRITE,
        "apps",
        "statefulsets statefulsets/scale daemonsets deployments deployments/scale deployments/rollback \
         replicasets replicasets/scale",
    ),
    on(WRITE, "autoscaling", "horizontalpodautoscalers"),
    on(WRITE, "batch", "jobs cronjobs"),
    on(
        WRITE,
        "extensions",
        "daemonsets deployments deployments/scale deployments/rollback ingresses replicasets replicasets/scale \
         replicationcontrollers/scale networkpolicies",
    ),
    on(WRITE, "policy", "poddisruptionbudgets"),
    on(WRITE, NETWORKING, "networkpolicies ingresses"),
    on(READ_WRITE, COORDINATION, "leases"),
    on(WRITE, RESOURCE, "resourceclaims resourceclaimtemplates"),
];

const ADMIN_RULES: &[Rule] = &[
    on("create", AUTHORIZATION, "localsubjectaccessreviews"),
    on(READ_WRITE, "rbac.authorization.k8s.io", "roles rolebindings"),
];

const KUBE_CONTROLLER_MANAGER: &[Rule] = &[
    EVENTS,
    on("create", COORDINATION, "leases"),
    named("get update", COORDINATION, "leases", "kube-controller-manager"),
    on("create", "core", "secrets serviceaccounts"),
    on("delete", "core", "secrets"),
    on("get", "core", "namespaces secrets serviceaccounts configmaps"),
    on("update", "core", "secrets serviceaccounts"),
    ACCESS_REVIEWS[0],
    ACCESS_REVIEWS[1],
    on("list watch", "*", "*"),
    on("create", "core", "serviceaccounts/token"),
];

const KUBE_SCHEDULER: &[Rule] = &[
    EVENTS,
    on("create", COORDINATION, "leases"),
    named("get update list watch", COORDINATION, "leases", "kube-scheduler"),
    on(READ_WRITE, COORDINATION, "leasecandidates"),
    on(READ, "core", "nodes"),
    on("get list watch delete", "core", "pods"),
    on("create", "core", "pods/binding bindings"),
    on("patch update", "core", "pods/status"),
    on(READ, "core", "services replicationcontrollers"),
    on(READ, "apps extensions", "replicasets"),
    on(READ, "apps", "statefulsets"),
    on(READ, "policy", "poddisruptionbudgets"),
    on(READ, "core", "persistentvolumeclaims persistentvolumes"),
    ACCESS_REVIEWS[0],
    ACCESS_REVIEWS[1],
    on(READ, STORAGE, "csinodes"),
    on(READ, STORAGE, "volumeattachments"),
    on(READ, "core", "namespaces"),
    on(READ, STORAGE, "csidrivers"),
    on(READ, STORAGE, "csistoragecapacities"),
    on(READ, RESOURCE, "deviceclasses"),
    on(READ_UPDATE, RESOURCE, "resourceclaims"),
    on(READ_UPDATE, RESOURCE, "resourceclaims/status"),
    on("update", "core", "pods/finalizers"),
    on(READ, RESOURCE, "resourceslices"),
];

const fn gathering(name: &'static str, part_of: Option<&'static str>) -> Role {
    Role { name, part_of, gathers: Some(name), rules: &[] }
}

const fn part(name: &'static str, of: &'static str, rules: &'static [Rule]) -> Role {
    Role { name, part_of: Some(of), gathers: None, rules }
}

pub(super) const CLUSTER_ROLES: &[Role] = &[
    role("cluster-admin", &[on("*", "*", "*"), urls("*", "*")]),
    role(
        "system:discovery",
        &[urls(
            "get",
            "/livez /readyz /healthz /version /version/ /openapi /openapi/* /api /api/* /apis /apis/*",
        )],
    ),
    role(
        "system:monitoring",
        &[
            urls("get", "/metrics /metrics/slis /livez /readyz /healthz /livez/* /readyz/* /healthz/*"),
            on("get", "core", "nodes/metrics"),
        ],
    ),
    role(
        "system:basic-user",
        &[
            on("create", AUTHORIZATION, "selfsubjectaccessreviews selfsubjectrulesreviews"),
            on("create", AUTHENTICATION, "selfsubjectreviews"),
        ],
    ),
    role("system:public-info-viewer", &[urls("get", "/livez /readyz /healthz /version /version/")]),
    gathering("admin", None),
    gathering("edit", Some("admin")),
    gathering("view", Some("edit")),
    part("system:aggregate-to-admin", "admin", ADMIN_RULES),
    part("system:aggregate-to-edit", "edit", EDIT_RULES),
    part("system:aggregate-to-view", "view", VIEW_RULES),
    role(
        "system:heapster",
        &[on(READ, "core", "events pods nodes namespaces"), on(READ, "extensions", "deployments")],
    ),
    role("system:node", NODE_RULES),
    role(
        "system:node-problem-detector",
        &[on("get", "core", "nodes"), on("patch", "core", "nodes/status"), EVENTS],
    ),
    role(
        "system:node-bootstrapper",
        &[on("create get list watch", CERTIFICATES, "certificatesigningrequests")],
    ),
    role("system:auth-delegator", &ACCESS_REVIEWS),
    role("system:kube-aggregator", &[on(READ, "core", "services endpoints")]),
    role("system:kube-controller-manager", KUBE_CONTROLLER_MANAGER),
    role("system:kube-dns", &[on("list watch", "core", "endpoints services")]),
    role(
        "system:persistent-volume-provisioner",
        &[
            on("get list watch create delete", "core", "persistentvolumes"),
            on("get list watch update", "core", "persistentvolumeclaims"),
            on(READ, STORAGE, "storageclasses"),
            on("watch", "core", "events"),
            EVENTS,
        ],
    ),
    role(
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &[on("create", CERTIFICATES, "certificatesigningrequests/nodeclient")],
    ),
    role(
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &[on("create", CERTIFICATES, "certificatesigningrequests/selfnodeclient")],
    ),
    role(
        "system:volume-scheduler",
        &[
            on(READ_UPDATE, "core", "persistentvolumes"),
            on(READ, STORAGE, "storageclasses"),
            on(READ_UPDATE, "core", "persistentvolumeclaims"),
        ],
    ),
    role(
        "system:certificates.k8s.io:legacy-unknown-approver",
        &[named("approve", CERTIFICATES, "signers", "kubernetes.io/legacy-unknown")],
    ),
    role(
        "system:certificates.k8s.io:kubelet-serving-approver",
        &[named("approve", CERTIFICATES, "signers", "kubernetes.io/kubelet-serving")],
    ),
    role(
        "system:certificates.k8s.io:kube-apiserver-client-approver",
        &[named("approve", CERTIFICATES, "signers", "kubernetes.io/kube-apiserver-client")],
    ),
    role(
        "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        &[named("approve", CERTIFICATES, "signers", "kubernetes.io/kube-apiserver-client-kubelet")],
    ),
    role(
        "system:service-account-issuer-discovery",
        &[urls(
            "get",
            "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks \
             /openid/v1/jwks/",
        )],
    ),
    role(
        "system:kubelet-api-admin",
        &[
            on(READ, "core", "nodes"),
            on("proxy", "core", "nodes"),
            on("*", "core", "nodes/proxy nodes/metrics nodes/stats nodes/log"),
            on("*", "core", "nodes/pods nodes/healthz nodes/configz"),
        ],
    ),
    role(
        "system:node-proxier",
        &[
            on("list watch", "core", "services endpoints"),
            on(READ, "core", "nodes"),
            EVENTS,
            on("list watch", NETWORKING, "servicecidrs"),
            on("list watch", DISCOVERY, "endpointslices"),
        ],
    ),
    role("system:kube-scheduler", KUBE_SCHEDULER),
];

/// A binding named after its cluster role.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binding {
    pub(super) role: &'static str,
    pub(super) subjects: &'static [Subject],
}

const fn bind(role: &'static str, subjects: &'static [Subject]) -> Binding {
    Binding { role, subjects }
}

const AUTHENTICATED: Subject = Group("system:authenticated");

pub(super) const CLUSTER_ROLE_BINDINGS: &[Binding] = &[
    bind("cluster-admin", &[Group("system:masters")]),
    bind("system:monitoring", &[Group("system:monitoring")]),
    bind("system:discovery", &[AUTHENTICATED]),
    bind("system:basic-user", &[AUTHENTICATED]),
    bind("system:public-info-viewer", &[AUTHENTICATED, Group("system:unauthenticated")]),
    bind("system:node-proxier", &[User("system:kube-proxy")]),
    bind("system:kube-controller-manager", &[User("system:kube-controller-manager")]),
    bind("system:kube-dns", &[ServiceAccount("kube-system", "kube-dns")]),
    bind("system:kube-scheduler", &[User("system:kube-scheduler")]),
    bind("system:volume-scheduler", &[User("system:kube-scheduler")]),
    // The node authorizer took over from this binding; the empty one stays so that a cluster that
    // once had subjects in it can be told apart.
    bind("system:node", &[]),
    bind("system:service-account-issuer-discovery", &[Group("system:serviceaccounts")]),
];
