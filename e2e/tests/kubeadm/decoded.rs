//! A host's files as text that does not change from run to run: modes, and what certificates and kubeconfigs say.
//! Keys, serials and pins are left out, as nothing can seed them.

use std::net::IpAddr;

use pki::{Certificate, ExtendedUsage, KeyUsage, kubeconfig::Kubeconfig};
use world::{FileKind, Host};

const KEY_USAGES: &[(&str, KeyUsage)] = &[
    ("Digital Signature", KeyUsage::DIGITAL_SIGNATURE),
    ("Key Encipherment", KeyUsage::KEY_ENCIPHERMENT),
    ("Certificate Sign", KeyUsage::CERT_SIGN),
];

/// Every file below the directories, sorted by path.
pub fn tree(host: &Host, dirs: &[&str]) -> String {
    let mut text = String::new();
    for dir in dirs {
        for path in files(host, dir) {
            describe(host, &path, &mut text);
        }
    }
    text
}

/// The paths of all files below a directory; pods' own directories are the kubelet's scratch.
pub fn files(host: &Host, dir: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in host.disk().list(dir).unwrap_or_default() {
        let path = format!("{dir}/{name}");
        match host.disk().stat(&path).map(|stat| stat.kind) {
            Some(FileKind::Dir) if name == "pods" => {}
            Some(FileKind::Dir) => found.extend(files(host, &path)),
            Some(_) => found.push(path),
            None => {}
        }
    }
    found
}

fn describe(host: &Host, path: &str, text: &mut String) {
    let stat = host.disk().stat(path).expect("listed");
    if stat.kind == FileKind::Symlink {
        let target = host.disk().read_link(path).expect("a link");
        text.push_str(&format!("{path} -> {}\n", target.display()));
        return;
    }
    text.push_str(&format!("{path} {:04o}\n", stat.mode));
    if path.ends_with(".crt") || path.ends_with(".pem") {
        let pem = host.disk().read(path).expect("there");
        for certificate in Certificate::parse_pem(&pem).expect(path) {
            lines(&certificate, text);
        }
    } else if path.ends_with(".conf") {
        let config = Kubeconfig::load(host.disk(), path).expect(path);
        let (cluster, server) = config.cluster().expect(path);
        text.push_str(&format!(
            "    context {} cluster {cluster} server {}\n",
            config.current_context, server.server
        ));
        if let Some(leaf) = config.client_pair(host.disk()).expect(path).and_then(|pair| pair.leaf().cloned())
        {
            lines(&leaf, text);
        }
    } else if path.ends_with(".yaml") || path.ends_with(".env") {
        for line in host.disk().read_to_string(path).expect("there").lines() {
            text.push_str(&format!("    {line}\n"));
        }
    }
}

/// Subject, issuer, validity, usages and names of a certificate.
fn lines(certificate: &Certificate, text: &mut String) {
    let mut line = |what: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("    {what}: {value}\n"));
        }
    };
    line("subject", subject(certificate));
    line("issuer", format!("CN = {}", certificate.issuer_cn()));
    line("not before", world::rfc3339(certificate.not_before()));
    line("not after", world::rfc3339(certificate.not_after()));
    line("authority", if certificate.is_ca() { "yes".into() } else { String::new() });
    line("key usage", key_usages(certificate).join(", "));
    line("extended key usage", extended_usages(certificate).join(", "));
    line("names", names(certificate).join(", "));
}

/// As `openssl x509 -subject` prints it.
pub fn subject(certificate: &Certificate) -> String {
    let organizations = certificate.organizations().iter().map(|o| format!("O = {o}"));
    organizations.chain([format!("CN = {}", certificate.subject_cn())]).collect::<Vec<_>>().join(", ")
}

/// As `openssl x509 -text` names them.
pub fn key_usages(certificate: &Certificate) -> Vec<&'static str> {
    let usage = certificate.key_usage().unwrap_or_default();
    KEY_USAGES.iter().filter(|(_, bit)| usage.has(*bit)).map(|(name, _)| *name).collect()
}

/// As `openssl x509 -text` names them.
pub fn extended_usages(certificate: &Certificate) -> Vec<String> {
    let name = |usage: &ExtendedUsage| match usage {
        ExtendedUsage::ServerAuth => "TLS Web Server Authentication".to_owned(),
        ExtendedUsage::ClientAuth => "TLS Web Client Authentication".to_owned(),
        other => format!("{other:?}"),
    };
    certificate.usages().iter().map(name).collect()
}

/// As `openssl x509 -text` lists them.
pub fn names(certificate: &Certificate) -> Vec<String> {
    let dns = certificate.dns_names().iter().map(|name| format!("DNS:{name}"));
    dns.chain(certificate.ip_addresses().iter().map(|ip| format!("IP Address:{}", in_full(ip)))).collect()
}

/// OpenSSL shortens no address.
fn in_full(ip: &IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => ip.segments().map(|segment| format!("{segment:X}")).join(":"),
    }
}
