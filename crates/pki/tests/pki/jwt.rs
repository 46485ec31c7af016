//! Service account tokens: signed by one key, verified at an instant, refused in upstream's words.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pki::{
    KeyAlgorithm, PrivateKey,
    jwt::{
        BoundObject, Claims, KubernetesClaims, ServiceAccountSigner, ServiceAccountVerifier, jwks, key_id,
    },
};
use serde_json::{Value, json};

use crate::gear::*;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn claims() -> Claims {
    let kubernetes = KubernetesClaims {
        namespace: "default".into(),
        pod: Some(BoundObject { name: "p".into(), uid: "u1".into() }),
        serviceaccount: BoundObject { name: "sa".into(), uid: "u2".into() },
        ..KubernetesClaims::default()
    };
    let now = at("2026-01-01T00:00:00Z");
    Claims::bound("id-1".into(), vec![ISSUER.into()], kubernetes, now, Duration::from_secs(3600))
}

fn verifier(key: &PrivateKey) -> ServiceAccountVerifier {
    ServiceAccountVerifier::new(vec![ISSUER.into()], vec![ISSUER.into()], &[key.public()])
}

fn part(token: &str, n: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap()
}

#[test]
fn tokens_look_like_upstreams() {
    for (algorithm, name) in [
        (KeyAlgorithm::Rsa2048, "RS256"),
        (KeyAlgorithm::EcdsaP256, "ES256"),
        (KeyAlgorithm::EcdsaP384, "ES384"),
    ] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let token = ServiceAccountSigner::new(ISSUER, &key).sign(&claims()).unwrap();
        assert_eq!(part(&token, 0), json!({"alg": name, "kid": key_id(&key.public())}));
        let payload = part(&token, 1);
        assert_eq!(
            payload,
            json!({
                "aud": [ISSUER], "exp": 1_767_229_200, "iat": 1_767_225_600, "iss": ISSUER, "jti": "id-1",
                "kubernetes.io": {
                    "namespace": "default", "pod": {"name": "p", "uid": "u1"},
                    "serviceaccount": {"name": "sa", "uid": "u2"},
                },
                "nbf": 1_767_225_600, "sub": "system:serviceaccount:default:sa",
            })
        );
        let names: Vec<&String> = payload.as_object().unwrap().keys().collect();
        assert!(names.is_sorted(), "go-jose writes claims sorted: {names:?}");
        let verified = verifier(&key).verify(&token, None, at("2026-01-01T00:30:00Z")).unwrap().unwrap();
        assert_eq!(verified.claims, Claims { issuer: ISSUER.into(), ..claims() });
        assert_eq!(verified.audiences, [ISSUER]);
    }
}

#[test]
fn times_with_a_minute_of_leeway() {
    let key = PrivateKey::generate(FAST).unwrap();
    let token = ServiceAccountSigner::new(ISSUER, &key).sign(&claims()).unwrap();
    let future = Claims { not_before: None, issued_at: Some(1_767_225_600 + 7200), expiry: None, ..claims() };
    let future = ServiceAccountSigner::new(ISSUER, &key).sign(&future).unwrap();
    let rows = [
        (&token, "2025-12-31T23:58:59Z", Err("service account token is not valid yet")),
        (&token, "2025-12-31T23:59:00Z", Ok(())),
        (&token, "2026-01-01T01:01:00Z", Ok(())),
        (&token, "2026-01-01T01:01:00.000000001Z", Err("service account token has expired")),
        (&token, "2026-01-01T01:01:01Z", Err("service account token has expired")),
        (&future, "2026-01-01T01:58:59Z", Err("service account token is issued in the future")),
        (&future, "2026-01-01T01:59:00Z", Ok(())),
    ];
    for (token, now, want) in rows {
        let got = verifier(&key).verify(token, None, at(now)).map(|v| assert!(v.is_some()));
        assert_eq!(got.map_err(|e| e.to_string()), want.map_err(str::to_owned), "{now}");
    }
}

#[test]
fn the_systems_clock_is_not_asked() {
    let key = PrivateKey::generate(FAST).unwrap();
    let long_ago = Claims { expiry: Some(10), not_before: Some(1), issued_at: Some(1), ..claims() };
    let token = ServiceAccountSigner::new(ISSUER, &key).sign(&long_ago).unwrap();
    assert!(verifier(&key).verify(&token, None, at("1970-01-01T00:00:05Z")).unwrap().is_some());
}

#[test]
fn genuine_or_not() {
    let (key, other) = (PrivateKey::generate(FAST).unwrap(), PrivateKey::generate(FAST).unwrap());
    let now = at("2026-01-01T00:30:00Z");
    let token = ServiceAccountSigner::new(ISSUER, &key).sign(&claims()).unwrap();
    let verdict = |v: &ServiceAccountVerifier, t: &str| {
        v.verify(t, None, now).map(|v| v.is_some()).map_err(|e| e.to_string())
    };
    // Not one of ours: somebody else may know it.
    for stranger in ["", "abcdef.0123456789abcdef", "a.b.c", "..", &token[..token.len() / 2]] {
        assert_eq!(verdict(&verifier(&key), stranger), Ok(false), "{stranger:?}");
    }
    let elsewhere = ServiceAccountSigner::new("https://elsewhere", &key).sign(&claims()).unwrap();
    assert_eq!(verdict(&verifier(&key), &elsewhere), Ok(false));

    assert_eq!(verdict(&verifier(&other), &token), Err("invalid signature, no keys found".into()));
    let parts: Vec<&str> = token.split('.').collect();
    let mut payload = part(&token, 1);
    payload["sub"] = "system:serviceaccount:kube-system:admin".into();
    let forged = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(payload.to_string()), parts[2]);
    let broken = Err("go-jose/go-jose: error in cryptographic primitive".into());
    assert_eq!(verdict(&verifier(&key), &forged), broken);
    // The classic: a header that asks for no signature.
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let unsigned = format!("{none}.{}.", parts[1]);
    assert_ne!(verdict(&verifier(&key), &unsigned), Ok(true));
    // And one signed with the public key as if it were a shared secret.
    let hs = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    assert_ne!(verdict(&verifier(&key), &format!("{hs}.{}.{}", parts[1], parts[2])), Ok(true));

    let rotated = ServiceAccountVerifier::new(
        vec![ISSUER.into()],
        vec![ISSUER.into()],
        &[other.public(), key.public()],
    );
    assert_eq!(verdict(&rotated, &token), Ok(true), "any key of the file may have signed");
}

#[test]
fn audiences_must_meet() {
    let key = PrivateKey::generate(FAST).unwrap();
    let now = at("2026-01-01T00:30:00Z");
    let signer = ServiceAccountSigner::new(ISSUER, &key);
    let token = signer.sign(&Claims { audience: vec!["vault".into(), "db".into()], ..claims() }).unwrap();
    let error = verifier(&key).verify(&token, None, now).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(r#"token audiences ["vault" "db"] is invalid for the target audiences ["{ISSUER}"]"#)
    );
    let asked = verifier(&key).verify(&token, Some(&["db".into(), "x".into()]), now).unwrap().unwrap();
    assert_eq!(asked.audiences, ["db"]);
    let legacy = signer.sign(&Claims { audience: vec![], expiry: None, ..claims() }).unwrap();
    let verified = verifier(&key).verify(&legacy, None, at("2036-01-01T00:00:00Z")).unwrap().unwrap();
    assert_eq!(verified.audiences, [ISSUER], "a token for nobody in particular is for the server");
}

#[test]
fn the_key_set_is_readable_by_others() {
    let keys: Vec<_> = [KeyAlgorithm::Rsa2048, KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384]
        .into_iter()
        .map(|a| PrivateKey::generate(a).unwrap())
        .collect();
    let set = jwks(&keys.iter().map(PrivateKey::public).collect::<Vec<_>>());
    for (key, jwk) in keys.iter().zip(set["keys"].as_array().unwrap()) {
        let token = ServiceAccountSigner::new(ISSUER, key).sign(&claims()).unwrap();
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!(jwk.common.key_id, header.kid);
        let mut validation = jsonwebtoken::Validation::new(header.alg);
        (validation.validate_exp, validation.validate_aud) = (false, false);
        let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
        jsonwebtoken::decode::<Value>(&token, &decoding, &validation).unwrap();
    }
}
