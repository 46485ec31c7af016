//! `--authorization-config` and the flags it takes the place of: what is refused, in which words, and the reload.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use world::{Disk, MemoryDisk};

use super::ask;
use crate::{
    admission::testing::Fake,
    authz::{Authz, Configuration, Mode},
    identity::User,
    informers::Informers,
    options::Options,
};

const HEAD: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n";

fn disk() -> Disk {
    let disk = Disk::memory(std::sync::Arc::new(MemoryDisk::default()));
    disk.create_dir_all("/etc/dir").unwrap();
    disk.write("/etc/hook.conf", "", 0o600).unwrap();
    disk
}

fn parse(minor: u16, text: &str) -> Result<(), String> {
    Configuration::parse(&disk(), minor, text.as_bytes(), &BTreeSet::new()).map(drop)
}

#[test]
fn what_is_no_configuration_is_not_read() {
    let check = |minor: u16, text: &str, why: Option<&str>| {
        let wanted = why.map(|why| format!("failed to load AuthorizationConfiguration from file: {why}"));
        assert_eq!(parse(minor, text).err(), wanted, "{text}");
    };
    let of = |version: &str| {
        format!(
            "apiVersion: apiserver.config.k8s.io/{version}\nkind: AuthorizationConfiguration\nauthorizers: [{{type: RBAC, name: rbac}}]\n"
        )
    };
    let unknown = |version: &str| {
        format!(
            "no kind \"AuthorizationConfiguration\" is registered for version \"apiserver.config.k8s.io/{version}\" in scheme \"k8s.io/apiserver/pkg/apis/apiserver/load/load.go\""
        )
    };
    check(36, &of("v1"), None);
    check(36, &of("v1beta1"), None);
    check(36, &of("v1alpha1"), None);
    check(32, &of("v1"), None);
    check(31, &of("v1"), Some(&unknown("v1")));
    check(30, &of("v1beta1"), None);
    check(29, &of("v1beta1"), Some(&unknown("v1beta1")));
    check(36, &of("v2"), Some(&unknown("v2")));
    check(36, "authorizers: []", Some(r#"Object 'Kind' is missing in '{"authorizers":[]}'"#));
    check(
        36,
        &format!("{HEAD}authorizers: [{{type: RBAC, name: rbac, colour: red}}]\nmore: 1\n"),
        Some(r#"strict decoding error: unknown field "authorizers[0].colour", unknown field "more""#),
    );
}

/// Authorizers in flow style, `webhook` being one that is fine.
fn check_valid(authorizers: &str, wanted: Result<(), &str>) {
    let webhook = "timeout: 3s, subjectAccessReviewVersion: v1, failurePolicy: Deny, connectionInfo: {type: KubeConfigFile, kubeConfigFile: /etc/hook.conf}";
    let text = format!("{HEAD}authorizers: [{}]\n", authorizers.replace("FINE", webhook));
    assert_eq!(parse(36, &text), wanted.map_err(str::to_owned), "{authorizers}");
}

#[test]
fn authorizers_are_complained_about_in_upstreams_words() {
    let check = check_valid;
    check(
        "{type: RBAC, name: rbac}, {type: Webhook, name: a, webhook: {FINE}}, {type: Webhook, name: b, webhook: {FINE}}",
        Ok(()),
    );
    check("", Err("authorizers: Required value: at least one authorization mode must be defined"));
    check("{name: rbac}", Err("authorizers[0].type: Required value"));
    check(
        "{type: Magic, name: magic}",
        Err(
            r#"authorizers[0].type: Unsupported value: "Magic": supported values: "ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook""#,
        ),
    );
    check(
        "{type: RBAC, name: rbac}, {type: RBAC, name: rbac}",
        Err(r#"authorizers[1].type: Duplicate value: "RBAC""#),
    );
    check("{type: RBAC}", Err("authorizers[0].name: Required value"));
    check(
        "{type: Webhook, name: a, webhook: {FINE}}, {type: Webhook, name: a, webhook: {FINE}}",
        Err(r#"authorizers[1].name: Duplicate value: "a""#),
    );
    check("{type: RBAC, name: roles}", Err("expected name rbac for authorizer RBAC instead of roles"));
    check(
        "{type: Webhook, name: a}",
        Err("authorizers[0].webhook: Required value: required when type=Webhook"),
    );
    check(
        "{type: RBAC, name: rbac, webhook: {FINE}}",
        Err(r#"authorizers[0].webhook: Invalid value: "non-null": may only be specified when type=Webhook"#),
    );
}

#[test]
fn webhooks_are_complained_about_in_upstreams_words() {
    let hook = |change: &str, wanted: Result<(), &str>| {
        check_valid(&format!("{{type: Webhook, name: a, webhook: {{{change}}}}}"), wanted);
    };
    hook(
        "connectionInfo: {}",
        Err(
            "[authorizers[0].timeout: Required value, authorizers[0].subjectAccessReviewVersion: Required value, authorizers[0].failurePolicy: Required value, authorizers[0].connectionInfo.type: Required value]",
        ),
    );
    let rest = "subjectAccessReviewVersion: v1, failurePolicy: NoOpinion, connectionInfo: {type: KubeConfigFile, kubeConfigFile: /etc/hook.conf}";
    let long =
        |text: &str| format!(r#"authorizers[0].timeout: Invalid value: "{text}": must be > 0s and <= 30s"#);
    hook(&format!("timeout: 30s, {rest}"), Ok(()));
    hook(&format!("timeout: 31s, {rest}"), Err(&long("31s")));
    hook(&format!("timeout: -1s, {rest}"), Err(&long("-1s")));
    hook(
        &format!("timeout: 3s, authorizedTTL: -1s, unauthorizedTTL: -1s, {rest}"),
        Err(
            r#"[authorizers[0].authorizedTTL: Invalid value: "-1s": must be > 0s, authorizers[0].unauthorizedTTL: Invalid value: "-1s": must be > 0s]"#,
        ),
    );
    hook(
        "timeout: 3s, subjectAccessReviewVersion: v2, failurePolicy: Maybe, connectionInfo: {type: Magic}",
        Err(
            r#"[authorizers[0].subjectAccessReviewVersion: Unsupported value: "v2": supported values: "v1", "v1beta1", authorizers[0].failurePolicy: Unsupported value: "Maybe": supported values: "NoOpinion", "Deny", authorizers[0].connectionInfo.type: Unsupported value: "Magic": supported values: "InClusterConfig", "KubeConfigFile"]"#,
        ),
    );
    let file = |path: &str, why: &str| {
        let change = format!(
            "timeout: 3s, subjectAccessReviewVersion: v1, failurePolicy: Deny, connectionInfo: {{type: KubeConfigFile, kubeConfigFile: '{path}'}}"
        );
        let wanted = format!("authorizers[0].connectionInfo.kubeConfigFile: {why}");
        hook(&change, Err(&wanted));
    };
    file("", "Required value");
    file("hook.conf", r#"Invalid value: "hook.conf": must be an absolute path"#);
    file(
        "/etc/none",
        r#"Invalid value: "/etc/none": error loading file: stat /etc/none: no such file or directory"#,
    );
    file("/etc/dir", r#"Invalid value: "/etc/dir": must be a regular file"#);
    hook(
        "FINE, matchConditions: [{expression: 'true'}]",
        Err(
            "authorizers[0].matchConditionSubjectAccessReviewVersion: Required value: required if match conditions are specified",
        ),
    );
    let rules = |rules: &str, wanted: Result<(), &str>| {
        hook(
            &format!("FINE, matchConditionSubjectAccessReviewVersion: v1, matchConditions: [{rules}]"),
            wanted,
        );
    };
    rules("{expression: request.user == 'a'}, {expression: request.uid == 'b'}", Ok(()));
    rules("{expression: ' '}", Err("authorizers[0].matchConditions[0].expression: Required value"));
    rules(
        "{expression: request.user == 'a'}, {expression: request.user == 'a'}",
        Err(r#"authorizers[0].matchConditions[1].expression: Duplicate value: "request.user == 'a'""#),
    );
    rules(
        "{expression: request.user}",
        Err(
            r#"authorizers[0].matchConditions[0].expression: Invalid value: "request.user": must evaluate to bool but got string"#,
        ),
    );
    rules(
        "{expression: request.colour == 'a'}",
        Err(
            "authorizers[0].matchConditions[0].expression: Invalid value: \"request.colour == 'a'\": compilation failed: ERROR: <input>:1:8: undefined field 'colour'\n | request.colour == 'a'\n | .......^",
        ),
    );
    let many: Vec<String> = (0..65).map(|n| format!("{{expression: request.user == 'u{n}'}}")).collect();
    rules(&many.join(", "), Err("authorizers[0].matchConditions: Too many: 65: must have at most 64 items"));
}

#[test]
fn flags_must_fit_together() {
    let check = |flags: &[&str], wanted: Result<&[Mode], &str>| {
        let flags = std::iter::once("--storage-backend=memory").chain(flags.iter().copied());
        let found = Options::parse(flags)
            .map_err(|e| e.to_string())
            .and_then(|options| Configuration::load(&disk(), &options))
            .map(|c| c.authorizers.iter().map(|entry| entry.mode).collect::<Vec<_>>());
        assert_eq!(found, wanted.map(<[Mode]>::to_vec).map_err(str::to_owned));
    };
    check(&[], Ok(&[Mode::AlwaysAllow]));
    check(&["--authorization-mode=RBAC,Node"], Ok(&[Mode::Rbac, Mode::Node]));
    check(&["--authorization-mode=Magic"], Err(r#"authorization-mode "Magic" is not a valid mode"#));
    check(
        &["--authorization-mode=RBAC,RBAC"],
        Err(r#"authorization-mode ["RBAC" "RBAC"] has mode specified more than once"#),
    );
    check(
        &["--authorization-mode=ABAC,Webhook"],
        Err(
            "[authorization-mode ABAC's authorization policy file not passed, authorization-mode Webhook's authorization config file not passed]",
        ),
    );
    check(
        &["--authorization-policy-file=/p"],
        Err("cannot specify --authorization-policy-file without mode ABAC"),
    );
    check(
        &["--authorization-webhook-config-file=/p"],
        Err("cannot specify --authorization-webhook-config-file without mode Webhook"),
    );
    check(
        &["--authorization-webhook-version=v3"],
        Err(r#"unsupported webhook authorizer version "v3", supported versions are "v1", "v1beta1""#),
    );
    check(
        &["--authorization-config=/c", "--authorization-mode=RBAC"],
        Err(
            "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined",
        ),
    );
    check(
        &["--authorization-config=/c", "--kubernetes-version=1.29"],
        Err(
            "--authorization-config cannot be used without enabling StructuredAuthorizationConfiguration feature flag",
        ),
    );
    check(
        &["--authorization-config=/c", "--kubernetes-version=1.28"],
        Err("unknown flag: --authorization-config"),
    );
    check(&["--authorization-config=/c"], Err("open /c: no such file or directory"));
}

#[test]
fn the_file_is_followed_and_a_bad_one_changes_nothing() {
    world::sim::run(world::sim::Config::default(), |sim| async move {
        let fake = Fake::plain(&sim).await;
        let disk = fake.host.disk().clone();
        disk.create_dir_all("/etc").unwrap();
        let write = |authorizers: &str| disk.write("/etc/authz.yaml", format!("{HEAD}authorizers: [{authorizers}]\n"), 0o600).unwrap();
        write("{type: RBAC, name: rbac}, {type: AlwaysDeny, name: alwaysdeny}");
        let options = Options::parse(["--storage-backend=memory", "--authorization-config=/etc/authz.yaml"]).unwrap();
        let configuration = Configuration::load(&disk, &options).unwrap();
        let authz = Authz::start(&fake.host, &options, configuration, &Informers::empty()).unwrap();
        let jane = User::new("jane", &[]);
        let clock = fake.host.clock().clone();
        let allowed = async || authz.authorize(&ask(&jane, "get pods ns p")).await.is_allowed();
        let minute = async || clock.sleep(Duration::from_secs(61)).await;
        assert!(!allowed().await);
        write("{type: RBAC, name: rbac}, {type: AlwaysAllow, name: alwaysallow}");
        assert!(!allowed().await, "nobody looked yet");
        minute().await;
        assert!(!allowed().await, "a mode that was there may not go");
        write("{type: RBAC, name: rbac}, {type: AlwaysDeny, name: alwaysdeny}, {type: Node, name: node}");
        minute().await;
        assert!(!allowed().await, "a mode that was not there may not come");
        write("{type: RBAC, name: rbac}, {type: AlwaysDeny, name: alwaysdeny}, {type: AlwaysAllow, name: alwaysallow}");
        minute().await;
        assert!(allowed().await, "those that need nothing may");
        write("nonsense");
        minute().await;
        assert!(allowed().await, "the last good one stays");
        assert_eq!(json!(authz.rules_for(&jane, "ns").rules.len()), 2);
    })
    .unwrap();
}

#[test]
fn what_must_stay_is_named() {
    let required: BTreeSet<Mode> = [Mode::Rbac, Mode::Node].into();
    let text = format!("{HEAD}authorizers: [{{type: AlwaysAllow, name: alwaysallow}}]\n");
    let error = Configuration::parse(&disk(), 36, text.as_bytes(), &required).unwrap_err();
    assert_eq!(error, "missing required types: [Node RBAC]");
}
