//! Agreeing on SPDY/3.1 and on what is spoken over it (`apimachinery/pkg/util/httpstream`).

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use wire::{Body, body};

use crate::server::text;

const VERSION: &str = "x-stream-protocol-version";
const ACCEPTED: &str = "x-accepted-stream-protocol-versions";

/// The answer to a request for SPDY, and the first protocol of the client's that is accepted; empty if
/// the client names none.
///
/// # Errors
/// The answer that refuses.
pub(super) fn spdy(
    headers: &HeaderMap,
    accepted: &[&str],
) -> Result<(Response<Body>, String), Box<Response<Body>>> {
    let offered: Vec<&str> = headers
        .get_all(VERSION)
        .into_iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(str::trim)
        .collect();
    let protocol = match offered.iter().find(|p| accepted.contains(p)) {
        Some(protocol) => (*protocol).to_owned(),
        None if offered.is_empty() => String::new(),
        None => {
            let (client, server) = (offered.join(" "), accepted.join(" "));
            let words = format!(
                "unable to negotiate protocol: client supports [{client}], server accepts [{server}]"
            );
            let mut refused = text(StatusCode::FORBIDDEN, &words);
            for protocol in accepted {
                if let Ok(value) = HeaderValue::from_str(protocol) {
                    refused.headers_mut().append(ACCEPTED, value);
                }
            }
            return Err(Box::new(refused));
        }
    };
    let has = |name: header::HeaderName, word: &str| {
        let value = headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        value.to_ascii_lowercase().contains(word)
    };
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "spdy/3.1") {
        let words = "unable to upgrade: missing upgrade headers in request";
        return Err(Box::new(text(StatusCode::BAD_REQUEST, words)));
    }
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let out = response.headers_mut();
    out.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    out.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    if let Ok(value) = HeaderValue::from_str(&protocol) {
        out.insert(VERSION, value);
    }
    Ok((response, protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_first_protocol_that_is_accepted_wins() {
        let check = |offers: &[&'static str], upgrade: &'static str, expected: Result<&str, u16>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static(upgrade));
            for offer in offers {
                headers.append(VERSION, HeaderValue::from_static(offer));
            }
            let found = spdy(&headers, &["v4.channel.k8s.io", "channel.k8s.io"]);
            let found = found.map(|(_, protocol)| protocol).map_err(|response| response.status().as_u16());
            assert_eq!(found.as_deref().map_err(|code| *code), expected, "{offers:?} {upgrade}");
        };
        check(&["v5.channel.k8s.io", "v4.channel.k8s.io"], "SPDY/3.1", Ok("v4.channel.k8s.io"));
        check(&["channel.k8s.io, v4.channel.k8s.io"], "SPDY/3.1", Ok("channel.k8s.io"));
        check(&[], "SPDY/3.1", Ok(""));
        check(&["v9.channel.k8s.io"], "SPDY/3.1", Err(403));
        check(&[], "h2c", Err(400));
    }
}
