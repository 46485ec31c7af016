//! OpenStack's Keystone as the one who knows passwords (`--experimental-keystone-url`).
//!
//! Whoever gets a token there with a name and a password is the user of that name, and nothing more is learnt.
//! Upstream's library names no domain with the user, and Keystone's version 3 wants one: it is `default` here.

use pki::{GoVersion, Roots};
use serde_json::json;
use world::Host;

use super::{Opinion, outbound::Outbound};
use crate::identity::User;

/// Where Keystone is.
#[derive(Debug)]
pub struct Keystone {
    url: String,
    outbound: Outbound,
}

impl Keystone {
    /// Keystone at `url` (`https://keystone:5000/v3`); a URL without a version means 3.
    pub fn new(host: &Host, url: &str, roots: Option<Roots>, go: GoVersion) -> Self {
        let url = url.trim_end_matches('/');
        let is_versioned = url.ends_with("/v3") || url.ends_with("/v2.0");
        let url = if is_versioned { url.to_owned() } else { format!("{url}/v3") };
        Self { url, outbound: Outbound::new(host, roots, go) }
    }

    pub(super) async fn authenticate(&self, name: &str, password: &str) -> Opinion {
        let user = json!({"name": name, "password": password, "domain": {"id": "default"}});
        let (path, content) = match self.url.ends_with("/v2.0") {
            true => {
                ("tokens", json!({"auth": {"passwordCredentials": {"username": name, "password": password}}}))
            }
            false => (
                "auth/tokens",
                json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}),
            ),
        };
        let url = format!("{}/{path}", self.url);
        let why = match self.outbound.post(&url, &content).await {
            Ok(answer) if answer.status.is_success() => {
                return Opinion::User(User { name: name.to_owned(), ..User::default() });
            }
            Ok(answer) => format!("{url} answered {}", answer.status_line()),
            Err(why) => why,
        };
        tracing::info!("Failed: Starting openstack authenticate client:{why}");
        Opinion::Bad("Failed to authenticate".to_owned())
    }
}
