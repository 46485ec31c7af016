//! A controller while its requests, its network and the API server fail: whatever happened, it gets there in the end.

use std::{sync::Arc, time::Duration};

use chronoplane::{Cluster, Faults, Manifests, Requests, k8s_openapi::api::core::v1::ConfigMap};
use futures::StreamExt;
use kube::{
    Api, Client, CustomResource, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    runtime::{Controller, controller::Action, watcher},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const SECOND: Duration = Duration::from_secs(1);

#[derive(CustomResource, Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[kube(group = "example.com", version = "v1", kind = "Ticket", namespaced, status = "TicketStatus")]
struct TicketSpec {
    seat: u32,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
struct TicketStatus {
    receipt: Option<String>,
}

/// How a controller names what it makes.
#[derive(Clone, Copy)]
enum Names {
    /// After the ticket: what is made twice is made once.
    Fixed,
    /// By the server: an answer that is lost makes a second one.
    Generated,
}

struct Context {
    client: Client,
    names: Names,
}

/// Each ticket has one config map, its receipt, and names it in its status.
async fn reconcile(ticket: Arc<Ticket>, context: Arc<Context>) -> Result<Action, kube::Error> {
    let namespace = ticket.namespace().unwrap_or_default();
    let tickets: Api<Ticket> = Api::namespaced(context.client.clone(), &namespace);
    if tickets.get(&ticket.name_any()).await?.status.is_some_and(|status| status.receipt.is_some()) {
        return Ok(Action::await_change());
    }
    let mut receipt = ConfigMap::default();
    match context.names {
        Names::Fixed => receipt.metadata.name = Some(ticket.name_any()),
        Names::Generated => receipt.metadata.generate_name = Some(format!("{}-", ticket.name_any())),
    }
    receipt.metadata.labels = Some([("ticket".into(), ticket.name_any())].into());
    receipt.metadata.owner_references = ticket.controller_owner_ref(&()).map(|owner| vec![owner]);
    let receipts: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let name = match receipts.create(&PostParams::default(), &receipt).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => ticket.name_any(),
        made => made?.name_any(),
    };
    let status = Patch::Merge(json!({"status": {"receipt": name}}));
    tickets.patch_status(&ticket.name_any(), &PatchParams::default(), &status).await?;
    Ok(Action::await_change())
}

fn run(client: Client, names: Names) -> tokio::task::JoinHandle<()> {
    let tickets = Api::<Ticket>::all(client.clone());
    tokio::spawn(
        Controller::new(tickets, watcher::Config::default())
            .run(reconcile, |_, _, _| Action::requeue(SECOND), Arc::new(Context { client, names }))
            .for_each(|_| std::future::ready(())),
    )
}

/// Sells ten tickets, one every ten seconds.
async fn sell(cluster: &Cluster) {
    let tickets: Api<Ticket> = Api::default_namespaced(cluster.client().unwrap());
    for seat in 0..10 {
        let ticket = Ticket::new(&format!("t{seat}"), TicketSpec { seat });
        // The box office is patient: the API server may be away.
        while let Err(error) = tickets.create(&PostParams::default(), &ticket).await {
            if matches!(&error, kube::Error::Api(status) if status.is_already_exists()) {
                break;
            }
            tokio::time::sleep(SECOND).await;
        }
        tokio::time::sleep(10 * SECOND).await;
    }
}

async fn receipts(cluster: &Cluster) -> usize {
    let all: Api<ConfigMap> = Api::default_namespaced(cluster.client().unwrap());
    all.list(&ListParams::default().labels("ticket")).await.unwrap().items.len()
}

/// A year's bad luck in two minutes; how much of it there was.
async fn misfortune(cluster: &Cluster, faults: &Faults) -> usize {
    let lost = faults.on(Requests::of("create", "configmaps")).after(1).times(2).lose_answer();
    let late = faults.on(Requests::of("get", "tickets.example.com")).after(3).delay(5 * SECOND);
    let busy = faults.on(Requests::of("create", "configmaps")).after(4).fail(
        429,
        "TooManyRequests",
        "the server has asked for the client to slow down",
    );
    cluster.elapse(20 * SECOND).await;
    cluster.power_failure("cp1", 15 * SECOND).await;
    cluster.elapse(30 * SECOND).await;
    cluster.link("workstation", "cp1").cut();
    cluster.elapse(10 * SECOND).await;
    cluster.link("workstation", "cp1").heal();
    cluster.elapse(300 * SECOND).await;
    [lost, late, busy].iter().filter(|fault| fault.hits() > 0).count()
}

async fn play(cluster: &Cluster, names: Names) -> usize {
    cluster.apply(&Manifests::crd::<Ticket>().unwrap()).await.unwrap();
    let faults = Faults::new();
    let controller = run(cluster.faulty_client(&faults).unwrap(), names);
    let (_, met) = tokio::join!(sell(cluster), misfortune(cluster, &faults));
    assert_eq!(met, 3, "every fault was met");
    controller.abort();
    receipts(cluster).await
}

#[chronoplane::test]
async fn each_ticket_has_one_receipt_whatever_happens(cluster: Cluster) {
    assert_eq!(play(&cluster, Names::Fixed).await, 10);
}

/// The control: the same misfortune shows a controller that cannot do its work twice.
#[chronoplane::test]
async fn generated_names_make_receipts_twice(cluster: Cluster) {
    let made = play(&cluster, Names::Generated).await;
    assert!(made > 10, "{made} receipts for 10 tickets");
}
