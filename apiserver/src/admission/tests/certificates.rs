//! Who may approve and sign, and what nobody may ask for.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::Informer;
use pki::{KeyAlgorithm, PrivateKey, csr::Csr};
use serde_json::{Value, json};

use super::{Write, furnished, story};
use crate::{identity::User, informers::Informers};

const WHAT: &str = "certificatesigningrequests.certificates.k8s.io";

pub(super) fn request(signer: &str, cn: &str, orgs: &[&str]) -> Value {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let orgs: Vec<String> = orgs.iter().map(|o| (*o).to_owned()).collect();
    let pem = Csr::create(&key, cn, &orgs, &[], &[]).unwrap();
    json!({"metadata": {"name": "c"}, "spec": {"signerName": signer, "request": STANDARD.encode(pem)}})
}

fn with_rights() -> Informers {
    let rule = |verb: &str, name: &str| json!({"verbs": [verb], "apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "resourceNames": [name]});
    let role = json!({"metadata": {"name": "r"}, "rules": [rule("approve", "example.com/one"), rule("sign", "example.com/*")]});
    let binding = json!({
        "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "r"},
        "subjects": [{"kind": "User", "name": "jane"}],
    });
    Informers {
        cluster_roles: Informer::fixed(vec![role]),
        cluster_role_bindings: Informer::fixed(vec![binding]),
        ..furnished()
    }
}

#[test]
fn approving_needs_the_verb_on_the_signer() {
    story(with_rights(), |chain| async move {
        let check = async |signer: &str, wanted: Result<(), &str>| {
            let old = json!({"metadata": {"name": "c"}, "spec": {"signerName": signer}});
            // The signer in the request does not count.
            let new = json!({"metadata": {"name": "c"}, "spec": {"signerName": "example.com/one"}});
            let write =
                Write::update("certificatesigningrequests.certificates.k8s.io/approval", "", "c", new, old);
            let found = chain.admit(approval(write)).await.map(|_| ());
            assert_eq!(found.as_ref().map_err(|s| s.message.as_str()).copied(), wanted, "{signer}");
        };
        check("example.com/one", Ok(())).await;
        check(
            "example.com/two",
            Err(r#"certificatesigningrequests.certificates.k8s.io "c" is forbidden: user not permitted to approve requests with signerName "example.com/two""#),
        )
        .await;
    });
}

fn approval(write: Write) -> Write {
    Write {
        group: "certificates.k8s.io",
        resource: "certificatesigningrequests",
        subresource: "approval",
        ..write
    }
    .by(User::new("jane", &[]))
}

#[test]
fn signing_needs_it_only_for_what_is_signed() {
    story(with_rights(), |chain| async move {
        let check = async |signer: &str, status: Value, allowed: bool| {
            let object = |status: Value| json!({"metadata": {"name": "c"}, "spec": {"signerName": signer}, "status": status});
            let write = Write::update(WHAT, "", "c", object(status), object(json!({})));
            let write = Write { subresource: "status", ..write }.by(User::new("jane", &[]));
            assert_eq!(chain.admit(write).await.is_ok(), allowed, "{signer}");
        };
        check("example.com/any", json!({"certificate": "x"}), true).await;
        check("other.com/any", json!({"certificate": "x"}), false).await;
        check("other.com/any", json!({"conditions": [{"type": "Failed"}]}), false).await;
        check("other.com/any", json!({}), true).await;
    });
}

#[test]
fn nobody_asks_to_be_a_master() {
    story(furnished(), |chain| async move {
        let check = async |object: Value, wanted: Result<(), &str>| {
            let found = chain.admit(Write::create(WHAT, "", object)).await.map(|_| ());
            assert_eq!(found.as_ref().map_err(|s| s.message.as_str()).copied(), wanted);
        };
        let signer = "kubernetes.io/kube-apiserver-client";
        check(request(signer, "x", &["dev"]), Ok(())).await;
        check(
            request(signer, "x", &["dev", "system:masters"]),
            Err(r#"certificatesigningrequests.certificates.k8s.io "c" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"#),
        )
        .await;
        check(request("example.com/any", "x", &["system:masters"]), Ok(())).await;
        let garbage = json!({"metadata": {"name": "c"}, "spec": {"signerName": signer, "request": "eA=="}});
        let refusal = chain.admit(Write::create(WHAT, "", garbage)).await.unwrap_err();
        assert!(refusal.message.contains("is forbidden: failed to parse CSR: "), "{}", refusal.message);
    });
}
