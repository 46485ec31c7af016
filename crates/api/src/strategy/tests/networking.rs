//! Network policies, ingresses and their classes, addresses.

use super::*;

const POLICY: &str = "NetworkPolicy.networking.k8s.io";
const INGRESS: &str = "Ingress.networking.k8s.io";
const CLASS: &str = "IngressClass.networking.k8s.io";

#[test]
fn network_policies() {
    let made = created(POLICY, json!({"spec": {"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]}}));
    assert_eq!(
        (&made["spec"]["policyTypes"], made.str_at("/spec/egress/0/ports/0/protocol")),
        (&json!(["Ingress", "Egress"]), "TCP")
    );
    check_create(
        POLICY,
        json!({"spec": {"ingress": [{"from": [{}, {"ipBlock": {"cidr": "x"}}, {"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/16"]}}]}]}}),
        &[
            "spec.ingress[0].from[0]: Required value: must specify a peer",
            "spec.ingress[0].from[1].ipBlock.cidr: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            "spec.ingress[0].from[2].ipBlock.except[1]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
            "spec.ingress[0].from[2]: Forbidden: may not specify both ipBlock and another peer",
        ],
    );
    check_create(
        POLICY,
        json!({"spec": {"policyTypes": ["Ingress", "Sideways"], "ingress": [{"ports": [
            {"endPort": 9}, {"port": "web", "endPort": 9}, {"port": 10, "endPort": 9}, {"port": 9, "endPort": 10}]}]}}),
        &[
            "spec.ingress[0].ports[0].endPort: Invalid value: 9: may not be specified when `port` is not specified",
            "spec.ingress[0].ports[1].endPort: Invalid value: 9: may not be specified when `port` is non-numeric",
            "spec.ingress[0].ports[2].endPort: Invalid value: 9: must be greater than or equal to `port`",
            "spec.policyTypes[1]: Unsupported value: \"Sideways\": supported values: \"Ingress\", \"Egress\"",
        ],
    );
}

/// An ingress with one path.
fn path(path: Value) -> Value {
    json!({"spec": {"rules": [{"http": {"paths": [path]}}]}})
}

#[test]
fn ingresses() {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    check_create(INGRESS, path(json!({"path": "/a", "pathType": "Prefix", "backend": backend})), &[]);
    check_create(
        INGRESS,
        json!({"spec": {}}),
        &["spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"],
    );
    check_create(
        INGRESS,
        path(json!({"path": "a//b/..", "pathType": "Prefix"})),
        &[
            "spec.rules[0].http.paths[0].path: Invalid value: \"a//b/..\": must be an absolute path",
            "spec.rules[0].http.paths[0].path: Invalid value: \"a//b/..\": must not contain '//'",
            "spec.rules[0].http.paths[0].path: Invalid value: \"a//b/..\": cannot end with '/..'",
            "spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is required",
        ],
    );
    check_create(
        INGRESS,
        path(json!({"backend": backend})),
        &["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
    );
    check_create(
        INGRESS,
        json!({"spec": {"defaultBackend": {"service": {"name": "web", "port": {}}}}}),
        &["spec.defaultBackend: Required value: port name or number is required"],
    );
    check_create(
        INGRESS,
        json!({"spec": {"defaultBackend": {"service": {"name": "web", "port": {"name": "http", "number": 80}}, "resource": {}}}}),
        &["spec.defaultBackend: Invalid value: \"\": cannot set both resource and service backends"],
    );
    check_create(
        INGRESS,
        json!({"spec": {"rules": [{"host": "10.0.0.1"}, {"host": "*.example.com"}, {"host": "a.*.com"}], "tls": [{"hosts": ["Up.example.com"]}]}}),
        &[
            "spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address",
            "spec.rules[2].host: Invalid value: \"a.*.com\": a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "spec.tls[0].hosts[0]: Invalid value: \"Up.example.com\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    );
    check_create(
        INGRESS,
        json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}}, "spec": {"ingressClassName": "b", "defaultBackend": backend}}),
        &[
            "annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are specified",
        ],
    );
}

#[test]
fn classes() {
    let made = created(
        CLASS,
        json!({"spec": {"controller": "example.com/c", "parameters": {"kind": "P", "name": "p"}}}),
    );
    assert_eq!(made.str_at("/spec/parameters/scope"), "Cluster");
    check_create(CLASS, json!({"spec": {"controller": "example.com/c"}}), &[]);
    check_create(
        CLASS,
        json!({"spec": {"controller": "c", "parameters": {"scope": "Namespace", "kind": "P", "name": "p"}}}),
        &[
            "spec.controller: Invalid value: \"c\": must be a domain-prefixed path (such as \"acme.io/foo\")",
            "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
        ],
    );
    check_create(
        CLASS,
        json!({"spec": {"parameters": {"namespace": "n"}}}),
        &[
            "spec.controller: Required value",
            "spec.parameters.kind: Required value",
            "spec.parameters.name: Required value",
            "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'",
        ],
    );
    check_update(
        CLASS,
        json!({"spec": {"controller": "example.com/c"}}),
        |class| class.set_at("/spec/controller", "example.com/d"),
        &["spec.controller: Invalid value: \"example.com/d\": field is immutable"],
    );
}

#[test]
fn ranges_of_addresses() {
    let range = "ServiceCIDR.networking.k8s.io";
    let cidrs = |cidrs: Value| json!({"spec": {"cidrs": cidrs}});
    check_create(range, cidrs(json!([])), &["spec.cidrs: Required value: at least one CIDR required"]);
    check_create(
        range,
        cidrs(json!(["10.0.0.0/8", "11.0.0.0/8"])),
        &[
            "spec.cidrs: Invalid value: [\"10.0.0.0/8\",\"11.0.0.0/8\"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
        ],
    );
    let one = || cidrs(json!(["10.0.0.0/8"]));
    check_update(range, one(), |range| range.set_at("/spec/cidrs/1", "2001:db8::/64"), &[]);
    check_update(
        range,
        one(),
        |range| range.set_at("/spec/cidrs", json!(["10.0.0.0/8", "2001:db8::/64"])),
        &[],
    );
    check_update(
        range,
        one(),
        |range| range.set_at("/spec/cidrs", json!(["11.0.0.0/8"])),
        &["spec.cidrs[0]: Invalid value: \"11.0.0.0/8\": field is immutable"],
    );
}
