//! `/logs/`: the files of the host's `/var/log`, while `--enable-logs-handler` is on.

use async_trait::async_trait;
use http::{HeaderValue, Response, StatusCode, header};
use wire::{Body, body};
use world::{Disk, FileKind};

use crate::{
    pipeline::{Page, Pages, percent_decode},
    respond,
};

const ROOT: &str = "/var/log";

/// Answers from the host's disk.
#[derive(Debug)]
pub(crate) struct Logs(pub(crate) Disk);

#[async_trait]
impl Pages for Logs {
    fn paths(&self) -> Vec<String> {
        vec!["/logs".to_owned()]
    }

    async fn answer(&self, page: &Page<'_>) -> Option<Response<Body>> {
        if page.path == "/logs" {
            return Some(moved("/logs/"));
        }
        let asked = percent_decode(page.path);
        let below = asked.strip_prefix("/logs/")?;
        if below.split('/').any(|part| part == "..") {
            return Some(respond::text(400, "invalid URL path\n"));
        }
        let path = format!("{ROOT}/{}", below.trim_end_matches('/'));
        let path = path.trim_end_matches('/');
        let missing = || respond::text(404, "404 page not found\n");
        let listed = self.0.list(path).ok().filter(|_| below.is_empty() || below.ends_with('/'));
        if let Some(names) = listed {
            return Some(self.index(path, names));
        }
        match self.0.stat(path).map(|stat| stat.kind) {
            Some(FileKind::Dir) => {
                Some(moved(&format!("{}/", url_of(path.rsplit('/').next().unwrap_or_default()))))
            }
            Some(_) => Some(self.0.read(path).map_or_else(|_| missing(), |text| respond::text(200, text))),
            None => Some(missing()),
        }
    }
}

fn moved(to: &str) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

impl Logs {
    /// A directory as Go's file server shows it.
    fn index(&self, path: &str, mut names: Vec<String>) -> Response<Body> {
        names.sort();
        let mut text =
            "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n".to_owned();
        for name in names {
            let dir = self.0.stat(format!("{path}/{name}")).is_some_and(|stat| stat.kind == FileKind::Dir);
            let name = format!("{name}{}", if dir { "/" } else { "" });
            text.push_str(&format!("<a href=\"{}\">{}</a>\n", url_of(&name), escape(&name)));
        }
        text.push_str("</pre>\n");
        let mut response = Response::new(body::full(text));
        let media = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        response
    }
}

/// A name as a relative URL, as Go writes one.
fn url_of(name: &str) -> String {
    // What stands before a colon would be taken for a scheme.
    let mut out = if name.contains(':') { "./".to_owned() } else { String::new() };
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// For the text of a page.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;")
}
