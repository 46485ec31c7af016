//! The front proxy: somebody trusted says in headers who is asking.

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};
use pki::{Certificate, GoVersion};
use world::Wall;

use super::{CaBundle, Opinion, x509};
use crate::identity::User;

const STANDARD: [&str; 3] = ["x-remote-user", "x-remote-uid", "x-remote-group"];
const STANDARD_EXTRA: &str = "x-remote-extra-";

/// Whose headers are believed, and which.
#[derive(Clone, Debug)]
pub struct RequestHeaders {
    /// Who signs the proxy's certificate.
    pub ca: Arc<CaBundle>,
    /// Common names that the certificate may have; empty allows any.
    pub allowed_names: Vec<String>,
    /// Headers with the user's name; the first that is there counts.
    pub user: Vec<String>,
    /// Headers with the user's UID.
    pub uid: Vec<String>,
    /// Headers with groups; all count.
    pub group: Vec<String>,
    /// What headers with extra information begin with.
    pub extra_prefixes: Vec<String>,
}

impl RequestHeaders {
    /// The headers that every Kubernetes proxy uses.
    pub fn standard(ca: Arc<CaBundle>, allowed_names: Vec<String>) -> Self {
        let one = |name: &str| vec![name.to_owned()];
        Self {
            ca,
            allowed_names,
            user: one("X-Remote-User"),
            uid: one("X-Remote-Uid"),
            group: one("X-Remote-Group"),
            extra_prefixes: one("X-Remote-Extra-"),
        }
    }

    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        chain: &[Certificate],
        now: Wall,
        go: GoVersion,
    ) -> Opinion {
        let Some(leaf) = chain.first() else { return Opinion::None };
        if let Err(error) = x509::verify(&self.ca.roots(), chain, now) {
            return Opinion::Bad(error.words(go));
        }
        if !self.allowed_names.is_empty() && !self.allowed_names.iter().any(|n| n == leaf.subject_cn()) {
            return Opinion::Bad(format!(
                "x509: subject with cn={} is not in the allowed list",
                leaf.subject_cn()
            ));
        }
        match self.user(headers) {
            Some(user) => Opinion::User(user),
            None => Opinion::None,
        }
    }

    fn user(&self, headers: &HeaderMap) -> Option<User> {
        let first = |names: &[String]| -> Option<String> {
            let found = names.iter().filter_map(|n| text(headers.get(n)?));
            found.map(str::to_owned).find(|value| !value.is_empty())
        };
        let all = |name: &String| headers.get_all(name).iter().filter_map(|v| text(v).map(str::to_owned));
        Some(User {
            name: first(&self.user)?,
            uid: first(&self.uid).unwrap_or_default(),
            groups: self.group.iter().flat_map(all).filter(|g| !g.is_empty()).collect(),
            extra: self.extra(headers),
        })
    }

    fn extra(&self, headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            let Some(value) = text(value) else { continue };
            for prefix in &self.extra_prefixes {
                // Header names are lower case already.
                if let Some(key) = name.as_str().strip_prefix(&prefix.to_ascii_lowercase()) {
                    extra.entry(percent_decoded(key)).or_default().push(value.to_owned());
                }
            }
        }
        extra
    }

    /// Takes out what only a proxy may say, by the usual names and by those configured.
    pub(super) fn strip(this: Option<&Self>, headers: &mut HeaderMap) {
        let named = this.map(|h| [&h.user, &h.uid, &h.group]).into_iter().flatten().flatten();
        let names: Vec<String> =
            STANDARD.iter().map(|n| (*n).to_owned()).chain(named.map(|n| n.to_ascii_lowercase())).collect();
        let prefixes: Vec<String> = std::iter::once(STANDARD_EXTRA.to_owned())
            .chain(this.into_iter().flat_map(|h| h.extra_prefixes.iter().map(|p| p.to_ascii_lowercase())))
            .collect();
        let gone: Vec<HeaderName> = headers
            .keys()
            .filter(|name| {
                let name = name.as_str();
                names.iter().any(|n| n == name) || prefixes.iter().any(|p| name.starts_with(p.as_str()))
            })
            .cloned()
            .collect();
        for name in gone {
            headers.remove(name);
        }
    }
}

/// `%2F` and the like resolved; what is no such sequence stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let decoded = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |b: &u8| (*b as char).to_digit(16);
                digit(high).zip(digit(low)).map(|(h, l)| (h * 16 + l) as u8)
            }
            _ => None,
        };
        match decoded {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Names are UTF-8, as Go reads them.
fn text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in entries {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_proxy_names_user_groups_and_extra() {
        let proxy = RequestHeaders::standard(CaBundle::fixed(pki::Roots::default()), vec![]);
        let user = proxy.user(&headers(&[
            ("x-remote-user", "jane"),
            ("x-remote-uid", "7"),
            ("x-remote-group", "dev"),
            ("x-remote-group", "ops"),
            ("x-remote-extra-example.com%2fscope", "a"),
            ("x-remote-extra-example.com%2fscope", "b"),
        ]));
        let user = user.unwrap();
        assert_eq!((user.name.as_str(), user.uid.as_str()), ("jane", "7"));
        assert_eq!(user.groups, ["dev", "ops"]);
        assert_eq!(user.extra["example.com/scope"], ["a", "b"]);
        assert_eq!(proxy.user(&headers(&[("x-remote-group", "dev")])), None);
    }

    #[test]
    fn nothing_a_proxy_could_say_is_left() {
        let mut request = headers(&[
            ("x-remote-user", "a"),
            ("x-remote-extra-k", "b"),
            ("x-custom-user", "c"),
            ("x-other", "d"),
        ]);
        let mut proxy = RequestHeaders::standard(CaBundle::fixed(pki::Roots::default()), vec![]);
        proxy.user.push("X-Custom-User".to_owned());
        RequestHeaders::strip(Some(&proxy), &mut request);
        assert_eq!(request.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-other"]);
    }

    #[test]
    fn percent_signs_that_encode_nothing_stay() {
        let check = |text: &str, wanted: &str| assert_eq!(percent_decoded(text), wanted);
        check("a%2fb", "a/b");
        check("a%zzb", "a%zzb");
        check("100%", "100%");
        check("%ff", "%ff");
    }
}
