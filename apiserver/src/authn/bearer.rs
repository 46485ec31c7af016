//! Where a request carries its token: the Authorization header, or a WebSocket sub-protocol, since a
//! browser cannot set headers there.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
};

/// What is said about a token that nobody knows.
pub(super) const INVALID: &str = "invalid bearer token";

const PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// The bearer token of the Authorization header. Another scheme is no opinion, not an error.
pub(super) fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let mut parts = value.split(' ');
    let (scheme, token) = (parts.next()?, parts.next()?);
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

/// The token among the sub-protocols of a WebSocket handshake, and the header without it.
pub(super) fn websocket_token(headers: &HeaderMap) -> Result<Option<(String, HeaderValue)>, &'static str> {
    let says = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|v: &HeaderValue| v.to_str().ok());
        values.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(word))
    };
    if !says(CONNECTION, "upgrade") || !says(UPGRADE, "websocket") {
        return Ok(None);
    }
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|v| v.to_str().ok());
    let protocols = values.flat_map(|v| v.split(',')).map(str::trim).filter(|p| !p.is_empty());
    let (tokens, rest): (Vec<&str>, Vec<&str>) = protocols.partition(|p| p.starts_with(PROTOCOL));
    let encoded = match tokens.as_slice() {
        [] => return Ok(None),
        [one] => one.strip_prefix(PROTOCOL).unwrap_or_default(),
        _ => return Err("multiple base64.bearer.authorization tokens specified"),
    };
    let bytes =
        URL_SAFE_NO_PAD.decode(encoded).map_err(|_| "invalid base64.bearer.authorization token encoding")?;
    let token = String::from_utf8(bytes).map_err(|_| "invalid base64.bearer.authorization token")?;
    if rest.is_empty() {
        return Err("missing additional subprotocol");
    }
    let rest = HeaderValue::from_str(&rest.join(",")).map_err(|_| "missing additional subprotocol")?;
    Ok(Some((token, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        let check = |value: &str, wanted: Option<&str>| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
            assert_eq!(token(&headers).as_deref(), wanted, "{value}");
        };
        check("Bearer abc", Some("abc"));
        check("bearer abc", Some("abc"));
        check("Bearer abc def", Some("abc"));
        check("Bearer  abc", None);
        check("Bearer", None);
        check("Basic abc", None);
    }

    #[test]
    fn a_websocket_carries_it_as_a_protocol() {
        let check = |protocols: &str, wanted: Result<Option<(&str, &str)>, &str>| {
            let headers = HeaderMap::from_iter([
                (CONNECTION, HeaderValue::from_static("keep-alive, Upgrade")),
                (UPGRADE, HeaderValue::from_static("websocket")),
                (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(protocols).unwrap()),
            ]);
            let found = websocket_token(&headers);
            let found = found.map(|o| o.map(|(token, rest)| (token, rest.to_str().unwrap().to_owned())));
            assert_eq!(found, wanted.map(|o| o.map(|(t, r)| (t.to_owned(), r.to_owned()))), "{protocols}");
        };
        let encoded = URL_SAFE_NO_PAD.encode("abc");
        check(&format!("{PROTOCOL}{encoded}, v4.channel.k8s.io"), Ok(Some(("abc", "v4.channel.k8s.io"))));
        check("v4.channel.k8s.io", Ok(None));
        check(&format!("{PROTOCOL}{encoded}"), Err("missing additional subprotocol"));
        check(&format!("{PROTOCOL}=, x"), Err("invalid base64.bearer.authorization token encoding"));
        check(
            &format!("{PROTOCOL}{encoded},{PROTOCOL}{encoded},x"),
            Err("multiple base64.bearer.authorization tokens specified"),
        );
        assert_eq!(websocket_token(&HeaderMap::new()), Ok(None));
    }
}
