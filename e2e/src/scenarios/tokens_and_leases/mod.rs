//! Tokens, leases and loops that compare times: what a clock that moves does to them.
//!
//! Those about leases run at upstream's own pace, in three or four worlds each: seconds of processor time in a debug build.

mod all_notready_at_once;
mod candidates;
mod cronjob_hundred_missed;
mod node_clock_back;
mod sa_token_from_the_future;
mod short_lease_steals;
mod two_leaders;
mod watch_outlives_token;

use api::object::{ObjectExt, unbase64};
use client::{ListParams, Resource, Rest};
use pki::kubeconfig::{Kubeconfig, User};
use serde_json::Value;
use world::{Wall, rfc3339};

use crate::{
    catalogue::Family,
    scenarios::{Ground, Stage},
    story::StoryError,
};

/// See the module.
pub(crate) const FAMILY: Family = Family {
    title: "Tokens, leases, controllers",
    entries: &[
        sa_token_from_the_future::ENTRY,
        all_notready_at_once::ENTRY,
        node_clock_back::ENTRY,
        two_leaders::ENTRY,
        short_lease_steals::ENTRY,
        watch_outlives_token::ENTRY,
        cronjob_hundred_missed::ENTRY,
    ],
};

const NS: Option<&str> = Some("default");
const ACCOUNTS: Resource = Resource::core("serviceaccounts");
const EVENTS: Resource = Resource::core("events");
const PODS: Resource = Resource::core("pods");

/// A client on `host` that has nothing but the cluster's authority and a token, as a program in a pod has it.
fn bearer(stage: &Ground, host: &str, token: &str) -> Result<Rest, StoryError> {
    let host = stage.host(host)?;
    let (name, cluster) = stage.kubeconfig().cluster().map_err(StoryError::new)?;
    let config = Kubeconfig::new(name, cluster.clone(), "token", User::with_token(token));
    Rest::from_kubeconfig(&host, &config, stage.settings.profile.go(), "app").map_err(StoryError::new)
}

/// A time that a token names, such as `iat`.
fn claim(token: &str, name: &str) -> Result<Wall, StoryError> {
    let wrong = || StoryError(format!("the token has no {name}"));
    let payload = token.split('.').nth(1).ok_or_else(wrong)?.replace('-', "+").replace('_', "/");
    let padded = format!("{payload}{}", "=".repeat((4 - payload.len() % 4) % 4));
    let bytes = unbase64(&padded).ok_or_else(wrong)?;
    let claims: Value = serde_json::from_slice(&bytes).map_err(StoryError::new)?;
    let seconds = claims[name].as_i64().ok_or_else(wrong)?;
    Wall::from_second(seconds).map_err(StoryError::new)
}

/// What the node lifecycle controller writes into every condition of a node that it misses.
const MISSED: &str = "Kubelet stopped posting node status.";

/// Whether a node's conditions say that.
async fn is_missed(stage: &Stage, node: &str) -> Result<bool, StoryError> {
    let node =
        stage.cluster.admin().get(&Resource::core("nodes"), None, node).await.map_err(StoryError::new)?;
    Ok(node.list_at("/status/conditions").iter().any(|c| c.str_at("/message") == MISSED))
}

/// Reason and message of the events about the object of that name, as people see them.
async fn events(stage: &Stage, about: &str) -> Vec<(String, String)> {
    let Ok(all) = stage.cluster.admin().list(&EVENTS, None, &ListParams::default()).await else {
        return Vec::new();
    };
    let of = all.items.iter().filter(|e| e.str_at("/involvedObject/name") == about);
    of.map(|e| (e.str_at("/reason").to_owned(), e.str_at("/message").to_owned())).collect()
}

/// Date and time to the second, for people.
fn shown(at: Wall) -> String {
    rfc3339(at).replace('T', " ").replace('Z', "")
}
