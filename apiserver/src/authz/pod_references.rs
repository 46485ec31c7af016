//! What a pod refers to: the secrets, config maps and claims that its node needs to run it.

use api::object::ObjectExt as _;
use serde_json::Value;

/// The annotation that marks the mirror of a static pod.
pub(crate) const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// Volume sources with a secret, and where in the volume its name is.
const SECRET_VOLUMES: &[&str] = &[
    "/secret/secretName",
    "/azureFile/secretName",
    "/cephfs/secretRef/name",
    "/cinder/secretRef/name",
    "/flexVolume/secretRef/name",
    "/rbd/secretRef/name",
    "/scaleIO/secretRef/name",
    "/iscsi/secretRef/name",
    "/storageos/secretRef/name",
    "/csi/nodePublishSecretRef/name",
];

/// Every container of a pod: init, ordinary, ephemeral.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"]
        .into_iter()
        .flat_map(|list| pod.list_at(list))
}

/// Names of secrets, with repetitions.
pub(crate) fn secrets(pod: &Value) -> impl Iterator<Item = &str> {
    let pulls = pod.list_at("/spec/imagePullSecrets").iter().map(|s| s.str_at("/name"));
    let volumes = pod.list_at("/spec/volumes").iter().flat_map(|volume| {
        let direct = SECRET_VOLUMES.iter().map(|at| volume.str_at(at));
        direct.chain(volume.list_at("/projected/sources").iter().map(|s| s.str_at("/secret/name")))
    });
    pulls
        .chain(environment(pod, "/valueFrom/secretKeyRef/name", "/secretRef/name"))
        .chain(volumes)
        .filter(|n| !n.is_empty())
}

/// Names of config maps, with repetitions.
pub(crate) fn config_maps(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod.list_at("/spec/volumes").iter().flat_map(|volume| {
        let projected = volume.list_at("/projected/sources").iter().map(|s| s.str_at("/configMap/name"));
        std::iter::once(volume.str_at("/configMap/name")).chain(projected)
    });
    environment(pod, "/valueFrom/configMapKeyRef/name", "/configMapRef/name")
        .chain(volumes)
        .filter(|n| !n.is_empty())
}

fn environment<'a>(pod: &'a Value, one: &'static str, all: &'static str) -> impl Iterator<Item = &'a str> {
    containers(pod).flat_map(move |container| {
        let single = container.list_at("/env").iter().map(move |e| e.str_at(one));
        single.chain(container.list_at("/envFrom").iter().map(move |e| e.str_at(all)))
    })
}

/// Names of persistent volume claims, those made for ephemeral volumes included.
pub(crate) fn claims(pod: &Value) -> impl Iterator<Item = String> {
    pod.list_at("/spec/volumes").iter().filter_map(|volume| {
        let claim = volume.str_at("/persistentVolumeClaim/claimName");
        if !claim.is_empty() {
            return Some(claim.to_owned());
        }
        volume.at("/ephemeral").map(|_| format!("{}-{}", pod.name(), volume.str_at("/name")))
    })
}

/// Names of the resource claims that a pod uses, as far as they are known: those that it names itself, those made for
/// it from templates, and the one for its extended resources.
pub(crate) fn resource_claims(pod: &Value) -> impl Iterator<Item = &str> {
    let made = |name: &str| {
        let statuses = pod.list_at("/status/resourceClaimStatuses").iter();
        statuses.filter(move |s| s.str_at("/name") == name).map(|s| s.str_at("/resourceClaimName")).next()
    };
    let listed = pod.list_at("/spec/resourceClaims").iter().map(move |claim| {
        let own = claim.str_at("/resourceClaimName");
        if own.is_empty() { made(claim.str_at("/name")).unwrap_or_default() } else { own }
    });
    let extended = pod.str_at("/status/extendedResourceClaimStatus/resourceClaimName");
    listed.chain(std::iter::once(extended)).filter(|name| !name.is_empty())
}

/// Whether any projected volume asks for a service account token.
pub(crate) fn projects_tokens(pod: &Value) -> bool {
    projected_sources(pod).any(|source| source.get("serviceAccountToken").is_some())
}

/// The sources of all projected volumes.
pub(crate) fn projected_sources(pod: &Value) -> impl Iterator<Item = &Value> {
    pod.list_at("/spec/volumes").iter().flat_map(|volume| volume.list_at("/projected/sources"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_place_that_can_refer_is_looked_at() {
        let pod = json!({
            "metadata": {"name": "p"},
            "spec": {
                "imagePullSecrets": [{"name": "pull"}],
                "initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "init-env"}}}]}],
                "containers": [{"envFrom": [{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "all-cm"}}]}],
                "ephemeralContainers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "debug-cm"}}}]}],
                "volumes": [
                    {"name": "a", "secret": {"secretName": "volume"}},
                    {"name": "b", "projected": {"sources": [
                        {"secret": {"name": "projected"}}, {"configMap": {"name": "projected-cm"}},
                        {"serviceAccountToken": {"path": "token"}},
                    ]}},
                    {"name": "c", "csi": {"nodePublishSecretRef": {"name": "csi"}}},
                    {"name": "d", "persistentVolumeClaim": {"claimName": "claim"}},
                    {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
                    {"name": "f", "configMap": {"name": "volume-cm"}},
                ],
            },
        });
        let collect = |found: Vec<&str>| found.join(" ");
        assert_eq!(collect(secrets(&pod).collect()), "pull init-env all volume projected csi");
        assert_eq!(collect(config_maps(&pod).collect()), "all-cm debug-cm projected-cm volume-cm");
        assert_eq!(claims(&pod).collect::<Vec<_>>(), ["claim", "p-e"]);
        let devices = json!({
            "spec": {"resourceClaims": [
                {"name": "a", "resourceClaimName": "own"}, {"name": "b", "resourceClaimTemplateName": "t"},
                {"name": "c", "resourceClaimTemplateName": "t"}, {"name": "d", "resourceClaimTemplateName": "t"},
            ]},
            "status": {
                // None was needed for d, and none is made yet for c.
                "resourceClaimStatuses": [{"name": "b", "resourceClaimName": "made"}, {"name": "d"}],
                "extendedResourceClaimStatus": {"resourceClaimName": "extended"},
            },
        });
        assert_eq!(collect(resource_claims(&devices).collect()), "own made extended");
        assert!(projects_tokens(&pod));
        assert!(!projects_tokens(
            &json!({"spec": {"volumes": [{"projected": {"sources": [{"secret": {}}]}}]}})
        ));
    }
}
