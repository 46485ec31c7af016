//! Artefacts as text that a reader takes in at a glance: certificates, requests, kubeconfigs, files. Nothing that is a
//! key is shown, and no signature but in its beginning.

use api::object::ObjectExt as _;
use pki::{Certificate, ExtendedUsage, KeyUsage, csr::Csr, kubeconfig::Kubeconfig};
use serde_json::Value;
use world::{Event, Host, rfc3339};

const KEY_USAGES: &[(&str, KeyUsage)] = &[
    ("digital signature", KeyUsage::DIGITAL_SIGNATURE),
    ("key encipherment", KeyUsage::KEY_ENCIPHERMENT),
    ("sign certificates", KeyUsage::CERT_SIGN),
];

/// Rows of a name and a value; those without value are left out.
pub fn rows<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<_> = rows.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

/// As `openssl x509 -subject` writes it.
pub fn subject(organizations: &[String], common_name: &str) -> String {
    let organizations = organizations.iter().map(|o| format!("O = {o}"));
    organizations.chain([format!("CN = {common_name}")]).collect::<Vec<_>>().join(", ")
}

/// What a certificate says.
pub fn certificate(certificate: &Certificate) -> String {
    let usage = certificate.key_usage().unwrap_or_default();
    let usages = KEY_USAGES.iter().filter(|(_, bit)| usage.has(*bit)).map(|(name, _)| (*name).to_owned());
    let extended = certificate.usages().iter().map(|usage| match usage {
        ExtendedUsage::ServerAuth => "server auth".to_owned(),
        ExtendedUsage::ClientAuth => "client auth".to_owned(),
        other => format!("{other:?}"),
    });
    let self_signed = certificate.subject_der() == certificate.issuer_der();
    rows([
        ("subject", subject(certificate.organizations(), certificate.subject_cn())),
        ("issuer", format!("CN = {}{}", certificate.issuer_cn(), if self_signed { " (itself)" } else { "" })),
        ("not before", rfc3339(certificate.not_before())),
        ("not after", rfc3339(certificate.not_after())),
        ("authority", if certificate.is_ca() { "yes".into() } else { String::new() }),
        ("usages", usages.chain(extended).collect::<Vec<_>>().join(", ")),
        ("names", names(certificate.dns_names(), certificate.ip_addresses())),
    ])
}

fn names(dns: &[String], ips: &[std::net::IpAddr]) -> String {
    let dns = dns.iter().map(|name| format!("DNS {name}"));
    dns.chain(ips.iter().map(|ip| format!("IP {ip}"))).collect::<Vec<_>>().join(", ")
}

/// What a CertificateSigningRequest asks for: the object's part, and the PEM inside decoded.
///
/// # Errors
/// The request in it is none.
pub fn signing_request(object: &Value) -> Result<String, pki::csr::CsrError> {
    let request = api::object::unbase64(object.str_at("/spec/request")).unwrap_or_default();
    let csr = Csr::parse(&request)?;
    let words = |pointer: &str| {
        let list = object.list_at(pointer).iter().filter_map(Value::as_str);
        list.collect::<Vec<_>>().join(", ")
    };
    Ok(rows([
        ("name", object.name().to_owned()),
        ("spec.username", object.str_at("/spec/username").to_owned()),
        ("spec.groups", words("/spec/groups")),
        ("spec.signerName", object.str_at("/spec/signerName").to_owned()),
        ("spec.usages", words("/spec/usages")),
        (
            "spec.request",
            format!("a PKCS#10 request for {}", subject(csr.organizations(), csr.common_name())),
        ),
        ("  its names", names(csr.dns_names(), csr.ips())),
    ]))
}

/// A kubeconfig; embedded PEM is left out.
pub fn kubeconfig(config: &Kubeconfig) -> String {
    elided(&config.to_yaml())
}

/// A YAML file with what stands in base64 left out.
pub fn elided(yaml: &str) -> String {
    let line = |line: &str| match line.split_once("-data: ") {
        Some((key, _)) => format!("{key}-data: …\n"),
        None => format!("{line}\n"),
    };
    yaml.lines().map(line).collect()
}

/// An object, or a part of one, as YAML.
pub fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_default()
}

/// One field of a record.
pub fn field<'e>(event: &'e Event, key: &str) -> &'e str {
    event.fields.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str()).unwrap_or_default()
}

/// Requests as the API server recorded them: whom it took the caller for, what was asked, what it answered. The same
/// request several times in a row is one line.
pub fn requests<'e>(events: impl IntoIterator<Item = &'e Event>) -> String {
    let mut rows: Vec<([String; 4], usize)> = Vec::new();
    for event in events.into_iter().filter(|event| event.kind == "request") {
        let row = ["user", "verb", "path", "code"].map(|key| field(event, key).to_owned());
        match rows.last_mut() {
            Some((last, times)) if *last == row => *times += 1,
            _ => rows.push((row, 1)),
        }
    }
    let width = |n: usize| rows.iter().map(|(row, _)| row[n].len()).max().unwrap_or_default();
    let (user, verb) = (width(0), width(1));
    let line = |([who, what, path, code], times): &([String; 4], usize)| {
        let times = if *times > 1 { format!("  (×{times})") } else { String::new() };
        format!("{who:<user$}  {what:<verb$}  {code}  {path}{times}\n")
    };
    rows.iter().map(line).collect()
}

/// The files below `directory`, with modes; links with their targets.
pub fn files(host: &Host, directory: &str) -> String {
    let mut text = String::new();
    for path in paths(host, directory) {
        let Some(stat) = host.disk().stat(&path) else { continue };
        text += &match host.disk().read_link(&path) {
            Ok(target) => format!("      {path} -> {}\n", target.display()),
            Err(_) => format!("{:04o}  {path}\n", stat.mode),
        };
    }
    text
}

/// The paths of the files below a directory, sorted; links are not followed.
pub fn paths(host: &Host, directory: &str) -> Vec<String> {
    let mut names = host.disk().list(directory).unwrap_or_default();
    names.sort();
    let mut found = Vec::new();
    for name in names {
        let path = format!("{directory}/{name}");
        match host.disk().stat(&path).map(|stat| stat.kind) {
            Some(world::FileKind::Dir) => found.extend(paths(host, &path)),
            Some(_) => found.push(path),
            None => {}
        }
    }
    found
}

/// A span in the largest unit that makes it a whole number: `365 d`, `24 h`, `90 s`.
pub fn span(seconds: i64) -> String {
    match seconds {
        s if s % 86_400 == 0 => format!("{} d", s / 86_400),
        s if s % 3600 == 0 => format!("{} h", s / 3600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}
