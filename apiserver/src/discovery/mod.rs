//! Which groups, versions and resources there are: `/api`, `/apis` and what lies below them.
//!
//! ```text
//! catalog, API services ─▶ groups ─▶ legacy      one document per group and version
//!                                └─▶ aggregated  all in one, with an ETag
//! ```
//! `groups` puts together and in order what is served; `negotiate` decides which of the two forms
//! the client reads.

pub(crate) mod aggregated;
pub(crate) mod groups;
mod legacy;
mod negotiate;

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Response, header};
use wire::Body;

use crate::{
    aggregator::Remotes,
    catalog::Catalog,
    informers::Informers,
    pipeline::{Page, Pages},
    respond::{self, Wanted},
};
use groups::{Group, groups};
use negotiate::Form;

/// Answers discovery.
#[derive(Debug)]
pub struct Discovery {
    catalog: Catalog,
    informers: Arc<Informers>,
    remotes: Arc<Remotes>,
    /// Where clients reach the server: `10.0.0.1:6443`.
    address: String,
}

impl Discovery {
    /// Of what the catalog serves and the API services order.
    pub(crate) fn new(
        catalog: Catalog,
        informers: Arc<Informers>,
        remotes: Arc<Remotes>,
        address: String,
    ) -> Self {
        Self { catalog, informers, remotes, address }
    }

    fn groups(&self) -> Vec<Group> {
        groups(&self.catalog.all(), &self.informers.api_services.list())
    }
}

#[async_trait]
impl Pages for Discovery {
    fn paths(&self) -> Vec<String> {
        let mut paths = vec!["/api".to_owned(), "/apis".to_owned()];
        for group in self.groups() {
            let root = group.path();
            if !group.name.is_empty() {
                paths.push(root.clone());
            }
            paths.extend(group.versions.iter().map(|version| format!("{root}/{}", version.name)));
        }
        paths
    }

    async fn answer(&self, page: &Page<'_>) -> Option<Response<Body>> {
        let path = page.path.trim_matches('/');
        let parts: Vec<&str> = path.split('/').collect();
        if !matches!(parts.first(), Some(&("api" | "apis"))) || parts.len() > 3 {
            return None;
        }
        let groups = self.groups();
        let named = |name: &str| groups.iter().find(|group| group.name == name);
        let document = match parts.as_slice() {
            [root @ ("api" | "apis")] => match Form::negotiate(page.headers) {
                Form::Aggregated(version) if *page.method == Method::GET => {
                    let core = *root == "api";
                    let chosen: Vec<&Group> = groups.iter().filter(|g| g.name.is_empty() == core).collect();
                    return Some(aggregated::answer(&chosen, &self.remotes, version, page.headers));
                }
                _ if *root == "api" => legacy::versions(named("")?, &self.address),
                _ => legacy::group_list(&groups),
            },
            ["api", version] => legacy::resource_list(named("")?.version(version)?)?,
            ["apis", group] if !group.is_empty() => legacy::group(named(group)?),
            ["apis", group, version] if !group.is_empty() => {
                legacy::resource_list(named(group)?.version(version)?)?
            }
            _ => return None,
        };
        if !matches!(*page.method, Method::GET | Method::HEAD) {
            return Some(respond::text(405, "405: Method Not Allowed"));
        }
        let mut response = match Wanted::negotiate(page.headers, page.query) {
            Ok(wanted) => wanted.value(200, &document),
            Err(status) => Wanted::PLAIN.status(&status),
        };
        response.headers_mut().insert(header::VARY, http::HeaderValue::from_static("Accept"));
        Some(response)
    }
}
