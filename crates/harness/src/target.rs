//! Which object is meant, as people write it: `deployment/web`.

use std::fmt;

use client::{ClientError, Resource, Rest, discovery};

/// Namespace of what is namespaced and says nothing.
const DEFAULT: &str = "default";

/// An object by name: `"deployment/web"`, `"widgets.example.com/w"`; in another namespace than `default`, a pair of
/// namespace and name: `("prod", "deployment/web")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A kind or a plural name, perhaps with its group behind a dot.
    kind: String,
    name: String,
    namespace: String,
}

impl Target {
    /// The object as a client of kube has it.
    pub fn of<K>(object: &K) -> Self
    where
        K: kube::Resource<DynamicType = ()>,
    {
        let (plural, group) = (K::plural(&()), K::group(&()));
        let kind = if group.is_empty() { plural.into_owned() } else { format!("{plural}.{group}") };
        let meta = object.meta();
        Self {
            kind,
            name: meta.name.clone().unwrap_or_default(),
            namespace: meta.namespace.clone().unwrap_or_else(|| DEFAULT.to_owned()),
        }
    }

    /// Where it is served, and in which namespace; `Err` in the outer sense: the server does not answer.
    pub(crate) async fn find(&self, rest: &Rest) -> Result<Result<Found, String>, ClientError> {
        if self.name.is_empty() {
            return Ok(Err(format!("{self} has no name: an object is named as kind/name")));
        }
        let wanted = self.kind.to_lowercase();
        let (word, group) = wanted.split_once('.').unwrap_or((&wanted, ""));
        let served = discovery::preferred(rest).await?.served;
        let found = served.into_iter().find(|s| {
            (s.resource.plural == word || s.kind.to_lowercase() == word)
                && (group.is_empty() || s.resource.group == group)
        });
        Ok(match found {
            Some(served) => Ok(Found {
                namespace: served.namespaced.then(|| self.namespace.clone()),
                resource: served.resource,
                name: self.name.clone(),
            }),
            None => Err(format!("the server doesn't have a resource type {:?}", self.kind)),
        })
    }
}

/// Where an object is.
pub(crate) struct Found {
    pub resource: Resource,
    pub namespace: Option<String>,
    pub name: String,
}

impl From<&str> for Target {
    fn from(text: &str) -> Self {
        Self::from((DEFAULT, text))
    }
}

impl From<(&str, &str)> for Target {
    fn from((namespace, text): (&str, &str)) -> Self {
        let (kind, name) = text.split_once('/').unwrap_or((text, ""));
        Self { kind: kind.to_owned(), name: name.to_owned(), namespace: namespace.to_owned() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)?;
        if self.namespace != DEFAULT { write!(f, " in {}", self.namespace) } else { Ok(()) }
    }
}
