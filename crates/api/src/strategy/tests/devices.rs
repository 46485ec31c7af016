//! Device classes, claims and slices.

use super::*;

const CLAIM: &str = "ResourceClaim.resource.k8s.io";
const SLICE: &str = "ResourceSlice.resource.k8s.io";

fn claim(requests: Value) -> Value {
    json!({"metadata": {"name": "c"}, "spec": {"devices": {"requests": requests}}})
}

#[test]
fn claims() {
    let good = || claim(json!([{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]));
    let made = created(CLAIM, good());
    assert_eq!(
        made.at("/spec/devices/requests/0/exactly"),
        Some(&json!({"deviceClassName": "gpu.example.com", "allocationMode": "ExactCount", "count": 1}))
    );
    check_create(CLAIM, good(), &[]);
    check_create(
        CLAIM,
        claim(
            json!([{"name": "a"}, {"name": "b", "exactly": {"allocationMode": "All", "count": 2}}, {"name": "b", "exactly": {"deviceClassName": "c", "count": -1}}]),
        ),
        &[
            "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
            "spec.devices.requests[1].exactly.deviceClassName: Required value",
            "spec.devices.requests[1].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
            "spec.devices.requests[2].exactly.count: Invalid value: -1: must be greater than zero",
            "spec.devices.requests[2].name: Duplicate value: \"b\"",
        ],
    );
    let mut object = good();
    object.set_at("/spec/devices/constraints", json!([{"requests": ["gpu", "other"]}]));
    object.set_at("/spec/devices/config", json!([{"opaque": {"driver": "d.example.com"}}, {}]));
    check_create(
        CLAIM,
        object,
        &[
            "spec.devices.constraints[0].requests[1]: Invalid value: \"other\": must be the name of a request in the claim",
            "spec.devices.constraints[0].matchAttribute: Required value",
            "spec.devices.config[0].opaque.parameters: Required value",
            "spec.devices.config[1].opaque: Required value",
        ],
    );
    check_update(
        CLAIM,
        claim(json!([])),
        |claim| {
            claim
                .set_at("/spec/devices/requests", json!([{"name": "a", "exactly": {"deviceClassName": "c"}}]))
        },
        &[
            "spec: Invalid value: {\"devices\":{\"requests\":[{\"name\":\"a\",\"exactly\":{\"deviceClassName\":\"c\",\"allocationMode\":\"ExactCount\",\"count\":1}}]}}: field is immutable",
        ],
    );
}

#[test]
fn claims_are_reserved_once_they_are_allocated() {
    let old = created(CLAIM, claim(json!([])));
    let consumer = json!({"resource": "pods", "name": "p", "uid": "u"});
    let mut new = old.clone();
    new.set_at("/status", json!({"reservedFor": [consumer, consumer]}));
    assert_eq!(
        updated(CLAIM, &old, new.clone(), "status").1,
        [
            "status.reservedFor[1].uid: Duplicate value: \"u\"",
            "status.reservedFor: Forbidden: may not be specified when `allocated` is not set"
        ]
    );
    new.set_at("/status", json!({"reservedFor": [consumer], "allocation": {"devices": {}}}));
    let (allocated, errors) = updated(CLAIM, &old, new, "status");
    assert_eq!(errors, Vec::<String>::new());
    let mut other = allocated.clone();
    other.set_at("/status/allocation/devices/results", json!([{}]));
    assert_eq!(
        updated(CLAIM, &allocated, other, "status").1,
        ["status.allocation: Invalid value: {\"devices\":{\"results\":[{}]}}: field is immutable"]
    );
}

#[test]
fn templates_and_classes() {
    let template = "ResourceClaimTemplate.resource.k8s.io";
    let request = json!([{"name": "a", "firstAvailable": [{"name": "x", "deviceClassName": "c"}]}]);
    let made = created(template, json!({"spec": {"spec": {"devices": {"requests": request}}}}));
    assert_eq!(made["spec"]["spec"]["devices"]["requests"][0]["firstAvailable"][0]["count"], 1);
    assert_eq!(validate_create(kind(template), &made), []);
    check_create(
        "DeviceClass.resource.k8s.io",
        json!({"spec": {"selectors": [{}], "config": [{}]}}),
        &["spec.selectors[0].cel: Required value", "spec.config[0].opaque: Required value"],
    );
}

#[test]
fn slices() {
    let slice = |extra: Value| {
        let mut slice =
            json!({"spec": {"driver": "d.example.com", "pool": {"name": "p", "resourceSliceCount": 1}}});
        for (field, value) in extra.as_object().into_iter().flatten() {
            slice.set_at(&format!("/spec/{field}"), value.clone());
        }
        slice
    };
    check_create(SLICE, slice(json!({"nodeName": "n"})), &[]);
    check_create(
        SLICE,
        slice(json!({"pool": {"generation": -1}})),
        &[
            "spec.pool.name: Required value",
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
            "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero",
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required",
        ],
    );
    check_create(
        SLICE,
        slice(
            json!({"nodeName": "n", "allNodes": true, "devices": [{"name": "a", "attributes": {"x": {}}}, {"name": "a"}]}),
        ),
        &[
            "spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required, but multiple fields are set",
            "spec.devices[0].attributes[x]: Required value: exactly one value must be specified",
            "spec.devices[1].name: Duplicate value: \"a\"",
        ],
    );
    check_update(
        SLICE,
        slice(json!({"nodeName": "n"})),
        |slice| slice.set_at("/spec/nodeName", "m"),
        &["spec.nodeName: Invalid value: \"m\": field is immutable"],
    );
}
