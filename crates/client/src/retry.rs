//! When a request is sent again, and what an answer that is no Status means: client-go's rules.

use std::time::Duration;

use api::status::{Cause, Details, Status};
use http::{HeaderMap, Method, StatusCode, header::RETRY_AFTER};

use crate::{Resource, error::is_probable_eof};

/// How often a request is sent again at most.
pub(crate) const MAX_RETRIES: u32 = 10;
/// The wait before a request whose connection broke is sent again.
const AFTER_BREAK: Duration = Duration::from_secs(1);

/// The wait that the server asks for: only where it makes sense to come back.
pub(crate) fn asked_by_server(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if status != StatusCode::TOO_MANY_REQUESTS && status.as_u16() < 500 {
        return None;
    }
    retry_after(headers).map(|s| Duration::from_secs(s.into()))
}

/// The wait after a transport error. Only reads are repeated: a write may have happened. A watch,
/// which nobody waits for, also outlasts a server that does not answer.
pub(crate) fn after_error(method: &Method, watch: bool, error: &wire::Error) -> Option<Duration> {
    let again = is_probable_eof(&error.to_string()) || (watch && error.is_timeout());
    (method == Method::GET && again).then_some(AFTER_BREAK)
}

fn retry_after(headers: &HeaderMap) -> Option<u32> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// The Status that client-go makes of an error answer without one.
pub(crate) fn generic_status(
    method: &Method,
    code: StatusCode,
    headers: &HeaderMap,
    resource: Option<(&Resource, &str)>,
    body: &[u8],
) -> Status {
    let said =
        if is_text(headers) { String::from_utf8_lossy(body).trim().to_owned() } else { "unknown".to_owned() };
    let (reason, message) = words(method, code, &said);
    let (message, details) = match resource {
        None => (message, Details::default()),
        Some((resource, name)) => {
            let verb = method.as_str().to_lowercase();
            let at = [verb.as_str(), &resource.qualified(), name];
            let at: Vec<&str> = at.into_iter().filter(|s| !s.is_empty()).collect();
            let details = Details {
                group: resource.group.to_string(),
                kind: resource.plural.to_string(),
                name: name.to_owned(),
                ..Details::default()
            };
            (format!("{message} ({})", at.join(" ")), details)
        }
    };
    let cause = Cause { reason: "UnexpectedServerResponse".to_owned(), message: said, ..Cause::default() };
    let details =
        Details { causes: vec![cause], retry_after_seconds: retry_after(headers).unwrap_or(0), ..details };
    Status { details: Some(details), ..Status::new(code.as_u16(), reason, message) }
}

fn words(method: &Method, code: StatusCode, said: &str) -> (&'static str, String) {
    let fixed = |reason, message: &str| (reason, message.to_owned());
    match code.as_u16() {
        400 => fixed("BadRequest", "the server rejected our request for an unknown reason"),
        401 => fixed("Unauthorized", "the server has asked for the client to provide credentials"),
        403 => fixed("Forbidden", said),
        404 => fixed("NotFound", "the server could not find the requested resource"),
        405 => fixed("MethodNotAllowed", "the server does not allow this method on the requested resource"),
        406 if said.is_empty() || said == "unknown" => fixed(
            "NotAcceptable",
            "the server was unable to respond with a content type that the client supports",
        ),
        406 => fixed("NotAcceptable", said),
        409 if method == Method::POST => fixed("AlreadyExists", "the server reported a conflict"),
        409 => fixed("Conflict", "the server reported a conflict"),
        415 => fixed("UnsupportedMediaType", said),
        422 => fixed("Invalid", "the server rejected our request due to an error in our request"),
        429 => fixed(
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        ),
        503 => fixed("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => fixed(
            "Timeout",
            "the server was unable to return a response in the time allotted, but may still be processing the request",
        ),
        500.. => (
            "InternalError",
            format!("an error on the server ({said:?}) has prevented the request from succeeding"),
        ),
        code => (
            "",
            format!("the server responded with the status code {code} but did not return more information"),
        ),
    }
}

/// Status of a watch whose bytes could not be read on.
pub(crate) fn watch_decoding(why: &str) -> Box<Status> {
    let said = format!("unable to decode an event from the watch stream: {why}");
    let cause = |reason: &str| Cause { reason: reason.to_owned(), message: said.clone(), ..Cause::default() };
    let message = format!("an error on the server ({said:?}) has prevented the request from succeeding");
    let causes = vec![cause("UnexpectedServerResponse"), cause("ClientWatchDecoding")];
    let details = Some(Details { causes, ..Details::default() });
    Box::new(Status { details, ..Status::new(500, "InternalError", message) })
}

fn is_text(headers: &HeaderMap) -> bool {
    match headers.get(http::header::CONTENT_TYPE).and_then(|t| t.to_str().ok()) {
        None | Some("") => true,
        Some(kind) => kind.trim_start().to_ascii_lowercase().starts_with("text/"),
    }
}
