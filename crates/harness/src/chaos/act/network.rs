//! Packets that do not arrive or arrive late, connections of which one end is told nothing, names that lead elsewhere.

use std::time::Duration;

use world::sim::{Conditions, Resolution};

use super::super::{
    fault::{Resolves, Weather},
    plan::CANDIDATES,
    scene::Scene,
    tempo::SLOW,
};
use crate::cluster::{CONTROL_PLANE, WORKSTATION};

const APISERVER: u16 = 6443;
/// A client asks a connection for a sign of life when nothing came for so long, and waits for the answer (client-go's 30
/// and 15 s, of which the first recurs at the world's pace); and a little more.
const PING_AFTER: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15 + 5);

pub(super) async fn partition(scene: &Scene, a: &str, b: &str, lasts: Duration) {
    scene.sim().cut(a, b);
    scene.sim().elapse(lasts).await;
    scene.sim().heal(a, b);
}

pub(super) async fn one_way(scene: &Scene, from: &str, to: &str, lasts: Duration) {
    scene.sim().cut_one_way(from, to);
    scene.sim().elapse(lasts).await;
    scene.sim().heal(from, to);
}

pub(super) async fn bad(scene: &Scene, a: &str, b: &str, weather: Weather, lasts: Duration) {
    let both = |conditions| {
        scene.sim().set_conditions(a, b, conditions);
        scene.sim().set_conditions(b, a, conditions);
    };
    both(Conditions {
        latency: Duration::from_millis(weather.latency_ms),
        jitter: Duration::from_millis(weather.jitter_ms),
        loss_per_mille: weather.loss_per_mille,
        messages_per_second: weather.messages_per_second,
    });
    scene.sim().elapse(lasts).await;
    both(Conditions::default());
}

/// Over when the pings of who dialled must have noticed.
pub(super) async fn half_open(scene: &Scene, from: &str, to: &str, port: u16) {
    scene.sim().half_open(from, to, port);
    scene.sim().elapse(SLOW.of(PING_AFTER) + PING_TIMEOUT).await;
}

/// Only who dials asks for an address: connections of before are reset.
pub(super) async fn name_wrong(scene: &Scene, host: &str, resolves: Resolves, lasts: Duration) {
    let resolution = match resolves {
        Resolves::Elsewhere => Resolution::Host(CANDIDATES[0].to_owned()),
        Resolves::Unknown => Resolution::Unknown,
        Resolves::Silence => Resolution::Silence,
    };
    scene.sim().resolve(host, CONTROL_PLANE, Some(resolution));
    scene.sim().reset_connections(host, CONTROL_PLANE, APISERVER);
    scene.sim().elapse(lasts).await;
    scene.sim().resolve(host, CONTROL_PLANE, None);
}

/// Every client of the apiserver dials anew. Connections that were made while the world was stretched keep the pings of
/// that pace: on such a one, who is told nothing would hear of it after weeks.
pub(super) fn renew(scene: &Scene) {
    let others = CANDIDATES.into_iter().chain([WORKSTATION]).map(str::to_owned);
    for host in scene.cluster.members().into_iter().chain(others) {
        scene.sim().reset_connections(&host, CONTROL_PLANE, APISERVER);
    }
}
