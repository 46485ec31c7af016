//! tonic's server half without its generated code: one request of one call.

use std::future::Future;

use futures::Stream;
use prost::Message;
use tonic::{Status, Streaming, server::Grpc};
use tonic_prost::ProstCodec;
use tower::service_fn;
use wire::Body;

type Http = http::Request<Body>;
type Answer = http::Response<Body>;

fn grpc<Req, Resp>(max_request: usize) -> Grpc<ProstCodec<Resp, Req>>
where
    Req: Message + Default + Send + 'static,
    Resp: Message + Send + 'static,
{
    Grpc::new(ProstCodec::default())
        .max_decoding_message_size(max_request)
        .max_encoding_message_size(usize::MAX)
}

/// One message in, one out.
pub(super) async fn unary<Req, Resp, Fut>(
    request: Http,
    max_request: usize,
    call: impl Fn(Req) -> Fut,
) -> Answer
where
    Req: Message + Default + Send + 'static,
    Resp: Message + Send + 'static,
    Fut: Future<Output = Result<Resp, Status>>,
{
    let service = service_fn(|request: tonic::Request<Req>| {
        let answer = call(request.into_inner());
        async move { answer.await.map(tonic::Response::new) }
    });
    grpc(max_request).unary(service, request).await.map(wire::body::boxed)
}

/// Messages in, messages out.
pub(super) async fn streaming<Req, Resp, S>(
    request: Http,
    max_request: usize,
    call: impl Fn(Streaming<Req>) -> S + Send + Sync,
) -> Answer
where
    Req: Message + Default + Send + 'static,
    Resp: Message + Send + 'static,
    S: Stream<Item = Result<Resp, Status>> + Send + 'static,
{
    let service = service_fn(|request: tonic::Request<Streaming<Req>>| {
        let answers = call(request.into_inner());
        async move { Ok::<_, Status>(tonic::Response::new(answers)) }
    });
    grpc(max_request).streaming(service, request).await.map(wire::body::boxed)
}

/// For calls that etcd has and this server has not.
pub(super) fn unimplemented(path: &str) -> Answer {
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    let status = Status::unimplemented(format!("unknown method {method} for service {service}"));
    status.into_http::<tonic::body::Body>().map(wire::body::boxed)
}
