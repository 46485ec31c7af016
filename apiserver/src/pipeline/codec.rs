//! From a body to an object: JSON or YAML, 3 MiB at most; and the options of a write.

use api::{
    object::json_type,
    status::{FieldError, Status},
};
use bytes::Bytes;
use http::header;
use serde_json::Value;
use wire::body::{self, CollectError};

use super::{
    Framed, Permitted, Query,
    duplicates::{duplicates, suspected},
    protobuf::{self, ProtobufError},
    yaml,
};
use crate::context::Ctx;

/// Longest name of a field manager.
const MANAGER_MAX: usize = 128;
/// Media types of bodies that hold an object.
const ACCEPTED: [&str; 3] = ["application/json", "application/yaml", PROTOBUF];
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What a create, update, patch or delete says in its query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Everything but the write.
    pub dry_run: bool,
    /// Who manages the fields; empty: the user agent.
    pub field_manager: String,
    /// Whether an apply takes fields from their owners.
    pub force: bool,
    /// What to do about fields that the kind does not have.
    pub validation: FieldValidation,
}

/// `fieldValidation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them.
    Ignore,
    /// Drop them and say so.
    #[default]
    Warn,
    /// Refuse.
    Strict,
}

impl WriteOptions {
    /// Reads the query of a write; `kind` names the options in refusals (`CreateOptions`).
    ///
    /// # Errors
    /// 422 for values that are not known.
    pub fn parse(query: &Query, kind: &str) -> Result<Self, Status> {
        let refuse = |error| Err(Status::invalid(&format!("{kind}.meta.k8s.io"), "", vec![error]));
        let mut dry_run = false;
        for value in query.all("dryRun").filter(|v| !v.is_empty()) {
            if value != "All" {
                return refuse(FieldError::not_supported("dryRun", vec![value], &["All"]));
            }
            dry_run = true;
        }
        let validation = match query.get("fieldValidation").unwrap_or_default() {
            "Ignore" => FieldValidation::Ignore,
            "" | "Warn" => FieldValidation::Warn,
            "Strict" => FieldValidation::Strict,
            other => {
                let known = ["", "Ignore", "Strict", "Warn"];
                return refuse(FieldError::not_supported("fieldValidation", other, &known));
            }
        };
        let field_manager = query.get("fieldManager").unwrap_or_default().to_owned();
        if field_manager.len() > MANAGER_MAX {
            return refuse(FieldError::too_long("fieldManager", MANAGER_MAX));
        }
        if let Some((place, odd)) = field_manager.char_indices().find(|(_, c)| c.is_control()) {
            let why = format!("invalid character U+{:04X} (at position {place})", u32::from(odd));
            return refuse(FieldError::invalid("fieldManager", field_manager, why));
        }
        Ok(Self { dry_run, field_manager, force: query.truthy("force"), validation })
    }

    /// The name under which a write is entered in managed fields.
    pub fn manager(&self, request: &Framed) -> String {
        if !self.field_manager.is_empty() {
            return self.field_manager.clone();
        }
        let agent = request.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let mut name = String::new();
        for c in agent.split('/').next().unwrap_or_default().chars().filter(|c| !c.is_control()) {
            if name.len() + c.len_utf8() > MANAGER_MAX {
                break;
            }
            name.push(c);
        }
        if name.is_empty() { "unknown".to_owned() } else { name }
    }
}

/// The content type without parameters; empty if none is given.
pub fn content_type(request: &Framed) -> &str {
    let value = request.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// The whole body.
///
/// # Errors
/// 413 beyond the limit, 400 when it breaks off.
pub async fn read_body(ctx: &Ctx, permitted: &Permitted) -> Result<Bytes, Status> {
    let limit = ctx.options.max_body_bytes;
    match body::collect(permitted.request().take_body(), limit).await {
        Ok(bytes) => {
            permitted.request().was_read(&bytes);
            Ok(bytes)
        }
        Err(CollectError::TooLarge { .. }) => Err(Status::too_large(format_args!("limit is {limit}"))),
        Err(CollectError::Broken(error)) => Err(Status::bad_request(error.to_string())),
    }
}

fn is_json(media: &str) -> bool {
    matches!(media, "" | "application/json" | "*/*")
}

/// Reads an object from bytes of a content type.
///
/// # Errors
/// 415 for another media type, 400 for what is no object.
pub fn parse_object(bytes: &[u8], media: &str) -> Result<Value, Status> {
    let unreadable =
        |why: String| Status::bad_request(format!("couldn't get version/kind; json parse error: {why}"));
    let value: Value = match media {
        media if is_json(media) => serde_json::from_slice(bytes).map_err(|e| unreadable(e.to_string()))?,
        "application/yaml" | "text/yaml" => {
            let text = std::str::from_utf8(bytes).map_err(|e| unreadable(e.to_string()))?;
            yaml::read(text).map_err(unreadable)?
        }
        PROTOBUF => protobuf::decode(bytes).map_err(|error| match error {
            ProtobufError::Unknown => Status::unsupported_media_type(&ACCEPTED[..2]),
            error => Status::bad_request(error.to_string()),
        })?,
        _ => return Err(Status::unsupported_media_type(&ACCEPTED)),
    };
    match value {
        Value::Object(_) => Ok(value),
        other => Err(unreadable(format!("cannot unmarshal {} into an object", json_type(&other)))),
    }
}

/// Body and all: an object of `kind` in `api_version`. Both may be left out of the body and are then
/// filled in.
///
/// # Errors
/// As [`parse_object`], and 400 for another kind or version.
pub async fn read_object(
    ctx: &Ctx,
    permitted: &Permitted,
    api_version: &str,
    kind: &str,
) -> Result<Value, Status> {
    let ignored = FieldValidation::Ignore;
    Ok(read_checked_object(ctx, permitted, api_version, kind, ignored).await?.0)
}

/// As [`read_object`], with what is to be said of keys that the body repeats, if anybody asks.
///
/// # Errors
/// As [`read_object`].
pub async fn read_checked_object(
    ctx: &Ctx,
    permitted: &Permitted,
    api_version: &str,
    kind: &str,
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), Status> {
    let media = content_type(permitted.request()).to_owned();
    let bytes = read_body(ctx, permitted).await?;
    let mut object = parse_object(&bytes, &media)?;
    let asked = validation != FieldValidation::Ignore && (!is_json(&media) || suspected(&bytes, &object));
    expect_kind(&mut object, api_version, kind)?;
    Ok((object, if asked { repeated(&bytes, &media) } else { Vec::new() }))
}

/// What strict decoding says of keys that stand twice in a body.
pub(crate) fn repeated(bytes: &[u8], media: &str) -> Vec<String> {
    match media {
        PROTOBUF => Vec::new(),
        "application/yaml" | "text/yaml" => {
            std::str::from_utf8(bytes).ok().and_then(yaml::repeated).into_iter().collect()
        }
        _ => duplicates(bytes).into_iter().map(|path| format!("duplicate field \"{path}\"")).collect(),
    }
}

/// Checks that an object is of a kind and version, filling in what it does not say.
///
/// # Errors
/// 400.
pub fn expect_kind(object: &mut Value, api_version: &str, kind: &str) -> Result<(), Status> {
    let given = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (given_kind, given_version) = (given("kind"), given("apiVersion"));
    if !given_kind.is_empty() && given_kind != kind {
        return Err(Status::bad_request(format!(
            "{given_kind} in version \"{}\" cannot be handled as a {kind}: converting (unknown.{given_kind}) to ({kind}): unknown conversion",
            version_of(&given_version)
        )));
    }
    if !given_version.is_empty() && given_version != api_version {
        return Err(Status::bad_request(format!(
            "the API version in the data ({given_version}) does not match the expected API version ({api_version})"
        )));
    }
    if given_kind.is_empty() || given_version.is_empty() {
        let Value::Object(fields) = object else { return Ok(()) };
        let rest = std::mem::take(fields);
        fields.insert("kind".to_owned(), kind.into());
        fields.insert("apiVersion".to_owned(), api_version.into());
        fields.extend(rest.into_iter().filter(|(k, _)| k != "kind" && k != "apiVersion"));
    }
    Ok(())
}

fn version_of(api_version: &str) -> &str {
    api_version.rsplit('/').next().unwrap_or_default()
}
