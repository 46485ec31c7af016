//! `/openapi/v2` and `/openapi/v3`: documents made at their first request and kept, compressed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    sync::{Arc, OnceLock},
    time::Duration,
};

use api::{object::ObjectExt, profile::Profile};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use wire::{Body, body};
use world::Wall;

use super::{
    paths, proto,
    render::{self, Form},
    schemas::Schemas,
};
use crate::{
    aggregator::{Aggregator, Remote},
    catalog::{Catalog, Nature, Served},
    discovery::aggregated::{has_current, hash},
    pipeline::{Page, Pages},
    respond,
};

/// Counts changes of the way in which documents are made: part of their hashes, because clients keep
/// a document for as long as its hash stands.
const RENDERING: &str = concat!(env!("CARGO_PKG_VERSION"), "/1");

pub(crate) const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What older clients call it.
const OLD_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// How long a document may be kept under its hash.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A finished document.
struct Document {
    hash: String,
    zipped: Bytes,
}

/// What the cache knows a document by: `apis/apps/v1`, `v2 json`.
type Name = String;

/// Answers `/openapi/v2` and `/openapi/v3`.
pub struct OpenApi {
    catalog: Catalog,
    profile: Profile,
    /// What other servers have to add.
    aggregator: Option<Aggregator>,
    made: Mutex<BTreeMap<Name, Arc<Document>>>,
}

impl std::fmt::Debug for OpenApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenApi")
    }
}

impl OpenApi {
    /// Of what the catalog serves.
    pub fn new(catalog: Catalog, profile: Profile) -> Self {
        Self { catalog, profile, aggregator: None, made: Mutex::default() }
    }

    /// Adds the documents of aggregated servers.
    #[must_use]
    pub(crate) fn merging(mut self, aggregator: Aggregator) -> Self {
        self.aggregator = Some(aggregator);
        self
    }

    /// By API service name, what other servers say.
    fn remotes(&self) -> Vec<(String, Arc<Remote>)> {
        self.aggregator.as_ref().map(|aggregator| aggregator.remotes.all()).unwrap_or_default()
    }

    /// Served kinds by their path: `api/v1`, `apis/apps/v1`.
    fn versions(&self) -> BTreeMap<Name, Vec<Arc<Served>>> {
        let mut out: BTreeMap<Name, Vec<Arc<Served>>> = BTreeMap::new();
        for served in self.catalog.all() {
            let name = match served.group.as_ref() {
                "" => format!("api/{}", served.version),
                group => format!("apis/{group}/{}", served.version),
            };
            out.entry(name).or_default().push(served);
        }
        out
    }

    fn info(&self) -> Value {
        json!({ "title": "Kubernetes", "version": self.profile.git_version() })
    }

    /// The kept document, if it is still the one of this hash; else a new one.
    fn document(&self, name: &str, hash: String, make: impl FnOnce() -> Vec<u8>) -> Arc<Document> {
        if let Some(made) = self.made.lock().get(name).filter(|d| d.hash == hash) {
            return made.clone();
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        // Writing to memory does not fail.
        let _ = encoder.write_all(&make());
        let zipped = Bytes::from(encoder.finish().unwrap_or_default());
        let document = Arc::new(Document { hash, zipped });
        self.made.lock().insert(name.to_owned(), document.clone());
        document
    }

    fn v3(&self, name: &str, kinds: &[Arc<Served>]) -> Arc<Document> {
        self.document(name, self.hash_of(kinds), || {
            let kinds: Vec<&Served> = kinds.iter().map(AsRef::as_ref).collect();
            let schemas = render::definitions(&kinds, &Schemas::unpack(), Form::V3);
            let paths: Map<String, Value> = kinds.iter().flat_map(|s| paths::of_kind(s, Form::V3)).collect();
            let security = json!({ "BearerToken": { "type": "apiKey", "description": "Bearer Token authentication",
                "name": "authorization", "in": "header" } });
            let document = json!({
                "openapi": "3.0.0",
                "info": self.info(),
                "paths": paths,
                "components": { "schemas": schemas, "securitySchemes": security },
            });
            serde_json::to_vec(&document).unwrap_or_default()
        })
    }

    fn v2(&self, protobuf: bool) -> Arc<Document> {
        let all = self.catalog.all();
        let name = if protobuf { "v2 protobuf" } else { "v2 json" };
        let swaggers: Vec<(String, Arc<Value>)> =
            self.remotes().into_iter().filter_map(|(_, remote)| remote.swagger.clone()).collect();
        let mut current = self.hash_of(&all);
        if !swaggers.is_empty() {
            current = hash(swaggers.iter().fold(current, |out, (next, _)| out + next).as_bytes());
        }
        self.document(name, current, || {
            let kinds: Vec<&Served> = all.iter().map(AsRef::as_ref).collect();
            let mut definitions: Map<String, Value> =
                render::definitions(&kinds, &Schemas::unpack(), Form::V2).into_iter().collect();
            let mut paths: Map<String, Value> =
                kinds.iter().flat_map(|s| paths::of_kind(s, Form::V2)).collect();
            for (_, swagger) in &swaggers {
                for (into, from) in [(&mut paths, "/paths"), (&mut definitions, "/definitions")] {
                    for (name, value) in swagger.map_at(from).into_iter().flatten() {
                        into.entry(name.clone()).or_insert_with(|| value.clone());
                    }
                }
            }
            let security = json!({ "BearerToken": { "description": "Bearer Token authentication", "in": "header",
                "name": "authorization", "type": "apiKey" } });
            let document = json!({
                "swagger": "2.0",
                "info": self.info(),
                "paths": paths,
                "definitions": definitions,
                "securityDefinitions": security,
                "security": [{ "BearerToken": [] }],
            });
            if protobuf { proto::document(&document) } else { serde_json::to_vec(&document).unwrap_or_default() }
        })
    }

    /// The hash of a document, without making it: over everything that goes into it.
    fn hash_of(&self, kinds: &[Arc<Served>]) -> String {
        static BUILT_IN: OnceLock<String> = OnceLock::new();
        let mut input = format!("{RENDERING} {} ", self.profile.git_version());
        input.push_str(BUILT_IN.get_or_init(|| hash(Schemas::fingerprint())));
        for served in kinds {
            input.push_str(&format!(
                "\n{} {} {} {} {:?} {:?}",
                served.api_version(),
                served.kind,
                served.plural,
                served.namespaced,
                served.verbs,
                served.subresources
            ));
            if let Nature::Custom(custom) = &served.nature {
                input.push_str(&custom.schema().to_string());
            }
        }
        hash(input.as_bytes())
    }

    fn index(&self) -> Value {
        let mut entries: Map<String, Value> = self
            .versions()
            .into_iter()
            .map(|(name, kinds)| {
                let url = format!("/openapi/v3/{name}?hash={}", self.hash_of(&kinds));
                (name, json!({ "serverRelativeURL": url }))
            })
            .collect();
        for (name, remote) in self.remotes() {
            if let (Some((version, group)), Some(url)) = (name.split_once('.'), &remote.open_api) {
                entries.insert(format!("apis/{group}/{version}"), json!({ "serverRelativeURL": url }));
            }
        }
        json!({ "paths": entries })
    }

    /// The document of a version that another server has, asked for now.
    async fn answer_remote(&self, name: &str, page: &Page<'_>) -> Option<Response<Body>> {
        let (group, version) = name.strip_prefix("apis/")?.split_once('/')?;
        let backends = &self.aggregator.as_ref()?.backends;
        let service = backends.remote(&format!("{version}.{group}"))?;
        let Ok(client) = backends.of(&service) else {
            return Some(respond::text(503, "service unavailable\n"));
        };
        let asked = page.query.get("hash").unwrap_or_default();
        let path = format!("/openapi/v3/{name}{}{asked}", if asked.is_empty() { "" } else { "?hash=" });
        let known = page.headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let answer = match backends.ask(&client, &path, "application/json", known).await {
            Ok(answer) => answer,
            Err(why) => return Some(respond::text(503, format!("{why}\n"))),
        };
        let mut response = respond::json_page(answer.code, answer.content);
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if let Some(etag) = HeaderValue::from_str(&answer.etag).ok().filter(|etag| !etag.is_empty()) {
            headers.insert(header::ETAG, etag);
        }
        Some(response)
    }

    fn answer_v3(&self, name: &str, page: &Page<'_>) -> Option<Response<Body>> {
        let versions = self.versions();
        let kinds = versions.get(name)?;
        if !accepts(page.headers, "application/json") {
            return Some(respond::text(406, "406 not acceptable: only application/json is spoken here\n"));
        }
        let current = self.hash_of(kinds);
        let asked = page.query.get("hash").unwrap_or_default();
        if !asked.is_empty() && asked != current {
            let mut response = Response::new(body::empty());
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            if let Ok(place) = HeaderValue::from_str(&format!("/openapi/v3/{name}?hash={current}")) {
                response.headers_mut().insert(header::LOCATION, place);
            }
            return Some(response);
        }
        let mut response = send(&self.v3(name, kinds), "application/json", page.headers);
        if !asked.is_empty() {
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
            if let Some(expires) = expires(page.now) {
                headers.insert(header::EXPIRES, expires);
            }
        }
        Some(response)
    }

    /// `/openapi/v2` as these headers want it.
    pub(super) fn v2_for(&self, headers: &HeaderMap) -> Response<Body> {
        let protobuf = wants_protobuf(headers);
        if !protobuf && !accepts(headers, "application/json") {
            return respond::text(406, "406 not acceptable\n");
        }
        let media = if protobuf { PROTOBUF } else { "application/json" };
        send(&self.v2(protobuf), media, headers)
    }
}

fn expires(now: Wall) -> Option<HeaderValue> {
    let at = now.checked_add(YEAR).ok()?;
    HeaderValue::from_str(&at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

fn ranges(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::ACCEPT).into_iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).map(|range| range.split(';').next().unwrap_or_default().trim())
}

fn accepts(headers: &HeaderMap, media: &str) -> bool {
    !headers.contains_key(header::ACCEPT)
        || ranges(headers)
            .any(|range| range == media || range == "*/*" || range == "application/*" || range.is_empty())
}

/// Whether protobuf comes before JSON in what the client reads.
fn wants_protobuf(headers: &HeaderMap) -> bool {
    let known = [PROTOBUF, OLD_PROTOBUF, "application/json", "*/*", "application/*"];
    ranges(headers).find(|range| known.contains(range)).is_some_and(|range| range.ends_with("protobuf"))
}

fn send(document: &Document, media: &'static str, headers: &HeaderMap) -> Response<Body> {
    let etag = format!("\"{}\"", document.hash);
    let mut response = Response::new(body::empty());
    if has_current(headers, &etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let zipped = headers
            .get(header::ACCEPT_ENCODING)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| v.split(',').any(|e| e.trim().split(';').next() == Some("gzip")));
        if zipped {
            *response.body_mut() = body::full(document.zipped.clone());
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        } else {
            let mut plain = Vec::new();
            let _ = flate2::read::GzDecoder::new(document.zipped.as_ref()).read_to_end(&mut plain);
            *response.body_mut() = body::full(plain);
        }
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    }
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

#[async_trait]
impl Pages for Arc<OpenApi> {
    fn paths(&self) -> Vec<String> {
        let mut paths: BTreeSet<String> = ["/openapi/v2", "/openapi/v3"].map(str::to_owned).into();
        paths.extend(self.versions().keys().map(|name| format!("/openapi/v3/{name}")));
        paths.into_iter().collect()
    }

    async fn answer(&self, page: &Page<'_>) -> Option<Response<Body>> {
        let path = page.path.strip_prefix("/openapi/")?.trim_end_matches('/');
        if !matches!(*page.method, Method::GET | Method::HEAD) {
            return Some(respond::text(405, "405: Method Not Allowed"));
        }
        match path {
            "v2" => Some(self.v2_for(page.headers)),
            "v3" => Some(respond::json_page(200, serde_json::to_vec(&self.index()).unwrap_or_default())),
            _ => {
                let name = path.strip_prefix("v3/")?;
                match self.answer_v3(name, page) {
                    Some(response) => Some(response),
                    None => self.answer_remote(name, page).await,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protobuf_is_sent_to_those_who_ask_for_it_first() {
        #[track_caller]
        fn check(accept: &str, protobuf: bool) {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(wants_protobuf(&headers), protobuf, "{accept}");
        }
        check(PROTOBUF, true);
        check(OLD_PROTOBUF, true);
        check("application/json", false);
        check("*/*", false);
        check("application/json, application/com.github.proto-openapi.spec.v2@v1.0+protobuf", false);
    }

    #[test]
    fn a_hash_changes_with_what_is_served() {
        let catalog = Catalog::builtin();
        let open_api = OpenApi::new(catalog.clone(), Profile::NEWEST);
        let before = open_api.index();
        assert_eq!(before, OpenApi::new(Catalog::builtin(), Profile::NEWEST).index());
        let mut served = Served::clone(&catalog.find("apps", "v1", "deployments").unwrap());
        served.plural = "others".into();
        catalog.put(served);
        let after = open_api.index();
        assert_ne!(before["paths"]["apis/apps/v1"], after["paths"]["apis/apps/v1"]);
        assert_eq!(before["paths"]["api/v1"], after["paths"]["api/v1"]);
    }
}
