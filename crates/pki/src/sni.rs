//! Which certificate a server serves, by the name that the client sends (SNI), as kube-apiserver does
//! (`pkg/server/dynamiccertificates`) on top of Go's own choice.
//!
//! | client hello | served |
//! |---|---|
//! | name, known exactly | that one |
//! | name, known as `*.rest` | that one |
//! | another name | the first that is valid for it and fits the client's algorithms: the default, then the named ones |
//! | … and none is | the default |
//! | no name (an address was dialled) | the one configured for the server's own address, else the first that fits the client's algorithms, which is the default |
//!
//! Without a default the first named certificate takes its place.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign,
};

use crate::{Certificate, ServerIdentity, handshake::Opaque, hostname::verify_hostname};

/// An identity with the names it answers to.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    explicit: Arc<[String]>,
    identity: Opaque<Arc<dyn ServerIdentity>>,
    /// The names in the certificate last seen, so that it is not parsed at each handshake.
    own: Opaque<Arc<Mutex<Option<Seen>>>>,
}

type Seen = (Arc<sign::CertifiedKey>, Arc<[String]>);

impl Named {
    pub fn new(names: &[String], identity: Arc<dyn ServerIdentity>) -> Self {
        let explicit = names.iter().map(|name| name.to_lowercase()).collect();
        Self { explicit, identity: Opaque(identity), own: Opaque(Arc::default()) }
    }

    fn own_names(&self, pair: &Arc<sign::CertifiedKey>) -> Arc<[String]> {
        let mut known = self.own.0.lock();
        match &*known {
            Some((seen, names)) if Arc::ptr_eq(seen, pair) => names.clone(),
            _ => {
                let names: Arc<[String]> = leaf(pair).map(|c| names_in(&c)).unwrap_or_default().into();
                *known = Some((pair.clone(), names.clone()));
                names
            }
        }
    }
}

fn leaf(pair: &sign::CertifiedKey) -> Option<Certificate> {
    Certificate::from_der(pair.cert.first()?.as_ref()).ok()
}

/// The common name if it could be a DNS name, and the DNS names; addresses are left out on purpose.
fn names_in(certificate: &Certificate) -> Vec<String> {
    let common_name = Some(certificate.subject_cn()).filter(|name| is_name_pattern(name));
    common_name
        .into_iter()
        .chain(certificate.dns_names().iter().map(String::as_str))
        .map(str::to_lowercase)
        .collect()
}

fn is_name_pattern(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && edge(label.chars().next())
            && edge(label.chars().next_back())
    };
    name.parse::<IpAddr>().is_err() && (name == "*" || host.split('.').all(is_label))
}

/// The choice, made anew at each handshake.
#[derive(Debug)]
pub(crate) struct Selection {
    pub default: Option<Opaque<Arc<dyn ServerIdentity>>>,
    pub named: Vec<Named>,
    pub local: Option<IpAddr>,
}

impl Selection {
    /// `fits`: whether the client can check a signature of that pair.
    fn choose(
        &self,
        name: Option<&str>,
        fits: impl Fn(&sign::CertifiedKey) -> bool,
    ) -> Option<Arc<sign::CertifiedKey>> {
        let mut explicit: BTreeMap<String, Arc<sign::CertifiedKey>> = BTreeMap::new();
        let mut own = BTreeMap::new();
        let mut in_order: Vec<Arc<sign::CertifiedKey>> = Vec::new();
        in_order.extend(self.default.as_ref().and_then(|identity| identity.0.current()));
        for named in &self.named {
            let Some(pair) = named.identity.0.current() else { continue };
            if named.explicit.is_empty() {
                for name in named.own_names(&pair).iter() {
                    own.entry(name.clone()).or_insert_with(|| pair.clone());
                }
            }
            for name in named.explicit.iter() {
                explicit.entry(name.clone()).or_insert_with(|| pair.clone());
            }
            in_order.push(pair);
        }
        // A name given on the command line beats the same name found in a certificate.
        let find = |name: &str| explicit.get(name).or_else(|| own.get(name)).cloned();
        let wanted = name.map(str::to_lowercase);
        match &wanted {
            None => {
                if let Some(pair) = self.local.and_then(|ip| find(&ip.to_string())) {
                    return Some(pair);
                }
            }
            Some(name) => {
                let wildcard = name.split_once('.').map_or("*".to_owned(), |(_, rest)| format!("*.{rest}"));
                if let Some(pair) = find(name).or_else(|| find(&wildcard)) {
                    return Some(pair);
                }
            }
        }
        let for_name = |pair: &sign::CertifiedKey| match &wanted {
            None => true,
            Some(name) => leaf(pair).is_some_and(|leaf| verify_hostname(&leaf, name).is_ok()),
        };
        let best = in_order.iter().find(|pair| for_name(pair) && fits(pair));
        best.or_else(|| in_order.first()).cloned()
    }
}

impl ResolvesServerCert for Selection {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<sign::CertifiedKey>> {
        self.choose(hello.server_name(), |pair| pair.key.choose_scheme(hello.signature_schemes()).is_some())
    }
}
