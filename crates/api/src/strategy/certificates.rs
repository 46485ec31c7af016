//! Certificate signing requests.
//!
//! Who asks is for the server to write down ([`stamp_requester`]). This crate looks at the PEM
//! envelope only; whether the request in it parses and is signed by its own key, the server asks of
//! the X.509 code, with the bytes from [`request_der`] or [`certificate_ders`].

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Strategy, check::Complaints, path::Path, restore_all_but, restore_field};
use crate::{kinds::Kind, meta, names, object::ObjectExt};

/// Signer of the time before signers had names; refused since v1.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
/// Shortest life that can be asked for: ten minutes.
const SHORTEST_SECONDS: i64 = 600;
const CONDITIONS: Path<'static> = Path::root("status.conditions");
/// Conditions that are decisions: once taken, they stay.
const DECISIONS: [&str; 3] = ["Approved", "Denied", "Failed"];

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

pub(super) static STRATEGIES: &[Strategy] = &[Strategy {
    create: |_, csr, _| csr.set_at("/status", json!({})),
    update,
    validate,
    validate_update,
    ..Strategy::of("certificates.k8s.io", "CertificateSigningRequest")
}];

/// Writes down who asks, over whatever the client wrote there.
pub fn stamp_requester(
    csr: &mut Value,
    user: &str,
    uid: &str,
    groups: &[String],
    extra: &Map<String, Value>,
) {
    for field in ["username", "uid", "groups", "extra"] {
        csr.remove_at(&format!("/spec/{field}"));
    }
    csr.set_at("/spec/username", user);
    if !uid.is_empty() {
        csr.set_at("/spec/uid", uid);
    }
    if !groups.is_empty() {
        csr.set_at("/spec/groups", groups.to_vec());
    }
    if !extra.is_empty() {
        csr.set_at("/spec/extra", extra.clone());
    }
}

/// The bytes of the request in `spec.request`, or why there are none.
pub fn request_der(csr: &Value) -> Result<Vec<u8>, String> {
    let pem = decode(csr.str_at("/spec/request")).unwrap_or_default();
    match blocks(&pem).into_iter().next() {
        Some(block) if block.label == "CERTIFICATE REQUEST" => Ok(block.der),
        _ => Err("PEM block type must be CERTIFICATE REQUEST".into()),
    }
}

/// The certificates in `status.certificate`, or what is wrong with the envelope. None is fine as long
/// as the field is empty.
pub fn certificate_ders(csr: &Value) -> Result<Vec<Vec<u8>>, String> {
    let text = csr.str_at("/status/certificate");
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let blocks = blocks(&decode(text).unwrap_or_default());
    if blocks.is_empty() {
        return Err("must contain at least one CERTIFICATE PEM block".into());
    }
    let mut certificates = Vec::with_capacity(blocks.len());
    for block in blocks {
        if block.label != "CERTIFICATE" {
            return Err(format!(
                "only CERTIFICATE PEM blocks are allowed, found {}",
                crate::status::quoted(&block.label)
            ));
        }
        if block.headers {
            return Err("no PEM block headers are permitted".into());
        }
        certificates.push(block.der);
    }
    Ok(certificates)
}

fn decode(base64: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(base64).ok()?).ok()
}

struct Block {
    label: String,
    headers: bool,
    der: Vec<u8>,
}

/// The PEM blocks of a text. As in Go, what is damaged is passed over.
fn blocks(pem: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut rest = pem;
    while let Some(start) = rest.find("-----BEGIN ") {
        rest = &rest[start + "-----BEGIN ".len()..];
        let Some((label, body)) = rest.split_once("-----") else { break };
        let Some((body, after)) = body.split_once(&format!("-----END {label}-----")) else { continue };
        rest = after;
        let (headers, lines): (Vec<&str>, Vec<&str>) = body.lines().partition(|line| line.contains(':'));
        let text: String = lines.concat().split_whitespace().collect();
        if let Ok(der) = STANDARD.decode(&text) {
            found.push(Block { label: label.into(), headers: !headers.is_empty(), der });
        }
    }
    found
}

fn update(_kind: &Kind, new: &mut Value, old: &Value, subresource: &str, now: Timestamp) {
    match subresource {
        "status" => {
            restore_all_but(new, old, &["status"]);
            stamp_conditions(new, old, now);
        }
        "approval" => {
            // Approval is a matter of conditions; the certificate is the signer's.
            let conditions = new.at("/status/conditions").cloned();
            restore_all_but(new, old, &[]);
            match conditions {
                Some(conditions) => new.set_at("/status/conditions", conditions),
                None => {
                    new.remove_at("/status/conditions");
                }
            }
            stamp_conditions(new, old, now);
        }
        _ => {
            restore_field(new, old, "spec");
            restore_field(new, old, "status");
        }
    }
}

/// Fills in the times of conditions; a condition whose status stays keeps the time of its transition.
fn stamp_conditions(new: &mut Value, old: &Value, now: Timestamp) {
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let before = old.list_at("/status/conditions").to_vec();
    for condition in super::fill::each(new, "/status/conditions") {
        super::fill::fill(condition, "/lastUpdateTime", now.as_str());
        if condition.str_at("/lastTransitionTime").is_empty() {
            let same = before.iter().find(|other| {
                other.str_at("/type") == condition.str_at("/type")
                    && other.str_at("/status") == condition.str_at("/status")
            });
            let kept = same.map(|other| other.str_at("/lastTransitionTime")).filter(|time| !time.is_empty());
            let time = kept.unwrap_or(&now).to_owned();
            condition.set_at("/lastTransitionTime", time);
        }
    }
}

fn validate(csr: &Value, complaints: &mut Complaints) {
    let spec = Path::root("spec");
    if let Err(why) = request_der(csr) {
        complaints.invalid(spec.child("request"), csr.str_at("/spec/request"), why);
    }
    let usages = csr.list_at("/spec/usages");
    let at = spec.child("usages");
    if usages.is_empty() {
        complaints.required(at, "");
    }
    for (index, usage) in usages.iter().enumerate() {
        let word = usage.as_str().unwrap_or_default();
        if !USAGES.contains(&word) {
            complaints.not_supported(at.index(index), word, USAGES);
        }
    }
    for (index, usage) in usages.iter().enumerate() {
        if usages[..index].contains(usage) {
            complaints.duplicate(at.index(index), usage.clone());
        }
    }
    let signer = csr.str_at("/spec/signerName");
    if signer == LEGACY_SIGNER {
        complaints.invalid(
            spec.child("signerName"),
            signer,
            "the legacy signerName is not allowed via this API version",
        );
    } else {
        signer_name(signer, spec.child("signerName"), complaints);
    }
    if let Some(seconds) = csr.i64_at("/spec/expirationSeconds")
        && seconds < SHORTEST_SECONDS
    {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        complaints.invalid(spec.child("expirationSeconds"), seconds, detail);
    }
}

/// `<domain>/<path>`: a domain of at least two labels, a path of labels with dots between them.
fn signer_name(signer: &str, at: Path<'_>, complaints: &mut Complaints) {
    if signer.is_empty() {
        return complaints.required(at, "");
    }
    let Some((domain, path)) = signer.split_once('/').filter(|(_, path)| !path.contains('/')) else {
        return complaints.invalid(
            at,
            signer,
            "must be a fully qualified domain and path of the form 'example.com/signer-name'",
        );
    };
    complaints.each(at, domain, names::dns1123_subdomain(domain));
    if domain.split('.').count() < 2 {
        complaints.invalid(at, domain, "should be a domain with at least two segments separated by dots");
    }
    for part in path.split('.') {
        complaints.each(at, path, names::dns1123_subdomain(part));
    }
    // The longest domain, a slash, and room for a path.
    if signer.len() > 571 {
        complaints.too_long(at, 571);
    }
}

fn validate_update(new: &Value, old: &Value, subresource: &str, complaints: &mut Complaints) {
    conditions(new, old, complaints);
    let of_type = |csr: &Value, kind: &str| -> Vec<Value> {
        csr.list_at("/status/conditions").iter().filter(|c| c.str_at("/type") == kind).cloned().collect()
    };
    for kind in DECISIONS {
        if of_type(new, kind).len() < of_type(old, kind).len() {
            complaints
                .forbidden(CONDITIONS, format!("updates may not remove a condition of type \"{kind}\""));
        }
    }
    if subresource != "approval" {
        for kind in ["Approved", "Denied"] {
            let (now, before) = (of_type(new, kind), of_type(old, kind));
            if now.len() > before.len() {
                complaints
                    .forbidden(CONDITIONS, format!("updates may not add a condition of type \"{kind}\""));
            } else if now.len() == before.len() && !meta::semantic_eq(Some(&now.into()), Some(&before.into()))
            {
                complaints
                    .forbidden(CONDITIONS, format!("updates may not modify a condition of type \"{kind}\""));
            }
        }
    }
    let (now, before) = (new.str_at("/status/certificate"), old.str_at("/status/certificate"));
    if now == before {
        return;
    }
    let at = Path::root("status.certificate");
    if let Err(why) = certificate_ders(new) {
        complaints.invalid(at, "<certificate data>", why);
    }
    if subresource != "status" {
        complaints.forbidden(at, "updates may not set certificate content");
    } else if !before.is_empty() {
        complaints.forbidden(at, "updates may not modify existing certificate content");
    }
}

fn conditions(new: &Value, old: &Value, complaints: &mut Complaints) {
    let list = new.list_at("/status/conditions");
    // What was stored before these rules is left alone.
    let both = |csr: &Value| {
        ["Approved", "Denied"]
            .iter()
            .all(|kind| csr.list_at("/status/conditions").iter().any(|c| c.str_at("/type") == *kind))
    };
    let lenient = both(old);
    for (index, condition) in list.iter().enumerate() {
        let at = CONDITIONS.index(index);
        let kind = condition.str_at("/type");
        if kind.is_empty() {
            complaints.required(at.child("type"), "");
        }
        let allowed: &[&str] =
            if DECISIONS.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
        complaints.one_of(at.child("status"), condition.str_at("/status"), allowed);
        let earlier = |other: &str| list[..index].iter().any(|c| c.str_at("/type") == other);
        let opposite = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !lenient && !opposite.is_empty() && earlier(opposite) {
            complaints.invalid(
                at.child("type"),
                kind,
                "Approved and Denied conditions are mutually exclusive",
            );
        }
        if earlier(kind) {
            complaints.duplicate(at.child("type"), kind);
        }
    }
}
