//! A look at the certificate that a server shows for a name, as `openssl s_client` does it.

use api::profile::Profile;
use pki::{Certificate, ClientTls, Roots, peer_certificates};
use wire::HttpClient;
use world::Host;

/// The chain that `address:port` serves to a client that asks for `name`, unverified.
///
/// # Errors
/// No connection, or no handshake; in the transport's words.
pub async fn served_chain(
    from: &Host,
    profile: Profile,
    address: &str,
    port: u16,
    name: &str,
) -> Result<Vec<Certificate>, String> {
    let stream = from.net().dial(address, port).await.map_err(|e| e.to_string())?;
    let tls = ClientTls::new(from, profile.go()).insecure().server_name(name);
    let server = tls.name_for(address).map_err(|e| e.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(tls.config(&[b"h2"]));
    let stream = connector.connect(server, stream).await.map_err(|e| e.to_string())?;
    Ok(peer_certificates(stream.get_ref().1.peer_certificates()))
}

/// Whether a fresh connection to `address:port` by `name`, trusting `chain`, is accepted by a client
/// that checks everything; the client's words if not.
///
/// # Errors
/// What the client says.
pub async fn strict_handshake(
    from: &Host,
    profile: Profile,
    address: &str,
    port: u16,
    name: &str,
    chain: &[Certificate],
) -> Result<(), String> {
    let tls = ClientTls::new(from, profile.go()).roots(Roots::new(chain.to_vec())).server_name(name);
    let http =
        HttpClient::new(from, &format!("https://{address}:{port}"), Some(tls)).map_err(|e| e.to_string())?;
    let request = http::Request::get("/version").body(wire::body::empty()).map_err(|e| e.to_string())?;
    http.send(request).await.map(drop).map_err(|e| e.to_string())
}
