//! Headers that answers carry because of flags: CORS and HSTS.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use regex::Regex;
use wire::{Body, body};

const METHODS: &str = "POST, GET, OPTIONS, PUT, DELETE, PATCH";
const HEADERS: &str = "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With, If-Modified-Since";

/// `--cors-allowed-origins` and `--strict-transport-security-directives`.
#[derive(Clone, Debug, Default)]
pub struct ExtraHeaders {
    origins: Vec<Regex>,
    strict: Option<HeaderValue>,
}

impl ExtraHeaders {
    /// From the flags' values.
    ///
    /// # Errors
    /// A pattern that is none, or an unknown directive.
    pub(crate) fn parse(origins: &[String], directives: &[String]) -> Result<Self, String> {
        let mut patterns = Vec::new();
        for text in origins {
            let pattern = Regex::new(text)
                .map_err(|_| format!("--cors-allowed-origins has an invalid regular expression: {text:?}"))?;
            patterns.push(pattern);
        }
        let known =
            |d: &&String| d.starts_with("max-age=") || matches!(d.as_str(), "includeSubDomains" | "preload");
        if !directives.iter().all(|d| known(&d)) {
            return Err("--strict-transport-security-directives invalid, allowed values: max-age=expireTime, \
                 includeSubDomains, preload. see https://tools.ietf.org/html/rfc6797#section-6.1 for more information"
                .to_owned());
        }
        let strict =
            (!directives.is_empty()).then(|| HeaderValue::from_str(&directives.join("; ")).ok()).flatten();
        Ok(Self { origins: patterns, strict })
    }

    /// The origin of a request, if it may read answers.
    pub(super) fn origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.origins.is_empty() {
            return None;
        }
        let origin = headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|pattern| pattern.is_match(text)).then(|| origin.clone())
    }

    /// The answer to a browser that asks beforehand.
    pub(super) fn preflight(method: &Method, origin: Option<&HeaderValue>) -> Option<Response<Body>> {
        if origin.is_none() || *method != Method::OPTIONS {
            return None;
        }
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Some(response)
    }

    pub(super) fn add(&self, headers: &mut HeaderMap, origin: Option<HeaderValue>, secure: bool) {
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Date"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(strict) = self.strict.as_ref().filter(|_| secure) {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, strict.clone());
        }
    }
}
