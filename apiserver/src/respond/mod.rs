//! The only place where objects, lists, tables and Status become bytes.

mod negotiate;
pub mod table;

use std::{io::Write, sync::Arc};

use api::{object::ObjectExt, status::Status};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use wire::{Body, body};
use world::Wall;

use crate::{
    catalog::Served,
    watch_cache::{EventType, Item, encode},
};
pub use negotiate::{Encoding, Format, Include, Wanted};

/// Bodies up to this size are not worth compressing.
const GZIP_ABOVE: usize = 128 * 1024;

/// What an answer's object was encoded to, before it was compressed: beside the answer until it leaves,
/// for the audit log.
#[derive(Clone, Debug)]
pub struct Encoded(pub Bytes);

/// `metadata` of a list.
#[derive(Clone, Debug, Default)]
pub struct ListMeta {
    /// The revision of the view; empty for what has none.
    pub resource_version: String,
    /// Where the next page begins; empty at the end.
    pub continue_token: String,
    /// How many items come after this page, where known.
    pub remaining: Option<usize>,
}

impl ListMeta {
    fn to_value(&self) -> Value {
        let mut meta = json!({});
        if !self.resource_version.is_empty() {
            meta["resourceVersion"] = self.resource_version.as_str().into();
        }
        if !self.continue_token.is_empty() {
            meta["continue"] = self.continue_token.as_str().into();
        }
        if let Some(remaining) = self.remaining {
            meta["remainingItemCount"] = remaining.into();
        }
        meta
    }
}

impl Wanted {
    /// One object of a served kind.
    ///
    /// # Errors
    /// The object cannot be read back from the store.
    pub fn item(self, code: u16, served: &Served, item: &Item, now: Wall) -> Result<Response<Body>, Status> {
        let plain = self.encoding == Encoding::Object && self.format == Format::Json && !self.pretty;
        if plain {
            return Ok(self.bytes(code, item.json()?));
        }
        Ok(self.object(code, served, item.object()?.as_ref(), now))
    }

    /// One object of a served kind that no cache holds.
    pub fn object(self, code: u16, served: &Served, object: &Value, now: Wall) -> Response<Body> {
        match self.encoding {
            Encoding::Object => self.value(code, object),
            Encoding::Partial => self.value(code, &table::partial(object)),
            Encoding::Table(include) => {
                let meta = json!({ "resourceVersion": object.resource_version() });
                let row = table::row(served, object, include, now);
                self.value(code, &table::table(Some(table::columns(served)), meta, vec![row]))
            }
        }
    }

    /// A list of objects of one kind.
    ///
    /// # Errors
    /// One of the objects cannot be read back from the store.
    pub fn list(
        self,
        served: &Served,
        meta: &ListMeta,
        items: &[Arc<Item>],
        now: Wall,
    ) -> Result<Response<Body>, Status> {
        let head = |kind: &str, api_version: &str| json!({ "kind": kind, "apiVersion": api_version });
        match self.encoding {
            Encoding::Object if self.format == Format::Json && !self.pretty => {
                let mut out = BytesMut::with_capacity(256 + items.len() * 512);
                let (kind, version) = (&served.list_kind, served.api_version());
                let metadata = meta.to_value();
                out.put_slice(
                    format!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{metadata},"items":["#)
                        .as_bytes(),
                );
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.put_u8(b',');
                    }
                    out.put_slice(&item.json()?);
                }
                out.put_slice(b"]}");
                Ok(self.bytes(200, out.freeze()))
            }
            Encoding::Object => {
                let mut list = head(&served.list_kind, &served.api_version());
                list["metadata"] = meta.to_value();
                let items: Result<Vec<Value>, Status> =
                    items.iter().map(|i| i.object().map(|o| Value::clone(&o))).collect();
                list["items"] = items?.into();
                Ok(self.value(200, &list))
            }
            Encoding::Partial => {
                let mut list = head("PartialObjectMetadataList", "meta.k8s.io/v1");
                list["metadata"] = meta.to_value();
                let items: Result<Vec<Value>, Status> =
                    items.iter().map(|i| i.object().map(|o| table::partial(&o))).collect();
                list["items"] = items?.into();
                Ok(self.value(200, &list))
            }
            Encoding::Table(include) => {
                let objects: Result<Vec<_>, Status> = items.iter().map(|i| i.object()).collect();
                let rows = table::rows(served, objects?, include, now);
                Ok(self.value(200, &table::table(Some(table::columns(served)), meta.to_value(), rows)))
            }
        }
    }

    /// Any other value: a review, a scale, a success Status.
    pub fn value(self, code: u16, value: &Value) -> Response<Body> {
        let bytes = match self.format {
            Format::Yaml => serde_saphyr::to_string(value).map(Bytes::from).unwrap_or_default(),
            Format::Json if self.pretty => {
                serde_json::to_vec_pretty(value).map(Bytes::from).unwrap_or_default()
            }
            Format::Json => encode(value),
        };
        self.bytes(code, bytes)
    }

    /// A refusal.
    pub fn status(self, status: &Status) -> Response<Body> {
        let mut response = Self { encoding: Encoding::Object, ..self }.value(status.code, &status.to_value());
        if let Some(seconds) = status.retry_after_seconds() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status.is_forbidden() {
            response
                .headers_mut()
                .insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        response
    }

    fn bytes(self, code: u16, bytes: Bytes) -> Response<Body> {
        let media = match self.format {
            Format::Json => "application/json",
            Format::Yaml => "application/yaml",
        };
        if self.gzip && bytes.len() > GZIP_ABOVE {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            if let Some(zipped) = encoder.write_all(&bytes).ok().and_then(|()| encoder.finish().ok()) {
                let mut response = response(code, media, zipped.into());
                response.extensions_mut().insert(Encoded(bytes));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
                return response;
            }
        }
        let mut response = response(code, media, bytes.clone());
        response.extensions_mut().insert(Encoded(bytes));
        response
    }
}

fn response(code: u16, media: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(body::full(bytes));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// A response in plain text, as Go's `http.Error` writes it (with a newline) or without.
pub fn text(code: u16, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = response(code, "text/plain; charset=utf-8", text.into());
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A JSON response that is no API object.
pub fn json_page(code: u16, bytes: impl Into<Bytes>) -> Response<Body> {
    response(code, "application/json", bytes.into())
}

/// The frame of a watch event on an object, newline at the end.
///
/// `columns`: whether a table's frame carries its column definitions (the first one does).
pub fn event_frame(
    served: &Served,
    event: EventType,
    item: &Item,
    encoding: Encoding,
    columns: bool,
    now: Wall,
) -> Result<Bytes, Status> {
    let object = match encoding {
        Encoding::Object => item.json()?,
        Encoding::Partial => encode(&table::partial(item.object()?.as_ref())),
        Encoding::Table(include) => {
            let object = item.object()?;
            let meta = json!({ "resourceVersion": object.resource_version() });
            let row = table::row(served, &object, include, now);
            encode(&table::table(columns.then(|| table::columns(served)), meta, vec![row]))
        }
    };
    Ok(frame(event.as_str(), &object))
}

/// A bookmark's frame: nothing but the kind and a resource version.
pub fn bookmark_frame(served: &Served, revision: i64, encoding: Encoding, initial_events_end: bool) -> Bytes {
    let mut metadata = json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
    if initial_events_end {
        metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
    }
    let object = match encoding {
        Encoding::Object => {
            json!({ "kind": served.kind, "apiVersion": served.api_version(), "metadata": metadata })
        }
        Encoding::Partial => table::partial(&json!({ "metadata": metadata })),
        Encoding::Table(_) => table::table(None, metadata, Vec::new()),
    };
    frame("BOOKMARK", &encode(&object))
}

/// The frame that ends a watch with a reason.
pub fn error_frame(status: &Status) -> Bytes {
    frame("ERROR", &encode(&status.to_value()))
}

fn frame(event: &str, object: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(object.len() + 32);
    out.put_slice(b"{\"type\":\"");
    out.put_slice(event.as_bytes());
    out.put_slice(b"\",\"object\":");
    out.put_slice(object);
    out.put_slice(b"}\n");
    out.freeze()
}

/// A watch's response around its frames.
pub fn stream(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
