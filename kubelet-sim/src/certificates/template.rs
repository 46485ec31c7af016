//! What a certificate is asked for, and whether one that is there will do
//! (`pkg/kubelet/certificate/kubelet.go`).

use std::{collections::BTreeSet, net::IpAddr};

use api::profile::Profile;
use pki::{Certificate, PrivateKey, csr::Csr};

/// What a kubelet's certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To show the apiserver who the node is.
    Client,
    /// To serve the kubelet's own port.
    Serving,
}

impl Purpose {
    /// Who is asked to sign.
    pub(crate) fn signer(self) -> &'static str {
        match self {
            Self::Client => "kubernetes.io/kube-apiserver-client-kubelet",
            Self::Serving => "kubernetes.io/kubelet-serving",
        }
    }

    /// Head of the file names.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Client => "kubelet-client",
            Self::Serving => "kubelet-server",
        }
    }

    /// In upstream's words for errors: `client`, `server`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Serving => "server",
        }
    }

    /// The usages to ask for. Key encipherment makes sense for RSA keys only; older releases asked for
    /// it always.
    pub(crate) fn usages(self, profile: Profile, key: &PrivateKey) -> Vec<&'static str> {
        let mut usages = vec!["digital signature"];
        if key.is_rsa() || profile.csr_always_asks_key_encipherment() {
            usages.push("key encipherment");
        }
        usages.push(match self {
            Self::Client => "client auth",
            Self::Serving => "server auth",
        });
        usages
    }
}

/// Subject and names of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub ips: Vec<IpAddr>,
}

impl Template {
    /// Of the client certificate of `node`.
    pub(crate) fn client(node: &str) -> Self {
        Self {
            common_name: format!("system:node:{node}"),
            organizations: vec!["system:nodes".to_owned()],
            dns_names: Vec::new(),
            ips: Vec::new(),
        }
    }

    /// Of the serving certificate of a node with these addresses (type and address); `None` while
    /// there are too few to ask.
    pub(crate) fn serving(node: &str, addresses: &[(String, String)], dns_will_do: bool) -> Option<Self> {
        let (mut names, mut ips) = (BTreeSet::new(), BTreeSet::new());
        for (kind, address) in addresses.iter().filter(|(_, address)| !address.is_empty()) {
            match (kind.as_str(), address.parse::<IpAddr>()) {
                ("Hostname" | "ExternalIP" | "InternalIP", Ok(ip)) => _ = ips.insert((ip.to_string(), ip)),
                ("Hostname" | "ExternalDNS" | "InternalDNS", _) => _ = names.insert(address.clone()),
                _ => {}
            }
        }
        let enough = !ips.is_empty() || dns_will_do && !names.is_empty();
        if !enough {
            return None;
        }
        let ips = ips.into_iter().map(|(_, ip)| ip).collect();
        Some(Self { dns_names: names.into_iter().collect(), ips, ..Self::client(node) })
    }

    /// The request for `key`, as PEM.
    pub(crate) fn request(&self, key: &PrivateKey) -> Result<String, String> {
        Csr::create(key, &self.common_name, &self.organizations, &self.dns_names, &self.ips)
            .map_err(|e| format!("unable to create a csr from the private key: {e}"))
    }

    /// Why `leaf` will not do; `None` if it will. What it has beyond the wanted does not matter.
    pub(crate) fn missing_in(&self, leaf: &Certificate) -> Option<String> {
        if self.common_name != leaf.subject_cn() {
            return Some(format!(
                "Current certificate CN does not match requested CN: {:?} instead of {:?}",
                leaf.subject_cn(),
                self.common_name
            ));
        }
        let lacks = |what: &str, wanted: Vec<String>, has: Vec<String>| {
            let missing: Vec<String> = wanted.into_iter().filter(|w| !has.contains(w)).collect();
            (!missing.is_empty())
                .then(|| format!("Current certificate is missing requested {what}: {missing:?}"))
        };
        let texts = |ips: &[IpAddr]| ips.iter().map(IpAddr::to_string).collect();
        lacks("DNS names", self.dns_names.clone(), leaf.dns_names().to_vec())
            .or_else(|| lacks("IP addresses", texts(&self.ips), texts(leaf.ip_addresses())))
            .or_else(|| lacks("orgs", self.organizations.clone(), leaf.organizations().to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use pki::KeyAlgorithm;

    use super::*;

    #[test]
    fn addresses_become_names_in_order() {
        let check = |addresses: &[(&str, &str)], dns_will_do, expect: Option<(&[&str], &[&str])>| {
            let own: Vec<_> = addresses.iter().map(|(k, a)| ((*k).to_owned(), (*a).to_owned())).collect();
            let got = Template::serving("n1", &own, dns_will_do);
            let got = got.map(|t| (t.dns_names, t.ips.iter().map(IpAddr::to_string).collect::<Vec<_>>()));
            let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
            assert_eq!(got, expect.map(|(dns, ips)| (own(dns), own(ips))), "{addresses:?}");
        };
        let host = ("Hostname", "n1");
        check(&[], true, None);
        check(&[host], false, None);
        check(&[host], true, Some((&["n1"], &[])));
        check(&[("Hostname", "10.0.0.9")], false, Some((&[], &["10.0.0.9"])));
        let many = [
            host,
            ("InternalIP", "10.0.0.9"),
            ("ExternalIP", "1.2.3.4"),
            ("InternalDNS", "a.n1"),
            ("Other", "x"),
        ];
        check(&many, false, Some((&["a.n1", "n1"], &["1.2.3.4", "10.0.0.9"])));
        check(&[("InternalIP", "not an address"), ("InternalIP", "")], true, None);
    }

    #[test]
    fn key_encipherment_by_release_and_kind_of_key() {
        let key = |kind| PrivateKey::generate(kind).expect("a key");
        let (rsa, ec) = (key(KeyAlgorithm::Rsa2048), key(KeyAlgorithm::EcdsaP256));
        let asks = |minor, key: &PrivateKey| {
            let profile = Profile::of_minor(minor).expect("known");
            Purpose::Client.usages(profile, key).contains(&"key encipherment")
        };
        assert_eq!([26, 27, 36].map(|minor| asks(minor, &ec)), [true, false, false]);
        assert_eq!([26, 27, 36].map(|minor| asks(minor, &rsa)), [true, true, true]);
        assert_eq!(Purpose::Serving.usages(Profile::NEWEST, &ec), ["digital signature", "server auth"]);
    }
}
