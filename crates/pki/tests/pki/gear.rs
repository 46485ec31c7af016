//! What several subjects need: times, chance, authorities, and a handshake in memory.

use std::{io, sync::Arc};

use pki::{
    Authority, CertSpec, Certificate, CertifiedKey, ClientTls, GoVersion, KeyAlgorithm, PrivateKey,
    ServerTls, X509Error, alert,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use world::{Entropy, Wall};

pub const GO_NOW: GoVersion = (1, 26);
pub const FAST: KeyAlgorithm = KeyAlgorithm::EcdsaP256;

pub fn at(text: &str) -> Wall {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

pub fn chance() -> Entropy {
    Entropy::seeded(7, "pki")
}

/// An authority valid through 2026.
pub fn authority(name: &str) -> Authority {
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    Authority::new_root(&chance(), FAST, name, &[name.to_owned()], from, to).unwrap()
}

/// A server's certificate for `node`, `*.svc` and 10.0.0.1, valid in June 2026.
pub fn leaf_spec() -> CertSpec {
    CertSpec {
        common_name: "kube-apiserver".into(),
        organizations: vec![],
        dns_names: vec!["node".into(), "*.svc".into()],
        ips: vec!["10.0.0.1".parse().unwrap()],
        client_auth: false,
        server_auth: true,
        not_before: at("2026-06-01T00:00:00Z"),
        not_after: at("2026-07-01T00:00:00Z"),
    }
}

pub fn client_spec(user: &str, groups: &[&str]) -> CertSpec {
    CertSpec {
        common_name: user.into(),
        organizations: groups.iter().map(|g| (*g).to_owned()).collect(),
        dns_names: vec![],
        ips: vec![],
        client_auth: true,
        server_auth: false,
        ..leaf_spec()
    }
}

pub fn issue(authority: &Authority, spec: &CertSpec) -> CertifiedKey {
    let key = PrivateKey::generate(FAST).unwrap();
    let certificate = authority.issue(&chance(), spec, &key.public()).unwrap();
    CertifiedKey::new(vec![certificate], key).unwrap()
}

/// What came of a handshake and one word each way.
#[derive(Debug)]
pub struct Outcome {
    /// What the client got: the server's certificates, or why not, in Go's words.
    pub client: Result<Vec<Certificate>, String>,
    /// What the server got: the client's certificates, or why not, in Go's words.
    pub server: Result<Vec<Certificate>, String>,
    pub alpn: Option<Vec<u8>>,
    pub resumed: bool,
}

/// One connection in memory; the name is what the client dialled.
pub async fn handshake(client: &ClientTls, server: &ServerTls, dialled: &str) -> Outcome {
    let configs = (client.config(&[b"h2"]), server.config());
    handshake_with(client, &configs.0, &configs.1, dialled).await
}

pub async fn handshake_with(
    client: &ClientTls,
    client_config: &Arc<rustls::ClientConfig>,
    server_config: &Arc<rustls::ServerConfig>,
    dialled: &str,
) -> Outcome {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = client.name_for(dialled).unwrap();
    let connector = TlsConnector::from(client_config.clone());
    let acceptor = TlsAcceptor::from(server_config.clone());
    let client_end = async {
        let mut stream = connector.connect(name, near).await?;
        // In TLS 1.3 a refused client learns of it with its first read.
        stream.write_all(b"ping").await?;
        let mut word = [0; 4];
        stream.read_exact(&mut word).await?;
        let (_, session) = stream.get_ref();
        let resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        Ok((
            pki::peer_certificates(session.peer_certificates()),
            session.alpn_protocol().map(<[u8]>::to_vec),
            resumed,
        ))
    };
    let server_end = async {
        let mut stream = acceptor.accept(far).await?;
        let mut word = [0; 4];
        stream.read_exact(&mut word).await?;
        stream.write_all(b"pong").await?;
        stream.flush().await?;
        Ok(pki::peer_certificates(stream.get_ref().1.peer_certificates()))
    };
    let (client_end, server_end): (io::Result<_>, io::Result<_>) = tokio::join!(client_end, server_end);
    let words = |e: io::Error| {
        let verdict = X509Error::of_io(&e).map(|x509| x509.handshake_words(client.go()));
        verdict.or_else(|| alert::of_io(&e, client.go())).unwrap_or_else(|| e.to_string())
    };
    let (mut alpn, mut resumed) = (None, false);
    let client = client_end.map_err(words).map(|(certificates, protocol, again)| {
        (alpn, resumed) = (protocol, again);
        certificates
    });
    Outcome { client, server: server_end.map_err(words), alpn, resumed }
}
