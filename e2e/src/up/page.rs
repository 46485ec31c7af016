//! `up --page`: the timeline of a cluster that runs, at a local address, with buttons that set its hosts' clocks.
//!
//! The address holds a secret that changes with every start, and only who has it is answered: another user of this
//! machine, or a web page that somebody reads in the same browser, can neither look nor touch.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use jiff::SignedDuration;
use wire::{Body, Peer, ServeOptions, Server, body};
use world::{Host, real::Real};

use crate::{cli::Refusal, timeline};

/// Of the newest events so many are kept and shown.
const MOST: usize = 20_000;
/// Nobody sets a clock further at once: what certificates and files can say ends somewhere.
const FURTHEST: SignedDuration = SignedDuration::from_hours(24 * 366 * 20);

/// Lets the world record what such a page shows; before its hosts are made.
pub(super) fn prepare(world: &Real) {
    world.record(MOST);
}

/// Serves the page in a process of `host`, at an address that this machine alone reaches; the answer is its URL.
///
/// # Errors
/// There is no free port.
pub(super) async fn serve(host: &Host, world: &Real, version: String) -> Result<String, Refusal> {
    let process = host.process("timeline");
    let listener = process.host().net().listen((Ipv4Addr::LOCALHOST, 0).into()).await?;
    let site = Arc::new(Site { world: world.clone(), version, secret: host.entropy().uuid() });
    let url = format!("http://{}/{}/", listener.local_addr(), site.secret);
    let answer = move |_: Arc<Peer>, request: Request<Body>| {
        let answer = site.answer(request.method(), request.uri());
        async move { answer }
    };
    Server::spawn(process.host(), listener, ServeOptions::plain(), Arc::new(answer));
    Ok(url)
}

struct Site {
    /// The world that is shown, and whose clocks are set.
    world: Real,
    /// The release.
    version: String,
    secret: String,
}

impl Site {
    fn answer(&self, method: &Method, uri: &http::Uri) -> Response<Body> {
        let mine = uri.path().strip_prefix('/').and_then(|path| path.split_once('/'));
        let Some((_, page)) = mine.filter(|(secret, _)| *secret == self.secret) else {
            return text(StatusCode::NOT_FOUND, "404 page not found\n");
        };
        match (method.as_str(), page) {
            ("GET", "") => match timeline::live_html(&self.page()) {
                Ok(html) => content("text/html; charset=utf-8", html),
                Err(e) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{e}\n")),
            },
            ("GET", "data") => self.data(uri),
            ("POST", "step") => self.step(uri),
            (_, "" | "data" | "step") => text(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n"),
            _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    fn page(&self) -> timeline::schema::Page {
        let trace = self.world.trace();
        let (count, events) = (trace.count(), trace.events());
        let hosts: Vec<_> =
            self.world.addresses().into_iter().map(|(name, ip)| (name, IpAddr::V4(ip))).collect();
        timeline::of_world("up", &self.version, &hosts, &events, count.saturating_sub(events.len()))
    }

    /// The data, unless the asker has it: `after` is the number of events that it knows of.
    fn data(&self, uri: &http::Uri) -> Response<Body> {
        let known = parameter(uri, "after").and_then(|n| n.parse().ok());
        if known == Some(self.world.trace().count()) {
            return text(StatusCode::NO_CONTENT, "");
        }
        match serde_json::to_string(&self.page()) {
            Ok(json) => content("application/json", json),
            Err(e) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{e}\n")),
        }
    }

    /// Sets the clock of `host` by so many `seconds`.
    fn step(&self, uri: &http::Uri) -> Response<Body> {
        let host = parameter(uri, "host").filter(|name| self.world.addresses().contains_key(*name));
        let Some(host) = host else { return text(StatusCode::BAD_REQUEST, "host: no host has that name\n") };
        let seconds = parameter(uri, "seconds").and_then(|n| n.parse().ok()).map(SignedDuration::from_secs);
        match seconds.filter(|by| by.unsigned_abs() <= FURTHEST.unsigned_abs()) {
            Some(by) => {
                self.world.step(host, by);
                text(StatusCode::NO_CONTENT, "")
            }
            None => text(StatusCode::BAD_REQUEST, "seconds: a whole number, at most 20 years\n"),
        }
    }
}

/// A parameter of the query. Names of hosts and numbers need no escapes.
fn parameter<'a>(uri: &'a http::Uri, name: &str) -> Option<&'a str> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn text(code: StatusCode, words: &str) -> Response<Body> {
    let mut answer = content("text/plain; charset=utf-8", words.to_owned());
    *answer.status_mut() = code;
    answer
}

fn content(kind: &'static str, what: String) -> Response<Body> {
    let mut answer = Response::new(body::full(what));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

    use super::*;

    fn site() -> (tempfile::TempDir, Site) {
        let dir = tempfile::tempdir().unwrap();
        let world =
            Real::new(dir.path().to_owned(), world::real::Block::joined(Ipv4Addr::new(127, 98, 98, 1)));
        prepare(&world);
        let host = world.host("cp1").unwrap();
        host.record("node", vec![("name", "cp1".into()), ("state", "registered".into())]);
        (dir, Site { world, version: "v1.36.0".into(), secret: "secret".into() })
    }

    #[track_caller]
    fn check(site: &Site, method: &str, path: &str, code: u16) -> Response<Body> {
        let answer = site.answer(&method.parse().unwrap(), &path.parse().unwrap());
        assert_eq!(answer.status().as_u16(), code, "{method} {path}");
        answer
    }

    #[test]
    fn only_who_has_the_secret_is_answered() {
        let (_dir, site) = site();
        for path in ["/", "/data", "/step?host=cp1&seconds=60", "/secre/", "/secret2/data", "/secret"] {
            check(&site, "GET", path, 404);
            check(&site, "POST", path, 404);
        }
        check(&site, "GET", "/secret/", 200);
        check(&site, "GET", "/secret/other", 404);
    }

    #[test]
    fn data_comes_when_there_is_something_new() {
        let (_dir, site) = site();
        check(&site, "GET", "/secret/data?after=0", 200);
        check(&site, "GET", "/secret/data?after=1", 204);
        check(&site, "GET", "/secret/data", 200);
        check(&site, "POST", "/secret/data?after=0", 405);
    }

    #[test]
    fn a_clock_is_set_by_post_alone_and_the_step_is_recorded() {
        let (_dir, site) = site();
        let host = site.world.host("cp1").unwrap();
        let ahead = || site.world.trace().events().last().unwrap().fields.clone();
        for path in ["/secret/step?host=cp1&seconds=3600", "/secret/step?seconds=3600"] {
            check(&site, "GET", path, 405);
        }
        for path in [
            "step?host=cp9&seconds=60",
            "step?host=cp1",
            "step?host=cp1&seconds=1e3",
            "step?host=cp1&seconds=999999999999",
        ] {
            check(&site, "POST", &format!("/secret/{path}"), 400);
        }
        let before = host.clock().wall();
        check(&site, "POST", "/secret/step?host=cp1&seconds=3600", 204);
        assert!(host.clock().wall().duration_since(before) >= SignedDuration::from_hours(1));
        assert_eq!(ahead(), [("step", "1h".to_owned())]);
        check(&site, "POST", "/secret/step?host=cp1&seconds=-7200", 204);
        assert!(host.clock().wall() < before);
    }

    /// `chronoplane clock` is another process, and the page shows what it did: once, in the host's lane.
    #[test]
    fn what_another_process_does_to_a_clock_is_an_event_of_its_host() {
        let dir = tempfile::tempdir().unwrap();
        let world =
            Real::new(dir.path().to_owned(), world::real::Block::joined(Ipv4Addr::new(127, 98, 97, 1)));
        world.share_clocks();
        prepare(&world);
        world.host("cp1").unwrap();
        let other = world::real::ClockFile::of_host(&dir.path().join("cp1")).unwrap();
        other.set(|setting, now| setting.step(SignedDuration::from_hours(-1), now)).unwrap();
        world.look_at_clock("cp1");
        other.set(world::real::Setting::freeze).unwrap();
        // Here by a button, which must not be taken for the other's doing, nor hide it.
        world.step("cp1", SignedDuration::from_hours(2));
        world.look_at_clock("cp1");
        let events = world.trace().events();
        let said: Vec<_> = events.iter().map(|e| (e.host.as_str(), e.kind, e.fields.as_slice())).collect();
        let field = |what, value: &str| [(what, value.to_owned())];
        assert_eq!(
            said,
            [
                ("cp1", "clock", &field("step", "-1h")[..]),
                ("cp1", "clock", &field("freeze", "")[..]),
                ("cp1", "clock", &field("step", "2h")[..]),
            ]
        );
    }
}
