//! init: what `kubeadm init` leaves on a host, file by file, and what in the API.

use std::collections::BTreeSet;

use api::object::ObjectExt as _;
use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use client::{ListParams, Resource};
use pki::Certificate;
use serde_json::Value;
use world::{Host, Periods};

use super::on_stage;
use crate::{
    scenarios::Stage,
    story::StoryError,
    teach::{Lesson, decode, facts::Facts},
};

const PKI: &str = "/etc/kubernetes/pki";
const MANIFESTS: &str = "/etc/kubernetes/manifests";
const KUBECONFIGS: [&str; 5] =
    ["admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet.conf"];

pub(super) fn play(lesson: &Lesson) -> Result<(), StoryError> {
    on_stage(lesson, Periods::upstream(), ClusterOptions::default(), async |stage| act(lesson, stage).await)
}

async fn act(lesson: &Lesson, stage: &Stage) -> Result<(), StoryError> {
    let host = stage.host(CONTROL_PLANE);
    let printed = stage.cluster.transcript().first().map(|(_, text)| text.clone()).unwrap_or_default();
    lesson.tell("phases", Facts::new().show("phases", phases(&printed)))?;

    lesson.ask("authorities", Facts::new())?;
    let certificates = certificates(&host);
    let authorities = certificates.iter().filter(|(_, c)| c.is_ca()).count();
    let rows = certificates.iter().map(|(name, c)| {
        (name.as_str(), format!("{} ← {}", decode::subject(c.organizations(), c.subject_cn()), c.issuer_cn()))
    });
    lesson.tell("authorities", Facts::new().show("certificates", decode::rows(rows)).answer(authorities))?;

    lesson.ask("serving", Facts::new())?;
    let serving = stage.cluster.certificate(CONTROL_PLANE, &format!("{PKI}/apiserver.crt"))?;
    let ip = stage.cluster.admin().get(&Resource::core("services"), Some("default"), "kubernetes").await;
    let service = ip.map_err(StoryError::new)?.str_at("/spec/clusterIP").to_owned();
    let named = serving.ip_addresses().iter().any(|ip| ip.to_string() == service);
    lesson.holds("the service address is in the certificate", named, &service)?;
    let facts = Facts::new().word("service", service).show("certificate", decode::certificate(&serving));
    lesson.tell("serving", facts)?;

    lesson.tell("accounts", Facts::new().show("files", keys(&host)))?;

    lesson.ask("kubeconfigs", Facts::new())?;
    let mut rows = Vec::new();
    for name in KUBECONFIGS {
        let leaf = stage.cluster.certificate(CONTROL_PLANE, &format!("/etc/kubernetes/{name}"))?;
        rows.push((name, decode::subject(leaf.organizations(), leaf.subject_cn())));
    }
    let admin = stage.cluster.certificate(CONTROL_PLANE, "/etc/kubernetes/admin.conf")?;
    let group = admin.organizations().join(", ");
    lesson.tell("kubeconfigs", Facts::new().show("users", decode::rows(rows)).answer(group))?;

    lesson.ask("manifests", Facts::new())?;
    let text =
        host.disk().read_to_string(format!("{MANIFESTS}/kube-apiserver.yaml")).map_err(StoryError::new)?;
    let pod: Value = serde_saphyr::from_str(&text).map_err(StoryError::new)?;
    let flags = pod.list_at("/spec/containers/0/command").iter().filter_map(Value::as_str);
    let flags: Vec<&str> = flags
        .filter(|flag| flag.contains("-file=") || flag.contains("-ca") || flag.contains("cert"))
        .collect();
    let facts = Facts::new().show("files", decode::files(&host, MANIFESTS)).show("flags", flags.join("\n"));
    lesson.tell("manifests", facts)?;

    let objects = objects(stage).await?;
    lesson.tell("objects", Facts::new().show("objects", objects))
}

/// The first word in brackets of each line, once.
fn phases(printed: &str) -> String {
    let mut seen = BTreeSet::new();
    let name = |line: &str| Some(line.strip_prefix('[')?.split_once(']')?.0.to_owned());
    let names = printed.lines().filter_map(name).filter(|name| seen.insert(name.clone()));
    let names: Vec<_> = names.collect();
    names.chunks(5).map(|row| row.join(" → ")).collect::<Vec<_>>().join(" →\n")
}

/// Name below pki and certificate.
fn certificates(host: &Host) -> Vec<(String, Certificate)> {
    let paths = decode::paths(host, PKI).into_iter().filter(|path| path.ends_with(".crt"));
    let read = |path: String| {
        let all = Certificate::parse_pem(&host.disk().read(&path).ok()?).ok()?;
        Some((path.trim_start_matches(PKI).trim_start_matches('/').to_owned(), all.into_iter().next()?))
    };
    let mut all: Vec<_> = paths.filter_map(read).collect();
    all.sort_by_key(|(name, c)| (c.issuer_cn().to_owned(), !c.is_ca(), name.clone()));
    all
}

/// The lines of the pair that is in no certificate, and of the CA's key, with their modes.
fn keys(host: &Host) -> String {
    let all = decode::files(host, PKI);
    let wanted = ["/ca.key", "/ca.crt", "/sa.key", "/sa.pub"];
    let line = |line: &&str| {
        !line.contains("/etcd/") && wanted.iter().any(|name| line.ends_with(&format!("{PKI}{name}")))
    };
    all.lines().filter(line).collect::<Vec<_>>().join("\n")
}

/// What kubeadm has put into the API, as `kubectl get` names it.
async fn objects(stage: &Stage) -> Result<String, StoryError> {
    let mut rows = Vec::new();
    let wanted = [("configmaps", "kube-public"), ("configmaps", "kube-system"), ("secrets", "kube-system")];
    for (plural, namespace) in wanted {
        let list = stage
            .cluster
            .admin()
            .list(&Resource::core(plural), Some(namespace), &ListParams::default())
            .await;
        for item in list.map_err(StoryError::new)?.items {
            let keys =
                item.map_at("/data").into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>();
            if item.name() != "kube-root-ca.crt" && !item.name().starts_with("extension-") {
                rows.push((format!("{namespace} {plural}/{}", item.name()), keys.join(", ")));
            }
        }
    }
    Ok(decode::rows(rows.iter().map(|(name, keys)| (name.as_str(), keys.clone()))))
}
