//! Services, endpoints, and where addresses come from.

use super::*;

fn service(spec: Value) -> Value {
    json!({"metadata": {"name": "s", "namespace": "n"}, "spec": spec})
}

#[test]
fn defaults() {
    assert_eq!(
        created(
            "Service",
            service(
                json!({"selector": {"a": "b"}, "ports": [{"port": 80}, {"name": "x", "port": 81, "targetPort": "http"}]})
            )
        )["spec"],
        json!({"selector": {"a": "b"},
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}, {"name": "x", "port": 81, "targetPort": "http", "protocol": "TCP"}],
            "sessionAffinity": "None", "type": "ClusterIP", "internalTrafficPolicy": "Cluster",
            "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]})
    );
    let made = created(
        "Service",
        service(
            json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP", "clusterIP": "fd00::1", "ports": [{"port": 80}]}),
        ),
    );
    assert_eq!(made["spec"]["sessionAffinityConfig"], json!({"clientIP": {"timeoutSeconds": 10800}}));
    assert_eq!(
        (made.str_at("/spec/externalTrafficPolicy"), made.bool_at("/spec/allocateLoadBalancerNodePorts")),
        ("Cluster", true)
    );
    assert_eq!(
        (&made["spec"]["clusterIPs"], &made["spec"]["ipFamilies"]),
        (&json!(["fd00::1"]), &json!(["IPv6"]))
    );
    assert_eq!(made["status"], json!({"loadBalancer": {}}));
    let open = created("Service", service(json!({"clusterIP": "None"})));
    assert_eq!(
        (&open["spec"]["ipFamilies"], open.str_at("/spec/ipFamilyPolicy")),
        (&json!(["IPv4", "IPv6"]), "RequireDualStack")
    );
    let name = created("Service", service(json!({"type": "ExternalName", "externalName": "example.com"})));
    assert_eq!(
        name["spec"],
        json!({"type": "ExternalName", "externalName": "example.com", "sessionAffinity": "None"})
    );
}

#[test]
fn rules() {
    check_create("Service", service(json!({"ports": [{"port": 80}]})), &[]);
    check_create("Service", service(json!({"clusterIP": "None"})), &[]);
    check_create("Service", service(json!({})), &["spec.ports: Required value"]);
    check_create("Service", service(json!({"type": "ExternalName"})), &["spec.externalName: Required value"]);
    check_create(
        "Service",
        service(json!({"type": "Odd", "ports": [{"port": 0, "targetPort": "BAD"}]})),
        &[
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].targetPort: Invalid value: \"BAD\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
            "spec.ports[0].targetPort: Invalid value: \"BAD\": must contain at least one letter (a-z)",
            "spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
            "spec.internalTrafficPolicy: Required value",
        ],
    );
    check_create(
        "Service",
        service(
            json!({"ports": [{"port": 80}, {"name": "b", "port": 80}, {"name": "b", "port": 53, "protocol": "UDP"}]}),
        ),
        &[
            "spec.ports[0].name: Required value",
            "spec.ports[1]: Duplicate value: {\"name\":\"b\",\"port\":80,\"protocol\":\"TCP\",\"targetPort\":80}",
            "spec.ports[2].name: Duplicate value: \"b\"",
        ],
    );
    check_create(
        "Service",
        service(json!({"ports": [{"port": 80}], "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2"]})),
        &["spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: first value must match `clusterIP`"],
    );
    check_create(
        "Service",
        service(json!({"ports": [{"port": 80}], "clusterIP": "ten", "externalTrafficPolicy": "Local"})),
        &[
            "spec.clusterIPs[0]: Invalid value: \"ten\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
        ],
    );
    check_create(
        "Service",
        service(json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 80}]})),
        &["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
    );
}

/// A service as it is after allocation.
fn allocated(kind: &str) -> Value {
    let mut object =
        created("Service", service(json!({"type": kind, "selector": {"a": "b"}, "ports": [{"port": 80}]})));
    object.set_at("/spec/clusterIP", "10.96.0.7");
    object.set_at("/spec/clusterIPs", json!(["10.96.0.7"]));
    if kind == "NodePort" {
        object.set_at("/spec/ports/0/nodePort", 30080);
    }
    object
}

#[test]
fn an_update_that_leaves_allocations_out_keeps_them() {
    let old = allocated("NodePort");
    let (new, errors) = updated(
        "Service",
        &old,
        service(json!({"type": "NodePort", "ports": [{"port": 80}, {"name": "b", "port": 81}]})),
        "",
    );
    assert_eq!(
        (new.str_at("/spec/clusterIP"), &new["spec"]["clusterIPs"]),
        ("10.96.0.7", &json!(["10.96.0.7"]))
    );
    assert_eq!(new["spec"]["ports"][0]["nodePort"], 30080);
    assert_eq!(new["spec"]["ports"][1].get("nodePort"), None);
    assert_eq!(new["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(errors, ["spec.ports[0].name: Required value"]);
}

#[test]
fn the_address_is_immutable() {
    let old = allocated("ClusterIP");
    for (change, expected) in [
        (
            json!({"clusterIP": "10.96.0.8"}),
            "spec.clusterIPs[0]: Invalid value: [\"10.96.0.8\"]: may not change once set",
        ),
        (
            json!({"clusterIP": "None"}),
            "spec.clusterIPs[0]: Invalid value: [\"None\"]: may not change once set",
        ),
    ] {
        let mut new = old.clone();
        for (key, value) in change.as_object().unwrap() {
            new["spec"][key] = value.clone();
        }
        let (_, errors) = updated("Service", &old, new, "");
        assert_eq!(errors, [expected], "{change}");
    }
}

#[test]
fn a_service_of_another_type_lets_go_of_what_it_does_not_need() {
    let old = allocated("NodePort");
    let mut new = old.clone();
    new.set_at("/spec/type", "ClusterIP");
    let (new, errors) = updated("Service", &old, new, "");
    assert_eq!(new["spec"]["ports"][0].get("nodePort"), None);
    assert_eq!(new["spec"].get("externalTrafficPolicy"), None);
    assert_eq!(errors, Vec::<String>::new());

    let old = allocated("ClusterIP");
    let mut new = old.clone();
    new.set_at("/spec/type", "ExternalName");
    new.set_at("/spec/externalName", "example.com");
    let (new, errors) = updated("Service", &old, new, "");
    assert_eq!((new["spec"].get("clusterIP"), new["spec"].get("ipFamilies")), (None, None));
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn status_and_spec_are_apart() {
    let old = allocated("ClusterIP");
    let mut new = old.clone();
    new.set_at("/spec/selector", json!({"c": "d"}));
    new.set_at("/status/loadBalancer", json!({"ingress": [{"ip": "1.2.3.4"}]}));
    assert_eq!(updated("Service", &old, new.clone(), "").0["status"], json!({"loadBalancer": {}}));
    assert_eq!(updated("Service", &old, new, "status").0["spec"], old["spec"]);
}

#[test]
fn endpoints() {
    let endpoints = |subset: Value| json!({"metadata": {"name": "e"}, "subsets": [subset]});
    let made =
        created("Endpoints", endpoints(json!({"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 80}]})));
    assert_eq!(made["subsets"][0]["ports"][0], json!({"port": 80, "protocol": "TCP"}));
    check_create(
        "Endpoints",
        endpoints(json!({"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 80}]})),
        &[],
    );
    check_create(
        "Endpoints",
        endpoints(json!({"ports": [{"port": 80}, {"port": 81}]})),
        &[
            "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
            "subsets[0].ports[0].name: Required value",
            "subsets[0].ports[1].name: Required value",
        ],
    );
    check_create(
        "Endpoints",
        endpoints(json!({"addresses": [{"ip": "0.0.0.0"}, {"ip": "nine"}]})),
        &[
            "subsets[0].addresses[0].ip: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0 or ::)",
            "subsets[0].addresses[1].ip: Invalid value: \"nine\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ],
    );
}

#[test]
fn endpoint_slices() {
    let name = "EndpointSlice.discovery.k8s.io";
    let slice = |kind: &str, address: &str| {
        json!({"metadata": {"name": "e"}, "addressType": kind,
        "endpoints": [{"addresses": [address]}], "ports": [{"port": 80}]})
    };
    assert_eq!(
        created(name, slice("IPv4", "10.0.0.1"))["ports"],
        json!([{"port": 80, "name": "", "protocol": "TCP"}])
    );
    check_create(name, slice("IPv4", "10.0.0.1"), &[]);
    check_create(
        name,
        slice("IPv6", "10.0.0.1"),
        &["endpoints[0].addresses[0]: Invalid value: \"10.0.0.1\": must be a valid IPv6 address"],
    );
    check_create(name, slice("", "x"), &["addressType: Required value"]);
    check_create(
        name,
        json!({"metadata": {"name": "e"}, "addressType": "IPv4", "endpoints": [{"addresses": []}], "ports": [{"port": 1}, {"port": 2}]}),
        &[
            "endpoints[0].addresses: Required value: must contain at least 1 address",
            "ports[1].name: Duplicate value: \"\"",
        ],
    );
    check_update(
        name,
        slice("FQDN", "a.example.com"),
        |slice| {
            slice.set_at("/addressType", "IPv4");
            slice.set_at("/endpoints/0/addresses/0", "10.0.0.1");
        },
        &["addressType: Invalid value: \"IPv4\": field is immutable"],
    );
}

#[test]
fn addresses_and_ranges() {
    let address = "IPAddress.networking.k8s.io";
    let parent = json!({"group": "", "resource": "services", "namespace": "n", "name": "s"});
    check_create(address, json!({"metadata": {"name": "10.96.0.1"}, "spec": {"parentRef": parent}}), &[]);
    check_create(
        address,
        json!({"metadata": {"name": "10.96.0.1"}, "spec": {}}),
        &["spec.parentRef: Required value"],
    );
    check_update(
        address,
        json!({"metadata": {"name": "10.96.0.1"}, "spec": {"parentRef": parent}}),
        |object| object.set_at("/spec/parentRef", json!({"resource": "services", "name": "t"})),
        &["spec.parentRef: Invalid value: {\"resource\":\"services\",\"name\":\"t\"}: field is immutable"],
    );
    let range = "ServiceCIDR.networking.k8s.io";
    let cidr = |cidrs: Value| json!({"metadata": {"name": "k"}, "spec": {"cidrs": cidrs}});
    check_create(range, cidr(json!(["10.96.0.0/12", "fd00::/108"])), &[]);
    check_create(range, cidr(json!([])), &["spec.cidrs: Required value: at least one CIDR required"]);
    check_create(
        range,
        cidr(json!(["10.96.0.0/33"])),
        &[
            "spec.cidrs[0]: Invalid value: \"10.96.0.0/33\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ],
    );
}
