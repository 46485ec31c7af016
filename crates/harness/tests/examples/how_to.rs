//! What docs/how-to-test.md shows. The page is held against this file line by line: what is changed here is changed there.

use std::{error::Error, time::Duration};

use chronoplane::{
    Cluster, ControlPlane, ControlPlaneOptions, Credential, Faults, Identity, Manifests, Requests,
    SignedDuration, k8s_openapi::api::core::v1::ConfigMap, real,
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};

const TEAM: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: team}, data: {size: '3'}}";

#[chronoplane::test]
async fn what_is_applied_is_stored(plane: ControlPlane) -> Result<(), Box<dyn Error>> {
    plane.apply(&Manifests::yaml(TEAM)?).await?;
    plane.wait_for("configmap/team", "jsonpath={.data.size}=3").await?;

    let maps: Api<ConfigMap> = Api::default_namespaced(plane.client()?);
    maps.delete("team", &Default::default()).await?;
    plane.wait_for_within("configmap/team", "delete", Duration::from_secs(10)).await?;
    Ok(())
}

const READERS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: readers}]
";

#[chronoplane::test]
async fn readers_do_not_write(plane: ControlPlane) -> Result<(), Box<dyn Error>> {
    plane.apply(&Manifests::yaml(READERS)?).await?;
    plane.elapse(Duration::from_secs(5)).await?; // the server's authorizer has heard of it
    let jane = plane.client_as(&Identity::user("jane", &["readers"]))?;
    let maps: Api<ConfigMap> = Api::default_namespaced(jane);
    maps.list(&ListParams::default()).await?;
    let refused = maps.delete("team", &Default::default()).await.unwrap_err();
    assert!(refused.to_string().contains("forbidden"), "{refused}");
    Ok(())
}

#[chronoplane::test]
async fn a_conflict_is_met_once(plane: ControlPlane) -> Result<(), Box<dyn Error>> {
    plane.apply(&Manifests::yaml(TEAM)?).await?;
    let faults = Faults::new();
    let conflict = faults.on(Requests::of("update", "configmaps").name("team")).conflict();

    let maps: Api<ConfigMap> = Api::default_namespaced(plane.faulty_client(&faults)?);
    let team = maps.get("team").await?;
    assert!(maps.replace("team", &PostParams::default(), &team).await.is_err());
    maps.replace("team", &PostParams::default(), &team).await?;
    assert_eq!(conflict.hits(), 1);
    Ok(())
}

#[chronoplane::test(nodes = 1, version = "1.32", sparse)]
async fn up_to_the_first_certificates_end(cluster: Cluster) -> Result<(), Box<dyn Error>> {
    let began = cluster.sim().now();
    let all = cluster.expirations().await?; // what ends next comes first, and that is a token of a day
    let first = all.iter().find(|e| e.credential != Credential::Token).ok_or("nothing ends")?;
    cluster.elapse_to_just_before(first).await?;
    cluster.step("node1", SignedDuration::from_hours(-1));
    cluster.client()?.apiserver_version().await?;

    let days = cluster.sim().now().duration_since(began).as_hours() / 24;
    assert!((360..=365).contains(&days), "{first:?} after {days} days");
    Ok(())
}

#[test]
fn the_same_over_real_sockets() -> Result<(), Box<dyn Error>> {
    real::run(async |world| {
        let plane = ControlPlane::start(&world.host("cp1")?, ControlPlaneOptions::default()).await?;
        plane.apply(&Manifests::yaml(TEAM)?).await?;
        Ok::<_, Box<dyn Error>>(())
    })?
}
