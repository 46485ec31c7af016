//! Certificate signing requests.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;
use crate::strategy::certificates::{certificate_ders, request_der, stamp_requester};

const CSR: &str = "CertificateSigningRequest.certificates.k8s.io";

fn pem(label: &str, bytes: &[u8]) -> String {
    STANDARD.encode(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(bytes)))
}

fn csr(spec: Value) -> Value {
    let mut object = json!({"metadata": {"name": "csr-1"}, "spec": {"request": pem("CERTIFICATE REQUEST", b"request"),
        "signerName": "kubernetes.io/kube-apiserver-client-kubelet", "usages": ["digital signature", "client auth"]}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    object
}

#[test]
fn rules() {
    check_create(CSR, csr(json!({})), &[]);
    check_create(
        CSR,
        csr(json!({"request": "bm90IHBlbQ=="})),
        &["spec.request: Invalid value: \"bm90IHBlbQ==\": PEM block type must be CERTIFICATE REQUEST"],
    );
    let key = pem("PRIVATE KEY", b"x");
    check_create(
        CSR,
        csr(json!({"request": key})),
        &[&format!("spec.request: Invalid value: \"{key}\": PEM block type must be CERTIFICATE REQUEST")],
    );
    check_create(CSR, csr(json!({"usages": []})), &["spec.usages: Required value"]);
    check_create(
        CSR,
        csr(json!({"usages": ["client auth", "client auth"]})),
        &["spec.usages[1]: Duplicate value: \"client auth\""],
    );
    let created = created(CSR, csr(json!({"usages": ["sign anything"]})));
    assert!(words(validate_create(kind(CSR), &created))[0].starts_with(
        "spec.usages[0]: Unsupported value: \"sign anything\": supported values: \"any\", \"cert sign\""
    ));
    check_create(CSR, csr(json!({"signerName": ""})), &["spec.signerName: Required value"]);
    check_create(
        CSR,
        csr(json!({"signerName": "kubernetes.io/legacy-unknown"})),
        &[
            "spec.signerName: Invalid value: \"kubernetes.io/legacy-unknown\": the legacy signerName is not allowed via this API version",
        ],
    );
    check_create(
        CSR,
        csr(json!({"signerName": "nodomain"})),
        &[
            "spec.signerName: Invalid value: \"nodomain\": must be a fully qualified domain and path of the form 'example.com/signer-name'",
        ],
    );
    check_create(
        CSR,
        csr(json!({"signerName": "local/x"})),
        &[
            "spec.signerName: Invalid value: \"local\": should be a domain with at least two segments separated by dots",
        ],
    );
    check_create(
        CSR,
        csr(json!({"expirationSeconds": 599})),
        &[
            "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)",
        ],
    );
    check_create(CSR, csr(json!({"expirationSeconds": 600})), &[]);
}

#[test]
fn who_asks_is_written_by_the_server() {
    let mut object =
        csr(json!({"username": "root", "uid": "0", "groups": ["system:masters"], "extra": {"a": ["b"]}}));
    stamp_requester(
        &mut object,
        "system:bootstrap:abcdef",
        "",
        &["system:bootstrappers".into()],
        &Map::new(),
    );
    let spec = &object["spec"];
    assert_eq!(
        (spec.str_at("/username"), &spec["groups"]),
        ("system:bootstrap:abcdef", &json!(["system:bootstrappers"]))
    );
    assert_eq!((spec.get("uid"), spec.get("extra")), (None, None));
}

#[test]
fn a_new_request_is_undecided() {
    let mut object = csr(json!({}));
    object.set_at(
        "/status",
        json!({"conditions": [{"type": "Approved", "status": "True"}], "certificate": "eA=="}),
    );
    assert_eq!(created(CSR, object)["status"], json!({}));
}

fn condition(kind: &str, status: &str) -> Value {
    json!({"type": kind, "status": status, "lastUpdateTime": NOW, "lastTransitionTime": NOW})
}

/// Updates a stored request, with `before` as its status, to `after` through a subresource.
#[track_caller]
fn check_status(before: Value, after: Value, subresource: &str, expected: &[&str]) {
    let mut old = created(CSR, csr(json!({})));
    old.set_at("/status", before);
    let mut new = old.clone();
    new.set_at("/status", after);
    let (_, errors) = updated(CSR, &old, new, subresource);
    assert_eq!(errors, expected);
}

#[test]
fn decisions_are_taken_once_and_at_one_place() {
    let approved = || json!({"conditions": [condition("Approved", "True")]});
    check_status(json!({}), approved(), "approval", &[]);
    check_status(
        json!({}),
        approved(),
        "status",
        &["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""],
    );
    for subresource in ["approval", "status"] {
        check_status(
            approved(),
            json!({}),
            subresource,
            &["status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""],
        );
    }
    check_status(
        approved(),
        json!({"conditions": [condition("Approved", "True"), condition("Denied", "True")]}),
        "approval",
        &[
            "status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive",
        ],
    );
    check_status(
        json!({}),
        json!({"conditions": [condition("Approved", "False"), condition("", "")]}),
        "approval",
        &[
            "status.conditions[0].status: Unsupported value: \"False\": supported values: \"True\"",
            "status.conditions[1].type: Required value",
            "status.conditions[1].status: Required value",
        ],
    );
    check_status(
        approved(),
        json!({"conditions": [condition("Approved", "True"), condition("Approved", "True")]}),
        "approval",
        &["status.conditions[1].type: Duplicate value: \"Approved\""],
    );
    check_status(
        approved(),
        json!({"conditions": [condition("Approved", "True"), condition("Failed", "True")]}),
        "status",
        &[],
    );
}

#[test]
fn the_certificate_is_the_signers() {
    let certificate = pem("CERTIFICATE", b"one");
    check_status(json!({}), json!({"certificate": certificate}), "status", &[]);
    check_status(
        json!({"certificate": certificate}),
        json!({"certificate": pem("CERTIFICATE", b"two")}),
        "status",
        &["status.certificate: Forbidden: updates may not modify existing certificate content"],
    );
    check_status(
        json!({}),
        json!({"certificate": pem("PRIVATE KEY", b"x")}),
        "status",
        &[
            "status.certificate: Invalid value: \"<certificate data>\": only CERTIFICATE PEM blocks are allowed, found \"PRIVATE KEY\"",
        ],
    );
    check_status(
        json!({}),
        json!({"certificate": "bm90aGluZw=="}),
        "status",
        &[
            "status.certificate: Invalid value: \"<certificate data>\": must contain at least one CERTIFICATE PEM block",
        ],
    );
    // Through the approval endpoint the certificate is put back before anybody looks.
    check_status(json!({}), json!({"certificate": certificate}), "approval", &[]);
}

#[test]
fn each_endpoint_writes_its_own_part() {
    let mut old = created(CSR, csr(json!({})));
    old.set_at("/status", json!({"conditions": [{"type": "Odd", "status": "True", "lastTransitionTime": "2025-01-01T00:00:00Z"}]}));
    let mut new = old.clone();
    new.set_at("/spec/signerName", "other.io/x");
    new.set_at(
        "/status/conditions",
        json!([{"type": "Odd", "status": "True"}, {"type": "Approved", "status": "True"}]),
    );
    new.set_at("/status/certificate", "eA==");
    new.set_label("a", "b");

    let main = updated(CSR, &old, new.clone(), "").0;
    assert_eq!((&main["spec"], &main["status"], main.label("a")), (&old["spec"], &old["status"], Some("b")));

    let approval = updated(CSR, &old, new.clone(), "approval").0;
    assert_eq!((&approval["spec"], approval["status"].get("certificate")), (&old["spec"], None));
    assert_eq!(
        approval["status"]["conditions"],
        json!([
            {"type": "Odd", "status": "True", "lastUpdateTime": NOW, "lastTransitionTime": "2025-01-01T00:00:00Z"},
            {"type": "Approved", "status": "True", "lastUpdateTime": NOW, "lastTransitionTime": NOW},
        ])
    );

    let status = updated(CSR, &old, new, "status").0;
    assert_eq!((&status["spec"], status.str_at("/status/certificate")), (&old["spec"], "eA=="));
}

#[test]
fn envelopes() {
    assert_eq!(request_der(&csr(json!({}))), Ok(b"request".to_vec()));
    let two = format!(
        "{}{}",
        "-----BEGIN CERTIFICATE-----\nb25l\n-----END CERTIFICATE-----\n",
        "noise\n-----BEGIN CERTIFICATE-----\ndHdv\n-----END CERTIFICATE-----"
    );
    let with = |text: &str| json!({"status": {"certificate": STANDARD.encode(text)}});
    assert_eq!(certificate_ders(&with(&two)), Ok(vec![b"one".to_vec(), b"two".to_vec()]));
    let headers = "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n\nb25l\n-----END CERTIFICATE-----\n";
    assert_eq!(certificate_ders(&with(headers)), Err("no PEM block headers are permitted".into()));
    assert_eq!(certificate_ders(&json!({})), Ok(Vec::new()));
    assert!(certificate_ders(&with("-----BEGIN CERTIFICATE-----\n-----BEGIN ")).is_err());
}
