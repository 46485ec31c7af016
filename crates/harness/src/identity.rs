//! Who a client is: a user with groups, a service account, or nobody.

use std::time::Duration;

/// Somebody that a client can be; see [`crate::ControlPlane::client_as`] and [`crate::Cluster::client_as`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(pub(crate) Who);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    User { name: String, groups: Vec<String>, life: Option<Duration> },
    ServiceAccount { namespace: String, name: String },
    Anonymous,
}

impl Identity {
    /// A user who is known by a client certificate of the cluster's authority, which lives as long as the authority.
    pub fn user(name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Self(Who::User { name: name.to_owned(), groups, life: None })
    }

    /// A service account, known by tokens that the API server issues and that are renewed like those of a pod. Namespace
    /// and account are made if they are not there.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self(Who::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// Nobody: no certificate and no token.
    pub fn anonymous() -> Self {
        Self(Who::Anonymous)
    }

    /// A user's certificate ends after that time, and with it what the user can do. Tokens of service accounts are
    /// renewed, and nobody has none: for these it means nothing.
    pub fn valid_for(self, life: Duration) -> Self {
        match self.0 {
            Who::User { name, groups, .. } => Self(Who::User { name, groups, life: Some(life) }),
            other => Self(other),
        }
    }
}
