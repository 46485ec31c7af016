//! Certificates that should not open the door, headers without the certificate that they need, and a request for one
//! that nobody may have.

use pki::{Authority, CertifiedKey, KeyAlgorithm, PrivateKey, csr::Csr};
use serde_json::json;

use crate::gear::{Caller, DAY, Gear, SECOND, attack, who};

const NAMESPACES: &str = "/api/v1/namespaces";

async fn refused(gear: &Gear, pair: CertifiedKey) {
    let caller = Caller::certificate(pair);
    let answer = gear.get(&caller, NAMESPACES).await;
    // One word, whatever the reason.
    assert_eq!((answer.code, answer.message().as_str()), (401, "Unauthorized"));
}

async fn accepted(gear: &Gear, pair: CertifiedKey) {
    assert_eq!(gear.get(&Caller::certificate(pair), NAMESPACES).await.code, 200);
}

#[test]
fn attack_with_an_expired_certificate() {
    attack(|gear| async move {
        let (from, masters) = (gear.now() - DAY, ["system:masters"]);
        let issue = |until| gear.issue_for(&gear.clients, "admin", &masters, true, (from, until));
        accepted(&gear, issue(gear.now() + SECOND)).await;
        refused(&gear, issue(gear.now() - SECOND)).await;
    });
}

#[test]
fn attack_with_a_certificate_that_ends_on_an_open_connection() {
    attack(|gear| async move {
        let until = gear.now() + 60 * SECOND;
        let pair = gear.issue_for(&gear.clients, "admin", &["system:masters"], true, (gear.now(), until));
        let caller = Caller::certificate(pair);
        let connection = gear.connection(&caller);
        let ask = async || gear.send_on(&connection, &caller, "GET", NAMESPACES, &json!(null)).await.code;
        gear.sim.elapse(59 * SECOND).await;
        assert_eq!(ask().await, 200);
        gear.sim.elapse(2 * SECOND).await;
        assert_eq!(ask().await, 401);
    });
}

#[test]
fn attack_with_a_certificate_that_is_not_yet_valid() {
    attack(|gear| async move {
        let (until, masters) = (gear.now() + DAY, ["system:masters"]);
        let issue = |from| gear.issue_for(&gear.clients, "admin", &masters, true, (from, until));
        accepted(&gear, issue(gear.now())).await;
        refused(&gear, issue(gear.now() + SECOND)).await;
    });
}

#[test]
fn attack_with_a_certificate_of_another_authority_of_the_same_name() {
    attack(|gear| async move {
        accepted(&gear, gear.issue(&gear.clients, "admin", &["system:masters"])).await;
        refused(&gear, gear.issue(&gear.strangers, "admin", &["system:masters"])).await;
        // The authority of front proxies makes no clients.
        refused(&gear, gear.issue(&gear.proxies, "admin", &["system:masters"])).await;
    });
}

#[test]
fn attack_with_a_servers_certificate() {
    attack(|gear| async move {
        let dates = (gear.now(), gear.now() + DAY);
        let issue = |client| gear.issue_for(&gear.clients, "admin", &["system:masters"], client, dates);
        accepted(&gear, issue(true)).await;
        refused(&gear, issue(false)).await;
    });
}

#[test]
fn attack_with_a_self_signed_certificate() {
    attack(|gear| async move {
        let now = gear.now();
        let algorithm = KeyAlgorithm::EcdsaP256;
        let own = Authority::new_root(gear.host.entropy(), algorithm, "admin", &[], now, now + DAY).unwrap();
        let key = PrivateKey::from_pem(own.key().to_pem().as_bytes()).unwrap();
        refused(&gear, CertifiedKey::new(vec![own.certificate], key).unwrap()).await;
        accepted(&gear, gear.issue(&gear.clients, "admin", &["system:masters"])).await;
    });
}

#[test]
fn attack_by_headers_without_the_front_proxys_certificate() {
    attack(|gear| async move {
        let says = [("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")];
        let proxy = |pair| Caller::certificate(pair).saying(&says);
        let trusted = gear.issue(&gear.proxies, "front-proxy-client", &[]);
        assert_eq!(gear.get(&proxy(trusted), NAMESPACES).await.code, 200);

        // Nobody, with the same headers.
        let answer = gear.get(&Caller::nobody().saying(&says), NAMESPACES).await;
        assert_eq!(answer.code, 403, "{}", answer.body);
        assert!(answer.message().contains("User \"system:anonymous\""), "{}", answer.body);
        // A proxy that is not on the list, and one of a wrong authority.
        assert_eq!(gear.get(&proxy(gear.issue(&gear.proxies, "evil", &[])), NAMESPACES).await.code, 401);
        let stranger = gear.issue(&gear.strangers, "front-proxy-client", &[]);
        assert_eq!(gear.get(&proxy(stranger), NAMESPACES).await.code, 401);
        // A client with a certificate of its own stays who it is, its groups too.
        let client = proxy(gear.issue(&gear.clients, "mallory", &[]));
        assert_eq!(who(&gear, &client).await, "mallory");
        assert_eq!(gear.get(&client, NAMESPACES).await.code, 403);
        // So does one with a token.
        let bob = Caller::token("bob-token").saying(&says);
        assert_eq!(who(&gear, &bob).await, "bob");
        assert_eq!(gear.get(&bob, NAMESPACES).await.code, 403);
    });
}

#[test]
fn attack_by_a_request_for_a_certificate_of_masters() {
    attack(|gear| async move {
        let request = |organization: &str| {
            let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
            let pem = Csr::create(&key, "mallory", &[organization.to_owned()], &[], &[]).unwrap();
            json!({
                "metadata": {"generateName": "csr-"},
                "spec": {
                    "request": api::object::base64(pem.as_bytes()),
                    "signerName": "kubernetes.io/kube-apiserver-client",
                    "usages": ["client auth"],
                },
            })
        };
        let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
        gear.make(path, request("dev")).await;
        let answer = gear.send(&gear.admin(), "POST", path, &request("system:masters")).await;
        assert_eq!(answer.code, 403, "{}", answer.body);
        let words =
            "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
        assert!(answer.message().contains(words), "{}", answer.body);
    });
}
