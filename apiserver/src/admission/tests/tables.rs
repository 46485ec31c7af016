//! A decision table for each plugin: a request in, verdict and words out. The tables are data, in
//! `admission/tables`; each row names the fact that it holds upstream to.

use std::collections::{BTreeMap, BTreeSet};

use api::{object::ObjectExt as _, profile::Profile};
use client::Informer;
use serde::Deserialize;
use serde_json::{Map, Value};
use world::sim::{Config, Sim};

use super::{Chain, Fake, Operation, Write, furnished, unlisted};
use crate::{
    admission::{Admission, ConfigFile, Enabled, PluginFlags, Setup, plugins},
    audit::Level,
    authz::{Authz, Mode},
    identity::User,
    informers::Informers,
    pipeline::Remarks,
};

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    plugin: String,
    rows: Vec<Row>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Row {
    /// What must hold, in a sentence.
    name: String,
    /// Where it is written down.
    fact: String,
    /// The release, if not the newest.
    profile: Option<String>,
    /// Feature gates that are open.
    #[serde(default)]
    gates: Vec<String>,
    /// The plugin's section of the admission configuration.
    config: Option<Value>,
    /// What the server's informers hold beside a namespace `ns` with its account, by plural.
    #[serde(default)]
    given: BTreeMap<String, Vec<Value>>,
    /// Of what the informers have had no first list yet, and get none.
    #[serde(default)]
    unlisted: Vec<String>,
    /// What the server answers when it is asked: code and body by `METHOD /path`.
    #[serde(default)]
    answers: BTreeMap<String, (u16, Value)>,
    write: Request,
    /// How often it is written; the last time counts.
    #[serde(default = "once")]
    times: u32,
    /// The refusal.
    refused: Option<Refused>,
    /// What stands at some places of the object that is let through; null for nothing.
    #[serde(default)]
    becomes: BTreeMap<String, Value>,
    #[serde(default)]
    warns: Vec<String>,
    /// Annotations of the audit event; none but these.
    annotates: Option<BTreeMap<String, String>>,
    /// What the server was asked, in order.
    asks: Option<Vec<String>>,
}

fn once() -> u32 {
    1
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    code: u16,
    message: String,
    #[serde(default)]
    cause: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Request {
    /// `create pods`, `update pods/resize`, `delete namespaces`.
    verb: String,
    #[serde(default = "ns")]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default = "admin")]
    user: String,
    groups: Option<Vec<String>>,
    object: Option<Value>,
    old: Option<Value>,
    /// What the new object has beside what the old one has.
    change: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    dry_run: bool,
}

fn ns() -> String {
    "ns".to_owned()
}

fn admin() -> String {
    "admin".to_owned()
}

impl Request {
    fn write(&self) -> Write {
        let (verb, what) = self.verb.split_once(' ').expect("a verb and a resource");
        let operation = match verb {
            "create" => Operation::Create,
            "update" => Operation::Update,
            "delete" => Operation::Delete,
            "connect" => Operation::Connect,
            other => panic!("{other} is no operation"),
        };
        // The words live as long as the test.
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let is_cluster = matches!(
            what.split(['.', '/']).next(),
            Some("nodes" | "persistentvolumes" | "priorityclasses" | "certificatesigningrequests")
        );
        let namespace = if is_cluster { "" } else { leak(&self.namespace) };
        let groups: Vec<&str> = match &self.groups {
            Some(groups) => groups.iter().map(String::as_str).collect(),
            None if self.user == "admin" => vec!["system:masters"],
            None => Vec::new(),
        };
        let mut object = self.object.clone();
        if let (Some(change), None) = (&self.change, &object) {
            let mut changed = self.old.clone().unwrap_or(Value::Object(Map::new()));
            for (at, value) in change {
                changed.set_at(at, value.clone());
            }
            object = Some(changed);
        }
        Write {
            object,
            old: self.old.clone(),
            dry_run: self.dry_run,
            ..Write::new(operation, leak(what), namespace, leak(&self.name))
        }
        .by(User::new(self.user.clone(), &groups))
    }
}

const FILES: &[(&str, &str)] = &[
    ("AlwaysAdmit", include_str!("../tables/always-admit.yaml")),
    ("AlwaysDeny", include_str!("../tables/always-deny.yaml")),
    ("AlwaysPullImages", include_str!("../tables/always-pull-images.yaml")),
    ("CertificateApproval", include_str!("../tables/certificate-approval.yaml")),
    ("CertificateSigning", include_str!("../tables/certificate-signing.yaml")),
    ("CertificateSubjectRestriction", include_str!("../tables/certificate-subject-restriction.yaml")),
    ("ClusterTrustBundleAttest", include_str!("../tables/cluster-trust-bundle-attest.yaml")),
    ("DefaultIngressClass", include_str!("../tables/default-ingress-class.yaml")),
    ("DefaultStorageClass", include_str!("../tables/default-storage-class.yaml")),
    ("DefaultTolerationSeconds", include_str!("../tables/default-toleration-seconds.yaml")),
    ("DenyServiceExternalIPs", include_str!("../tables/deny-service-external-ips.yaml")),
    ("EventRateLimit", include_str!("../tables/event-rate-limit.yaml")),
    ("ExtendedResourceToleration", include_str!("../tables/extended-resource-toleration.yaml")),
    (
        "LimitPodHardAntiAffinityTopology",
        include_str!("../tables/limit-pod-hard-anti-affinity-topology.yaml"),
    ),
    ("LimitRanger", include_str!("../tables/limit-ranger.yaml")),
    ("NamespaceAutoProvision", include_str!("../tables/namespace-auto-provision.yaml")),
    ("NamespaceExists", include_str!("../tables/namespace-exists.yaml")),
    ("NamespaceLifecycle", include_str!("../tables/namespace-lifecycle.yaml")),
    ("NodeRestriction", include_str!("../tables/node-restriction.yaml")),
    (
        "OwnerReferencesPermissionEnforcement",
        include_str!("../tables/owner-references-permission-enforcement.yaml"),
    ),
    ("PersistentVolumeClaimResize", include_str!("../tables/persistent-volume-claim-resize.yaml")),
    ("PodNodeSelector", include_str!("../tables/pod-node-selector.yaml")),
    ("PodResizeValidator", include_str!("../tables/pod-resize-validator.yaml")),
    ("PodSecurity", include_str!("../tables/pod-security.yaml")),
    ("PodSecurity", include_str!("../tables/pod-security-checks.yaml")),
    ("PodTolerationRestriction", include_str!("../tables/pod-toleration-restriction.yaml")),
    ("PodTopologyLabels", include_str!("../tables/pod-topology-labels.yaml")),
    ("Priority", include_str!("../tables/priority.yaml")),
    ("ResourceQuota", include_str!("../tables/resource-quota.yaml")),
    ("RuntimeClass", include_str!("../tables/runtime-class.yaml")),
    ("SecurityContextDeny", include_str!("../tables/security-context-deny.yaml")),
    ("ServiceAccount", include_str!("../tables/service-account.yaml")),
    ("StorageObjectInUseProtection", include_str!("../tables/storage-object-in-use-protection.yaml")),
    ("TaintNodesByCondition", include_str!("../tables/taint-nodes-by-condition.yaml")),
];

fn tables() -> Vec<Table> {
    let read = |(plugin, text): &(&str, &str)| {
        let table: Table = serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{plugin}: {e}"));
        assert_eq!(table.plugin, *plugin);
        table
    };
    FILES.iter().map(read).collect()
}

fn slot<'a>(informers: &'a mut Informers, plural: &str) -> &'a mut Informer {
    match plural {
        "namespaces" => &mut informers.namespaces,
        "limitranges" => &mut informers.limit_ranges,
        "resourcequotas" => &mut informers.resource_quotas,
        "serviceaccounts" => &mut informers.service_accounts,
        "secrets" => &mut informers.secrets,
        "pods" => &mut informers.pods,
        "nodes" => &mut informers.nodes,
        "clusterroles" => &mut informers.cluster_roles,
        "clusterrolebindings" => &mut informers.cluster_role_bindings,
        "priorityclasses" => &mut informers.priority_classes,
        "storageclasses" => &mut informers.storage_classes,
        "ingressclasses" => &mut informers.ingress_classes,
        "runtimeclasses" => &mut informers.runtime_classes,
        other => panic!("no informer of {other}"),
    }
}

fn informers(fake: &Fake, row: &Row) -> Informers {
    let mut informers = furnished();
    for (plural, objects) in &row.given {
        *slot(&mut informers, plural) = Informer::fixed(objects.clone());
    }
    for plural in &row.unlisted {
        *slot(&mut informers, plural) = unlisted(fake);
    }
    informers
}

async fn chain(sim: Sim, plugin: &str, row: &Row) -> Chain {
    let fake = Fake::plain(&sim).await;
    for (line, (code, body)) in &row.answers {
        fake.put(line, *code, body.clone());
    }
    let informers = informers(&fake, row);
    let authz = std::sync::Arc::new(Authz::new(Profile::NEWEST, &[Mode::Rbac], &informers).unwrap());
    let profile = row.profile.as_ref().map_or(Profile::NEWEST, |text| Profile::parse(text).unwrap());
    let only = [plugin.to_owned()];
    let flags = PluginFlags { list: Some(&only), ..PluginFlags::default() };
    let setup = Setup {
        config: row.config.clone().map(|c| ConfigFile::with(plugin, c)).unwrap_or_default(),
        profile,
        gates: row.gates.iter().map(|gate| (gate.clone(), true)).collect(),
        ..Setup::from(Enabled::of(profile, flags).unwrap())
    };
    let admission = Admission::new(&fake.host, &informers, &fake.rest, authz, setup).unwrap();
    Chain { sim, fake, admission, informers, remarks: Remarks::default() }
}

fn check(plugin: &str, row: &Row) {
    let (plugin, row) = (plugin.to_owned(), row.clone());
    world::sim::run(Config::default(), |sim| async move {
        let at = format!("{plugin}: {}", row.name);
        let chain = chain(sim, &plugin, &row).await;
        for _ in 1..row.times {
            chain
                .admit(row.write.write())
                .await
                .unwrap_or_else(|e| panic!("{at}: before the last time: {e}"));
        }
        let outcome = chain.admit(row.write.write()).await;
        match (&row.refused, outcome) {
            (None, Ok(object)) => {
                for (place, wanted) in &row.becomes {
                    assert_eq!(object.at(place).unwrap_or(&Value::Null), wanted, "{at}: {place}");
                }
                if row.becomes.is_empty() {
                    let sent = row.write.write().object.unwrap_or_default();
                    assert_eq!(object, sent, "{at}: let through as it is");
                }
            }
            (Some(wanted), Err(status)) => {
                assert_eq!((status.code, &status.message), (wanted.code, &wanted.message), "{at}");
                if !wanted.cause.is_empty() {
                    assert!(status.has_cause(&wanted.cause), "{at}: {status:?}");
                }
            }
            (None, Err(status)) => panic!("{at}: refused: {} {}", status.code, status.message),
            (Some(_), Ok(object)) => panic!("{at}: not refused: {object}"),
        }
        assert_eq!(chain.remarks.warnings(), row.warns, "{at}: warnings");
        if let Some(wanted) = &row.annotates {
            let noted: BTreeMap<_, _> =
                chain.remarks.annotations(Level::RequestResponse).into_iter().collect();
            assert_eq!(&noted, wanted, "{at}: annotations");
        }
        if let Some(wanted) = &row.asks {
            assert_eq!(&chain.fake.seen(), wanted, "{at}: questions");
        }
    })
    .unwrap();
}

#[test]
fn every_row_holds() {
    let mut failed = Vec::new();
    for table in tables() {
        for row in &table.rows {
            assert!(!row.fact.is_empty(), "{}: {} names no fact", table.plugin, row.name);
            let run = || check(&table.plugin, row);
            if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
                let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                failed.push(format!("{}: {}: {why}", table.plugin, row.name));
            }
        }
    }
    assert!(failed.is_empty(), "{} rows do not hold:\n{}", failed.len(), failed.join("\n"));
}

/// A plugin without a row that it lets through, or without one that it refuses or changes, is not known.
#[test]
fn every_plugin_has_both_kinds_of_rows() {
    let mut seen: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    for table in tables() {
        let entry = seen.entry(table.plugin.clone()).or_default();
        for row in &table.rows {
            let acts = row.refused.is_some() || !row.becomes.is_empty();
            entry.0 |= !acts;
            entry.1 |= acts;
        }
    }
    // One lets everything through, the other nothing.
    assert_eq!(seen.get("AlwaysAdmit"), Some(&(true, false)));
    assert_eq!(seen.get("AlwaysDeny"), Some(&(false, true)));
    seen.retain(|plugin, _| !plugin.starts_with("Always") || plugin == "AlwaysPullImages");
    seen.insert("AlwaysDeny".to_owned(), (true, true));
    // Theirs are `tests/policies.yaml` and `apiserver/tests/webhooks/decisions.yaml`.
    for objects in ["AdmissionPolicy", "AdmissionWebhook"] {
        seen.insert(format!("Mutating{objects}"), (true, true));
        seen.insert(format!("Validating{objects}"), (true, true));
    }
    let one_sided: Vec<&String> = seen.iter().filter(|(_, (a, b))| !(a & b)).map(|(name, _)| name).collect();
    assert!(one_sided.is_empty(), "{one_sided:?}");
    let wanted: BTreeSet<String> = plugins::implemented().into_iter().map(str::to_owned).collect();
    let missing: Vec<&String> = wanted.iter().filter(|name| !seen.contains_key(*name)).collect();
    assert!(missing.is_empty(), "no table: {missing:?}");
}
