//! gRPC over our own connections: tonic's services and stubs, without tonic's transport, whose
//! clock is not the host's.
//!
//! A service is a [`Handler`] of a [`crate::Server`]; a stub's channel is an [`HttpClient`].

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response};
use hyper::body::Body as HttpBody;
use parking_lot::Mutex;
use tower::{Service, ServiceExt};
use world::Host;

use crate::{Body, BoxError, Error, Handler, HttpClient, Peer, ServeOptions, body};

/// Serves a tonic service (or any tower service over HTTP). The request's extensions hold the
/// `Arc<Peer>`.
pub fn handler<S, B>(service: S) -> Arc<dyn Handler>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Arc::new(Adapter(Mutex::new(service)))
}

/// Serves HTTP/2 also without TLS, as gRPC servers do.
pub fn options(options: ServeOptions) -> ServeOptions {
    ServeOptions { prior_knowledge: true, ..options }
}

/// What a tonic stub calls instead of a `tonic::transport::Channel`: one HTTP/2 connection to `url`
/// on the host's network and clock.
///
/// # Errors
/// As [`HttpClient::new`].
pub fn channel(host: &Host, url: &str, tls: Option<pki::ClientTls>) -> Result<HttpClient, Error> {
    HttpClient::http2_only(host, url, tls)
}

/// The mutex is only there because a tower service need not be `Sync`; it is held to clone.
struct Adapter<S>(Mutex<S>);

impl<S, B> Handler for Adapter<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn call(
        &self,
        peer: Arc<Peer>,
        mut request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        let service = self.0.lock().clone();
        request.extensions_mut().insert(peer);
        // Not an async block: the compiler would ask for more of `S::Future` than can be said.
        Box::pin(service.oneshot(request).map(|result| match result {
            Ok(response) => response.map(body::boxed),
            Err(never) => match never {},
        }))
    }
}
