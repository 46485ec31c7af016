//! What releases up to 1.13 served besides `/openapi/v2`: the same document under its first names, and
//! the list of Swagger 1.2.

use std::sync::Arc;

use api::profile::Profile;
use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Response, header};
use serde_json::{Value, json};
use wire::Body;

use super::OpenApi;
use crate::{
    catalog::Catalog,
    pipeline::{Page, Pages},
    respond,
};

/// The last minor that had them.
const LAST: u16 = 13;

/// Answers the old names.
#[derive(Debug)]
pub(crate) struct Swagger {
    catalog: Catalog,
    open_api: Arc<OpenApi>,
}

impl Swagger {
    /// `None`: the profile's release has none of this.
    pub(crate) fn of_profile(profile: Profile, catalog: Catalog, open_api: Arc<OpenApi>) -> Option<Self> {
        (profile.minor() <= LAST).then_some(Self { catalog, open_api })
    }

    fn roots(&self) -> Vec<String> {
        let root = |group: &str, version: &str| match group {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        let mut roots: Vec<String> = self.catalog.all().iter().map(|s| root(&s.group, &s.version)).collect();
        roots.dedup();
        roots
    }
}

#[async_trait]
impl Pages for Swagger {
    fn paths(&self) -> Vec<String> {
        [
            "/swagger-2.0.0.json",
            "/swagger-2.0.0.pb-v1",
            "/swagger-2.0.0.pb-v1.gz",
            "/swagger.json",
            "/swaggerapi",
        ]
        .map(str::to_owned)
        .into()
    }

    async fn answer(&self, page: &Page<'_>) -> Option<Response<Body>> {
        let as_v2 = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            for name in [header::IF_NONE_MATCH, header::ACCEPT_ENCODING] {
                if let Some(value) = page.headers.get(&name) {
                    headers.insert(name, value.clone());
                }
            }
            headers
        };
        match page.path.trim_end_matches('/') {
            "/swagger.json" | "/swagger-2.0.0.json" => Some(self.open_api.v2_for(&as_v2("application/json"))),
            "/swagger-2.0.0.pb-v1" => Some(self.open_api.v2_for(&as_v2(super::PROTOBUF))),
            "/swagger-2.0.0.pb-v1.gz" => {
                let mut headers = as_v2(super::PROTOBUF);
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
                Some(self.open_api.v2_for(&headers))
            }
            "/swaggerapi" => {
                let apis: Vec<Value> = self
                    .roots()
                    .iter()
                    .map(|path| json!({ "path": path, "description": format!("API at {path}") }))
                    .collect();
                let list = json!({ "swaggerVersion": "1.2", "apis": apis, "apiVersion": "",
                    "info": { "title": "", "description": "" } });
                Some(respond::json_page(200, serde_json::to_vec_pretty(&list).unwrap_or_default()))
            }
            // The single documents of Swagger 1.2 say no more than that the version is there.
            path => {
                let root = path.strip_prefix("/swaggerapi")?;
                let known = self.roots().iter().any(|known| known == root);
                let list = json!({ "swaggerVersion": "1.2", "apiVersion": root.rsplit('/').next(),
                    "basePath": "", "resourcePath": root, "apis": [], "models": {} });
                known.then(|| respond::json_page(200, serde_json::to_vec_pretty(&list).unwrap_or_default()))
            }
        }
    }
}
