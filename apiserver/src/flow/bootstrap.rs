//! The flow schemas and priority levels that every server has (`pkg/apis/flowcontrol/bootstrap`),
//! made once in a process.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

const VERSION: &str = "flowcontrol.apiserver.k8s.io/v1";
/// What upstream keeps up to date by itself.
const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

const EVERYBODY: [&str; 2] = ["system:unauthenticated", "system:authenticated"];
const ALL: &[&str] = &["*"];

/// Name, shares, lendable percent, queues, hand size.
const QUEUEING: [(&str, u64, u64, u64, u64); 6] = [
    ("system", 30, 33, 64, 6),
    ("node-high", 40, 25, 64, 6),
    ("leader-election", 10, 0, 16, 4),
    ("workload-high", 40, 50, 128, 6),
    ("workload-low", 100, 90, 128, 6),
    ("global-default", 20, 50, 128, 6),
];

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": VERSION,
        "kind": kind,
        "metadata": { "name": name, "annotations": { AUTO_UPDATE: "true" } },
        "spec": spec,
    })
}

/// All priority levels.
pub(super) fn levels() -> &'static [Arc<Value>] {
    static LEVELS: LazyLock<Vec<Arc<Value>>> =
        LazyLock::new(|| make_levels().into_iter().map(Arc::new).collect());
    &LEVELS
}

fn make_levels() -> Vec<Value> {
    let level = |name: &str, spec: &Value| object("PriorityLevelConfiguration", name, spec);
    let mut out = vec![
        level(
            "exempt",
            &json!({ "type": "Exempt", "exempt": { "nominalConcurrencyShares": 0, "lendablePercent": 0 } }),
        ),
        level(
            "catch-all",
            &json!({ "type": "Limited", "limited": {
                "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": { "type": "Reject" } } }),
        ),
    ];
    for (name, shares, lendable, queues, hand) in QUEUEING {
        let queuing = json!({ "queues": queues, "handSize": hand, "queueLengthLimit": 50 });
        let spec = json!({ "type": "Limited", "limited": {
            "nominalConcurrencyShares": shares,
            "lendablePercent": lendable,
            "limitResponse": { "type": "Queue", "queuing": queuing },
        } });
        out.push(level(name, &spec));
    }
    out
}

fn groups(names: &[&str]) -> Value {
    names.iter().map(|name| json!({ "kind": "Group", "group": { "name": name } })).collect()
}

fn users(names: &[&str]) -> Value {
    names.iter().map(|name| json!({ "kind": "User", "user": { "name": name } })).collect()
}

fn kube_system_accounts() -> Value {
    json!([{ "kind": "ServiceAccount", "serviceAccount": { "namespace": "kube-system", "name": "*" } }])
}

fn resources(verbs: &[&str], group: &str, resources: &[&str], namespaces: &[&str], cluster: bool) -> Value {
    let mut rule =
        json!({ "verbs": verbs, "apiGroups": [group], "resources": resources, "namespaces": namespaces });
    if cluster {
        rule["clusterScope"] = true.into();
    }
    rule
}

fn everything(subjects: &Value) -> Value {
    json!([{
        "subjects": subjects,
        "resourceRules": [resources(ALL, "*", ALL, ALL, true)],
        "nonResourceRules": [{ "verbs": ALL, "nonResourceURLs": ALL }],
    }])
}

/// All flow schemas.
pub(super) fn schemas() -> &'static [Arc<Value>] {
    static SCHEMAS: LazyLock<Vec<Arc<Value>>> =
        LazyLock::new(|| make_schemas().into_iter().map(Arc::new).collect());
    &SCHEMAS
}

fn make_schemas() -> Vec<Value> {
    let schema = |name: &str, level: &str, precedence: u64, by: &str, rules: Value| {
        let mut spec = json!({
            "priorityLevelConfiguration": { "name": level },
            "matchingPrecedence": precedence,
            "rules": rules,
        });
        if !by.is_empty() {
            spec["distinguisherMethod"] = json!({ "type": by });
        }
        object("FlowSchema", name, &spec)
    };
    const USER: &str = "ByUser";
    const NAMESPACE: &str = "ByNamespace";
    const ELECTION: &[&str] = &["get", "create", "update"];
    const LEASES: (&str, &[&str]) = ("coordination.k8s.io", &["leases"]);
    const LOCKS: &[&str] = &["endpoints", "configmaps"];
    let leases = resources(ELECTION, LEASES.0, LEASES.1, ALL, false);
    let probes = json!([{
        "subjects": groups(&EVERYBODY),
        "nonResourceRules": [{ "verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"] }],
    }]);
    let mut leaders = users(&["system:kube-controller-manager", "system:kube-scheduler"]);
    if let (Some(all), Some(more)) = (leaders.as_array_mut(), kube_system_accounts().as_array()) {
        all.extend(more.iter().cloned());
    }
    let system_election = json!([{
        "subjects": leaders,
        "resourceRules": [resources(ELECTION, "", LOCKS, &["kube-system"], false), leases],
    }]);
    let workload_election = json!([{
        "subjects": kube_system_accounts(),
        "resourceRules": [resources(ELECTION, "", LOCKS, ALL, false), leases],
    }]);
    let node_high = json!([{
        "subjects": groups(&["system:nodes"]),
        "resourceRules": [
            resources(ALL, "", &["nodes", "nodes/status"], ALL, true),
            resources(ALL, LEASES.0, LEASES.1, ALL, false),
        ],
    }]);
    let controllers = everything(&users(&["system:kube-controller-manager"]));
    let scheduler = everything(&users(&["system:kube-scheduler"]));
    vec![
        schema("exempt", "exempt", 1, "", everything(&groups(&["system:masters"]))),
        schema("catch-all", "catch-all", 10_000, USER, everything(&groups(&EVERYBODY))),
        schema("system-nodes", "system", 500, USER, everything(&groups(&["system:nodes"]))),
        schema("system-node-high", "node-high", 400, USER, node_high),
        schema("probes", "exempt", 2, "", probes),
        schema("system-leader-election", "leader-election", 100, USER, system_election),
        schema("workload-leader-election", "leader-election", 200, USER, workload_election),
        schema("kube-controller-manager", "workload-high", 800, NAMESPACE, controllers),
        schema("kube-scheduler", "workload-high", 800, NAMESPACE, scheduler),
        schema(
            "kube-system-service-accounts",
            "workload-high",
            900,
            NAMESPACE,
            everything(&kube_system_accounts()),
        ),
        schema(
            "service-accounts",
            "workload-low",
            9000,
            USER,
            everything(&groups(&["system:serviceaccounts"])),
        ),
        schema("global-default", "global-default", 9900, USER, everything(&groups(&EVERYBODY))),
    ]
}
