//! URLs: absolute ones, and paths.

use std::collections::BTreeMap;

use super::super::{
    Value,
    eval::{EvalError, Found},
    session::Session,
    table::Table,
};

/// A URL in its parts.
#[derive(Debug)]
pub struct Url {
    pub(crate) text: String,
    scheme: String,
    host: String,
    path: String,
    query: String,
}

impl Url {
    /// Reads an absolute URL or an absolute path.
    pub(super) fn parse(text: &str) -> Option<Url> {
        if text.chars().any(|c| c.is_ascii_control() || c == ' ') {
            return None;
        }
        let without_fragment = text.split('#').next().unwrap_or_default();
        let (before, query) = without_fragment.split_once('?').unwrap_or((without_fragment, ""));
        let (scheme, rest) = match before.split_once("://") {
            Some((scheme, rest)) => {
                let mut chars = scheme.chars();
                let head = chars.next().is_some_and(|c| c.is_ascii_alphabetic());
                if !head || !chars.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) {
                    return None;
                }
                (scheme.to_ascii_lowercase(), rest)
            }
            None if before.starts_with('/') => (String::new(), before),
            None => return None,
        };
        let (authority, path) = if scheme.is_empty() {
            ("", rest)
        } else {
            let at = rest.find('/').unwrap_or(rest.len());
            rest.split_at(at)
        };
        let host = authority.rsplit('@').next().unwrap_or_default();
        let port = host.rsplit_once(':').filter(|(name, _)| !name.contains('[') || name.ends_with(']'));
        if port.is_some_and(|(_, port)| !port.chars().all(|c| c.is_ascii_digit())) {
            return None;
        }
        Some(Url {
            text: text.to_owned(),
            scheme,
            host: host.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
        })
    }

    fn port(&self) -> &str {
        match self.host.rsplit_once(':') {
            Some((name, port)) if !name.contains('[') || name.ends_with(']') => port,
            _ => "",
        }
    }

    fn hostname(&self) -> &str {
        let name = match self.port() {
            "" => self.host.trim_end_matches(':'),
            port => self.host.strip_suffix(port).unwrap_or(&self.host).trim_end_matches(':'),
        };
        name.trim_start_matches('[').trim_end_matches(']')
    }
}

fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let pair: Vec<u8> = bytes.by_ref().take(2).collect();
                let code = std::str::from_utf8(&pair).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                out.extend(code);
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What stands behind the question mark: a list of values for each name.
fn query<'a>(text: &str, session: &Session<'_>) -> Found<'a> {
    session.walk_bytes(text.len())?;
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut lists: Vec<(String, Vec<Value<'a>>)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (unescape(key), Value::text(unescape(value)));
        let next = lists.len();
        let place = *places.entry(key.clone()).or_insert(next);
        match lists.get_mut(place) {
            Some((_, list)) => list.push(value),
            None => lists.push((key, vec![value])),
        }
    }
    let mut map = Table::default();
    for (key, list) in lists {
        map.insert(Value::text(key), Value::list(list))?;
    }
    Ok(Value::Map(map.into()))
}

pub(super) fn call<'a>(name: &str, values: &[Value<'a>], session: &Session<'_>) -> Option<Found<'a>> {
    // Its parts are copied.
    if let [Value::Url(url)] = values
        && let Err(error) = session.walk_bytes(url.text.len())
    {
        return Some(Err(error));
    }
    Some(Ok(match (name, values) {
        ("url", [Value::String(text)]) => match Url::parse(text) {
            Some(url) => Value::Url(url.into()),
            None => {
                let words = format!(
                    "URL parse error during conversion from string: parse {text:?}: invalid URI for request"
                );
                return Some(Err(EvalError::failed(words)));
            }
        },
        ("isURL", [Value::String(text)]) => Value::Bool(Url::parse(text).is_some()),
        ("getScheme", [Value::Url(url)]) => Value::text(url.scheme.clone()),
        ("getHost", [Value::Url(url)]) => Value::text(url.host.clone()),
        ("getHostname", [Value::Url(url)]) => Value::text(url.hostname()),
        ("getPort", [Value::Url(url)]) => Value::text(url.port()),
        ("getEscapedPath", [Value::Url(url)]) => Value::text(url.path.clone()),
        ("getQuery", [Value::Url(url)]) => {
            return Some(query(&url.query, session));
        }
        _ => return None,
    }))
}
