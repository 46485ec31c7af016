//! Clients that are somebody: users with groups, service accounts, nobody.

use std::time::Duration;

use chronoplane::{
    Cluster, ControlPlane, ControlPlaneOptions, Identity, Manifests, SignedDuration,
    k8s_openapi::api::{authentication::v1::SelfSubjectReview, core::v1::ConfigMap},
    real,
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};

const HOUR: Duration = Duration::from_secs(3600);

/// Who the server takes a client for: name and groups.
async fn who_am_i(client: &Client) -> (String, Vec<String>) {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.unwrap();
    let user = review.status.unwrap().user_info.unwrap();
    (user.username.unwrap_or_default(), user.groups.unwrap_or_default())
}

async fn everybody(plane: &ControlPlane) {
    let names = |client: Client| async move { who_am_i(&client).await };
    let (name, groups) = names(plane.client().unwrap()).await;
    assert_eq!((name.as_str(), groups[0].as_str()), ("kubernetes-admin", "system:masters"));
    let jane = plane.client_as(&Identity::user("jane", &["dev", "ops"])).unwrap();
    let (name, groups) = names(jane).await;
    assert_eq!((name.as_str(), &groups[..2]), ("jane", &["dev".to_owned(), "ops".to_owned()][..]));
    let account = plane.client_as(&Identity::service_account("builds", "runner")).unwrap();
    assert_eq!(account.default_namespace(), "builds");
    let (name, groups) = names(account).await;
    assert_eq!(name, "system:serviceaccount:builds:runner");
    assert!(groups.contains(&"system:serviceaccounts:builds".to_owned()), "{groups:?}");
}

#[chronoplane::test]
async fn everybody_is_who_they_are(plane: ControlPlane) {
    everybody(&plane).await;
}

#[test]
fn everybody_is_who_they_are_in_the_real_gear() {
    real::run(async |world| {
        let plane = ControlPlane::start(&world.host("cp1").unwrap(), ControlPlaneOptions::default()).await;
        everybody(&plane.unwrap()).await;
    })
    .unwrap();
}

const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: dev}]
";

#[chronoplane::test]
async fn rights_are_those_of_the_identity(plane: ControlPlane) {
    let list = async |identity: Identity| {
        let maps: Api<ConfigMap> = Api::default_namespaced(plane.client_as(&identity).unwrap());
        maps.list(&ListParams::default()).await.map(drop).map_err(|e| e.to_string())
    };
    let jane = || Identity::user("jane", &["dev"]);
    assert!(list(jane()).await.unwrap_err().contains(r#"User "jane" cannot list resource "configmaps""#));
    plane.apply(&Manifests::yaml(RIGHTS).unwrap()).await.unwrap();
    plane.elapse(Duration::from_secs(5)).await.unwrap();
    list(jane()).await.unwrap();
    assert!(list(Identity::user("joe", &["ops"])).await.unwrap_err().contains(r#"User "joe" cannot list"#));
    assert!(list(Identity::anonymous()).await.unwrap_err().contains("system:anonymous"));
}

#[chronoplane::test]
async fn a_user_is_nobody_once_the_certificate_has_ended(plane: ControlPlane) {
    let jane = plane.client_as(&Identity::user("jane", &["system:masters"]).valid_for(HOUR)).unwrap();
    plane.elapse(HOUR - Duration::from_secs(5)).await.unwrap();
    jane.apiserver_version().await.unwrap();
    plane.elapse(Duration::from_secs(10)).await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(jane);
    let refused = maps.list(&ListParams::default()).await.unwrap_err().to_string();
    assert!(refused.contains("Unauthorized") || refused.contains("expired"), "{refused}");
}

#[chronoplane::test]
async fn the_token_of_an_account_is_renewed(plane: ControlPlane) {
    let account = plane.client_as(&Identity::service_account("builds", "runner")).unwrap();
    for _ in 0..5 {
        who_am_i(&account).await;
        plane.elapse(HOUR).await.unwrap();
    }
}

/// On a node whose clock is two years ahead the server's certificate has ended; on the workstation it has not.
#[chronoplane::test(nodes = 1)]
async fn a_client_judges_by_the_clock_of_its_host(cluster: Cluster) {
    let node = cluster.sim().host("node1");
    cluster.client_from(&node).unwrap().apiserver_version().await.expect("the control: the clock is right");
    cluster.step("node1", SignedDuration::from_hours(2 * 366 * 24));
    let refused = cluster.client_from(&node).unwrap().apiserver_version().await.unwrap_err();
    assert!(format!("{refused:?}").to_lowercase().contains("expired"), "{refused:?}");
    cluster.client().unwrap().apiserver_version().await.expect("the workstation's is right");
}
