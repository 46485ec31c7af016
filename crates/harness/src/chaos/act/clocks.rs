//! Clocks that are wrong for a while, until NTP sets them right.

use std::time::Duration;

use jiff::SignedDuration;

use super::super::scene::Scene;
use crate::cluster::WORKSTATION;

pub(super) async fn step(scene: &Scene, host: &str, seconds: i64, lasts: Duration) {
    scene.sim().step(host, SignedDuration::from_secs(seconds));
    scene.sim().elapse(lasts).await;
    set_right(scene, host);
}

pub(super) async fn drift(scene: &Scene, host: &str, ppm: i32, lasts: Duration) {
    scene.sim().drift(host, ppm);
    scene.sim().elapse(lasts).await;
    scene.sim().drift(host, 0);
    set_right(scene, host);
}

pub(super) async fn freeze(scene: &Scene, host: &str, lasts: Duration) {
    scene.sim().freeze(host);
    scene.sim().elapse(lasts).await;
    scene.sim().thaw(host);
    set_right(scene, host);
}

/// What NTP does: the clock shows true time again, which the workstation has.
fn set_right(scene: &Scene, host: &str) {
    let right = scene.host(WORKSTATION).clock().wall();
    let by = right.duration_since(scene.host(host).clock().wall());
    scene.sim().step(host, by);
}
