//! A controller that does its work once an hour, by `Action::requeue`. Without a clock of one's own nobody waits for that.

use std::{sync::Arc, time::Duration};

use chronoplane::{ControlPlane, Manifests, k8s_openapi::api::core::v1::ConfigMap};
use futures::StreamExt;
use kube::{
    Api, Client, CustomResource, Resource, ResourceExt,
    api::{ListParams, ObjectMeta, PostParams},
    runtime::{Controller, controller::Action, watcher},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(CustomResource, Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[kube(group = "example.com", version = "v1", kind = "Backup", namespaced)]
struct BackupSpec {
    of: String,
}

/// Takes a backup, which is a config map here, and comes back in an hour.
async fn reconcile(backup: Arc<Backup>, client: Arc<Client>) -> Result<Action, kube::Error> {
    let namespace = backup.namespace().unwrap_or_default();
    let taken: Api<ConfigMap> = Api::namespaced(Client::clone(&client), &namespace);
    let number = taken.list(&ListParams::default().labels("backup")).await?.items.len() + 1;
    let next = ConfigMap {
        metadata: ObjectMeta {
            name: Some(format!("{}-{number}", backup.name_any())),
            labels: Some([("backup".into(), backup.name_any())].into()),
            owner_references: backup.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some([("of".into(), backup.spec.of.clone())].into()),
        ..ConfigMap::default()
    };
    taken.create(&PostParams::default(), &next).await?;
    Ok(Action::requeue(HOUR))
}

async fn run(client: Client) {
    Controller::new(Api::<Backup>::all(client.clone()), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(5)), Arc::new(client))
        .for_each(|_| std::future::ready(()))
        .await;
}

#[chronoplane::test]
async fn a_backup_is_taken_every_hour(plane: ControlPlane) {
    let client = plane.client().unwrap();
    plane.apply(&Manifests::crd::<Backup>().unwrap()).await.unwrap();
    tokio::spawn(run(client.clone()));

    let backups: Api<Backup> = Api::default_namespaced(client.clone());
    let backup = Backup::new("db", BackupSpec { of: "database".into() });
    backups.create(&PostParams::default(), &backup).await.unwrap();
    plane.wait_for("configmap/db-1", "create").await.unwrap();

    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let taken = async || maps.list(&ListParams::default().labels("backup")).await.unwrap().items.len();
    // Not a minute too early, and not a minute too late.
    plane.elapse(HOUR - Duration::from_secs(60)).await.unwrap();
    assert_eq!(taken().await, 1);
    plane.elapse(Duration::from_secs(120)).await.unwrap();
    assert_eq!(taken().await, 2);

    // And a day later.
    plane.elapse(24 * HOUR).await.unwrap();
    assert_eq!(taken().await, 26);
}
