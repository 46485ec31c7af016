//! The one endpoint that a client talks to, and the URLs of requests to it.

use http::{Uri, uri};

use crate::Error;

/// `scheme://authority/base` of the server.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub secure: bool,
    /// As dialled and as named in the trace; no brackets around an IPv6 address.
    pub host: String,
    pub port: u16,
    /// As given: goes into `Host`, `:authority` and messages.
    pub authority: uri::Authority,
    /// Path prefix without a trailing slash.
    base: String,
}

impl Target {
    /// `url` as in a kubeconfig: `https://host:port`, or `host:port` alone.
    pub(super) fn parse(url: &str, tls: bool) -> Result<Self, Error> {
        let fail = |why: &str| Error::Url { url: url.to_owned(), why: why.to_owned() };
        if url.split_once("://").is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('/')) {
            return Err(fail("no Host in request URL"));
        }
        let uri: Uri = match url.contains("://") {
            true => url.parse(),
            false => format!("{}://{url}", if tls { "https" } else { "http" }).parse(),
        }
        .map_err(|e: uri::InvalidUri| fail(&e.to_string()))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(fail("unsupported protocol scheme; use https:// or http://")),
        };
        let authority = uri.authority().cloned().ok_or_else(|| fail("no Host in request URL"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(fail("no Host in request URL"));
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            // The parser lets a number through that is no port.
            None if !authority.as_str().ends_with(authority.host()) => {
                return Err(fail("invalid port after host"));
            }
            None if secure => 443,
            None => 80,
        };
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { secure, host, port, authority, base })
    }

    pub(super) fn scheme(&self) -> uri::Scheme {
        if self.secure { uri::Scheme::HTTPS } else { uri::Scheme::HTTP }
    }

    /// `scheme://authority/base`.
    pub(super) fn url(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority, self.base)
    }

    /// `host:port` as dialled.
    pub(super) fn peer(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The absolute URI of a request whose own is a path, or absolute already.
    pub(super) fn absolute(&self, uri: &Uri) -> Result<Uri, Error> {
        let path = uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
        let path = if uri.authority().is_none() && !self.base.is_empty() {
            format!("{}{path}", self.base)
        } else {
            path.to_owned()
        };
        Uri::builder()
            .scheme(self.scheme())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|e| Error::Url { url: uri.to_string(), why: e.to_string() })
    }
}
