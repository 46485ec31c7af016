//! What an answer stands for, by client-go's rules: for whoever speaks HTTP themselves, to others than
//! an API server.

use std::time::Duration;

use api::status::Status;
use http::{HeaderMap, Method, StatusCode};

use crate::{Resource, retry};

/// How often a request is sent again at most.
pub const MAX_RETRIES: u32 = retry::MAX_RETRIES;

/// The refusal that an answer is, if it is one: the Status in its body, or else the words that stand
/// for its code. `about` is what the request was about, for those words.
pub fn refusal(
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    about: Option<(&Resource, &str)>,
    body: &[u8],
) -> Option<Status> {
    if (200..=206).contains(&status.as_u16()) {
        return None;
    }
    let said = serde_json::from_slice(body).ok().and_then(|value| Status::from_value(&value));
    Some(said.unwrap_or_else(|| retry::generic_status(method, status, headers, about, body)))
}

/// How long the server asks to wait before the request is sent again, if it asks for that.
pub fn come_again_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    retry::asked_by_server(status, headers)
}
