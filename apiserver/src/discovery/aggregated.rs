//! Discovery in one document, cacheable by its ETag.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha512};
use wire::{Body, body};

use super::{
    groups::{self, Group},
    negotiate::Version,
};
use crate::{
    aggregator::Remotes,
    catalog::{Served, Text},
};

fn texts(list: &[Text]) -> Value {
    list.iter().map(|t| Value::from(t.as_ref())).collect()
}

fn document(groups: &[&Group], remotes: &Remotes, version: Version) -> Value {
    let items: Vec<Value> = groups
        .iter()
        .map(|group| {
            let metadata = if group.name.is_empty() {
                json!({ "creationTimestamp": null })
            } else {
                json!({ "name": group.name, "creationTimestamp": null })
            };
            let versions: Vec<Value> = group.versions.iter().map(|v| of_version(v, remotes)).collect();
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{}", version.as_str()),
        "metadata": {},
        "items": items,
    })
}

fn of_version(version: &groups::Version, remotes: &Remotes) -> Value {
    // What another server has is known only as far as it could be asked.
    if version.elsewhere {
        let known = remotes.get(&format!("{}.{}", version.name, version.group)).unwrap_or_default();
        let freshness = if known.fresh { "Current" } else { "Stale" };
        if known.resources.is_empty() {
            return json!({ "version": version.name, "freshness": freshness });
        }
        return json!({ "version": version.name, "resources": known.resources, "freshness": freshness });
    }
    let resources: Vec<Value> = version.resources.iter().map(|served| of_resource(served)).collect();
    json!({ "version": version.name, "resources": resources, "freshness": "Current" })
}

fn of_resource(served: &Served) -> Value {
    let mut out = json!({
        "resource": served.plural,
        "responseKind": { "group": served.group, "version": served.version, "kind": served.kind },
        "scope": if served.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": served.singular,
        "verbs": texts(&served.verbs),
    });
    if !served.short_names.is_empty() {
        out["shortNames"] = texts(&served.short_names);
    }
    if !served.categories.is_empty() {
        out["categories"] = texts(&served.categories);
    }
    if !served.subresources.is_empty() {
        out["subresources"] = served
            .subresources
            .iter()
            .map(|sub| {
                json!({
                    "subresource": sub.name,
                    "responseKind": { "group": sub.group, "version": sub.version, "kind": sub.kind },
                    "verbs": texts(&sub.verbs),
                })
            })
            .collect();
    }
    out
}

/// The hash of a document, as upstream writes it: SHA-512 in upper-case hex.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().fold(String::with_capacity(128), |mut out, byte| {
        let _ = write!(out, "{byte:02X}");
        out
    })
}

/// Whether the client has what this ETag (quotes included) stands for.
pub(crate) fn has_current(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|v| v.to_str().ok());
    known
        .flat_map(|v| v.split(','))
        .any(|v| matches!(v.trim(), "*") || v.trim().trim_start_matches("W/") == etag)
}

pub(super) fn answer(
    groups: &[&Group],
    remotes: &Remotes,
    version: Version,
    headers: &HeaderMap,
) -> Response<Body> {
    let bytes = serde_json::to_vec(&document(groups, remotes, version)).unwrap_or_default();
    let etag = format!("\"{}\"", hash(&bytes));
    let mut response = if has_current(headers, &etag) {
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = Response::new(body::full(bytes));
        let media =
            format!("application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList", version.as_str());
        if let Ok(media) = HeaderValue::from_str(&media) {
            response.headers_mut().insert(header::CONTENT_TYPE, media);
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}
