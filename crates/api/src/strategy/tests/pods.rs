//! Pods.

use super::*;

fn pod(spec: Value) -> Value {
    json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec})
}

/// A pod with one container, to which `fields` are added.
fn with(fields: Value) -> Value {
    let mut container = json!({"name": "a", "image": "x:1"});
    for (key, value) in fields.as_object().into_iter().flatten() {
        container[key] = value.clone();
    }
    pod(json!({"containers": [container]}))
}

#[test]
fn defaults() {
    let pod = defaulted(
        "Pod",
        pod(json!({
            "serviceAccount": "robot",
            "containers": [{"name": "a", "image": "x", "ports": [{"containerPort": 80}],
                "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "livenessProbe": {"httpGet": {"port": 80}},
                "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": 0.5}}}],
            "volumes": [{"name": "e"}, {"name": "s", "secret": {"secretName": "s"}},
                {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
        })),
    );
    assert_eq!(
        pod["spec"],
        json!({
            "serviceAccount": "robot",
            "containers": [{"name": "a", "image": "x", "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}}],
                "livenessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
                    "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
                "imagePullPolicy": "Always", "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File"}],
            "volumes": [{"name": "e", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "s", "defaultMode": 420}},
                {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
                    "defaultMode": 420}}],
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
            "schedulerName": "default-scheduler", "securityContext": {}, "serviceAccountName": "robot",
            "enableServiceLinks": true,
        })
    );
}

#[test]
fn a_pod_on_the_hosts_network_takes_the_hosts_ports() {
    let pod = defaulted(
        "Pod",
        pod(json!({"hostNetwork": true, "containers": [{"ports": [{"containerPort": 80}]}]})),
    );
    assert_eq!(pod["spec"]["containers"][0]["ports"][0]["hostPort"], 80);
}

#[test]
fn a_new_pod_is_pending() {
    let mut pod = with(json!({}));
    pod.set_at("/status", json!({"phase": "Running"}));
    assert_eq!(created("Pod", pod.clone())["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    pod.set_at("/spec/schedulingGates", json!([{"name": "wait"}]));
    assert_eq!(created("Pod", pod)["status"]["conditions"][0].str_at("/reason"), "SchedulingGated");
}

#[test]
fn containers() {
    check_create("Pod", with(json!({})), &[]);
    check_create("Pod", pod(json!({})), &["spec.containers: Required value"]);
    check_create(
        "Pod",
        pod(json!({"containers": [{}, {"name": "a", "image": " x"}, {"name": "a", "image": "x"}]})),
        &[
            "spec.containers[0].name: Required value",
            "spec.containers[0].image: Required value",
            "spec.containers[1].image: Invalid value: \" x\": must not have leading or trailing whitespace",
            "spec.containers[2].name: Duplicate value: \"a\"",
        ],
    );
    check_create(
        "Pod",
        pod(json!({"containers": [{"name": "Not_Good", "image": "x"}]})),
        &[
            "spec.containers[0].name: Invalid value: \"Not_Good\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ],
    );
    check_create(
        "Pod",
        with(
            json!({"imagePullPolicy": "Sometimes", "ports": [{"name": "http"}, {"name": "http", "containerPort": 70000, "protocol": "tcp"}]}),
        ),
        &[
            "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            "spec.containers[0].ports[1].name: Duplicate value: \"http\"",
            "spec.containers[0].ports[0].containerPort: Required value",
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[1].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ],
    );
    check_create(
        "Pod",
        pod(
            json!({"containers": [{"name": "a", "image": "x"}], "initContainers": [{"name": "a", "image": "x", "readinessProbe": {"exec": {"command": ["x"]}}}]}),
        ),
        &[
            "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
            "spec.initContainers[0].name: Duplicate value: \"a\"",
        ],
    );
}

#[test]
fn environment() {
    check_create(
        "Pod",
        with(json!({"env": [
            {"name": ""}, {"name": "A=B"},
            {"name": "C", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "D", "valueFrom": {}},
            {"name": "E", "valueFrom": {"secretKeyRef": {"key": "k"}}},
        ], "envFrom": [{}, {"configMapRef": {"name": "c"}}]})),
        &[
            "spec.containers[0].env[0].name: Required value",
            "spec.containers[0].env[1].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII characters other than '='",
            "spec.containers[0].env[2].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            "spec.containers[0].env[3].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
            "spec.containers[0].env[4].valueFrom.secretKeyRef.name: Required value",
            "spec.containers[0].envFrom[0]: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
        ],
    );
}

#[test]
fn resources() {
    check_create(
        "Pod",
        with(
            json!({"resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "500m", "memory": "2Gi"}}}),
        ),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 500m",
        ],
    );
    check_create(
        "Pod",
        with(json!({"resources": {"limits": {"cpu": "-1", "gpu": "1", "memory": "lots"}}})),
        &[
            "spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            "spec.containers[0].resources.limits[memory]: Invalid value: \"lots\": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            "spec.containers[0].resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            "spec.containers[0].resources.requests[memory]: Invalid value: \"lots\": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ],
    );
    check_create(
        "Pod",
        with(
            json!({"resources": {"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "2"}}}),
        ),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"1\": must be equal to example.com/gpu limit of 2",
        ],
    );
}

#[test]
fn volumes_and_mounts() {
    check_create(
        "Pod",
        pod(json!({
            "containers": [{"name": "a", "image": "x", "volumeMounts": [
                {"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}, {"name": "w", "mountPath": "/b"},
                {"name": "v", "mountPath": "/c", "subPath": "../x"}]}],
            "volumes": [{"name": "v"}, {"name": "v", "secret": {}}, {"name": "h", "hostPath": {"path": "/x"}, "emptyDir": {}}],
        })),
        &[
            "spec.volumes[1].secret.secretName: Required value",
            "spec.volumes[1].name: Duplicate value: \"v\"",
            "spec.volumes[2].hostPath: Forbidden: may not specify more than 1 volume type",
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
            "spec.containers[0].volumeMounts[2].name: Not found: \"w\"",
            "spec.containers[0].volumeMounts[3].subPath: Invalid value: \"../x\": must not contain '..'",
        ],
    );
}

#[test]
fn probes_and_policies() {
    check_create(
        "Pod",
        with(
            json!({"livenessProbe": {"successThreshold": 2}, "readinessProbe": {"exec": {"command": ["x"]}, "tcpSocket": {"port": "Bad_"}, "periodSeconds": -1}}),
        ),
        &[
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            "spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
    let mut odd = with(json!({}));
    odd.set_at("/spec/restartPolicy", "Perhaps");
    odd.set_at("/spec/dnsPolicy", "None");
    odd.set_at("/spec/activeDeadlineSeconds", 0);
    odd.set_at("/spec/tolerations", json!([{"operator": "Equal"}, {"key": "a", "operator": "Exists", "value": "b"}, {"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]));
    check_create(
        "Pod",
        odd,
        &[
            "spec.restartPolicy: Unsupported value: \"Perhaps\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            "spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None",
            "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            "spec.tolerations[1].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
            "spec.tolerations[2].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ],
    );
}

#[test]
fn affinity() {
    let mut pod = with(json!({}));
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    pod.set_at(&format!("/spec/affinity/nodeAffinity/{required}"), json!({"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "zone", "operator": "In"}, {"key": "zone", "operator": "Near", "values": ["x"]}]}]}));
    pod.set_at(&format!("/spec/affinity/podAntiAffinity/{required}"), json!([{"labelSelector": {}}]));
    check_create(
        "Pod",
        pod,
        &[
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].operator: Invalid value: \"Near\": not a valid selector operator",
            "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty",
        ],
    );
}

const REFUSED: &str = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";

#[test]
fn what_may_change() {
    let tolerant = || {
        let mut pod = with(json!({}));
        pod.set_at(
            "/spec/tolerations",
            json!([{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]),
        );
        pod.set_at("/spec/activeDeadlineSeconds", 100);
        pod
    };
    check_update("Pod", tolerant(), |pod| pod.set_at("/spec/containers/0/image", "x:2"), &[]);
    check_update("Pod", tolerant(), |pod| pod.set_label("a", "b"), &[]);
    check_update("Pod", tolerant(), |pod| pod.set_at("/spec/activeDeadlineSeconds", 50), &[]);
    check_update("Pod", tolerant(), |pod| pod.set_at("/spec/tolerations/0/tolerationSeconds", 9), &[]);
    check_update(
        "Pod",
        tolerant(),
        |pod| {
            pod.at_mut("/spec/tolerations")
                .unwrap()
                .as_array_mut()
                .unwrap()
                .push(json!({"key": "b", "operator": "Exists"}))
        },
        &[],
    );
    check_update(
        "Pod",
        tolerant(),
        |pod| pod.set_at("/spec/activeDeadlineSeconds", 150),
        &["spec.activeDeadlineSeconds: Invalid value: 150: must be less than or equal to previous value"],
    );
    check_update(
        "Pod",
        tolerant(),
        |pod| pod.set_at("/spec/tolerations", json!([])),
        &[
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
        ],
    );
    check_update(
        "Pod",
        tolerant(),
        |pod| {
            pod.at_mut("/spec/containers")
                .unwrap()
                .as_array_mut()
                .unwrap()
                .push(json!({"name": "b", "image": "x"}))
        },
        &["spec.containers: Forbidden: pod updates may not add or remove containers"],
    );
    let refused = format!(
        "{REFUSED}  spec.containers[0].command: <unset> -> [\"x\"]\n  spec.nodeName: <unset> -> \"n\""
    );
    check_update(
        "Pod",
        tolerant(),
        |pod| {
            pod.set_at("/spec/nodeName", "n");
            pod.set_at("/spec/containers/0/command", json!(["x"]));
        },
        &[&refused],
    );
}

#[test]
fn gated_pods_may_be_steered() {
    let gated = || {
        let mut pod = with(json!({}));
        pod.set_at("/spec/schedulingGates", json!([{"name": "wait"}]));
        pod
    };
    check_update("Pod", gated(), |pod| pod.set_at("/spec/schedulingGates", json!([])), &[]);
    check_update("Pod", gated(), |pod| pod.set_at("/spec/nodeSelector", json!({"a": "b"})), &[]);
    check_update(
        "Pod",
        gated(),
        |pod| pod.set_at("/spec/schedulingGates", json!([{"name": "more"}])),
        &["spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate"],
    );
}

#[test]
fn endpoints_write_their_own_part() {
    let old = created("Pod", with(json!({})));
    let mut new = old.clone();
    new.set_at("/spec/containers/0/image", "x:2");
    new.set_at("/status", json!({"phase": "Running"}));
    new.set_label("a", "b");
    new.set_at("/metadata/ownerReferences", json!([{"name": "x"}]));

    let (main, errors) = updated("Pod", &old, new.clone(), "");
    assert_eq!(
        (main["spec"]["containers"][0].str_at("/image"), main.str_at("/status/phase")),
        ("x:2", "Pending")
    );
    assert_eq!(errors, Vec::<String>::new());

    let (status, errors) = updated("Pod", &old, new.clone(), "status");
    assert_eq!(
        (status["spec"]["containers"][0].str_at("/image"), status.str_at("/status/phase")),
        ("x:1", "Running")
    );
    assert_eq!((status.str_at("/status/qosClass"), status.label("a")), ("BestEffort", Some("b")));
    assert!(status.at("/metadata/ownerReferences").is_none());
    assert_eq!(errors, Vec::<String>::new());

    new.set_at("/spec/ephemeralContainers", json!([{"name": "d", "image": "debug"}]));
    let (debug, errors) = updated("Pod", &old, new.clone(), "ephemeralcontainers");
    assert_eq!(debug["spec"]["containers"][0].str_at("/image"), "x:1");
    assert_eq!(debug["spec"]["ephemeralContainers"][0].str_at("/name"), "d");
    assert_eq!(errors, Vec::<String>::new());
    let (_, errors) = updated("Pod", &debug, old, "ephemeralcontainers");
    assert_eq!(
        errors,
        ["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be removed\n"]
    );
}

#[test]
fn a_binding_sets_the_node_and_says_so() {
    let old = created("Pod", with(json!({})));
    let mut new = old.clone();
    new.set_at("/spec/nodeName", "n1");
    new.set_at("/status/conditions", json!([{"type": "PodScheduled", "status": "True"}]));
    assert_eq!(updated("Pod", &old, new.clone(), "binding"), (new, vec![]));
}

#[test]
fn a_container_that_ended_for_good_does_not_come_back() {
    let mut old = created("Pod", with(json!({})));
    old.set_at("/spec/restartPolicy", "Never");
    old.set_at("/status/containerStatuses", json!([{"name": "a", "state": {"terminated": {"exitCode": 1}}}]));
    let mut new = old.clone();
    new.set_at("/status/containerStatuses/0/state", json!({"running": {}}));
    let (_, errors) = updated("Pod", &old, new, "status");
    assert_eq!(
        errors,
        ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
    );
}

#[test]
fn an_ephemeral_container_is_no_part_of_its_pod() {
    let old = created("Pod", with(json!({})));
    let check = |container: Value, complaints: &[&str]| {
        let mut new = old.clone();
        new.set_at("/spec/ephemeralContainers", json!([container]));
        assert_eq!(updated("Pod", &old, defaulted("Pod", new), "ephemeralcontainers").1, complaints);
    };
    let with = |more: Value| {
        let mut container = json!({"name": "d", "image": "debug"});
        container.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        container
    };
    check(with(json!({"targetContainerName": "a", "stdin": true, "tty": true})), &[]);
    check(
        with(json!({"targetContainerName": "x"})),
        &["spec.ephemeralContainers[0].targetContainerName: Not found: \"x\""],
    );
    check(
        with(
            json!({"ports": [{"containerPort": 80, "protocol": "TCP"}], "livenessProbe": {"exec": {"command": ["true"]}}}),
        ),
        &[
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
            "spec.ephemeralContainers[0].livenessProbe: Forbidden: cannot be set for an Ephemeral Container",
        ],
    );
    check(with(json!({"name": "a"})), &["spec.ephemeralContainers[0].name: Duplicate value: \"a\""]);
    let mut mirror = old.clone();
    mirror.set_at("/metadata/annotations", json!({"kubernetes.io/config.mirror": "x"}));
    let mut new = mirror.clone();
    new.set_at("/spec/ephemeralContainers", json!([with(json!({}))]));
    assert_eq!(
        updated("Pod", &mirror, defaulted("Pod", new), "ephemeralcontainers").1,
        ["[]: Forbidden: static pods do not support ephemeral containers"]
    );
}

#[test]
fn a_resize_changes_processor_time_and_memory_and_nothing_else() {
    let amounts = |cpu: &str, memory: &str| json!({"requests": {"cpu": cpu, "memory": memory}});
    let mut old = created("Pod", with(json!({"resources": amounts("100m", "64Mi")})));
    old.set_at("/status/qosClass", "Burstable");
    let check = |pointer: &str, value: Value, complaints: &[&str]| {
        let mut new = old.clone();
        new.set_at(pointer, value);
        assert_eq!(updated("Pod", &old, new, "resize").1, complaints, "{pointer}");
    };
    check("/spec/containers/0/resources", amounts("200m", "64Mi"), &[]);
    check("/spec/containers/0/image", json!("other"), &[]);
    check(
        "/spec/containers/0/resources",
        json!({"requests": {"cpu": "200m"}}),
        &["spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"],
    );
    check(
        "/spec/containers/0/resources",
        json!({"requests": {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "1Gi"}}),
        &["spec: Forbidden: only cpu and memory resources are mutable"],
    );
    check(
        "/spec/containers/0/resources",
        json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}),
        &["spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing"],
    );
    check(
        "/spec/containers/0/name",
        json!("b"),
        &["spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize"],
    );
    check(
        "/spec/containers",
        json!([]),
        &[
            "spec.containers: Required value",
            "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing",
            "spec.containers: Forbidden: containers may not be added or removed on resize",
        ],
    );
    let mut running = old.clone();
    running.set_at("/status/containerStatuses", json!([{"name": "a", "state": {"running": {}}}]));
    let mut new = running.clone();
    new.set_at("/spec/containers/0/resources", amounts("200m", "64Mi"));
    assert_eq!(
        updated("Pod", &running, new.clone(), "resize").1,
        ["spec: Forbidden: Pod running on node without support for resize"]
    );
    running.set_at("/status/containerStatuses/0/resources", json!({}));
    let (resized, errors) = updated("Pod", &running, new, "resize");
    assert_eq!(errors, [] as [String; 0]);
    assert_eq!(resized["spec"]["containers"][0]["resources"]["requests"]["cpu"], "200m");
}
