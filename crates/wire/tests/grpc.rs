//! tonic's server and client halves over our own connections, with mutual TLS and without TLS.
#![allow(clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use common::{DAY, PORT, Trust, any, in_sim};
use futures::{Stream, StreamExt};
use http::{Request as HttpRequest, Response as HttpResponse, uri::PathAndQuery};
use pki::StaticIdentity;
use tonic::{Code, Request, Response, Status, Streaming, body::Body as TonicBody};
use tonic_prost::ProstCodec;
use wire::{Body, HttpClient, Peer, ServeOptions, Server, grpc};
use world::Host;

/// A message of one number.
#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(int64, tag = "1")]
    value: i64,
}

/// `/n.N/Double` answers once, `/n.N/Count` streams both ways.
#[derive(Clone)]
struct Numbers;

struct Double;

impl tonic::server::UnaryService<Number> for Double {
    type Response = Number;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Number>, Status>> + Send>>;

    fn call(&mut self, request: Request<Number>) -> Self::Future {
        let who = request.extensions().get::<Arc<Peer>>().map(|p| p.certificates.len());
        Box::pin(async move {
            match (request.into_inner().value, who) {
                (n, Some(_)) if n >= 0 => Ok(Response::new(Number { value: 2 * n })),
                _ => Err(Status::out_of_range("negative")),
            }
        })
    }
}

struct Count;

impl tonic::server::StreamingService<Number> for Count {
    type Response = Number;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Number, Status>> + Send>>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Self::ResponseStream>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Number>>) -> Self::Future {
        Box::pin(async move {
            let numbers = request.into_inner().map(|n| n.map(|n| Number { value: n.value + 1 }));
            Ok(Response::new(Box::pin(numbers) as Self::ResponseStream))
        })
    }
}

impl tower::Service<HttpRequest<Body>> for Numbers {
    type Response = HttpResponse<TonicBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        Box::pin(async move {
            let mut server = tonic::server::Grpc::new(ProstCodec::<Number, Number>::default());
            Ok(match request.uri().path() {
                "/n.N/Double" => server.unary(Double, request).await,
                "/n.N/Count" => server.streaming(Count, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

async fn serve(host: &Host, options: ServeOptions) -> Server {
    let listener = host.net().listen(any(PORT)).await.expect("the port is free");
    Server::spawn(host, listener, grpc::options(options), grpc::handler(Numbers))
}

async fn double(channel: &HttpClient, value: i64) -> Result<i64, Status> {
    let mut stub = tonic::client::Grpc::new(channel.clone());
    stub.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
    let path = PathAndQuery::from_static("/n.N/Double");
    let answer =
        stub.unary(Request::new(Number { value }), path, ProstCodec::<Number, Number>::default()).await?;
    Ok(answer.into_inner().value)
}

async fn exercise(channel: HttpClient) {
    assert_eq!(double(&channel, 21).await.expect("an answer"), 42);
    let status = double(&channel, -1).await.expect_err("refused in the trailers");
    assert_eq!((status.code(), status.message()), (Code::OutOfRange, "negative"));

    let (send, receive) = tokio::sync::mpsc::channel::<i64>(4);
    let numbers =
        futures::stream::unfold(
            receive,
            |mut r| async move { r.recv().await.map(|value| (Number { value }, r)) },
        );
    let mut stub = tonic::client::Grpc::new(channel.clone());
    let path = PathAndQuery::from_static("/n.N/Count");
    let answer = stub.streaming(Request::new(numbers), path, ProstCodec::<Number, Number>::default());
    let mut answer = answer.await.expect("an answer").into_inner();
    for n in 0..100 {
        send.send(n).await.expect("a reader");
        assert_eq!(answer.message().await.expect("no error").expect("a message").value, n + 1);
    }
    drop(send);
    assert!(answer.message().await.expect("no error").is_none());
}

#[test]
fn calls_with_mutual_tls() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("etcd"), sim.host("client"));
        let trust = Trust::new(&server);
        let pair = trust.issue(&server, "etcd", DAY);
        let identity = Arc::new(StaticIdentity::new(&pair).expect("an identity"));
        let config =
            pki::ServerTls::new(&server).default_cert(identity).require_client_cert(trust.roots()).config();
        let _server = serve(&server, ServeOptions::tls(move || config.clone())).await;
        let identity =
            Arc::new(StaticIdentity::new(&trust.issue(&client, "root", DAY)).expect("an identity"));
        let tls = trust.client(&client).identity(identity);
        exercise(grpc::channel(&client, "https://etcd:6443", Some(tls)).expect("a channel")).await;

        let nobody =
            grpc::channel(&client, "https://etcd:6443", Some(trust.client(&client))).expect("a channel");
        let status = double(&nobody, 1).await.expect_err("no certificate");
        assert!(format!("{status:?}").contains("certificate required"), "{status:?}");
    });
}

#[test]
fn calls_without_tls_and_redial() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("etcd"), sim.host("client"));
        let process = server.process("etcd");
        let running = serve(process.host(), ServeOptions::plain()).await;
        let channel = grpc::channel(&client, "http://etcd:6443", None).expect("a channel");
        exercise(channel.clone()).await;
        running.shutdown(&server, Duration::from_secs(1)).await;
        double(&channel, 1).await.expect_err("nobody listens");
        let _server = serve(process.host(), ServeOptions::plain()).await;
        exercise(channel).await;
    });
}
