//! `/exec`, `/attach`, `/portForward` and `/run`: connections that turn into streams.
//!
//! ```text
//!   GET or POST ─► serve: whose container, which streams ─► handshake (SPDY or WebSocket)
//!                    exec, attach ─► remote ─► spdy_channels | socket_channels
//!                    portForward  ─► forward (SPDY) | forward_channels (WebSocket)
//! ```
//!
//! Upstream: `pkg/kubelet/server/server.go`, `staging/src/k8s.io/kubelet/pkg/cri/streaming`. What is
//! behind a connection ends with it: a command whose caller is gone is not left running.

mod forward;
mod forward_channels;
mod handshake;
mod remote;
mod socket_channels;
mod spdy_channels;
mod terminal;

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode};
use wire::{
    Body, body,
    upgrade::{self, Upgraded},
};
use world::Host;

use super::{query::pairs, text};
use crate::{
    launcher::{Running, Stdio},
    pods::{Pods, Worker},
    shell::Pipe,
};
use remote::{Outcome, Wants, Work};

/// What `/run` answers with at most.
const LONGEST_RUN: usize = 1 << 20;

/// Answers if `path` is one of this module's; `None` for all others.
pub(super) fn serve(
    host: &Host,
    pods: &Pods,
    request: &mut Request<Body>,
    path: &str,
    query: &str,
) -> Option<Response<Body>> {
    let (root, rest) = path.strip_prefix('/')?.split_once('/')?;
    let parts: Vec<&str> = rest.split('/').collect();
    let (namespace, pod, uid, container) = match (root, parts.as_slice()) {
        ("exec" | "attach" | "run", [namespace, pod, container]) => (*namespace, *pod, "", *container),
        ("exec" | "attach" | "run", [namespace, pod, uid, container]) => (*namespace, *pod, *uid, *container),
        ("portForward", [namespace, pod]) => (*namespace, *pod, "", ""),
        ("portForward", [namespace, pod, uid]) => (*namespace, *pod, *uid, ""),
        _ => return None,
    };
    let run = root == "run";
    if request.method() != Method::POST && (run || request.method() != Method::GET) {
        return Some(text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed"));
    }
    let given = pairs(query);
    let wants = match Wants::parse(&given) {
        Err(why) if matches!(root, "exec" | "attach") => return Some(text(StatusCode::BAD_REQUEST, why)),
        wants => wants.unwrap_or_default(),
    };
    let worker = pods.named(namespace, pod).filter(|w| uid.is_empty() || w.uid() == uid);
    let Some(worker) = worker else {
        return Some(text(StatusCode::NOT_FOUND, "pod does not exist"));
    };
    let idle = pods.options().streaming_idle;
    if root == "portForward" {
        return Some(forward::serve(host, request, &given, &worker, idle));
    }
    let Some(running) = worker.running(container) else {
        let words = format!("container not found ({container:?})");
        return Some(text(StatusCode::INTERNAL_SERVER_ERROR, &words));
    };
    let values = |name: &str| -> Vec<String> {
        given.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    };
    Some(match root {
        "run" => {
            let command = values("cmd").first().map_or(Vec::new(), |cmd| words(cmd));
            run_once(running, command)
        }
        "exec" => remote::serve(host, request, wants, idle, exec(running, values("command"))),
        _ => remote::serve(host, request, wants, idle, attach(&worker, container, running)),
    })
}

/// Does what `talk` says over the connection that a request becomes, until nothing has passed for `idle`.
fn become_stream<F>(
    host: &Host,
    request: &mut Request<Body>,
    idle: Duration,
    talk: impl FnOnce(Host, Upgraded) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send,
{
    let (pending, inner) = (upgrade::of_request(request), host.clone());
    host.spawn(async move {
        let Some(mut stream) = pending.await else { return };
        let quiet = stream.watch(inner.clock());
        tokio::select! {
            biased;
            () = talk(inner, stream) => {}
            () = quiet.lasts(idle) => {}
        }
    });
}

fn words(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}

fn exec(running: Arc<dyn Running>, command: Vec<String>) -> Work {
    Box::new(move |stdio| {
        Box::pin(async move {
            match running.stream(&command, &stdio).await {
                Ok(0) => Outcome::Success,
                Ok(code) => Outcome::Exit { code, command },
                Err(why) => {
                    Outcome::Failed(format!("failed to exec in container: failed to start exec: {why}"))
                }
            }
        })
    })
}

/// Shows what the container says from now on, and hands it what is typed.
fn attach(worker: &Worker, container: &str, running: Arc<dyn Running>) -> Work {
    let log = worker.log(container, false).flatten();
    let once = worker.stdin_once(container);
    Box::new(move |stdio: Stdio| {
        Box::pin(async move {
            let showing = async {
                let Some(log) = log else { return };
                let mut next = log.end();
                while let Some((lines, after)) = log.lines(next).await {
                    next = after;
                    for line in lines {
                        let pipe = match line.stream {
                            crate::logs::Stream::Err if !stdio.tty => &stdio.err,
                            _ => &stdio.out,
                        };
                        pipe.feed(format!("{}\n", line.text).as_bytes()).await;
                    }
                }
            };
            let typing = async {
                if let Some(stdin) = running.stdin() {
                    while let Some(bytes) = stdio.input.read().await {
                        stdin.feed(&bytes).await;
                    }
                    if once {
                        stdin.end();
                    }
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = showing => {}
                () = typing => {}
            }
            Outcome::Success
        })
    })
}

/// `/run`: a command and all that it says.
fn run_once(running: Arc<dyn Running>, command: Vec<String>) -> Response<Body> {
    let answer = async move {
        let stdio = Stdio { input: Pipe::holding(""), tty: true, ..Stdio::default() };
        let (command, out) = (command, stdio.out.clone());
        let work = async {
            let outcome = running.stream(&command, &stdio).await;
            stdio.out.end();
            outcome
        };
        let (outcome, said) = futures::future::join(work, out.rest(LONGEST_RUN)).await;
        match outcome {
            Ok(0) => Ok(said.into()),
            Ok(code) => Ok(format!("{said}command terminated with exit code {code}\n").into()),
            Err(why) => Ok::<bytes::Bytes, wire::BoxError>(why.into()),
        }
    };
    let mut response = text(StatusCode::OK, "");
    *response.body_mut() = body::stream(futures::stream::once(answer));
    response
}
