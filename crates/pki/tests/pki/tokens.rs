//! Bootstrap tokens, their Secrets, the signature under cluster-info, and pins.

use pki::token::{BootstrapToken, DEFAULT_NODE_GROUP, PinError, Pins, TokenSecret, is_group, jws};
use serde_json::{Value, json};
use world::Entropy;

use crate::gear::*;

fn token() -> BootstrapToken {
    "abcdef.0123456789abcdef".parse().unwrap()
}

fn secret() -> TokenSecret {
    TokenSecret {
        token: token(),
        description: "for joining".into(),
        expiration: Some(at("2026-01-02T00:00:00Z")),
        signing: true,
        authentication: true,
        groups: vec![DEFAULT_NODE_GROUP.into()],
    }
}

#[test]
fn the_form_of_a_token() {
    let rows = [
        ("abcdef.0123456789abcdef", true),
        ("abcdef.0123456789abcde", false),
        ("abcde.0123456789abcdef", false),
        ("ABCDEF.0123456789abcdef", false),
        ("abcdef-0123456789abcdef", false),
        ("abcdef.0123456789abcdef.", false),
        ("abcdef.0123456789abcd\u{e4}", false),
        ("", false),
    ];
    for (text, want) in rows {
        assert_eq!(text.parse::<BootstrapToken>().is_ok(), want, "{text:?}");
    }
    let error = "secret!".parse::<BootstrapToken>().unwrap_err().to_string();
    assert!(error.contains("a-z0-9") && !error.contains("secret!"), "{error}");
}

#[test]
fn generated_tokens_are_decided_by_the_seed_and_never_shown() {
    let made = |seed| BootstrapToken::generate(&Entropy::seeded(seed, "cp1"));
    assert_eq!(made(1).reveal(), made(1).reveal());
    assert_ne!(made(1), made(2));
    let token = made(3);
    assert_eq!(token.reveal().parse::<BootstrapToken>().unwrap(), token);
    assert!(!format!("{token:?}").contains(token.secret()));
    assert_eq!(token.secret_name(), format!("bootstrap-token-{}", token.id()));
    assert_eq!(token.user_name(), format!("system:bootstrap:{}", token.id()));
}

#[test]
fn cluster_info_signatures_are_upstreams_byte_for_byte() {
    let content = "apiVersion: v1\nkind: Config\n";
    let signature = jws::sign(content, &token());
    // base64url of {"alg":"HS256","kid":"abcdef"}, and nothing between the dots.
    let header = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9";
    assert!(signature.starts_with(&format!("{header}..")), "{signature}");
    // Computed once with python3's hmac: HMAC-SHA256("0123456789abcdef", header + "." + base64url(content)).
    assert_eq!(signature, format!("{header}..{SIGNATURE}"));
    assert!(jws::verify(&signature, content, &token()));
    assert!(!jws::verify(&signature, "apiVersion: v1\nkind: Config", &token()));
    let other: BootstrapToken = "abcdef.0123456789abcdeg".parse().unwrap();
    assert!(!jws::verify(&signature, content, &other));
    assert!(!jws::verify("", content, &token()));
    assert_eq!(jws::data_key("abcdef"), "jws-kubeconfig-abcdef");
}

const SIGNATURE: &str = "vH_kT4yiol-nrAWgjfCYqvum5wsKETXe0S7OOp1VgnE";

#[test]
fn secrets_round_trip() {
    let object = secret().to_object();
    assert_eq!(object["metadata"], json!({"name": "bootstrap-token-abcdef", "namespace": "kube-system"}));
    assert_eq!(object["type"], "bootstrap.kubernetes.io/token");
    assert_eq!(object["data"]["expiration"], "MjAyNi0wMS0wMlQwMDowMDowMFo=");
    assert_eq!(TokenSecret::from_object(&object).unwrap(), secret());
    let eternal = TokenSecret { expiration: None, ..secret() };
    assert_eq!(TokenSecret::from_object(&eternal.to_object()).unwrap(), eternal);
    assert!(!format!("{:?}", secret()).contains("0123456789abcdef"));
}

/// Applies `change` to a good Secret and asks whether the token gets in.
fn check(what: &str, now: &str, change: impl FnOnce(&mut Value), want: Result<&[&str], &str>) {
    let mut object = secret().to_object();
    change(&mut object);
    let got = TokenSecret::authenticate(&object, &token(), at(now));
    match (got, want) {
        (Ok(groups), Ok(want)) => assert_eq!(groups, want, "{what}"),
        (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{what}: {error}"),
        (got, want) => panic!("{what}: {got:?}, wanted {want:?}"),
    }
}

fn put(key: &'static str, value: &'static str) -> impl FnOnce(&mut Value) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    move |object| object["data"][key] = STANDARD.encode(value).into()
}

#[test]
fn who_gets_in() {
    let (before, at_the_end) = ("2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z");
    let groups: &[&str] = &["system:bootstrappers", DEFAULT_NODE_GROUP];
    check("good", before, |_| {}, Ok(groups));
    check("over at the very second", at_the_end, |_| {}, Err("expired"));
    check("unreadable date", before, put("expiration", "tomorrow"), Err("expired"));
    check(
        "no date",
        at_the_end,
        |o| drop(o["data"].as_object_mut().unwrap().remove("expiration")),
        Ok(groups),
    );
    check("date of another zone", before, put("expiration", "2026-01-02T02:00:00+02:00"), Ok(groups));
    check("wrong secret", before, put("token-secret", "0123456789abcdeg"), Err("does not match"));
    check("wrong id", before, put("token-id", "abcdeg"), Err("do not match"));
    check("no secret", before, put("token-secret", ""), Err("no valid token-id"));
    check(
        "not for this",
        before,
        put("usage-bootstrap-authentication", "yes"),
        Err("usage-bootstrap-authentication"),
    );
    check("wrong type", before, |o| o["type"] = "Opaque".into(), Err("type \"Opaque\""));
    check(
        "being deleted",
        before,
        |o| o["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(),
        Err("deleted"),
    );
    check("bad group", before, put("auth-extra-groups", "system:masters"), Err("system:masters"));
    check("no group", before, put("auth-extra-groups", ""), Ok(&["system:bootstrappers"]));
}

#[test]
fn who_signs() {
    let now = at("2026-01-01T00:00:00Z");
    assert_eq!(TokenSecret::signer(&secret().to_object(), now).unwrap(), token());
    let silent = TokenSecret { signing: false, ..secret() };
    assert!(
        TokenSecret::signer(&silent.to_object(), now)
            .unwrap_err()
            .to_string()
            .contains("usage-bootstrap-signing")
    );
    assert!(TokenSecret::signer(&secret().to_object(), at("2026-01-02T00:00:00Z")).is_err());
}

#[test]
fn groups_of_tokens() {
    let long = format!("system:bootstrappers:{}", "a".repeat(256));
    let rows = [
        (DEFAULT_NODE_GROUP, true),
        ("system:bootstrappers:a", true),
        ("system:bootstrappers:", false),
        ("system:bootstrappers:a-", false),
        ("system:bootstrappers:A", false),
        ("system:masters", false),
        (&long, true),
        (&format!("{long}a"), false),
    ];
    for (name, want) in rows {
        assert_eq!(is_group(name), want, "{name}");
    }
}

#[test]
fn pins_match_any_authority_of_a_bundle() {
    let (a, b, c) = (authority("a").certificate, authority("b").certificate, authority("c").certificate);
    let pin = b.public_key().pin();
    let upper = format!("SHA256:{}", pin["sha256:".len()..].to_uppercase());
    for text in [&pin, &upper] {
        let pins = Pins::parse([text.as_str()]).unwrap();
        assert_eq!(pins.check(&[a.clone(), b.clone()]), Ok(()));
        assert_eq!(
            pins.check(std::slice::from_ref(&c)).unwrap_err().to_string(),
            format!("none of the public keys {:?} are pinned", c.public_key().pin())
        );
    }
    let rows = [
        ("abc", r#"invalid hash, expected "format:hex-value". Known format(s) are: sha256"#.to_owned()),
        ("md5:00", PinError::UnknownFormat("md5".into()).to_string()),
        ("sha256:00", PinError::Hash("00".into()).to_string()),
    ];
    for (text, want) in rows {
        assert_eq!(Pins::parse([text]).unwrap_err().to_string(), want);
    }
}
