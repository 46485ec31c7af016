//! What the client wants to read: media type, and whether as the object, a table or metadata alone.

use api::status::Status;
use http::{HeaderMap, header};

use crate::pipeline::Query;

/// How much of each object comes with its table row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Include {
    /// Cells only.
    None,
    /// A PartialObjectMetadata.
    Metadata,
    /// All of it.
    Object,
}

/// What is made of an object before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The object itself.
    Object,
    /// `as=Table`.
    Table(Include),
    /// `as=PartialObjectMetadata` and its list.
    Partial,
}

/// The bytes' format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
}

/// What one request's response looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Object, table, metadata.
    pub encoding: Encoding,
    /// JSON or YAML.
    pub format: Format,
    /// Indented.
    pub pretty: bool,
    /// The client reads gzip.
    pub gzip: bool,
}

const MEDIA_TYPES: [&str; 2] = ["application/json", "application/yaml"];

struct Range<'a> {
    media: &'a str,
    quality: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let parameters: Vec<_> = parts.filter_map(|p| p.split_once('=')).collect();
        let quality =
            parameters.iter().find(|(k, _)| *k == "q").and_then(|(_, v)| v.parse().ok()).unwrap_or(1.0);
        Self { media, quality, parameters }
    }

    fn parameter(&self, name: &str) -> &'a str {
        self.parameters.iter().find(|(k, _)| *k == name).map_or("", |(_, v)| v)
    }

    fn format(&self) -> Option<Format> {
        match self.media {
            "application/json" | "*/*" | "application/*" | "" => Some(Format::Json),
            "application/yaml" => Some(Format::Yaml),
            _ => None,
        }
    }

    fn encoding(&self, include: Include) -> Option<Encoding> {
        let meta = self.parameter("g") == "meta.k8s.io" && matches!(self.parameter("v"), "v1" | "v1beta1");
        match self.parameter("as") {
            "" => Some(Encoding::Object),
            "Table" if meta => Some(Encoding::Table(include)),
            "PartialObjectMetadata" | "PartialObjectMetadataList" if meta => Some(Encoding::Partial),
            _ => None,
        }
    }
}

impl Wanted {
    /// What a request without any wish gets.
    pub const PLAIN: Self =
        Self { encoding: Encoding::Object, format: Format::Json, pretty: false, gzip: false };

    /// Reads a request's wishes.
    ///
    /// # Errors
    /// 406 when nothing that the client accepts can be made; 400 for an unknown `includeObject`.
    pub fn negotiate(headers: &HeaderMap, query: &Query) -> Result<Self, Status> {
        let include = match query.get("includeObject").unwrap_or_default() {
            "" | "Metadata" => Include::Metadata,
            "None" => Include::None,
            "Object" => Include::Object,
            other => return Err(Status::bad_request(format!("unrecognized includeObject value: {other:?}"))),
        };
        let text =
            |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let accept = text(header::ACCEPT);
        let mut ranges: Vec<Range<'_>> = accept.split(',').map(|r| Range::parse(r.trim())).collect();
        ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        let chosen = ranges.iter().find_map(|r| Some((r.format()?, r.encoding(include)?)));
        let Some((format, encoding)) = chosen else { return Err(Status::not_acceptable(&MEDIA_TYPES)) };
        let agent = text(header::USER_AGENT);
        let by_hand = ["curl", "Wget", "Mozilla/5.0"].iter().any(|p| agent.starts_with(p));
        let pretty = match query.get("pretty") {
            Some(value) => matches!(value, "true" | "1" | "t" | "T" | "TRUE" | "True"),
            None => by_hand,
        };
        let gzip =
            text(header::ACCEPT_ENCODING).split(',').any(|e| e.trim().split(';').next() == Some("gzip"));
        Ok(Self { encoding, format, pretty, gzip })
    }

    /// As [`Wanted::negotiate`], for an answer that must be given in any case.
    pub fn or_plain(headers: &HeaderMap, query: &Query) -> Self {
        Self::negotiate(headers, query).unwrap_or(Self::PLAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, expected: Option<(Encoding, Format)>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        let seen = Wanted::negotiate(&headers, &Query::default()).ok().map(|w| (w.encoding, w.format));
        assert_eq!(seen, expected, "{accept}");
    }

    #[test]
    fn accept_headers() {
        let table = Encoding::Table(Include::Metadata);
        check("", Some((Encoding::Object, Format::Json)));
        check("*/*", Some((Encoding::Object, Format::Json)));
        check("application/yaml", Some((Encoding::Object, Format::Yaml)));
        check("application/vnd.kubernetes.protobuf,application/json", Some((Encoding::Object, Format::Json)));
        check("application/vnd.kubernetes.protobuf", None);
        check("text/html", None);
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            Some((table, Format::Json)),
        );
        check(
            "application/json;as=Table;v=v3;g=meta.k8s.io, application/json",
            Some((Encoding::Object, Format::Json)),
        );
        check(
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Some((Encoding::Partial, Format::Json)),
        );
        check("application/yaml;q=0.5, application/json;q=0.9", Some((Encoding::Object, Format::Json)));
    }
}
