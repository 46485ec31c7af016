//! Who may do what: RBAC bindings, service accounts, certificate signing requests.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{AGE, Column, NAME, Printer, age, human, text};
use crate::object::ObjectExt;

const BINDING: &[Column] = &[
    NAME,
    Column::text("Role", "The role that is granted."),
    AGE,
    Column::text("Users", "Users who get it.").wide(),
    Column::text("Groups", "Groups that get it.").wide(),
    Column::text("ServiceAccounts", "Service accounts that get it.").wide(),
];

pub(super) static PRINTERS: &[Printer] = &[
    Printer {
        group: "",
        kind: "ServiceAccount",
        columns: &[NAME, AGE],
        row: |account, now| vec![account.name().into(), age(account, now)],
    },
    Printer { group: "rbac.authorization.k8s.io", kind: "RoleBinding", columns: BINDING, row: binding },
    Printer {
        group: "rbac.authorization.k8s.io",
        kind: "ClusterRoleBinding",
        columns: BINDING,
        row: binding,
    },
    Printer {
        group: "certificates.k8s.io",
        kind: "CertificateSigningRequest",
        columns: &[
            NAME,
            AGE,
            Column::text("SignerName", "Who is asked to sign."),
            Column::text("Requestor", "Who asks."),
            Column::text("RequestedDuration", "For how long the certificate should be valid."),
            Column::text("Condition", "How far the request has come."),
        ],
        row: |csr, now| {
            let duration = csr
                .i64_at("/spec/expirationSeconds")
                .map_or_else(|| text::NONE.into(), |seconds| human(SignedDuration::from_secs(seconds)));
            vec![
                csr.name().into(),
                age(csr, now),
                text::or(csr.str_at("/spec/signerName"), text::NONE).into(),
                csr.str_at("/spec/username").into(),
                duration.into(),
                csr_condition(csr).into(),
            ]
        },
    },
];

fn binding(binding: &Value, now: Timestamp) -> Vec<Value> {
    let subjects = |kind: &str| -> Value {
        let of_kind = binding.list_at("/subjects").iter().filter(|subject| subject.str_at("/kind") == kind);
        let names = of_kind.map(|subject| match subject.str_at("/namespace") {
            namespace if kind == "ServiceAccount" && !namespace.is_empty() => {
                format!("{namespace}/{}", subject.str_at("/name"))
            }
            _ => subject.str_at("/name").to_owned(),
        });
        names.collect::<Vec<_>>().join(", ").into()
    };
    vec![
        binding.name().into(),
        format!("{}/{}", binding.str_at("/roleRef/kind"), binding.str_at("/roleRef/name")).into(),
        age(binding, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

fn csr_condition(csr: &Value) -> String {
    let has = |kind| text::find_condition(csr, kind).is_some();
    let mut words = vec![match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    }];
    if has("Failed") {
        words.push("Failed");
    }
    if !csr.str_at("/status/certificate").is_empty() {
        words.push("Issued");
    }
    words.join(",")
}
