//! What a path and a method ask for: verb, group, version, resource, name.

use http::Method;

use super::query::Query;

/// A request's path and method, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the path names a resource; everything else here is for those, `verb` and `path` apart.
    pub resource_request: bool,
    /// `get`, `list`, `watch`, `create`, …; the lower-case method for other paths.
    pub verb: String,
    /// `api` or `apis`.
    pub prefix: String,
    /// Empty for the core group.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// Empty at the cluster scope.
    pub namespace: String,
    /// Plural.
    pub resource: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// Empty for a collection.
    pub name: String,
    /// Everything after the resource's path segment.
    pub parts: Vec<String>,
    /// The path as asked.
    pub path: String,
}

/// Subresources of `namespaces` that a path could take for namespaced resources.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

impl RequestInfo {
    /// Reads a request line.
    pub fn parse(method: &Method, path: &str, query: &Query) -> Self {
        let mut info =
            Self { path: path.to_owned(), verb: method.as_str().to_lowercase(), ..Self::default() };
        let decoded: Vec<String> = path.split('/').filter(|s| !s.is_empty()).map(percent_decode).collect();
        let mut parts = decoded.as_slice();
        let Some((prefix, rest)) = parts.split_first() else { return info };
        if prefix != "api" && prefix != "apis" || parts.len() < 3 {
            return info;
        }
        info.prefix.clone_from(prefix);
        parts = rest;
        if prefix == "apis" {
            let Some((group, rest)) = parts.split_first() else { return info };
            // /apis/<group>/<version> is discovery.
            if rest.len() < 2 {
                return info;
            }
            info.group.clone_from(group);
            parts = rest;
        }
        let Some((version, rest)) = parts.split_first() else { return info };
        info.version.clone_from(version);
        info.resource_request = true;
        parts = rest;

        let special = match parts.first().map(String::as_str) {
            Some(verb @ ("watch" | "proxy")) if parts.len() > 1 => Some(verb.to_owned()),
            _ => None,
        };
        match &special {
            Some(verb) => {
                info.verb.clone_from(verb);
                parts = parts.get(1..).unwrap_or_default();
            }
            None => {
                let verb = match *method {
                    Method::POST => "create",
                    Method::GET | Method::HEAD => "get",
                    Method::PUT => "update",
                    Method::PATCH => "patch",
                    Method::DELETE => "delete",
                    _ => "",
                };
                info.verb = verb.to_owned();
            }
        }

        if let [first, namespace, rest @ ..] = parts
            && first == "namespaces"
        {
            info.namespace.clone_from(namespace);
            // `/namespaces/x` and `/namespaces/x/status` speak of the namespace itself.
            if rest.first().is_some_and(|s| !NAMESPACE_SUBRESOURCES.contains(&s.as_str())) {
                parts = rest;
            }
        }
        info.parts = parts.to_vec();
        let mut parts = parts.iter();
        info.resource = parts.next().cloned().unwrap_or_default();
        info.name = parts.next().cloned().unwrap_or_default();
        if info.verb != "proxy" {
            info.subresource = parts.next().cloned().unwrap_or_default();
        }

        if info.name.is_empty() {
            match info.verb.as_str() {
                "get" if query.watches() => info.verb = "watch".to_owned(),
                "get" => info.verb = "list".to_owned(),
                "delete" => info.verb = "deletecollection".to_owned(),
                _ => {}
            }
        }
        // A rule with resourceNames matches a list of exactly that name.
        if matches!(info.verb.as_str(), "list" | "watch" | "deletecollection")
            && info.name.is_empty()
            && let Some(name) = query.named_by_field_selector()
        {
            info.name = name;
        }
        info
    }

    /// Whether the request may outlive the request timeout.
    pub fn long_running(&self) -> bool {
        if self.resource_request {
            matches!(self.verb.as_str(), "watch" | "proxy")
                || matches!(self.subresource.as_str(), "attach" | "exec" | "proxy" | "log" | "portforward")
        } else {
            self.path.starts_with("/debug/pprof/")
        }
    }

    /// Whether the request only reads, which decides whose seats it takes.
    pub fn read_only(&self) -> bool {
        matches!(self.verb.as_str(), "get" | "list" | "watch" | "head")
    }
}

/// `%2F` and its like, as Go's URL decoder reads a path; a bad escape stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    // Nearly all of them; every part of every path and query comes here.
    if !bytes.contains(&b'%') {
        return text.to_owned();
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        let hex = |at: usize| bytes.get(at).and_then(|c| char::from(*c).to_digit(16));
        match (b, hex(i + 1), hex(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 3;
            }
            _ => {
                out.push(b);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// method, path with query, expected `verb group/version ns resource/name/sub`, or the verb alone
    /// for a path that names no resource.
    const ROWS: &[(&str, &str, &str)] = &[
        ("GET", "/", "get"),
        ("GET", "/api", "get"),
        ("GET", "/api/v1", "get"),
        ("POST", "/apis/apps/v1", "post"),
        ("GET", "/healthz/ping", "get"),
        ("GET", "/api/v1/pods", "list /v1 - pods/-/-"),
        ("HEAD", "/api/v1/pods", "list /v1 - pods/-/-"),
        ("GET", "/api/v1/pods?watch=true", "watch /v1 - pods/-/-"),
        ("GET", "/api/v1/pods?watch", "watch /v1 - pods/-/-"),
        ("GET", "/api/v1/pods?watch=0", "list /v1 - pods/-/-"),
        ("GET", "/api/v1/watch/namespaces/a/pods", "watch /v1 a pods/-/-"),
        ("GET", "/api/v1/namespaces", "list /v1 - namespaces/-/-"),
        ("GET", "/api/v1/namespaces/a", "get /v1 a namespaces/a/-"),
        ("PUT", "/api/v1/namespaces/a/finalize", "update /v1 a namespaces/a/finalize"),
        ("GET", "/api/v1/namespaces/a/status", "get /v1 a namespaces/a/status"),
        ("GET", "/api/v1/namespaces/a/pods", "list /v1 a pods/-/-"),
        ("POST", "/api/v1/namespaces/a/pods/p/binding", "create /v1 a pods/p/binding"),
        ("DELETE", "/api/v1/namespaces/a/pods", "deletecollection /v1 a pods/-/-"),
        ("DELETE", "/api/v1/namespaces/a/pods/p", "delete /v1 a pods/p/-"),
        ("PATCH", "/apis/apps/v1/namespaces/a/deployments/d/scale", "patch apps/v1 a deployments/d/scale"),
        (
            "GET",
            "/apis/apps/v1/deployments?fieldSelector=metadata.name%3Dd",
            "list apps/v1 - deployments/d/-",
        ),
        ("OPTIONS", "/api/v1/pods", " /v1 - pods/-/-"),
        (
            "GET",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
            "get rbac.authorization.k8s.io/v1 - clusterroles/system:node/-",
        ),
    ];

    #[test]
    fn paths_are_understood() {
        for (method, target, expected) in ROWS {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let info = RequestInfo::parse(&method.parse().unwrap(), path, &Query::parse(query));
            let dash = |s: &str| if s.is_empty() { "-".to_owned() } else { s.to_owned() };
            let seen = if info.resource_request {
                format!(
                    "{} {}/{} {} {}/{}/{}",
                    info.verb,
                    info.group,
                    info.version,
                    dash(&info.namespace),
                    info.resource,
                    dash(&info.name),
                    dash(&info.subresource)
                )
            } else {
                info.verb.clone()
            };
            assert_eq!(seen, *expected, "{method} {target}");
        }
    }
}
