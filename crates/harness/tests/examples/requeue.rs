//! A controller that does its work once an hour, by `Action::requeue`. Without a clock of one's own nobody waits for that.

use std::{sync::Arc, time::Duration};

use chronoplane::{ControlPlane, Manifests};
use futures::StreamExt;
use kube::{
    Api, Client, CustomResource, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    runtime::{Controller, controller::Action, watcher},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3600);

#[derive(CustomResource, Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[kube(group = "example.com", version = "v1", kind = "Backup", namespaced, status = "BackupStatus")]
struct BackupSpec {
    of: String,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
struct BackupStatus {
    taken: u32,
}

/// Takes a backup, and comes back in an hour.
async fn reconcile(backup: Arc<Backup>, client: Arc<Client>) -> Result<Action, kube::Error> {
    let backups: Api<Backup> =
        Api::namespaced(Client::clone(&client), &backup.namespace().unwrap_or_default());
    // What the cache holds may be older than this controller's last write.
    let taken = backups.get(&backup.name_any()).await?.status.map_or(0, |status| status.taken);
    let status = json!({"status": {"taken": taken + 1}});
    backups.patch_status(&backup.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(Action::requeue(HOUR))
}

/// Only what people write wakes it, not its own status.
async fn run(client: Client) {
    use kube::runtime::{WatchStreamExt, predicates, reflector};
    let (reader, writer) = reflector::store();
    let backups = reflector(writer, watcher(Api::<Backup>::all(client.clone()), watcher::Config::default()))
        .default_backoff()
        .applied_objects()
        .predicate_filter(predicates::generation, Default::default());
    Controller::for_stream(backups, reader)
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(5)), Arc::new(client))
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn taken(client: &Client) -> u32 {
    let backups: Api<Backup> = Api::default_namespaced(client.clone());
    backups.get("db").await.unwrap().status.map_or(0, |status| status.taken)
}

#[chronoplane::test]
async fn a_backup_is_taken_every_hour(plane: ControlPlane) {
    let client = plane.client().unwrap();
    plane.apply(&Manifests::crd::<Backup>().unwrap()).await.unwrap();
    tokio::spawn(run(client.clone()));

    let backups: Api<Backup> = Api::default_namespaced(client.clone());
    let backup = Backup::new("db", BackupSpec { of: "database".into() });
    backups.create(&PostParams::default(), &backup).await.unwrap();
    plane.wait_for("backup/db", "jsonpath={.status.taken}=1").await.unwrap();

    // Not a minute too early, and not a minute too late.
    plane.elapse(HOUR - Duration::from_secs(60)).await.unwrap();
    assert_eq!(taken(&client).await, 1);
    plane.elapse(Duration::from_secs(120)).await.unwrap();
    assert_eq!(taken(&client).await, 2);

    // And a day later.
    plane.elapse(24 * HOUR).await.unwrap();
    assert_eq!(taken(&client).await, 26);
}
