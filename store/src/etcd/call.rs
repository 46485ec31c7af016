//! One call to whichever endpoint answers.

use std::{
    error::Error as _,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::{Stream, stream};
use http::uri::PathAndQuery;
use pki::ClientTls;
use prost::Message;
use tonic::{Code, Status, Streaming, client::Grpc};
use tonic_prost::ProstCodec;
use wire::{Cause, HttpClient};
use world::Host;

use crate::{StoreError, convert::Asked};

/// Whether a call that failed may be made again, at the next endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It changes nothing.
    Always,
    /// Only if the server cannot have seen it: a write must not happen twice.
    IfUnsent,
}

/// The endpoints.
pub(super) struct Caller {
    endpoints: Vec<HttpClient>,
    /// The one that answered last.
    current: AtomicUsize,
}

/// How a call failed.
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// The server cannot have seen it.
    unsent: bool,
    /// Another endpoint may do better.
    pub(super) elsewhere: bool,
}

impl Caller {
    pub(super) fn new(
        host: &Host,
        endpoints: &[String],
        tls: Option<&ClientTls>,
    ) -> Result<Self, StoreError> {
        let channel = |url: &String| {
            let tls = tls.filter(|_| url.starts_with("https://")).cloned();
            wire::grpc::channel(host, url, tls).map_err(|e| StoreError::Transport(e.to_string()))
        };
        let endpoints = endpoints.iter().map(channel).collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(StoreError::Transport("no available etcd endpoints".into()));
        }
        Ok(Self { endpoints, current: AtomicUsize::new(0) })
    }

    /// One message there, one back.
    pub(super) async fn unary<Req, Resp>(
        &self,
        path: &'static str,
        request: Req,
        repeat: Repeat,
        asked: &Asked,
    ) -> Result<Resp, StoreError>
    where
        Req: Message + Clone + 'static,
        Resp: Message + Default + 'static,
    {
        self.each(repeat, |mut grpc| {
            let request = tonic::Request::new(request.clone());
            async move {
                let answer =
                    grpc.unary(request, PathAndQuery::from_static(path), ProstCodec::default()).await;
                answer.map(tonic::Response::into_inner).map_err(|status| failure(&status, asked))
            }
        })
        .await
    }

    /// One message there and one back on a call made for many.
    pub(super) async fn exchange<Req, Resp>(
        &self,
        path: &'static str,
        request: Req,
        asked: &Asked,
    ) -> Result<Resp, StoreError>
    where
        Req: Message + Clone + 'static,
        Resp: Message + Default + 'static,
    {
        self.each(Repeat::Always, |grpc| {
            let request = request.clone();
            async move {
                let mut answers =
                    open(grpc, path, stream::iter([request])).await.map_err(|s| failure(&s, asked))?;
                match answers.message().await {
                    Ok(Some(answer)) => Ok(answer),
                    Ok(None) => Err(failure(&Status::unavailable("etcdserver: server stopped"), asked)),
                    Err(status) => Err(failure(&status, asked)),
                }
            }
        })
        .await
    }

    /// Messages there, messages back.
    pub(super) async fn streaming<Req, Resp, S>(
        &self,
        path: &'static str,
        requests: impl Fn() -> S,
        asked: &Asked,
    ) -> Result<Streaming<Resp>, StoreError>
    where
        Req: Message + 'static,
        Resp: Message + Default + 'static,
        S: Stream<Item = Req> + Send + 'static,
    {
        self.each(Repeat::Always, |grpc| {
            let requests = requests();
            async move { open(grpc, path, requests).await.map_err(|status| failure(&status, asked)) }
        })
        .await
    }

    /// Tries the endpoints in their order, from the one that answered last.
    async fn each<T, Fut>(
        &self,
        repeat: Repeat,
        call: impl Fn(Grpc<HttpClient>) -> Fut,
    ) -> Result<T, StoreError>
    where
        Fut: Future<Output = Result<T, Failure>>,
    {
        let first = self.current.load(Ordering::Relaxed);
        let mut last = StoreError::Closed;
        for n in 0..self.endpoints.len() {
            let at = (first + n) % self.endpoints.len();
            let Some(endpoint) = self.endpoints.get(at) else { break };
            // Whatever the server sends is as large as the apiserver made it.
            let grpc = Grpc::new(endpoint.clone())
                .max_decoding_message_size(usize::MAX)
                .max_encoding_message_size(usize::MAX);
            match call(grpc).await {
                Ok(answer) => {
                    self.current.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(failure) => {
                    let again = failure.elsewhere && (failure.unsent || repeat == Repeat::Always);
                    if !again {
                        return Err(failure.error);
                    }
                    last = failure.error;
                }
            }
        }
        Err(last)
    }
}

async fn open<Req, Resp, S>(
    mut grpc: Grpc<HttpClient>,
    path: &'static str,
    requests: S,
) -> Result<Streaming<Resp>, Status>
where
    Req: Message + 'static,
    Resp: Message + Default + 'static,
    S: Stream<Item = Req> + Send + 'static,
{
    let request = tonic::Request::new(requests);
    let answer = grpc.streaming(request, PathAndQuery::from_static(path), ProstCodec::default()).await;
    answer.map(tonic::Response::into_inner)
}

/// What a status means: one that the server sent, or one that tonic made of a broken transport.
pub(super) fn failure(status: &Status, asked: &Asked) -> Failure {
    let mut source = status.source();
    while let Some(e) = source {
        if let Some(wire::Error::Request { cause, .. }) = e.downcast_ref() {
            return broken(cause);
        }
        if let Some(cause) = e.downcast_ref() {
            return broken(cause);
        }
        source = e.source();
    }
    if status.source().is_some() {
        // The stream broke while it was read.
        let error =
            StoreError::Transport(unavailable(&format!("error reading from server: {}", status.message())));
        return Failure { error, unsent: false, elsewhere: true };
    }
    Failure { error: asked.error(status), unsent: false, elsewhere: status.code() == Code::Unavailable }
}

/// The words of Go's gRPC.
fn broken(cause: &Cause) -> Failure {
    let (unsent, said) = match cause {
        Cause::Dial(_) => {
            (true, format!("connection error: desc = \"transport: Error while dialing: {cause}\""))
        }
        Cause::Certificate { .. } | Cause::Handshake(_) | Cause::HandshakeTimeout | Cause::PlainServer => (
            true,
            format!("connection error: desc = \"transport: authentication handshake failed: {cause}\""),
        ),
        // In TLS 1.3 the server refuses our certificate after we think that all is well.
        Cause::Alert(_) => {
            (true, format!("connection error: desc = \"error reading server preface: {cause}\""))
        }
        _ => (false, format!("error reading from server: {cause}")),
    };
    Failure { error: StoreError::Transport(unavailable(&said)), unsent, elsewhere: true }
}

fn unavailable(said: &str) -> String {
    format!("rpc error: code = Unavailable desc = {said}")
}
