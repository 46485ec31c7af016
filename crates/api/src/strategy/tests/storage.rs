//! Volumes, claims, classes, drivers and attachments.

use super::*;

const CLAIM: &str = "PersistentVolumeClaim";
const VOLUME: &str = "PersistentVolume";
const CLASS: &str = "StorageClass.storage.k8s.io";
const DRIVER: &str = "CSIDriver.storage.k8s.io";
const NODE: &str = "CSINode.storage.k8s.io";
const ATTACHMENT: &str = "VolumeAttachment.storage.k8s.io";

fn claim() -> Value {
    json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}})
}

fn volume() -> Value {
    json!({"metadata": {"name": "v"}, "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/data"}}})
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    object.set_at(pointer, value);
    object
}

#[test]
fn claims() {
    let made = created(CLAIM, claim());
    assert_eq!(
        (
            made.str_at("/spec/volumeMode"),
            made.str_at("/spec/resources/requests/storage"),
            made.str_at("/status/phase")
        ),
        ("Filesystem", "1Gi", "Pending")
    );
    check_create(CLAIM, claim(), &[]);
    check_create(
        CLAIM,
        json!({"spec": {"accessModes": ["Any"]}}),
        &[
            "spec.accessModes: Unsupported value: \"Any\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            "spec.resources[storage]: Required value",
        ],
    );
    check_create(
        CLAIM,
        json!({"spec": {"resources": {"requests": {"storage": "0"}}, "volumeMode": "Tape"}}),
        &[
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
            "spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\"",
        ],
    );
    check_create(
        CLAIM,
        with(claim(), "/spec/accessModes", json!(["ReadWriteOncePod", "ReadWriteOnce"])),
        &["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"],
    );
    check_create(
        CLAIM,
        with(claim(), "/spec/dataSource", json!({"kind": "VolumeSnapshot"})),
        &[
            "spec.dataSource.name: Required value",
            "spec.dataSource: Invalid value: \"VolumeSnapshot\": must be 'PersistentVolumeClaim' when referencing the default apiGroup",
            "spec.dataSourceRef.name: Required value",
            "spec.dataSourceRef: Invalid value: \"VolumeSnapshot\": must be 'PersistentVolumeClaim' when referencing the default apiGroup",
        ],
    );
}

#[test]
fn a_data_source_is_told_in_both_ways() {
    let source = json!({"kind": "PersistentVolumeClaim", "name": "other"});
    for (given, other) in [("dataSource", "dataSourceRef"), ("dataSourceRef", "dataSource")] {
        let made = created(CLAIM, with(claim(), &format!("/spec/{given}"), source.clone()));
        assert_eq!(made["spec"][other], source, "{given}");
    }
    let far = json!({"kind": "PersistentVolumeClaim", "name": "other", "namespace": "far"});
    let made = created(CLAIM, with(claim(), "/spec/dataSourceRef", far));
    assert_eq!(made.at("/spec/dataSource"), None);
}

/// Updates a claim of which a part was set before.
#[track_caller]
fn check_claim(before: &[(&str, Value)], change: impl FnOnce(&mut Value), expected: &[&str]) {
    let mut old = created(CLAIM, claim());
    for (pointer, value) in before {
        old.set_at(pointer, value.clone());
    }
    let mut new = old.clone();
    change(&mut new);
    assert_eq!(updated(CLAIM, &old, new, "").1, expected);
}

#[test]
fn updates_of_claims() {
    const REFUSED: &str = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
    const LESS: &str =
        "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity";
    let grow = |claim: &mut Value| claim.set_at("/spec/resources/requests/storage", "2Gi");
    let bound = || ("/status", json!({"phase": "Bound", "capacity": {"storage": "1Gi"}}));
    check_claim(&[bound()], grow, &[]);
    check_claim(&[], grow, &[REFUSED]);
    check_claim(&[bound()], |claim| claim.set_at("/spec/resources/requests/storage", "512Mi"), &[LESS]);
    // An expansion that failed may be taken back, down to what there is.
    let grown = ("/spec/resources/requests/storage", json!("8Gi"));
    check_claim(&[bound(), grown], |claim| claim.set_at("/spec/resources/requests/storage", "2Gi"), &[]);
    check_claim(&[], |claim| claim.set_at("/spec/volumeName", "pv"), &[]);
    let named = ("/spec/volumeName", json!("pv"));
    check_claim(&[named], |claim| claim.set_at("/spec/volumeName", "other"), &[REFUSED]);
    check_claim(&[], |claim| claim.set_at("/spec/accessModes", json!(["ReadOnlyMany"])), &[REFUSED]);
    // A class may come later, but not change.
    check_claim(&[], |claim| claim.set_at("/spec/storageClassName", "fast"), &[]);
    let classed = ("/spec/storageClassName", json!("slow"));
    check_claim(&[classed], |claim| claim.set_at("/spec/storageClassName", "fast"), &[REFUSED]);
    let attributes = || ("/spec/volumeAttributesClassName", json!("gold"));
    check_claim(&[attributes()], |claim| claim.set_at("/spec/volumeAttributesClassName", "silver"), &[]);
    check_claim(
        &[attributes()],
        |claim| {
            claim.remove_at("/spec/volumeAttributesClassName");
        },
        &["spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"],
    );
    check_claim(
        &[bound()],
        |claim| claim.set_at("/spec/volumeMode", "Block"),
        &[REFUSED, "volumeMode: Invalid value: \"Block\": field is immutable"],
    );
}

#[test]
fn volumes() {
    let made = created(VOLUME, volume());
    assert_eq!(
        (made.str_at("/spec/persistentVolumeReclaimPolicy"), made.str_at("/spec/volumeMode")),
        ("Retain", "Filesystem")
    );
    check_create(VOLUME, volume(), &[]);
    check_create(
        VOLUME,
        json!({"spec": {}}),
        &[
            "spec.accessModes: Required value",
            "spec.capacity: Required value",
            "spec.capacity: Unsupported value: \"null\": supported values: \"storage\"",
            "spec: Required value: must specify a volume type",
        ],
    );
    let mut object = volume();
    object.set_at("/spec/nfs", json!({"server": "s", "path": "/p"}));
    object.set_at("/spec/hostPath/path", "/a/../b");
    object.set_at("/spec/capacity/storage", "-1");
    check_create(
        VOLUME,
        object,
        &[
            "spec.capacity[storage]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
            "spec.nfs: Forbidden: may not specify more than 1 volume type",
        ],
    );
    let mut local = volume();
    local.remove_at("/spec/hostPath");
    local.set_at("/spec/local", json!({"path": "/mnt"}));
    check_create(
        VOLUME,
        local.clone(),
        &["spec.nodeAffinity: Required value: Local volume requires node affinity"],
    );
    local.set_at("/spec/nodeAffinity", json!({"required": {"nodeSelectorTerms": []}}));
    check_create(
        VOLUME,
        local,
        &[
            "spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term",
        ],
    );
    let mut driven = volume();
    driven.remove_at("/spec/hostPath");
    driven.set_at("/spec/csi", json!({}));
    check_create(
        VOLUME,
        driven,
        &[
            "spec.csi.driver: Required value",
            "spec.csi.driver: Invalid value: \"\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "spec.csi.volumeHandle: Required value",
        ],
    );
}

#[test]
fn the_source_of_a_volume_stays() {
    check_update(VOLUME, volume(), |volume| volume.set_at("/spec/claimRef", json!({"name": "c"})), &[]);
    check_update(
        VOLUME,
        volume(),
        |volume| volume.set_at("/spec/hostPath/path", "/other"),
        &["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"],
    );
    check_update(
        VOLUME,
        volume(),
        |volume| volume.set_at("/spec/volumeMode", "Block"),
        &["volumeMode: Invalid value: \"Block\": field is immutable"],
    );
    let mut driven = volume();
    driven.remove_at("/spec/hostPath");
    driven.set_at("/spec/csi", json!({"driver": "d", "volumeHandle": "h"}));
    check_update(
        VOLUME,
        driven,
        |volume| volume.set_at("/spec/csi/controllerExpandSecretRef", json!({"name": "s"})),
        &[],
    );
}

#[test]
fn classes() {
    assert_eq!(created(CLASS, json!({"provisioner": "x"})).str_at("/volumeBindingMode"), "Immediate");
    check_create(
        CLASS,
        json!({"reclaimPolicy": "Recycle", "volumeBindingMode": "Later", "allowedTopologies": [
            {"matchLabelExpressions": [{"key": "zone", "values": ["a", "a"]}, {"key": "zone", "values": []}]}]}),
        &[
            "provisioner: Required value",
            "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
            "volumeBindingMode: Unsupported value: \"Later\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
            "allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"a\"",
            "allowedTopologies[0].matchLabelExpressions[1].values: Required value",
            "allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: \"zone\"",
        ],
    );
    check_update(
        CLASS,
        json!({"provisioner": "x"}),
        |class| {
            class.set_at("/provisioner", "y");
            class.set_at("/parameters", json!({"a": "b"}));
            class.set_at("/reclaimPolicy", "Retain");
            class.set_at("/volumeBindingMode", "WaitForFirstConsumer");
        },
        &[
            "parameters: Forbidden: updates to parameters are forbidden.",
            "provisioner: Forbidden: updates to provisioner are forbidden.",
            "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.",
            "volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable",
        ],
    );
    check_update(
        CLASS,
        json!({"provisioner": "x"}),
        |class| class.set_at("/allowVolumeExpansion", true),
        &[],
    );
    let attributes = "VolumeAttributesClass.storage.k8s.io";
    check_create(
        attributes,
        json!({}),
        &[
            "driverName: Required value",
            "parameters: Required value: must contain at least one key/value pair",
        ],
    );
    check_update(
        attributes,
        json!({"driverName": "d", "parameters": {"iops": "1"}}),
        |class| class.set_at("/parameters/iops", "2"),
        &["parameters: Forbidden: updates to parameters are forbidden."],
    );
    let capacity = "CSIStorageCapacity.storage.k8s.io";
    let made = created(capacity, json!({"storageClassName": "fast", "capacity": "1024Mi"}));
    assert_eq!(made.str_at("/capacity"), "1Gi");
    check_update(
        capacity,
        json!({"storageClassName": "fast"}),
        |capacity| capacity.set_at("/storageClassName", "slow"),
        &["storageClassName: Invalid value: \"slow\": field is immutable"],
    );
    check_create(
        capacity,
        json!({"storageClassName": "fast", "capacity": "-1"}),
        &["capacity: Invalid value: \"-1\": must be greater than or equal to 0"],
    );
}

#[test]
fn drivers() {
    let made = created(DRIVER, json!({"spec": {}}));
    assert_eq!(
        made["spec"],
        json!({"attachRequired": true, "podInfoOnMount": false, "storageCapacity": false,
            "fsGroupPolicy": "ReadWriteOnceWithFSType", "volumeLifecycleModes": ["Persistent"],
            "requiresRepublish": false, "seLinuxMount": false})
    );
    check_create(
        DRIVER,
        json!({"spec": {"fsGroupPolicy": "Some", "volumeLifecycleModes": ["Forever"], "nodeAllocatableUpdatePeriodSeconds": 9,
            "tokenRequests": [{"audience": "a", "expirationSeconds": 1}, {"audience": "a"}]}}),
        &[
            "spec.fsGroupPolicy: Unsupported value: \"Some\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\"",
            "spec.tokenRequests[0].expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
            "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
            "spec.volumeLifecycleModes: Unsupported value: \"Forever\": supported values: \"Persistent\", \"Ephemeral\"",
            "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
        ],
    );
    check_update(
        DRIVER,
        json!({"spec": {}}),
        |driver| driver.set_at("/spec/attachRequired", false),
        &["spec.attachedRequired: Invalid value: false: field is immutable"],
    );
    let node = |id: &str| json!({"spec": {"drivers": [{"name": "d.example.com", "nodeID": id}]}});
    check_create(NODE, node("n"), &[]);
    check_create(NODE, node(""), &["spec.drivers[0].nodeID: Required value"]);
    check_update(
        NODE,
        node("n"),
        |node| node.set_at("/spec/drivers/0/allocatable", json!({"count": 3})),
        &[],
    );
    check_update(
        NODE,
        node("n"),
        |node| node.set_at("/spec/drivers/0/nodeID", "m"),
        &["spec.drivers: Invalid value: {\"name\":\"d.example.com\",\"nodeID\":\"m\"}: field is immutable"],
    );
}

#[test]
fn attachments() {
    let attachment =
        |source: Value| json!({"spec": {"attacher": "d.example.com", "nodeName": "n", "source": source}});
    let good = || attachment(json!({"persistentVolumeName": "pv"}));
    assert_eq!(created(ATTACHMENT, good())["status"], json!({"attached": false}));
    check_create(ATTACHMENT, good(), &[]);
    check_create(
        ATTACHMENT,
        attachment(json!({})),
        &[
            "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
        ],
    );
    check_create(
        ATTACHMENT,
        attachment(
            json!({"inlineVolumeSpec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}}),
        ),
        &[
            "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec: Required value: must specify a volume type",
        ],
    );
    let made = created(ATTACHMENT, good());
    let mut new = made.clone();
    new.set_at("/spec/nodeName", "m");
    let (_, errors) = updated(ATTACHMENT, &made, new.clone(), "");
    assert_eq!(
        errors,
        [
            "spec: Invalid value: {\"attacher\":\"d.example.com\",\"nodeName\":\"m\",\"source\":{\"persistentVolumeName\":\"pv\"}}: field is immutable"
        ]
    );
    new.set_at("/status", json!({"attached": true}));
    let (kept, errors) = updated(ATTACHMENT, &made, new, "status");
    assert_eq!((kept.str_at("/spec/nodeName"), kept.bool_at("/status/attached")), ("n", true));
    assert_eq!(errors, Vec::<String>::new());
}
