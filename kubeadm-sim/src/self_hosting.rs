//! Self-hosting: static pods of the control plane become DaemonSets, one after the other
//! (`cmd/kubeadm/app/phases/selfhosting` of 1.8 to 1.12).
//!
//! ```text
//! create DaemonSet ─► its pod runs ─► remove the manifest ─► the static pod's mirror is gone ─► the API answers
//! ```
//!
//! Both pods share the host's network. The new one's program finds its port taken, ends, and is started again
//! by its kubelet until the old one has gone: between the old one's end and that start nobody serves.

use std::{collections::BTreeMap, time::Duration};

use client::{ListParams, Resource, Rest};
use serde_json::{Value, json};

use crate::{
    api_wait,
    config::InitConfig,
    objects::apply,
    paths::{HEALTH_POLL, KUBE_SYSTEM, MANIFESTS_DIR},
    self_hosted_secrets as secrets,
    session::{Failure, Result, Session, poll},
};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(2 * 60);
/// Where a component finds its kubeconfig in a volume that can only be a whole directory.
const KUBECONFIG_DIR: &str = "/etc/kubernetes/kubeconfig";
const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// Runs as the last part of `init`, where it was asked for.
pub(crate) async fn run(s: &mut Session<'_>, rest: &Rest, config: &InitConfig) -> Result<()> {
    if !config.cluster.feature_gates.enabled("SelfHosting") {
        return Ok(());
    }
    s.say("[self-hosted] Creating self-hosted control plane.");
    convert(s, rest, config).await.map_err(|e| e.within("error creating self hosted control plane"))
}

/// Turns every component that is a static pod into a DaemonSet.
pub(crate) async fn convert(s: &mut Session<'_>, rest: &Rest, config: &InitConfig) -> Result<()> {
    let in_secrets = config.cluster.feature_gates.enabled("StoreCertsInSecrets");
    if in_secrets {
        secrets::upload(s, rest, config).await?;
    }
    for component in COMPONENTS {
        let began = s.host.clock().monotonic();
        let manifest = format!("{MANIFESTS_DIR}/{component}.yaml");
        if !s.disk().exists(&manifest) {
            s.say(format!(
                "[self-hosted] The Static Pod for the component {component:?} doesn't seem to be on the disk; trying \
                 the next one"
            ));
            continue;
        }
        let pod: Value = serde_saphyr::from_str(&s.disk().read_to_string(&manifest)?)
            .map_err(|e| Failure::new(format!("failed decoding pod {manifest}: {e}")))?;
        let set = daemon_set(component, &pod, config, in_secrets);
        apply(s, rest, &Resource::new("apps", "v1", "daemonsets"), &set).await?;
        pods_run(s, rest, component).await?;
        s.disk().remove(&manifest)?;
        pod_is_gone(s, rest, &format!("{component}-{}", config.node_name)).await?;
        api_wait::api(s, config, PATIENCE).await?;
        let seconds = s.host.clock().monotonic().since(began).as_secs_f64();
        s.say(format!("[self-hosted] self-hosted {component} ready after {seconds:.6} seconds"));
    }
    Ok(())
}

fn name_of(component: &str) -> String {
    format!("self-hosted-{component}")
}

/// Waits until there are pods of the component and all of them run.
async fn pods_run(s: &mut Session<'_>, rest: &Rest, component: &str) -> Result<()> {
    let selector = format!("k8s-app={}", name_of(component));
    let params = ListParams { label_selector: Some(selector.clone()), ..ListParams::default() };
    let (host, mut known) = (s.host, None);
    poll(host, HEALTH_POLL, PATIENCE, async || {
        let pods = match rest.list(&Resource::core("pods"), Some(KUBE_SYSTEM), &params).await {
            Ok(pods) => pods.items,
            Err(e) => {
                s.say(format!("[apiclient] Error getting Pods with label selector {selector:?} [{e}]"));
                return Err(e.into());
            }
        };
        if known.replace(pods.len()) != Some(pods.len()) {
            s.say(format!("[apiclient] Found {} Pods for label selector {selector}", pods.len()));
        }
        let runs = |pod: &Value| pod.pointer("/status/phase").and_then(Value::as_str) == Some("Running");
        match !pods.is_empty() && pods.iter().all(|pod| runs(pod)) {
            true => Ok(()),
            false => Err(Failure::new("timed out waiting for the condition")),
        }
    })
    .await
}

/// Waits until the API says that there is no such pod, which it also says that the API is there.
async fn pod_is_gone(s: &mut Session<'_>, rest: &Rest, name: &str) -> Result<()> {
    poll(s.host, HEALTH_POLL, PATIENCE, async || {
        match rest.get_opt(&Resource::core("pods"), Some(KUBE_SYSTEM), name).await? {
            None => Ok(()),
            Some(_) => Err(Failure::new("timed out waiting for the condition")),
        }
    })
    .await?;
    s.say(format!("[apiclient] The old Pod {name:?} is now removed (which is desired)"));
    Ok(())
}

/// The DaemonSet whose pods run what the static pod ran.
fn daemon_set(component: &str, pod: &Value, config: &InitConfig, in_secrets: bool) -> Value {
    let mut spec = pod.get("spec").cloned().unwrap_or_default();
    for_masters(&mut spec, config);
    if component == "kube-apiserver" {
        advertise_own_host(&mut spec);
    }
    if in_secrets {
        volumes_from_secrets(component, &mut spec, config);
    }
    let name = name_of(component);
    let labels = json!({"k8s-app": name});
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"labels": labels, "name": name, "namespace": KUBE_SYSTEM},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
            "updateStrategy": {"type": "RollingUpdate"},
        },
    })
}

/// On masters and nowhere else, with the cluster's DNS.
fn for_masters(spec: &mut Value, config: &InitConfig) {
    let profile = config.cluster.profile;
    let selector: BTreeMap<&str, &str> = profile.control_plane_labels().iter().map(|l| (*l, "")).collect();
    let tolerations = profile.control_plane_taints().iter();
    spec["nodeSelector"] = json!(selector);
    spec["tolerations"] = tolerations.map(|key| json!({"effect": "NoSchedule", "key": key})).collect();
    spec["dnsPolicy"] = "ClusterFirstWithHostNet".into();
}

fn words(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    spec.pointer_mut("/containers/0/command").and_then(Value::as_array_mut).into_iter().flatten()
}

/// Whatever host the pod lands on is the one that is advertised.
fn advertise_own_host(spec: &mut Value) {
    if let Some(container) = spec.pointer_mut("/containers/0") {
        container["env"] =
            json!([{"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]);
    }
    for word in words(spec) {
        if word.as_str().is_some_and(|word| word.starts_with("--advertise-address=")) {
            *word = "--advertise-address=$(HOST_IP)".into();
        }
    }
}

/// Certificates and kubeconfig come from the cluster instead of the host.
fn volumes_from_secrets(component: &str, spec: &mut Value, config: &InitConfig) {
    let conf = format!("{}.conf", component.trim_start_matches("kube-"));
    for volume in spec["volumes"].as_array_mut().into_iter().flatten() {
        let name = volume.get("name").cloned().unwrap_or_default();
        if name == "k8s-certs" {
            *volume = json!({"name": name, "projected": {"sources": secrets::sources(component, config)}});
        } else if name == "kubeconfig" {
            *volume = json!({"name": name, "secret": {"secretName": conf}});
        }
    }
    let mounts = spec.pointer_mut("/containers/0/volumeMounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten().filter(|mount| mount["name"] == "kubeconfig") {
        mount["mountPath"] = KUBECONFIG_DIR.into();
    }
    for word in words(spec) {
        let flag = word.as_str().and_then(|word| word.split_once('='));
        if let Some((
            flag @ ("--kubeconfig" | "--authentication-kubeconfig" | "--authorization-kubeconfig"),
            _,
        )) = flag
        {
            *word = format!("{flag}={KUBECONFIG_DIR}/{conf}").into();
        }
    }
}
