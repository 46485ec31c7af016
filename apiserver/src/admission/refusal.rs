//! The wrapper that every plugin's refusal gets: `<resource> "<name>" is forbidden: <why>`.

use std::fmt;

use api::{
    object::ObjectExt as _,
    status::{GroupResource, Status},
};
use client::ClientError;

use super::Review;

/// A 403 about the object under review.
pub(super) fn forbidden(review: &Review<'_>, why: impl fmt::Display) -> Status {
    let resource = GroupResource { group: review.group, resource: review.resource };
    Status::forbidden(resource, name(review), why)
}

/// A 403 because a question to the server itself failed. A refusal that is forbidden already is
/// handed on as it is.
pub(super) fn forbidden_by(review: &Review<'_>, error: &ClientError) -> Status {
    match error.status() {
        Some(status) if status.is_forbidden() => status.clone(),
        _ => forbidden(review, error),
    }
}

/// AlwaysDeny.
pub(super) fn deny_all(review: &Review<'_>) -> Status {
    forbidden(review, "admission control is denying all modifications")
}

/// A failure of a question to the server itself, as it is.
pub(super) fn raw(error: &ClientError) -> Status {
    match error.status() {
        Some(status) => status.clone(),
        None => Status::unclassified(error.to_string()),
    }
}

/// The name in messages: the request's, the object's, the beginning of one still to be made, or a
/// word for none at all.
fn name<'a>(review: &'a Review<'_>) -> &'a str {
    if !review.name.is_empty() {
        return review.name;
    }
    match review.new_object() {
        Some(object) if !object.name().is_empty() => object.name(),
        Some(object) => object.generate_name(),
        None => "Unknown",
    }
}
