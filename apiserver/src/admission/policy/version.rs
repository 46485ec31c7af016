//! Objects in the version that a policy means, which need not be the request's.

use std::borrow::Cow;

use api::object::ObjectExt as _;
use serde_json::Value;

use super::super::{Form, Review, Tools};

/// An object, if there is one, in the version of a target.
///
/// # Errors
/// It cannot be brought there.
pub(super) fn versioned<'o>(
    tools: &Tools,
    object: Option<&'o Value>,
    target: &Form,
) -> Result<Option<Cow<'o, Value>>, String> {
    let Some(object) = object else { return Ok(None) };
    if object.api_version() == target.api_version() || object.api_version().is_empty() {
        return Ok(Some(Cow::Borrowed(object)));
    }
    let other = convert(tools, object, &target.group, &target.version, &target.resource)?;
    Ok(Some(Cow::Owned(other)))
}

/// What a policy made of an object, in the request's version.
///
/// # Errors
/// As [`versioned`].
pub(super) fn restored(
    tools: &Tools,
    object: Value,
    review: &Review<'_>,
    own: &Form,
) -> Result<Value, String> {
    if object.api_version() == own.api_version() || object.api_version().is_empty() {
        return Ok(object);
    }
    convert(tools, &object, review.group, review.version, review.resource)
}

fn convert(
    tools: &Tools,
    object: &Value,
    group: &str,
    version: &str,
    resource: &str,
) -> Result<Value, String> {
    let Some(served) = tools.catalog.find(group, version, resource) else {
        return Err(format!("no kind is served as {resource}.{version}.{group}"));
    };
    if served.webhook().is_some() {
        return Err(format!(
            "{} is converted to {} by a webhook, which policies cannot ask",
            object.api_version(),
            served.api_version()
        ));
    }
    let mut other = object.clone();
    served.present(&mut other);
    Ok(other)
}
