//! Who decides about requests, and that cases of the conformance suite show each of them deciding both ways.

use std::collections::{BTreeMap, BTreeSet};

use api::profile::Profile;
use apiserver::admission::plugins;
use chronoplane_cli::conformance::{
    all,
    case::Decision::{self, Allow, Change, Deny},
};

/// Authenticators and authorizers that need no certificate and no other host, and what they can say.
const BEFORE_ADMISSION: &[(&str, &[Decision])] = &[
    ("anonymous", &[Allow, Deny]),
    ("service account", &[Allow, Deny]),
    ("secret of a service account", &[Allow, Deny]),
    ("static token", &[Allow, Deny]),
    ("bootstrap token", &[Allow, Deny]),
    ("impersonation", &[Allow, Deny]),
    ("RBAC", &[Allow, Deny]),
    ("Node", &[Allow, Deny]),
    ("ABAC", &[Allow, Deny]),
    ("mode AlwaysAllow", &[Allow]),
    ("mode AlwaysDeny", &[Deny]),
];

/// Plugins that refuse nothing: they change some objects and leave others alone.
const NEVER_REFUSE: &[&str] = &[
    "AlwaysPullImages",
    "DefaultIngressClass",
    "DefaultStorageClass",
    "DefaultTolerationSeconds",
    "ExtendedResourceToleration",
    "NamespaceAutoProvision",
    "PodTopologyLabels",
    "StorageObjectInUseProtection",
    "TaintNodesByCondition",
];

/// Plugins of the newest release that no case can show at work, and why.
const UNSEEN: &[(&str, &str)] = &[
    ("AlwaysDeny", "a server with it refuses itself what it makes at its start, and never gets ready"),
    ("ClusterTrustBundleAttest", "the API that it is about is served in no release unasked"),
    ("ImagePolicyWebhook", "it is not implemented"),
    ("JobValidation", "what it is about is not served here"),
    ("NodeDeclaredFeatureValidator", "what it is about is not served here"),
    ("PodGroupProtection", "what it is about is not served here"),
    ("PodGroupWorkloadExists", "what it is about is not served here"),
];

/// What cases show of everybody who decides.
fn shown() -> BTreeMap<String, BTreeSet<Decision>> {
    let mut shown: BTreeMap<String, BTreeSet<Decision>> = BTreeMap::new();
    for entry in all().unwrap() {
        for (who, decisions) in entry.case.decides {
            shown.entry(who).or_default().extend(decisions);
        }
    }
    shown
}

#[test]
fn cases_show_each_who_decides_before_admission() {
    let shown = shown();
    for (who, can) in BEFORE_ADMISSION {
        assert_eq!(shown.get(*who), Some(&can.iter().copied().collect()), "{who}");
    }
}

#[test]
fn cases_show_each_plugin_of_the_newest_release() {
    let mut shown = shown();
    for (who, _) in BEFORE_ADMISSION {
        shown.remove(*who);
    }
    let (there, _) = plugins::of_release(Profile::NEWEST);
    let mut wrong = Vec::new();
    for name in &there {
        let seen = shown.remove(*name).unwrap_or_default();
        let enough = match *name {
            _ if UNSEEN.iter().any(|(unseen, _)| unseen == name) => seen.is_empty(),
            "AlwaysAdmit" => seen == BTreeSet::from([Allow]),
            _ if NEVER_REFUSE.contains(name) => seen == BTreeSet::from([Allow, Change]),
            _ => seen.contains(&Deny) && seen.len() > 1,
        };
        if !enough {
            wrong.push(format!("{name}: {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "not shown as they should be: {wrong:#?}");
    assert!(shown.is_empty(), "cases name whom nobody knows: {:?}", shown.keys());
    let gone = UNSEEN.iter().map(|(name, _)| name).chain(NEVER_REFUSE).find(|name| !there.contains(name));
    assert_eq!(gone, None, "a plugin that the newest release does not have");
}
