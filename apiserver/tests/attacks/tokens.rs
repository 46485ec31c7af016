//! Tokens that are forged, meant for others, taken back, or guessed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pki::{KeyAlgorithm, PrivateKey, jwt::key_id};
use serde_json::{Value, json};

use crate::gear::{Caller, Gear, attack, who};

const ROBOT: &str = "system:serviceaccount:default:robot";

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

async fn check(gear: &Gear, token: impl Into<String>, wanted: &str) {
    assert_eq!(who(gear, &Caller::token(token)).await, wanted);
}

#[test]
fn attack_with_a_token_signed_by_nothing() {
    attack(|gear| async move {
        gear.account("robot").await;
        let good = gear.token_of("robot", json!({})).await;
        check(&gear, &good, ROBOT).await;
        let kid = key_id(&gear.key.public());
        for algorithm in ["none", "None", "NONE", "nOnE", ""] {
            for header in [json!({"alg": algorithm}), json!({"alg": algorithm, "kid": kid})] {
                let unsigned = format!("{}.{}", encoded(&header), encoded(&claims(&good)));
                let signature = good.rsplit('.').next().unwrap();
                check(&gear, format!("{unsigned}."), "401").await;
                check(&gear, format!("{unsigned}.{signature}"), "401").await;
            }
        }
        // The genuine header over other claims.
        let mut changed = claims(&good);
        changed["sub"] = "system:serviceaccount:kube-system:root".into();
        let mut parts: Vec<String> = good.split('.').map(str::to_owned).collect();
        parts[1] = encoded(&changed);
        check(&gear, parts.join("."), "401").await;
        check(&gear, good, ROBOT).await;
    });
}

#[test]
fn attack_with_the_public_key_as_a_shared_secret() {
    attack(|gear| async move {
        gear.account("robot").await;
        let good = gear.token_of("robot", json!({})).await;
        let public = gear.key.public();
        for secret in [public.to_pem().into_bytes(), public.spki_der().to_vec()] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let mut header = Header::new(algorithm);
                header.kid = Some(key_id(&public));
                let key = EncodingKey::from_secret(&secret);
                check(&gear, jsonwebtoken::encode(&header, &claims(&good), &key).unwrap(), "401").await;
            }
        }
        check(&gear, good, ROBOT).await;
    });
}

#[test]
fn attack_with_a_key_of_ones_own() {
    attack(|gear| async move {
        gear.account("robot").await;
        let good = gear.token_of("robot", json!({})).await;
        let own = PrivateKey::generate(KeyAlgorithm::Rsa2048).unwrap();
        let sign = |key: &PrivateKey, kid: Option<String>| {
            let mut header = Header::new(Algorithm::RS256);
            header.kid = kid;
            let key = EncodingKey::from_rsa_pem(key.to_pem().as_bytes()).unwrap();
            jsonwebtoken::encode(&header, &claims(&good), &key).unwrap()
        };
        for kid in [None, Some(key_id(&own.public())), Some(key_id(&gear.key.public()))] {
            check(&gear, sign(&own, kid), "401").await;
        }
        // The same hand with the right key.
        check(&gear, sign(&gear.key, Some(key_id(&gear.key.public()))), ROBOT).await;
    });
}

#[test]
fn attack_with_a_token_for_another_audience() {
    attack(|gear| async move {
        gear.account("robot").await;
        check(&gear, gear.token_of("robot", json!({"audiences": ["vault"]})).await, "401").await;
        let both = json!({"audiences": ["vault", crate::gear::ISSUER]});
        check(&gear, gear.token_of("robot", both).await, ROBOT).await;
    });
}

#[test]
fn attack_with_a_token_whose_account_was_made_again() {
    attack(|gear| async move {
        gear.account("robot").await;
        let old = gear.token_of("robot", json!({})).await;
        check(&gear, &old, ROBOT).await;
        let path = "/api/v1/namespaces/default/serviceaccounts/robot";
        assert_eq!(gear.send(&gear.admin(), "DELETE", path, &Value::Null).await.code, 200);
        gear.settle().await;
        check(&gear, &old, "401").await;
        gear.account("robot").await;
        gear.settle().await;
        check(&gear, &old, "401").await;
        check(&gear, gear.token_of("robot", json!({})).await, ROBOT).await;
    });
}

#[test]
fn attack_with_a_bootstrap_token_after_its_deletion() {
    attack(|gear| async move {
        let secret = |id: &str| {
            json!({
                "metadata": {"name": format!("bootstrap-token-{id}")},
                "type": "bootstrap.kubernetes.io/token",
                "stringData": {
                    "token-id": id, "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
                },
            })
        };
        let path = "/api/v1/namespaces/kube-system/secrets";
        gear.make(path, secret("aaaaaa")).await;
        gear.make(path, secret("bbbbbb")).await;
        gear.settle().await;
        let (gone, kept) = ("aaaaaa.0123456789abcdef", "bbbbbb.0123456789abcdef");
        check(&gear, gone, "system:bootstrap:aaaaaa").await;
        check(&gear, kept, "system:bootstrap:bbbbbb").await;
        let one = format!("{path}/bootstrap-token-aaaaaa");
        assert_eq!(gear.send(&gear.admin(), "DELETE", &one, &Value::Null).await.code, 200);
        // Ten seconds of memory, no more.
        gear.settle().await;
        check(&gear, gone, "401").await;
        check(&gear, kept, "system:bootstrap:bbbbbb").await;
        // Half of one token with half of another.
        check(&gear, "bbbbbb.0123456789abcdee", "401").await;
    });
}

#[test]
fn attack_by_guessing() {
    attack(|gear| async move {
        check(&gear, "bob-token", "bob").await;
        for guess in ["bob-toke", "bob-token0", "Bob-token", "bob-tokem", "\"bob-token\"", "%62ob-token", "*"]
        {
            check(&gear, guess, "401").await;
        }
        // A bad credential is never nobody: what anyone may read is closed to it too.
        assert_eq!(gear.get(&Caller::nobody(), "/livez").await.code, 200);
        assert_eq!(gear.get(&Caller::token("guess"), "/livez").await.code, 401);
    });
}
