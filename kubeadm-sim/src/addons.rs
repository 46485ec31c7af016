//! The `addon` phase: CoreDNS, or the release's kube-dns, and kube-proxy as API objects.

use client::{Resource, Rest};
use serde_json::{Value, json};

use crate::{
    component_configs,
    config::InitConfig,
    kube_dns,
    manifests::image,
    objects::{apply, bind, cluster_role, config_map, group, rbac, share_config_map},
    patches::patched,
    paths::{KUBE_SYSTEM, NODE_TOKEN_GROUP},
    phases::Parts,
    session::{Result, Session, yaml},
};

/// Runs the phase.
pub(crate) async fn run(s: &mut Session<'_>, rest: &Rest, config: &InitConfig, parts: &Parts) -> Result<()> {
    if parts.has("coredns") && !config.cluster.dns_disabled {
        let gate = config.cluster.feature_gates.get("CoreDNS");
        let kube_dns = !gate.unwrap_or(!s.profile.kube_dns_by_default());
        if kube_dns {
            kube_dns::apply_all(s, rest, config).await?;
        } else {
            coredns(s, rest, config).await?;
        }
        let name = if kube_dns { "kube-dns" } else { "CoreDNS" };
        s.say(format!("[addons] Applied essential addon: {name}"));
    }
    if parts.has("kube-proxy") && !config.cluster.proxy_disabled {
        kube_proxy(s, rest, config).await?;
        s.say("[addons] Applied essential addon: kube-proxy");
    }
    Ok(())
}

/// CoreDNS's image.
pub(crate) fn coredns_image(config: &InitConfig) -> String {
    // Below the release's own repository CoreDNS may have a directory; a repository of one's own is taken as it is.
    let own = config.cluster.profile.coredns_image();
    let own = match config.cluster.dns_image.repository {
        Some(_) => own.rsplit('/').next().unwrap_or(own),
        None => own,
    };
    let (name, tag) = own.split_once(':').unwrap_or((own, "latest"));
    image(config, &config.cluster.dns_image, name, tag)
}

pub(crate) fn service_account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": KUBE_SYSTEM}})
}

fn service_account_subject(name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": KUBE_SYSTEM})
}

async fn coredns(s: &Session<'_>, rest: &Rest, config: &InitConfig) -> Result<()> {
    let domain = &config.cluster.dns_domain;
    let corefile = format!(
        ".:53 {{\n    errors\n    health {{\n       lameduck 5s\n    }}\n    ready\n    kubernetes {domain} in-addr.arpa ip6.arpa {{\n       pods insecure\n       fallthrough in-addr.arpa ip6.arpa\n       ttl 30\n    }}\n    prometheus :9153\n    forward . /etc/resolv.conf {{\n       max_concurrent 1000\n    }}\n    cache 30\n    loop\n    reload\n    loadbalance\n}}\n"
    );
    let map = config_map(KUBE_SYSTEM, "coredns", json!({"Corefile": corefile}));
    apply(s, rest, &Resource::core("configmaps"), &map).await?;
    let rules = json!([
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]);
    apply(s, rest, &rbac("clusterroles"), &cluster_role("system:coredns", rules)).await?;
    bind(s, rest, "system:coredns", "system:coredns", service_account_subject("coredns")).await?;
    apply(s, rest, &Resource::core("serviceaccounts"), &service_account("coredns")).await?;
    let deployment = patched(s, "corednsdeployment", coredns_deployment(config))?;
    apply(s, rest, &Resource::new("apps", "v1", "deployments"), &deployment).await?;
    let mut service = dns_service(config, "CoreDNS")?;
    service["metadata"]["annotations"] =
        json!({"prometheus.io/port": "9153", "prometheus.io/scrape": "true"});
    if let Some(ports) = service.pointer_mut("/spec/ports").and_then(Value::as_array_mut) {
        ports.push(json!({"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153}));
    }
    apply(s, rest, &Resource::core("services"), &service).await
}

/// The Service of cluster DNS, whoever stands behind it; `name` is what it calls itself.
pub(crate) fn dns_service(config: &InitConfig, name: &str) -> Result<Value> {
    let port = |name: &str, protocol: &str| json!({"name": name, "port": 53, "protocol": protocol, "targetPort": 53});
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "labels": {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": name},
            "name": "kube-dns",
            "namespace": KUBE_SYSTEM,
        },
        "spec": {
            "clusterIP": config.cluster.service_ip(10)?.to_string(),
            "ports": [port("dns", "UDP"), port("dns-tcp", "TCP")],
            "selector": {"k8s-app": "kube-dns"},
        },
    }))
}

fn coredns_deployment(config: &InitConfig) -> Value {
    let labels = json!({"k8s-app": "kube-dns"});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"labels": labels, "name": "coredns", "namespace": KUBE_SYSTEM},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxUnavailable": 1}, "type": "RollingUpdate"},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [{
                        "args": ["-conf", "/etc/coredns/Corefile"],
                        "image": coredns_image(config),
                        "imagePullPolicy": "IfNotPresent",
                        "livenessProbe": {"failureThreshold": 5, "httpGet": {"path": "/health", "port": 8080, "scheme": "HTTP"}, "initialDelaySeconds": 60, "successThreshold": 1, "timeoutSeconds": 5},
                        "name": "coredns",
                        "ports": [
                            {"containerPort": 53, "name": "dns", "protocol": "UDP"},
                            {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
                            {"containerPort": 9153, "name": "metrics", "protocol": "TCP"},
                        ],
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181, "scheme": "HTTP"}},
                        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
                        "volumeMounts": [{"mountPath": "/etc/coredns", "name": "config-volume", "readOnly": true}],
                    }],
                    "dnsPolicy": "Default",
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "priorityClassName": "system-cluster-critical",
                    "serviceAccountName": "coredns",
                    "tolerations": [
                        {"key": "CriticalAddonsOnly", "operator": "Exists"},
                        {"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"},
                        {"effect": "NoSchedule", "key": "node-role.kubernetes.io/master"},
                    ],
                    "volumes": [{"configMap": {"items": [{"key": "Corefile", "path": "Corefile"}], "name": "coredns"}, "name": "config-volume"}],
                },
            },
        },
    })
}

async fn kube_proxy(s: &Session<'_>, rest: &Rest, config: &InitConfig) -> Result<()> {
    apply(s, rest, &Resource::core("serviceaccounts"), &service_account("kube-proxy")).await?;
    let proxy_config = component_configs::kube_proxy(&config.cluster);
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt\n    server: https://{}\n  name: default\ncontexts:\n- context:\n    cluster: default\n    namespace: default\n    user: default\n  name: default\ncurrent-context: default\nusers:\n- name: default\n  user:\n    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token\n",
        config.endpoint()
    );
    let mut data = json!({"kubeconfig.conf": kubeconfig});
    let command = if s.profile.kube_proxy_config_file() {
        data["config.conf"] = yaml("the configuration of kube-proxy", &proxy_config)?.into();
        json!([
            "/usr/local/bin/kube-proxy",
            "--config=/var/lib/kube-proxy/config.conf",
            "--hostname-override=$(NODE_NAME)"
        ])
    } else {
        json!(["/usr/local/bin/kube-proxy", "--kubeconfig=/var/lib/kube-proxy/kubeconfig.conf"])
    };
    let tolerations = if s.profile.kube_proxy_tolerates_all() {
        json!([{"operator": "Exists"}])
    } else {
        json!([
            {"effect": "NoSchedule", "key": "node-role.kubernetes.io/master"},
            {"effect": "NoSchedule", "key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true"},
        ])
    };
    apply(s, rest, &Resource::core("configmaps"), &config_map(KUBE_SYSTEM, "kube-proxy", data)).await?;
    let proxy = service_account_subject("kube-proxy");
    bind(s, rest, "kubeadm:node-proxier", "system:node-proxier", proxy).await?;
    share_config_map(s, rest, KUBE_SYSTEM, "kube-proxy", "kube-proxy", &[group(NODE_TOKEN_GROUP)]).await?;
    let labels = json!({"k8s-app": "kube-proxy"});
    let daemon_set = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"labels": labels, "name": "kube-proxy", "namespace": KUBE_SYSTEM},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [{
                        "command": command,
                        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                        "image": format!("{}/kube-proxy{}:{}", config.cluster.image_repository(), s.profile.image_suffix(), s.profile.git_version()),
                        "imagePullPolicy": "IfNotPresent",
                        "name": "kube-proxy",
                        "securityContext": {"privileged": true},
                        "volumeMounts": [{"mountPath": "/var/lib/kube-proxy", "name": "kube-proxy"}],
                    }],
                    "hostNetwork": true,
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "priorityClassName": "system-node-critical",
                    "serviceAccountName": "kube-proxy",
                    "tolerations": tolerations,
                    "volumes": [{"configMap": {"name": "kube-proxy"}, "name": "kube-proxy"}],
                },
            },
            "updateStrategy": {"type": "RollingUpdate"},
        },
    });
    apply(s, rest, &Resource::new("apps", "v1", "daemonsets"), &daemon_set).await
}
