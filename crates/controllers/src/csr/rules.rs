//! What a request must look like for each signer (`pkg/apis/certificates/helpers.go`).

use std::collections::BTreeSet;

use pki::csr::Csr;

pub(super) const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
pub(super) const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
pub(super) const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
pub(super) const LEGACY_UNKNOWN: &str = "kubernetes.io/legacy-unknown";

const NODES: &str = "system:nodes";
const NODE_PREFIX: &str = "system:node:";

/// Whether `signer` may sign a request of this shape; the failure in upstream's words and order.
pub(super) fn validate(signer: &str, csr: &Csr, usages: &[&str]) -> Result<(), String> {
    match signer {
        KUBELET_CLIENT => kubelet_client(csr, usages),
        KUBELET_SERVING => kubelet_serving(csr, usages),
        CLIENT => api_client(usages),
        _ => Ok(()),
    }
}

fn kubelet_client(csr: &Csr, usages: &[&str]) -> Result<(), String> {
    require(csr.organizations() == [NODES], "subject organization is not system:nodes")?;
    require(csr.dns_names().is_empty(), "DNS subjectAltNames are not allowed")?;
    require(csr.emails().is_empty(), "Email subjectAltNames are not allowed")?;
    require(csr.ips().is_empty(), "IP subjectAltNames are not allowed")?;
    require(csr.uris().is_empty(), "URI subjectAltNames are not allowed")?;
    require(
        csr.common_name().starts_with(NODE_PREFIX),
        "subject common name does not begin with system:node:",
    )?;
    exact_usages("client auth", usages)
}

fn kubelet_serving(csr: &Csr, usages: &[&str]) -> Result<(), String> {
    require(csr.organizations() == [NODES], "subject organization is not system:nodes")?;
    require(!csr.dns_names().is_empty() || !csr.ips().is_empty(), "DNS or IP subjectAltName is required")?;
    require(csr.emails().is_empty(), "Email subjectAltNames are not allowed")?;
    require(csr.uris().is_empty(), "URI subjectAltNames are not allowed")?;
    exact_usages("server auth", usages)?;
    require(
        csr.common_name().starts_with(NODE_PREFIX),
        "subject common name does not begin with system:node:",
    )
}

fn api_client(usages: &[&str]) -> Result<(), String> {
    let allowed = ["digital signature", "key encipherment", "client auth"];
    if let Some(other) = usages.iter().find(|u| !allowed.contains(u)) {
        return Err(format!("invalid usage for client certificate: {other}"));
    }
    require(usages.contains(&"client auth"), "missing required usage for client certificate: client auth")
}

/// Digital signature and `purpose`, with or without key encipherment, and nothing else.
fn exact_usages(purpose: &str, usages: &[&str]) -> Result<(), String> {
    let got: BTreeSet<&str> = usages.iter().copied().collect();
    let short = BTreeSet::from([purpose, "digital signature"]);
    let long = BTreeSet::from([purpose, "digital signature", "key encipherment"]);
    let words = format!("usages did not match [{purpose} digital signature key encipherment]");
    require(got == short || got == long, &words)
}

fn require(holds: bool, words: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(words.to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use pki::{KeyAlgorithm, PrivateKey};

    use super::*;

    fn check(
        signer: &str,
        cn: &str,
        orgs: &[&str],
        dns: &[&str],
        ips: &[IpAddr],
        usages: &[&str],
        expect: Result<(), &str>,
    ) {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let pem = Csr::create(&key, cn, &own(orgs), &own(dns), ips).expect("a request");
        let csr = Csr::parse(pem.as_bytes()).expect("readable");
        assert_eq!(validate(signer, &csr, usages), expect.map_err(str::to_owned), "{signer} {cn} {orgs:?}");
    }

    const USE: &[&str] = &["digital signature", "client auth"];
    const SERVE: &[&str] = &["digital signature", "server auth", "key encipherment"];

    #[test]
    fn kubelet_clients() {
        let org = &["system:nodes"][..];
        check(KUBELET_CLIENT, "system:node:a", org, &[], &[], USE, Ok(()));
        check(
            KUBELET_CLIENT,
            "system:node:a",
            &["x"],
            &[],
            &[],
            USE,
            Err("subject organization is not system:nodes"),
        );
        check(
            KUBELET_CLIENT,
            "system:node:a",
            org,
            &["a"],
            &[],
            USE,
            Err("DNS subjectAltNames are not allowed"),
        );
        check(
            KUBELET_CLIENT,
            "system:node:a",
            org,
            &[],
            &[[10, 0, 0, 1].into()],
            USE,
            Err("IP subjectAltNames are not allowed"),
        );
        check(
            KUBELET_CLIENT,
            "a",
            org,
            &[],
            &[],
            USE,
            Err("subject common name does not begin with system:node:"),
        );
        let words = "usages did not match [client auth digital signature key encipherment]";
        check(KUBELET_CLIENT, "system:node:a", org, &[], &[], &["client auth"], Err(words));
    }

    #[test]
    fn kubelet_servers() {
        let org = &["system:nodes"][..];
        check(KUBELET_SERVING, "system:node:a", org, &["a"], &[], SERVE, Ok(()));
        check(
            KUBELET_SERVING,
            "system:node:a",
            org,
            &[],
            &[],
            SERVE,
            Err("DNS or IP subjectAltName is required"),
        );
        let words = "usages did not match [server auth digital signature key encipherment]";
        check(KUBELET_SERVING, "a", org, &["a"], &[], USE, Err(words));
    }

    #[test]
    fn other_clients() {
        check(CLIENT, "bob", &[], &[], &[], USE, Ok(()));
        check(CLIENT, "bob", &[], &[], &[], SERVE, Err("invalid usage for client certificate: server auth"));
        check(
            CLIENT,
            "bob",
            &[],
            &[],
            &[],
            &[],
            Err("missing required usage for client certificate: client auth"),
        );
    }
}
