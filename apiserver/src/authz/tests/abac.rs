//! Policy files that cannot be used, and what a subject may do as a list.

use std::path::Path;

use world::{Disk, MemoryDisk};

use crate::{
    authz::{abac::Abac, rule::Rule},
    identity::User,
};

fn load(text: &str) -> Result<Abac, String> {
    let disk = Disk::memory(std::sync::Arc::new(MemoryDisk::default()));
    disk.create_dir_all("/etc").unwrap();
    disk.write("/etc/policy.jsonl", text, 0o600).unwrap();
    Abac::file(&disk, Path::new("/etc/policy.jsonl")).map_err(|e| e.to_string())
}

#[test]
fn a_line_that_is_no_policy_is_named() {
    let check = |line: &str, why: Option<&str>| {
        let found = load(&format!("# first\n{line}\n")).map(drop);
        let wanted =
            why.map(|why| format!("error reading policy file /etc/policy.jsonl, line 2: {line}: {why}"));
        assert_eq!(found.err(), wanted, "{line}");
    };
    check(r#"{"user":"bob"}"#, None);
    check("{}", None);
    check("", None);
    check(r#"{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy"}"#, None);
    check(r#"{"user":"bob","colour":"red"}"#, None);
    check("bob", Some("couldn't get version/kind; json parse error: expected value at line 1 column 1"));
    check(
        "[]",
        Some(
            "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct",
        ),
    );
    check(
        r#"{"apiVersion":"abac.authorization.kubernetes.io/v2","kind":"Policy"}"#,
        Some(
            r#"no kind "Policy" is registered for version "abac.authorization.kubernetes.io/v2" in scheme "pkg/apis/abac/register.go""#,
        ),
    );
    check(
        r#"{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Polite"}"#,
        Some(
            r#"no kind "Polite" is registered for version "abac.authorization.kubernetes.io/v1beta1" in scheme "pkg/apis/abac/register.go""#,
        ),
    );
    check(
        r#"{"user":7}"#,
        Some("json: cannot unmarshal number into Go struct field Policy.user of type string"),
    );
    check(
        r#"{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"readonly":"yes"}}"#,
        Some("json: cannot unmarshal string into Go struct field PolicySpec.spec.readonly of type bool"),
    );
}

#[test]
fn no_file_is_no_start() {
    let disk = Disk::memory(std::sync::Arc::new(MemoryDisk::default()));
    let error = Abac::file(&disk, Path::new("/etc/none")).unwrap_err().to_string();
    assert_eq!(error, "open /etc/none: no such file or directory");
}

#[test]
fn rules_of_a_subject_in_a_namespace() {
    let abac = load(
        r#"{"readonly":true,"resource":"events"}
{"user":"alice","namespace":"caribou"}
{"group":"walkers","readonly":true}
{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"alice","nonResourcePath":"/x"}}
"#,
    )
    .unwrap();
    let check = |user: User, namespace: &str, wanted: &[&str]| {
        let found: Vec<String> = abac.rules_for(&user, namespace).iter().map(Rule::to_string).collect();
        assert_eq!(found, wanted, "{} in {namespace}", user.name);
    };
    let events = r#"{APIGroups:["*"], Resources:["events"], Verbs:["get" "list" "watch"]}"#;
    let all = r#"{APIGroups:["*"], Resources:["*"], Verbs:["*"]}"#;
    let alice = || User::new("alice", &["system:authenticated"]);
    check(alice(), "caribou", &[events, all]);
    check(alice(), "elsewhere", &[events]);
    let reading = [
        r#"{APIGroups:["*"], Resources:["*"], Verbs:["get" "list" "watch"]}"#,
        r#"{NonResourceURLs:["*"], Verbs:["get" "list" "watch"]}"#,
    ];
    check(User::new("w", &["walkers"]), "any", &reading);
    check(User::new("nobody", &[]), "caribou", &[]);
}
