//! The streams of exec and attach over SPDY: one for each, told apart by their headers.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures::future::{OptionFuture, join3};
use http::{Request, Response};
use wire::{
    Body,
    spdy::{Session, Side, Stream, Writer},
    upgrade::Upgraded,
};
use world::Host;

use super::{
    become_stream, handshake,
    remote::{Wants, Work},
    terminal::{Terminal, shown},
};
use crate::{launcher::Stdio, shell::Pipe};

const V4: &str = "v4.channel.k8s.io";
const V3: &str = "v3.channel.k8s.io";
const PROTOCOLS: [&str; 4] = [V4, V3, "v2.channel.k8s.io", "channel.k8s.io"];
/// How long a client may take to open its streams.
const CREATION: Duration = Duration::from_secs(30);
/// There are five kinds; more cannot be of any use.
const MOST_STREAMS: usize = 8;

pub(super) fn serve(
    host: &Host,
    request: &mut Request<Body>,
    wants: Wants,
    idle: Duration,
    work: Work,
) -> Response<Body> {
    let (response, protocol) = match handshake::spdy(request.headers(), &PROTOCOLS) {
        Ok(agreed) => agreed,
        Err(refused) => return *refused,
    };
    become_stream(host, request, idle, async move |host: Host, stream| {
        talk(&host, stream, wants, &protocol, work).await;
    });
    response
}

async fn talk(host: &Host, stream: Upgraded, wants: Wants, protocol: &str, work: Work) {
    let mut session = Session::new(host, stream, Side::Server, MOST_STREAMS);
    let resizable = wants.tty && (protocol == V4 || protocol == V3);
    let mut expected = vec!["error"];
    expected.extend(wants.stdin.then_some("stdin"));
    expected.extend(wants.stdout.then_some("stdout"));
    expected.extend(wants.stderr.then_some("stderr"));
    expected.extend(resizable.then_some("resize"));
    let found = host.clock().timeout(CREATION, gather(&mut session, &expected)).await;
    let Ok(Some(mut streams)) = found else {
        tracing::error!("timed out waiting for client to create streams");
        return;
    };
    let Some(error) = streams.remove("error") else { return };
    let stdio = Stdio { tty: wants.tty, ..Stdio::default() };
    let (stdin, stdout, stderr) =
        (streams.remove("stdin"), streams.remove("stdout"), streams.remove("stderr"));
    let typing = async {
        match stdin {
            Some(stream) => take(stream, &stdio).await,
            None => stdio.input.end(),
        }
        std::future::pending::<()>().await;
    };
    let working = async {
        let outcome = work(stdio.clone()).await;
        stdio.out.end();
        stdio.err.end();
        outcome
    };
    let show = |stream: &Option<Stream>, pipe: &std::sync::Arc<Pipe>| {
        if stream.is_none() {
            // Nobody asked for it: what is said there is said to nobody.
            host.spawn(drain(pipe.clone()));
        }
    };
    show(&stdout, &stdio.out);
    show(&stderr, &stdio.err);
    let out = OptionFuture::from(stdout.as_ref().map(|s| give(&s.writer, &stdio.out, wants.tty)));
    let err = OptionFuture::from(stderr.as_ref().map(|s| give(&s.writer, &stdio.err, wants.tty)));
    let outcome = tokio::select! {
        biased;
        (outcome, _, _) = join3(working, out, err) => Some(outcome),
        () = typing => None,
        () = session.ended() => None,
    };
    stdio.out.abandon();
    stdio.err.abandon();
    stdio.input.end();
    let Some(outcome) = outcome else { return };
    if let Some(words) = outcome.written(protocol == V4) {
        // Whoever has gone by now need not be told.
        let _ = error.writer.write(words.into()).await;
    }
    error.writer.finish().await;
    session.close().await;
}

/// The streams of these kinds, once all are there.
async fn gather(session: &mut Session, expected: &[&str]) -> Option<BTreeMap<String, Stream>> {
    let mut found = BTreeMap::new();
    while found.len() < expected.len() {
        let stream = session.accept().await?;
        let kind = stream.headers.get("streamtype").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let kind = kind.to_owned();
        if expected.contains(&kind.as_str()) && !found.contains_key(&kind) {
            found.insert(kind, stream);
        } else {
            tracing::error!("Unexpected stream type: {kind:?}");
            stream.writer.reset().await;
        }
    }
    Some(found)
}

async fn take(mut stream: Stream, stdio: &Stdio) {
    let mut terminal = Terminal::default();
    while let Some(bytes) = stream.reader.read().await {
        if !stdio.tty {
            stdio.input.feed(&bytes).await;
            continue;
        }
        let typed = terminal.typed(&bytes);
        stdio.out.put(&typed.echo);
        stdio.input.feed(&typed.input).await;
        if typed.end {
            break;
        }
    }
    stdio.input.end();
}

async fn give(writer: &Writer, pipe: &Pipe, tty: bool) {
    while let Some(bytes) = pipe.read().await {
        let bytes = if tty { shown(&bytes) } else { bytes };
        if writer.write(Bytes::from(bytes)).await.is_err() {
            pipe.abandon();
            return;
        }
    }
    writer.finish().await;
}

async fn drain(pipe: std::sync::Arc<Pipe>) {
    while pipe.read().await.is_some() {}
}
