//! One constructor per refusal: upstream's code, reason and words.

use std::fmt;

use super::{
    Cause, Details, FieldError, GroupKind, GroupResource, MODIFIED, Status, TOO_LARGE_VERSION, aggregate,
    quoted,
};

impl Status {
    /// Any code, reason and message, without details.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Status {
        Status {
            code,
            reason: reason.into(),
            message: message.into(),
            details: None,
            continue_token: String::new(),
        }
    }

    fn about(code: u16, reason: &str, on: GroupResource<'_>, name: &str, message: String) -> Status {
        let details = Details {
            name: name.into(),
            group: on.group.into(),
            kind: on.resource.into(),
            ..Details::default()
        };
        Status { details: Some(details), ..Status::new(code, reason, message) }
    }

    /// 404: there is no such object.
    pub fn not_found<'a>(resource: impl Into<GroupResource<'a>>, name: &str) -> Status {
        let on = resource.into();
        Status::about(404, "NotFound", on, name, format!("{on} {} not found", quoted(name)))
    }

    /// 404 of a path that leads nowhere below a known group, in the words that clients print too.
    pub fn no_such_resource() -> Status {
        let mut status = Status::new(404, "NotFound", "the server could not find the requested resource");
        status.details = Some(Details::default());
        status
    }

    /// 409: the name is taken.
    pub fn already_exists<'a>(resource: impl Into<GroupResource<'a>>, name: &str) -> Status {
        let on = resource.into();
        Status::about(409, "AlreadyExists", on, name, format!("{on} {} already exists", quoted(name)))
    }

    /// 409: eight generated names were all taken.
    pub fn generate_name_conflict<'a>(resource: impl Into<GroupResource<'a>>, name: &str) -> Status {
        let on = resource.into();
        let message = format!(
            "{on} {} already exists, the server was not able to generate a unique name for the object",
            quoted(name)
        );
        Status::about(409, "AlreadyExists", on, name, message).retry_after(1)
    }

    /// 409: the write contradicts what is stored.
    pub fn conflict<'a>(
        resource: impl Into<GroupResource<'a>>,
        name: &str,
        why: impl fmt::Display,
    ) -> Status {
        let on = resource.into();
        let message = format!("Operation cannot be fulfilled on {on} {}: {why}", quoted(name));
        Status::about(409, "Conflict", on, name, message)
    }

    /// 409: the resource version of the write is not the stored one.
    pub fn modified<'a>(resource: impl Into<GroupResource<'a>>, name: &str) -> Status {
        Status::conflict(resource, name, MODIFIED)
    }

    /// 409: other managers own the fields that an apply wants to set.
    pub fn apply_conflict(causes: Vec<Cause>, message: impl Into<String>) -> Status {
        let details = Details { causes, ..Details::default() };
        Status { details: Some(details), ..Status::new(409, "Conflict", message) }
    }

    /// 422: the object breaks rules, each with its field.
    pub fn invalid<'a>(kind: impl Into<GroupKind<'a>>, name: &str, errors: Vec<FieldError>) -> Status {
        let on = kind.into();
        let mut message = format!("{on} {} is invalid", quoted(name));
        if let Some(all) = aggregate(&errors) {
            message.push_str(": ");
            message.push_str(&all);
        }
        let causes = errors.into_iter().map(FieldError::into_cause).collect();
        let details = Details {
            name: name.into(),
            group: on.group.into(),
            kind: on.kind.into(),
            causes,
            ..Details::default()
        };
        Status { details: Some(details), ..Status::new(422, "Invalid", message) }
    }

    /// 422 without a field: a patch that cannot be carried out.
    pub fn unprocessable() -> Status {
        let mut status =
            Status::new(422, "Invalid", "the server rejected our request due to an error in our request");
        status.details = Some(Details::default());
        status
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Status {
        Status::new(400, "BadRequest", message)
    }

    /// 401. The authentication filter never says more than this.
    pub fn unauthorized() -> Status {
        Status::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403. Without a name, without a resource: upstream leaves these parts out of the sentence.
    pub fn forbidden<'a>(
        resource: impl Into<GroupResource<'a>>,
        name: &str,
        why: impl fmt::Display,
    ) -> Status {
        let on = resource.into();
        let message = if on.resource.is_empty() {
            format!("forbidden: {why}")
        } else if name.is_empty() {
            format!("{on} is forbidden: {why}")
        } else {
            format!("{on} {} is forbidden: {why}", quoted(name))
        };
        Status::about(403, "Forbidden", on, name, message)
    }

    /// 405.
    pub fn method_not_allowed<'a>(resource: impl Into<GroupResource<'a>>, action: &str) -> Status {
        let on = resource.into();
        let message = format!("{action} is not supported on resources of kind {}", quoted(&on.to_string()));
        Status::about(405, "MethodNotAllowed", on, "", message)
    }

    /// 406.
    pub fn not_acceptable(accepted: &[&str]) -> Status {
        Status::new(
            406,
            "NotAcceptable",
            format!("only the following media types are accepted: {}", accepted.join(", ")),
        )
    }

    /// 410: these versions are compacted away; list again.
    pub fn expired(message: impl Into<String>) -> Status {
        Status::new(410, "Expired", message)
    }

    /// 410 for a watch that starts before the oldest event that is still known.
    pub fn too_old(requested: u64, oldest: u64) -> Status {
        Status::expired(format!("too old resource version: {requested} ({oldest})"))
    }

    /// 410 in its older spelling.
    pub fn gone(message: impl Into<String>) -> Status {
        Status::new(410, "Gone", message)
    }

    /// 413.
    pub fn too_large(why: impl fmt::Display) -> Status {
        Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: {why}"))
    }

    /// 415.
    pub fn unsupported_media_type(accepted: &[&str]) -> Status {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Status::new(415, "UnsupportedMediaType", message)
    }

    /// 429: come back after so many seconds.
    pub fn too_many_requests(message: impl Into<String>, retry_after: u32) -> Status {
        Status::new(429, "TooManyRequests", message).retry_after(retry_after)
    }

    /// 500: our fault, or that of something we need.
    pub fn internal(why: impl fmt::Display) -> Status {
        let why = why.to_string();
        let message = format!("Internal error occurred: {why}");
        let cause = Cause { message: why, ..Cause::default() };
        let details = Details { causes: vec![cause], ..Details::default() };
        Status { details: Some(details), ..Status::new(500, "InternalError", message) }
    }

    /// 500 with an empty reason: an error that upstream does not classify.
    pub fn unclassified(message: impl Into<String>) -> Status {
        Status::new(500, "", message)
    }

    /// 500 although it is a timeout: the work may be tried again.
    pub fn server_timeout<'a>(
        resource: impl Into<GroupResource<'a>>,
        operation: &str,
        retry_after: u32,
    ) -> Status {
        let on = resource.into();
        let message = format!(
            "The {operation} operation against {on} could not be completed at this time, please try again."
        );
        Status::about(500, "ServerTimeout", on, operation, message).retry_after(retry_after)
    }

    /// 500: the stored object cannot be read.
    pub fn store_read(message: impl Into<String>) -> Status {
        Status::new(500, "StorageReadError", message)
    }

    /// 503.
    pub fn service_unavailable(message: impl Into<String>) -> Status {
        Status::new(503, "ServiceUnavailable", message)
    }

    /// 504: it may or may not have been done.
    pub fn timeout(why: impl fmt::Display, retry_after: u32) -> Status {
        Status::new(504, "Timeout", format!("Timeout: {why}")).retry_after(retry_after)
    }

    /// 504 for a version that the server has not reached yet.
    pub fn version_too_large(requested: u64, current: u64) -> Status {
        let mut status =
            Status::timeout(format_args!("Too large resource version: {requested}, current: {current}"), 1);
        status.push_cause(TOO_LARGE_VERSION, "Too large resource version", "");
        status
    }
}
