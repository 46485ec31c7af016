//! The health port of a control-plane component: TLS with a self-signed certificate made in memory.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use http::{Request, Response, StatusCode};
use pki::{KeyAlgorithm, ServerTls, StaticIdentity};
use wire::{Body, Handler, Peer, ServeOptions, Server, body};
use world::Host;

struct Health;

impl Handler for Health {
    fn call(
        &self,
        _: Arc<Peer>,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        let (status, words) = match request.uri().path() {
            "/healthz" | "/livez" | "/readyz" => (StatusCode::OK, "ok"),
            // Metrics and the rest would need delegated authentication.
            _ => (StatusCode::NOT_FOUND, "404 page not found\n"),
        };
        let mut response = Response::new(body::full(words));
        *response.status_mut() = status;
        Box::pin(std::future::ready(response))
    }
}

/// Serves until the process ends.
///
/// # Errors
/// The port is taken, or no certificate could be made; with what to do.
pub(crate) async fn serve(host: &Host, address: IpAddr, port: u16) -> Result<(), String> {
    let pair = pki::loopback::self_signed_server(
        "localhost",
        &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
        &[],
        host.clock().wall(),
        host.entropy(),
        KeyAlgorithm::EcdsaP256,
    )
    .map_err(|e| format!("cannot make the serving certificate: {e}"))?;
    let identity =
        StaticIdentity::new(&pair.pair).map_err(|e| format!("cannot use the serving certificate: {e}"))?;
    let config = ServerTls::new(host).default_cert(Arc::new(identity)).config();
    let listener = host.net().listen(SocketAddr::new(address, port)).await.map_err(|e| {
        format!("failed to create listener: {e}; is another {} running on this host?", host.actor())
    })?;
    let options = ServeOptions::tls(move || config.clone());
    Server::spawn(host, listener, options, Arc::new(Health));
    Ok(())
}
