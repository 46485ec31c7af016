//! kube-dns, cluster DNS before CoreDNS: kubedns, dnsmasq and a sidecar in one pod
//! (`cmd/kubeadm/app/phases/addons/dns/manifests.go`). Its ClusterRole is the apiserver's own.

use client::{Resource, Rest};
use serde_json::{Value, json};

use crate::{
    addons::{dns_service, service_account},
    config::InitConfig,
    objects::apply,
    paths::KUBE_SYSTEM,
    session::{Result, Session},
};

/// Creates or updates its objects.
pub(crate) async fn apply_all(s: &Session<'_>, rest: &Rest, config: &InitConfig) -> Result<()> {
    apply(s, rest, &Resource::core("serviceaccounts"), &service_account("kube-dns")).await?;
    apply(s, rest, &Resource::new("apps", "v1", "deployments"), &deployment(config)).await?;
    apply(s, rest, &Resource::core("services"), &dns_service(config, "KubeDNS")?).await
}

fn port(number: u16, name: &str, protocol: &str) -> Value {
    json!({"containerPort": number, "name": name, "protocol": protocol})
}

/// All three are asked through the sidecar.
fn liveness(path: &str) -> Value {
    json!({
        "failureThreshold": 5,
        "httpGet": {"path": path, "port": 10054, "scheme": "HTTP"},
        "initialDelaySeconds": 60,
        "successThreshold": 1,
        "timeoutSeconds": 5,
    })
}

fn deployment(config: &InitConfig) -> Value {
    let labels = json!({"k8s-app": "kube-dns"});
    let amd64 = json!([{"key": "beta.kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"labels": labels, "name": "kube-dns", "namespace": KUBE_SYSTEM},
        "spec": {
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxSurge": "10%", "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": amd64}],
                    }}},
                    "containers": [kubedns(config), dnsmasq(config), sidecar(config)],
                    "dnsPolicy": "Default",
                    "serviceAccountName": "kube-dns",
                    "tolerations": [
                        {"key": "CriticalAddonsOnly", "operator": "Exists"},
                        {"effect": "NoSchedule", "key": "node-role.kubernetes.io/master"},
                    ],
                    "volumes": [{"configMap": {"name": "kube-dns", "optional": true}, "name": "kube-dns-config"}],
                },
            },
        },
    })
}

fn image(config: &InitConfig, name: &str) -> String {
    let profile = config.cluster.profile;
    let (repository, suffix) = (config.cluster.image_repository(), profile.image_suffix());
    format!("{repository}/k8s-dns-{name}{suffix}:{}", profile.kube_dns_version())
}

fn kubedns(config: &InitConfig) -> Value {
    json!({
        "args": [
            format!("--domain={}.", config.cluster.dns_domain),
            "--dns-port=10053",
            "--config-dir=/kube-dns-config",
            "--v=2",
        ],
        "env": [{"name": "PROMETHEUS_PORT", "value": "10055"}],
        "image": image(config, "kube-dns"),
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": liveness("/healthcheck/kubedns"),
        "name": "kubedns",
        "ports": [port(10053, "dns-local", "UDP"), port(10053, "dns-tcp-local", "TCP"), port(10055, "metrics", "TCP")],
        "readinessProbe": {
            "httpGet": {"path": "/readiness", "port": 8081, "scheme": "HTTP"},
            "initialDelaySeconds": 3,
            "timeoutSeconds": 5,
        },
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "volumeMounts": [{"mountPath": "/kube-dns-config", "name": "kube-dns-config"}],
    })
}

fn dnsmasq(config: &InitConfig) -> Value {
    let server = |zone: &str| format!("--server=/{zone}/127.0.0.1#10053");
    json!({
        "args": [
            "-v=2",
            "-logtostderr",
            "-configDir=/etc/k8s/dns/dnsmasq-nanny",
            "-restartDnsmasq=true",
            "--",
            "-k",
            "--cache-size=1000",
            "--no-negcache",
            "--log-facility=-",
            server(&config.cluster.dns_domain),
            server("in-addr.arpa"),
            server("ip6.arpa"),
        ],
        "image": image(config, "dnsmasq-nanny"),
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": liveness("/healthcheck/dnsmasq"),
        "name": "dnsmasq",
        "ports": [port(53, "dns", "UDP"), port(53, "dns-tcp", "TCP")],
        "resources": {"requests": {"cpu": "150m", "memory": "20Mi"}},
        "volumeMounts": [{"mountPath": "/etc/k8s/dns/dnsmasq-nanny", "name": "kube-dns-config"}],
    })
}

fn sidecar(config: &InitConfig) -> Value {
    let domain = &config.cluster.dns_domain;
    let probe = |name: &str, port: u16| {
        format!("--probe={name},127.0.0.1:{port},kubernetes.default.svc.{domain},5,SRV")
    };
    json!({
        "args": ["--v=2", "--logtostderr", probe("kubedns", 10053), probe("dnsmasq", 53)],
        "image": image(config, "sidecar"),
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": liveness("/metrics"),
        "name": "sidecar",
        "ports": [port(10054, "metrics", "TCP")],
        "resources": {"requests": {"cpu": "10m", "memory": "20Mi"}},
    })
}
