//! What the flags make of a release's plugins.

use super::*;

fn of(minor: u16, enable: &[&str], disable: &[&str], list: Option<&[&str]>) -> Result<Enabled, String> {
    let texts = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let (enable, disable, list) = (texts(enable), texts(disable), list.map(texts));
    let flags = PluginFlags { enable: &enable, disable: &disable, list: list.as_deref() };
    Enabled::of(Profile::of_minor(minor).unwrap(), flags).map_err(|e| e.to_string())
}

#[test]
fn kubeadms_flags_turn_node_restriction_on() {
    let defaults = Enabled::from_flags::<&str>(&[], &[]).unwrap();
    assert!(!defaults.has(Plugin::NodeRestriction));
    assert!(defaults.has(Plugin::LimitRanger));
    let kubeadm = Enabled::from_flags(&["NodeRestriction"], &[]).unwrap();
    assert!(kubeadm.has(Plugin::NodeRestriction));
    let without = Enabled::from_flags(&["NodeRestriction"], &["ServiceAccount"]).unwrap();
    assert!(!without.has(Plugin::ServiceAccount));
}

#[test]
fn names_are_checked_in_one_clear_sentence() {
    let check = |minor: u16, enable: &[&str], disable: &[&str], list: Option<&[&str]>, words: &str| {
        assert_eq!(of(minor, enable, disable, list).unwrap_err(), words);
    };
    check(36, &["LimitRanget"], &[], None, r#"enable-admission-plugins plugin "LimitRanget" is unknown"#);
    check(36, &[], &["X"], None, r#"disable-admission-plugins plugin "X" is unknown"#);
    check(36, &[], &[], Some(&["X"]), r#"admission-control plugin "X" is unknown"#);
    check(9, &[], &[], Some(&["X"]), "Unknown admission plugin: X");
    // Known to another release.
    check(
        30,
        &["SecurityContextDeny"],
        &[],
        None,
        r#"enable-admission-plugins plugin "SecurityContextDeny" is unknown"#,
    );
    assert!(of(29, &["SecurityContextDeny"], &[], None).is_ok());
    check(
        36,
        &["Priority"],
        &["Priority"],
        None,
        "[Priority] in enable-admission-plugins and disable-admission-plugins overlapped",
    );
    check(
        17,
        &["Priority"],
        &[],
        Some(&["Priority"]),
        "admission-control and enable-admission-plugins/disable-admission-plugins flags are mutually exclusive",
    );
    check(
        24,
        &["PodSecurityPolicy"],
        &[],
        None,
        r#"admission plugin "PodSecurityPolicy" is not implemented here, and refuses by design; leave it out"#,
    );
    assert!(of(36, &["AlwaysDeny"], &[], None).unwrap().has(Plugin::AlwaysDeny));
}

#[test]
fn a_list_is_all_there_is_and_orders_in_old_releases() {
    use Plugin::{LimitRanger, NamespaceLifecycle, ResourceQuota};
    let list: &[&str] = &["ResourceQuota", "LimitRanger", "NamespaceLifecycle", "LimitRanger"];
    assert_eq!(
        of(9, &[], &[], Some(list)).unwrap().plugins(),
        [ResourceQuota, LimitRanger, NamespaceLifecycle]
    );
    assert_eq!(
        of(12, &[], &[], Some(list)).unwrap().plugins(),
        [NamespaceLifecycle, LimitRanger, ResourceQuota]
    );
    // What kubeadm wrote for 1.9.
    let kubeadm = "Initializers,NamespaceLifecycle,LimitRanger,ServiceAccount,DefaultStorageClass,\
                   DefaultTolerationSeconds,NodeRestriction,MutatingAdmissionWebhook,\
                   ValidatingAdmissionWebhook,ResourceQuota";
    let kubeadm: Vec<&str> = kubeadm.split(',').collect();
    assert_eq!(of(9, &[], &[], Some(&kubeadm)).unwrap().names(), kubeadm);
}

#[test]
fn what_is_on_depends_on_the_release() {
    let check = |minor: u16, on: &str| {
        let (_, found) = of_release(Profile::of_minor(minor).unwrap());
        assert_eq!(found.join(","), on, "1.{minor}");
    };
    check(8, "AlwaysAdmit");
    check(
        10,
        "NamespaceLifecycle,LimitRanger,ServiceAccount,DefaultTolerationSeconds,PersistentVolumeLabel,\
         DefaultStorageClass,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,ResourceQuota",
    );
    check(
        11,
        "NamespaceLifecycle,LimitRanger,ServiceAccount,Priority,DefaultTolerationSeconds,DefaultStorageClass,\
         PersistentVolumeClaimResize,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,ResourceQuota",
    );
    check(
        23,
        "NamespaceLifecycle,LimitRanger,ServiceAccount,TaintNodesByCondition,PodSecurity,Priority,\
         DefaultTolerationSeconds,DefaultStorageClass,StorageObjectInUseProtection,PersistentVolumeClaimResize,\
         RuntimeClass,CertificateApproval,CertificateSigning,CertificateSubjectRestriction,DefaultIngressClass,\
         MutatingAdmissionWebhook,ValidatingAdmissionWebhook,ResourceQuota",
    );
    check(
        32,
        "NamespaceLifecycle,LimitRanger,ServiceAccount,TaintNodesByCondition,PodSecurity,Priority,\
         DefaultTolerationSeconds,DefaultStorageClass,StorageObjectInUseProtection,PersistentVolumeClaimResize,\
         RuntimeClass,CertificateApproval,CertificateSigning,ClusterTrustBundleAttest,\
         CertificateSubjectRestriction,DefaultIngressClass,MutatingAdmissionPolicy,MutatingAdmissionWebhook,\
         ValidatingAdmissionPolicy,ValidatingAdmissionWebhook,ResourceQuota",
    );
}

#[test]
fn every_row_of_the_history_is_a_plugin() {
    let (all, _) = of_release(Profile::NEWEST);
    assert!(all.contains(&"AlwaysPullImages") && !all.contains(&"PodPreset"));
    for minor in 8..=36 {
        let (all, on) = of_release(Profile::of_minor(minor).unwrap());
        assert!(on.iter().all(|name| all.contains(name)), "1.{minor}");
    }
}

#[test]
fn what_is_on_and_does_nothing_is_named() {
    let silent = Enabled::from_flags(&["NodeDeclaredFeatureValidator", "AlwaysAdmit"], &["PodSecurity"]);
    let silent = silent.unwrap().not_implemented();
    assert!(silent.contains(&"NodeDeclaredFeatureValidator"));
    for name in ["PodSecurity", "LimitRanger", "AlwaysAdmit", "PodGroupProtection", "DefaultStorageClass"] {
        assert!(!silent.contains(&name), "{name}");
    }
}
