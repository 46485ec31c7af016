//! `GET /containerLogs/{namespace}/{pod}/{container}`: what `kubectl logs` reads in the end.

use std::sync::Arc;

use api::object::ObjectExt as _;
use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::SignedDuration;
use wire::{Body, BoxError, body};
use world::Host;

use super::{query::pairs, text};
use crate::{
    logs::{Log, Wanted},
    pods::Pods,
};

/// Answers for `path` (behind `/containerLogs/`) with PodLogOptions in `query`.
pub(super) fn serve(host: &Host, pods: &Pods, path: &str, query: &str) -> Response<Body> {
    let parts: Vec<&str> = path.split('/').collect();
    let [namespace, pod, container] = parts.as_slice() else {
        return text(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    let asked = match Asked::parse(host, query) {
        Ok(asked) => asked,
        Err(why) => return text(StatusCode::UNPROCESSABLE_ENTITY, &why),
    };
    let Some(worker) = pods.named(namespace, pod) else {
        return text(StatusCode::NOT_FOUND, &format!("pod {pod:?} does not exist\n"));
    };
    match worker.log(container, asked.previous) {
        None => text(StatusCode::NOT_FOUND, &format!("container {container:?} not found in pod {pod:?}\n")),
        Some(None) if asked.previous => text(
            StatusCode::BAD_REQUEST,
            &format!("previous terminated container {container:?} in pod {pod:?} not found"),
        ),
        Some(None) => {
            let snapshot = worker.snapshot();
            let all = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"]
                .map(|l| snapshot.list_at(&format!("/status/{l}")));
            let waiting = all.into_iter().flatten().find(|s| s.str_at("/name") == *container);
            let why = waiting.map_or("", |s| s.str_at("/state/waiting/reason"));
            let words = format!("container {container:?} in pod {pod:?} is waiting to start: {why}");
            text(StatusCode::BAD_REQUEST, &words)
        }
        Some(Some(log)) => stream(log, asked),
    }
}

fn stream(log: Arc<Log>, asked: Asked) -> Response<Body> {
    let (first, next) = log.read(asked.wanted);
    let first = match asked.limit {
        Some(limit) => {
            let end = (0..=limit.min(first.len())).rev().find(|i| first.is_char_boundary(*i)).unwrap_or(0);
            first[..end].to_owned()
        }
        None => first,
    };
    if !asked.follow || asked.limit.is_some() {
        return text(StatusCode::OK, &first);
    }
    // The tail is taken once; what comes later comes whole.
    let wanted = Wanted { tail: None, ..asked.wanted };
    let chunks = futures::stream::unfold((log, next, Some(first)), move |(log, next, first)| async move {
        let (chunk, next) = match first.filter(|f| !f.is_empty()) {
            Some(first) => (first, next),
            None => log.next(next, wanted).await?,
        };
        Some((Ok::<_, BoxError>(Bytes::from(chunk)), (log, next, None)))
    });
    let mut response = text(StatusCode::OK, "");
    *response.body_mut() = body::stream(chunks);
    response
}

/// PodLogOptions as they come in a query.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    wanted: Wanted,
    follow: bool,
    previous: bool,
    limit: Option<usize>,
}

impl Asked {
    fn parse(host: &Host, query: &str) -> Result<Self, String> {
        let mut asked = Self::default();
        for (key, value) in pairs(query) {
            let (key, value) = (key.as_str(), value.as_str());
            let wrong = || format!("invalid {key}: {value:?}; the kubelet takes PodLogOptions\n");
            let truth = || matches!(value, "true" | "1" | "");
            let count = || value.parse::<u32>().map_err(|_| wrong());
            match key {
                "follow" => asked.follow = truth(),
                "previous" => asked.previous = truth(),
                "timestamps" => asked.wanted.timestamps = truth(),
                "tailLines" => asked.wanted.tail = Some(usize::try_from(count()?).unwrap_or(usize::MAX)),
                "limitBytes" => asked.limit = Some(usize::try_from(count()?).unwrap_or(usize::MAX)),
                "sinceSeconds" => {
                    let back = SignedDuration::from_secs(count()?.into());
                    asked.wanted.since = host.clock().wall().checked_sub(back).ok();
                }
                "sinceTime" => {
                    asked.wanted.since = Some(value.parse().map_err(|_| wrong())?);
                }
                _ => {}
            }
        }
        Ok(asked)
    }
}
