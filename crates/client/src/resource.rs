//! What a request is about: group, version and plural, and the paths they make.

use std::{borrow::Cow, fmt};

use crate::{ClientError, params::encode_path};

/// A resource of the API, such as `apps/v1 deployments`. The core group is the empty one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: Cow<'static, str>,
    /// Version in the group.
    pub version: Cow<'static, str>,
    /// Plural name, as in the path.
    pub plural: Cow<'static, str>,
}

impl Resource {
    /// A resource whose names are known when the program is written.
    pub const fn new(group: &'static str, version: &'static str, plural: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), version: Cow::Borrowed(version), plural: Cow::Borrowed(plural) }
    }

    /// A resource of the core group, version v1.
    pub const fn core(plural: &'static str) -> Self {
        Self::new("", "v1", plural)
    }

    /// A resource whose names are learnt at run time, as those of a CRD.
    pub fn named(group: impl Into<String>, version: impl Into<String>, plural: impl Into<String>) -> Self {
        Self { group: group.into().into(), version: version.into().into(), plural: plural.into().into() }
    }

    /// The resource of a row of the table of kinds.
    pub fn of(kind: &'static api::kinds::Kind) -> Self {
        Self::new(kind.group, kind.version, kind.plural)
    }

    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `pods`, `deployments.apps`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_string()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The Go type that upstream's logs name: `*v1.Role`; what the table of kinds does not know is
    /// unstructured there too.
    pub fn type_name(&self) -> String {
        match api::kinds::find(&self.group, &self.version, &self.plural) {
            Some(kind) => format!("*{}.{}", kind.version, kind.kind),
            None => "*unstructured.Unstructured".to_owned(),
        }
    }

    /// The path of a collection, an object, or a subresource of it.
    pub fn path(&self, namespace: Option<&str>, name: Option<&str>, subresource: Option<&str>) -> String {
        let mut path = if self.group.is_empty() {
            format!("/api/{}", encode_path(&self.version))
        } else {
            format!("/apis/{}/{}", encode_path(&self.group), encode_path(&self.version))
        };
        if let Some(namespace) = namespace {
            path.push_str("/namespaces/");
            path.push_str(&encode_path(namespace));
        }
        for segment in [Some(&*self.plural), name].into_iter().flatten() {
            path.push('/');
            path.push_str(&encode_path(segment));
        }
        // A subresource may have segments of its own: `proxy/metrics`.
        for segment in subresource.iter().flat_map(|s| s.split('/')) {
            path.push('/');
            path.push_str(&encode_path(segment));
        }
        path
    }

    /// The path, if namespace, name and subresource can be segments of one.
    pub(crate) fn checked_path(
        &self,
        ns: Option<&str>,
        name: Option<&str>,
        sub: Option<&str>,
    ) -> Result<String, ClientError> {
        if name == Some("") {
            return Err(ClientError::Request("resource name may not be empty".to_owned()));
        }
        let parts =
            [("namespace", ns), ("resource name", name), ("subresource", sub.filter(|s| !s.contains('/')))];
        for (what, part) in parts {
            let Some(part) = part else { continue };
            let why = match part {
                "." | ".." => format!("may not be '{part}'"),
                _ if part.contains('/') => "may not contain '/'".to_owned(),
                _ if part.contains('%') => "may not contain '%'".to_owned(),
                _ => continue,
            };
            return Err(ClientError::Request(format!("invalid {what} {part:?}: [{why}]")));
        }
        Ok(self.path(ns, name, sub))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.qualified())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(resource: Resource, ns: Option<&str>, name: Option<&str>, sub: Option<&str>, path: &str) {
        assert_eq!(resource.path(ns, name, sub), path);
    }

    #[test]
    fn paths() {
        let pods = || Resource::core("pods");
        let roles = || Resource::new("rbac.authorization.k8s.io", "v1", "clusterroles");
        check(pods(), None, None, None, "/api/v1/pods");
        check(pods(), Some("a"), None, None, "/api/v1/namespaces/a/pods");
        check(pods(), Some("a"), Some("p"), None, "/api/v1/namespaces/a/pods/p");
        check(pods(), Some("a"), Some("p"), Some("status"), "/api/v1/namespaces/a/pods/p/status");
        check(pods(), Some("a"), Some("p"), Some("proxy/x"), "/api/v1/namespaces/a/pods/p/proxy/x");
        // Names of RBAC objects have colons, which Go leaves alone in paths.
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node";
        check(roles(), None, Some("system:node"), None, path);
        check(Resource::core("namespaces"), None, Some("x y"), None, "/api/v1/namespaces/x%20y");
    }

    #[test]
    fn names() {
        let known = Resource::new("rbac.authorization.k8s.io", "v1", "roles");
        assert_eq!(known.type_name(), "*v1.Role");
        assert_eq!(known.qualified(), "roles.rbac.authorization.k8s.io");
        assert_eq!(known.api_version(), "rbac.authorization.k8s.io/v1");
        let learnt = Resource::named("example.com", "v1alpha1", "foos");
        assert_eq!(learnt.type_name(), "*unstructured.Unstructured");
        assert_eq!(Resource::core("pods").to_string(), "pods");
    }
}
