//! Which form of discovery a client reads.

use http::{HeaderMap, header};

/// The versions of `apidiscovery.k8s.io` that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V2,
    V2Beta1,
}

impl Version {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V2Beta1 => "v2beta1",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Aggregated(Version),
    /// One document per group and version: what every client understands.
    Legacy,
}

impl Form {
    /// The first form in the client's order that can be made.
    pub(super) fn negotiate(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            if !matches!(media, "application/json" | "application/*" | "*/*" | "application/yaml") {
                continue;
            }
            let parameters: Vec<(&str, &str)> = parts.filter_map(|p| p.split_once('=')).collect();
            let parameter =
                |name: &str| parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            match (parameter("as"), parameter("g"), parameter("v")) {
                (None, _, _) => return Self::Legacy,
                (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2"))
                    if media != "application/yaml" =>
                {
                    return Self::Aggregated(Version::V2);
                }
                (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1"))
                    if media != "application/yaml" =>
                {
                    return Self::Aggregated(Version::V2Beta1);
                }
                _ => {}
            }
        }
        Self::Legacy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_form_wins() {
        #[track_caller]
        fn check(accept: &str, expected: Form) {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(Form::negotiate(&headers), expected, "{accept}");
        }
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        check("", Form::Legacy);
        check("*/*", Form::Legacy);
        check("application/json", Form::Legacy);
        check(v2, Form::Aggregated(Version::V2));
        check(beta, Form::Aggregated(Version::V2Beta1));
        check(&format!("{v2},{beta},application/json"), Form::Aggregated(Version::V2));
        check(&format!("{beta},application/json"), Form::Aggregated(Version::V2Beta1));
        check(&format!("{v2};profile=nopeer,application/json"), Form::Aggregated(Version::V2));
        check(&format!("application/json,{v2}"), Form::Legacy);
        check(
            "application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList, application/json",
            Form::Legacy,
        );
        check(&format!("application/vnd.kubernetes.protobuf,{v2}"), Form::Aggregated(Version::V2));
    }
}
