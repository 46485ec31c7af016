//! Each authenticator by rows, and how they stand together.

mod bootstrap;
mod decisions;
mod idp;
mod oidc;
mod service_account;
mod union;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use pki::{Authority, CertSpec, Certificate, KeyAlgorithm, PrivateKey};
use wire::Peer;
use world::{
    Host, Wall,
    sim::{Config as World, Sim},
};

use super::{Authn, CaBundle, Config, Loopback, Remarks, RequestHeaders};
use crate::{admission::testing::Fake, identity::User, informers::Informers};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn run<F, Fut>(story: F)
where
    F: FnOnce(Sim, Fake) -> Fut,
    Fut: Future<Output = ()>,
{
    world::sim::run(World::default(), |sim| async move {
        let fake = Fake::plain(&sim).await;
        story(sim, fake).await;
    })
    .unwrap();
}

fn authn(fake: &Fake, config: Config, informers: &Informers) -> Authn {
    Authn::new(&fake.host, Config { go: (1, 26), ..config }, informers, &fake.rest)
}

fn peer(certificates: Vec<Certificate>) -> Arc<Peer> {
    let at: SocketAddr = "127.0.0.1:1".parse().unwrap();
    Arc::new(Peer { remote: at, local: at, secure: true, server_name: None, certificates })
}

fn headers(entries: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in entries {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// `name [groups]`, or the code of the refusal.
async fn who(authn: &Authn, headers: &mut HeaderMap, peer: &Peer, now: Wall) -> String {
    match authn.authenticate(headers, peer, "/api", now, &mut Remarks::default()).await {
        Ok(User { name, groups, .. }) => format!("{name} [{}]", groups.join(" ")),
        Err(status) => {
            assert_eq!((status.message.as_str(), status.reason.as_str()), ("Unauthorized", "Unauthorized"));
            status.code.to_string()
        }
    }
}

async fn bearer(authn: &Authn, token: &str, now: Wall) -> String {
    let mut headers = headers(&[("authorization", &format!("Bearer {token}"))]);
    let answer = who(authn, &mut headers, &peer(vec![]), now).await;
    assert_eq!(headers.contains_key("authorization"), answer == "401", "removed when it served");
    answer
}

/// An authority, and certificates of it for a day from now.
struct Ca {
    authority: Authority,
    host: Host,
}

impl Ca {
    fn new(host: &Host, name: &str) -> Self {
        let now = host.clock().wall();
        let authority =
            Authority::new_root(host.entropy(), KeyAlgorithm::EcdsaP256, name, &[], now, now + 10 * DAY)
                .unwrap();
        Self { authority, host: host.clone() }
    }

    fn bundle(&self) -> Arc<CaBundle> {
        CaBundle::fixed(self.authority.certificate.clone().into())
    }

    fn client(&self, cn: &str, orgs: &[&str]) -> Vec<Certificate> {
        self.issue(cn, orgs, true)
    }

    fn issue(&self, cn: &str, orgs: &[&str], client: bool) -> Vec<Certificate> {
        let now = self.host.clock().wall();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let spec = CertSpec {
            common_name: cn.to_owned(),
            organizations: orgs.iter().map(|o| (*o).to_owned()).collect(),
            dns_names: vec![],
            ips: vec![],
            client_auth: client,
            server_auth: !client,
            not_before: now,
            not_after: now + DAY,
        };
        vec![self.authority.issue(self.host.entropy(), &spec, &key.public()).unwrap()]
    }
}

fn loopback() -> Option<Loopback> {
    Some(Loopback::new("loopback-token", "loopback-uid"))
}

fn proxy(ca: &Ca, names: &[&str]) -> Option<RequestHeaders> {
    Some(RequestHeaders::standard(ca.bundle(), names.iter().map(|n| (*n).to_owned()).collect()))
}

#[test]
fn identifiers_of_keys_are_not_traced() {
    let words = "[verifying certificate SN=7, SKID=AA:BB, AKID=CC failed: x509: a, invalid bearer token]";
    let kept = "[verifying certificate SN=7 failed: x509: a, invalid bearer token]";
    assert_eq!(super::without_key_ids(words), kept);
    assert_eq!(super::without_key_ids(kept), kept);
}
