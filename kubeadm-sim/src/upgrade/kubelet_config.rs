//! The kubelet's configuration of this host, written anew from what the cluster stores; the kubelet reads it when it is
//! restarted (`cmd/kubeadm/app/phases/upgrade/postupgrade.go`).

use client::{Patch, Resource, Rest};
use serde_json::{Value, json};

use super::staticpods::{dated_directory, random_directory};
use crate::{
    config::InitConfig,
    kubelet,
    paths::{KUBE_SYSTEM, KUBELET_CONFIG, KUBELET_FLAGS, KUBELET_INSTANCE_CONFIG},
    session::{Failure, Result, Session, yaml},
    stored::read_map,
};

const CRI_FLAG: &str = "--container-runtime-endpoint";
const CRI_ANNOTATION: &str = "kubeadm.alpha.kubernetes.io/cri-socket";

/// The configuration of all kubelets as the cluster stores it under the name that this release, or the one before,
/// gives it.
pub(super) async fn stored(s: &Session<'_>, rest: &Rest) -> Result<Option<Value>> {
    let Some(name) = s.profile.kubelet_config_name() else { return Ok(None) };
    let maps = Resource::core("configmaps");
    let before = api::profile::Profile::of_minor(s.profile.minor().saturating_sub(1)).ok();
    let names = [Some(name.clone()), before.and_then(|p| p.kubelet_config_name())];
    for name in names.into_iter().flatten() {
        if rest.get_opt(&maps, Some(KUBE_SYSTEM), &name).await?.is_some() {
            let text = read_map(rest, &name, "kubelet").await?;
            return serde_saphyr::from_str(&text)
                .map(Some)
                .map_err(|e| Failure::new(format!("the uploaded kubelet configuration is not YAML: {e}")));
        }
    }
    Err(Failure::new(format!("failed to get config map {name:?}: it does not exist in {KUBE_SYSTEM:?}")))
}

/// Writes the configuration to this host.
pub(super) async fn write(
    s: &mut Session<'_>,
    rest: &Rest,
    config: &InitConfig,
    dry_run: bool,
) -> Result<()> {
    let Some(everybodys) = stored(s, rest).await? else { return Ok(()) };
    if dry_run {
        s.say(format!("[dryrun] Would write file {KUBELET_CONFIG:?} with content:"));
        print_indented(s, &yaml("the kubelet's configuration", &everybodys)?);
        return Ok(());
    }
    if s.profile.upgrade_backs_up_kubelet_config() {
        let dir = if s.profile.upgrade_dates_kubelet_backup() {
            dated_directory(s, "kubeadm-kubelet-config")
        } else {
            random_directory(s, "kubeadm-kubelet-config")
        };
        let backup = format!("{dir}/config.yaml");
        s.say(format!("[upgrade] Backing up kubelet config file to {backup}"));
        s.disk().write(&backup, s.disk().read(KUBELET_CONFIG)?, 0o644)?;
    }
    if !s.profile.node_local_cri_socket() {
        return kubelet::write_config(s, &everybodys, None);
    }
    let socket = instance(s)?;
    kubelet::write_config(s, &everybodys, Some(&socket))?;
    forget_annotation(rest, &config.node_name).await
}

/// The runtime's endpoint of this host's own configuration, which is made where an older release left a flag instead.
fn instance(s: &mut Session<'_>) -> Result<String> {
    if let Ok(text) = s.disk().read_to_string(KUBELET_INSTANCE_CONFIG) {
        let own: Value = serde_saphyr::from_str(&text)
            .map_err(|e| Failure::new(format!("failed to parse {KUBELET_INSTANCE_CONFIG}: {e}")))?;
        let socket =
            own.get("containerRuntimeEndpoint").and_then(Value::as_str).unwrap_or(s.profile.cri_socket());
        return Ok(socket.to_owned());
    }
    let flags = s.disk().read_to_string(KUBELET_FLAGS)?;
    let (rest, socket) = without_flag(&flags, CRI_FLAG);
    let socket = socket.unwrap_or_else(|| s.profile.cri_socket().to_owned());
    s.say(format!("[kubelet-start] Writing kubelet environment file with flags to file {KUBELET_FLAGS:?}"));
    s.disk().write(KUBELET_FLAGS, rest, 0o644)?;
    kubelet::write_instance_config(s, &socket)?;
    Ok(socket)
}

/// The environment file without a flag, and the flag's value.
fn without_flag(file: &str, flag: &str) -> (String, Option<String>) {
    let Some((name, quoted)) = file.trim_end().split_once('=') else { return (file.to_owned(), None) };
    let mut value = None;
    let left: Vec<&str> = quoted
        .trim_matches('"')
        .split_whitespace()
        .filter(|word| match word.split_once('=') {
            Some((found, given)) if found == flag => {
                value = Some(given.to_owned());
                false
            }
            _ => true,
        })
        .collect();
    (format!("{name}=\"{}\"\n", left.join(" ")), value)
}

/// The socket is in a file of the node's own now.
async fn forget_annotation(rest: &Rest, node: &str) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {CRI_ANNOTATION: null}}});
    rest.patch(&Resource::core("nodes"), None, node, Patch::Strategic(&patch), None)
        .await
        .map(drop)
        .map_err(|e| Failure::from(e).within(&format!("error patching Node {node:?}")))
}

/// A file's text as dry runs show it.
pub(super) fn print_indented(s: &mut Session<'_>, text: &str) {
    for line in text.lines() {
        s.say(format!("\t{line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_leaves_the_environment_file() {
        let file = "KUBELET_KUBEADM_ARGS=\"--a=b --container-runtime-endpoint=unix:///x.sock --c=d\"\n";
        let (left, value) = without_flag(file, CRI_FLAG);
        assert_eq!(left, "KUBELET_KUBEADM_ARGS=\"--a=b --c=d\"\n");
        assert_eq!(value.as_deref(), Some("unix:///x.sock"));
        assert_eq!(without_flag(&left, CRI_FLAG), (left.clone(), None));
    }
}
