//! A component as a program of its own: with which exit code it ends.

use std::{
    net::IpAddr,
    process::{Command, Stdio},
};

use chronoplane::{ControlPlane, ControlPlaneOptions, cluster::wait_for, real};
use chronoplane_cli::components::{PLACE, Place};
use client::Resource;

const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");

/// What it cannot be started with is 2 (`bad_input.rs`). Here a scheduler leads, and its API server goes away.
fn what_fails_while_it_runs_ends_with_1() {
    real::run(async |world| {
        let (server, other) = (world.host("cp1").unwrap(), world.host("other").unwrap());
        let plane = ControlPlane::start(&server, ControlPlaneOptions::default()).await.unwrap();
        plane.kubeconfig().save(other.disk(), "/scheduler.conf").unwrap();
        let IpAddr::V4(address) = other.net().address() else { panic!("IPv4") };
        let place = Place { name: "other".into(), address, root: world.root().join("other") };
        let mut scheduler = Command::new(env!("CARGO_BIN_EXE_chronoplane"))
            .args(["scheduler", "--", "--kubeconfig=/scheduler.conf", "--leader-elect=true"])
            .args(["--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s"])
            .arg("--leader-elect-retry-period=500ms")
            .env(PLACE, serde_json::to_string(&place).unwrap())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let admin = plane.admin(&other).unwrap();
        wait_for(&other, "it leads", async || {
            admin.get(&LEASES, Some("kube-system"), "kube-scheduler").await.ok()
        })
        .await
        .unwrap();
        server.halt().await;
        let ended = wait_for(&other, "it has ended", async || scheduler.try_wait().unwrap()).await.unwrap();
        let said = std::io::read_to_string(scheduler.stderr.take().unwrap()).unwrap();
        assert_eq!(ended.code(), Some(1), "{said}");
        assert!(said.contains("error: leaderelection lost"), "{said}");
    })
    .unwrap();
}

pub const TESTS: &[(&str, fn())] =
    &[("components::what_fails_while_it_runs_ends_with_1", what_fails_while_it_runs_ends_with_1)];
