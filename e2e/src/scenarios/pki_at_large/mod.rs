//! The certificates of a cluster at large: who reads a new file, who keeps the old one, and what an authority's end or
//! exchange does.
//!
//! Most cross a year, in two to four worlds each (fault, control, fixed run): seconds of processor time in a debug build.

mod ca_replaced;
mod ca_ten_years;
mod etcd_leaf_forgotten;
mod front_proxy_rotated;
mod heapster_wrong_root;
mod no_rtc;
mod renew_skips_kubeconfig;
mod renew_without_restart;
mod webhook_cert_expired;

use std::time::Duration;

use chronoplane::{cluster, cluster::CONTROL_PLANE};
use client::Rest;
use pki::Certificate;
use world::{Wall, rfc3339};

use crate::{
    catalogue::Family,
    scenarios::{Ground, raw},
    story::StoryError,
};

/// See the module.
pub(crate) const FAMILY: Family = Family {
    title: "PKI at large",
    entries: &[
        renew_without_restart::ENTRY,
        renew_skips_kubeconfig::ENTRY,
        etcd_leaf_forgotten::ENTRY,
        ca_ten_years::ENTRY,
        ca_replaced::ENTRY,
        front_proxy_rotated::ENTRY,
        webhook_cert_expired::ENTRY,
        no_rtc::ENTRY,
        heapster_wrong_root::ENTRY,
    ],
};

const DAY: Duration = Duration::from_secs(86_400);
const PKI: &str = "/etc/kubernetes/pki";
const ADMIN_CONF: &str = "/etc/kubernetes/admin.conf";
const EXPIRED: &str = "x509: certificate has expired or is not yet valid";
const UNKNOWN: &str = "x509: certificate signed by unknown authority";

/// Runs kubeadm of the cluster's release on the control plane.
async fn kubeadm(stage: &Ground, args: &[&str]) -> Result<String, StoryError> {
    Ok(stage.kubeadm(&stage.control_plane(), args).await?)
}

/// Runs kubeadm with these words and no other.
async fn kubeadm_plainly(stage: &Ground, args: &[&str]) -> Result<String, StoryError> {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    Ok(cluster::kubeadm(&stage.control_plane(), args).await?)
}

/// A request of somebody who reads admin.conf now and has no connection yet.
async fn administrator(stage: &Ground) -> Result<(u16, String), StoryError> {
    Ok(raw(&stage.client(CONTROL_PLANE, ADMIN_CONF, "kubectl")?, "/api").await)
}

/// A request on the connection that somebody has had open all along.
async fn ask(rest: &Rest) -> (u16, String) {
    raw(rest, "/api").await
}

/// Removes files below a directory of the control plane.
fn remove(stage: &Ground, dir: &str, files: &[&str]) -> Result<(), StoryError> {
    let disk = stage.control_plane().disk().clone();
    files.iter().try_for_each(|file| disk.remove(format!("{dir}/{file}")).map_err(StoryError::new))
}

/// The certificate in that file of the control plane.
fn certificate(stage: &Ground, path: &str) -> Result<Certificate, StoryError> {
    stage.certificate(CONTROL_PLANE, path)
}

/// Status and words of an answer, in one line.
fn line(answer: &(u16, String)) -> String {
    match answer {
        (200, _) => "200".to_owned(),
        (0, words) => words.clone(),
        (code, words) => format!("{code} {words}"),
    }
}

/// Date and time to the second, for people.
fn shown(at: Wall) -> String {
    rfc3339(at).replace('T', " ").replace('Z', "")
}
