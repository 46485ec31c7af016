//! Flow schemas and priority levels.

use super::*;

const SCHEMA: &str = "FlowSchema.flowcontrol.apiserver.k8s.io";
const LEVEL: &str = "PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io";

#[test]
fn flow_schemas() {
    let schema = |rules: Value| json!({"metadata": {"name": "s"}, "spec": {"priorityLevelConfiguration": {"name": "low"}, "rules": rules}});
    let made = created(SCHEMA, schema(json!([])));
    assert_eq!(made["spec"]["matchingPrecedence"], 1000);
    check_create(
        SCHEMA,
        json!({"metadata": {"name": "s"}, "spec": {"matchingPrecedence": 1, "distinguisherMethod": {"type": "ByMood"}}}),
        &[
            "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
            "spec.distinguisherMethod.type: Unsupported value: {\"type\":\"ByMood\"}: supported values: \"ByNamespace\", \"ByUser\"",
            "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
        ],
    );
    let subjects = json!([{"kind": "Group", "group": {"name": "g"}}]);
    check_create(
        SCHEMA,
        schema(
            json!([{"subjects": subjects, "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/healthz", "*"]}]}]),
        ),
        &[
            "spec.rules[0].nonResourceRules[0].nonResourceURLs: Invalid value: [\"/healthz\",\"*\"]: if '*' is present, must not specify other non-resource URLs",
        ],
    );
    check_create(
        SCHEMA,
        schema(json!([{"subjects": [{"kind": "User", "group": {"name": "g"}}, {"kind": "Dog"}]},
            {"resourceRules": [{"verbs": ["fly"], "apiGroups": ["*"], "resources": ["*"]}]}])),
        &[
            "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
            "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
            "spec.rules[0].subjects[1].kind: Unsupported value: \"Dog\": supported values: \"Group\", \"ServiceAccount\", \"User\"",
            "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
            "spec.rules[1].subjects: Required value: subjects must contain at least one value",
            "spec.rules[1].resourceRules[0].verbs: Unsupported value: [\"fly\"]: supported values: \"create\", \"delete\", \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\"",
            "spec.rules[1].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace",
        ],
    );
}

#[test]
fn priority_levels() {
    let level = |spec: Value| json!({"metadata": {"name": "l"}, "spec": spec});
    let queue = |queuing: Value| {
        level(json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": queuing}}}))
    };
    let made = created(LEVEL, queue(json!({})));
    assert_eq!(
        made["spec"]["limited"]["limitResponse"]["queuing"],
        json!({"queues": 64, "handSize": 8, "queueLengthLimit": 50})
    );
    check_create(LEVEL, queue(json!({})), &[]);
    check_create(
        LEVEL,
        queue(json!({"queues": 4, "handSize": 5})),
        &[
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 5: should not be greater than queues (4)",
        ],
    );
    check_create(
        LEVEL,
        queue(json!({"queues": 10_000_000, "handSize": 3})),
        &[
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 3: required entropy bits of deckSize 10000000 and handSize 3 should not be greater than 60",
        ],
    );
    check_create(
        LEVEL,
        level(json!({"type": "Limited"})),
        &["spec.limited: Required value: must not be empty when type is Limited"],
    );
    check_create(
        LEVEL,
        level(json!({"type": "Exempt", "exempt": {"lendablePercent": 101}})),
        &[
            "spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'",
            "spec.exempt.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
        ],
    );
    check_create(
        LEVEL,
        level(
            json!({"type": "Limited", "limited": {"nominalConcurrencyShares": -1, "limitResponse": {"type": "Reject", "queuing": {}}}}),
        ),
        &[
            "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
            "spec.limited.limitResponse.queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited",
        ],
    );
}
