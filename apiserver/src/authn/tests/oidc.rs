//! What of an issuer changes while the server runs: that it is there, its keys, and the file that names it; and how
//! long a webhook's answer counts.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pki::{KeyAlgorithm, PrivateKey, jwt::key_id};
use serde_json::json;
use world::{Wall, sim::Sim};

use super::{
    Fake, authn, bearer,
    idp::{FORGOTTEN, Idp},
    run,
};
use crate::authn::Remarks;
use crate::{
    authn::{AuthenticationConfig, Authn, Config, Issuers, JwtConfig, TokenWebhook},
    informers::Informers,
    options::Oidc,
};

const JANE: &str = "jane@example.com [system:authenticated]";

fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
}

fn token(key: &PrivateKey, now: Wall) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(key_id(&key.public()));
    let claims = json!({
        "iss": Idp::URL, "aud": "kubernetes", "email": "jane@example.com", "exp": now.as_second() + 86_400,
    });
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(key.pkcs8_der())).unwrap()
}

fn flags() -> Oidc {
    Oidc {
        issuer_url: Idp::URL.to_owned(),
        client_id: "kubernetes".to_owned(),
        username_claim: "email".to_owned(),
        signing_algs: vec!["ES256".to_owned()],
        ..Oidc::default()
    }
}

fn believing(fake: &Fake, idp: &Idp) -> Authn {
    let config = JwtConfig::from_flags(&flags(), Some(idp.ca_pem()), &[]).unwrap();
    let issuers = Issuers::new(&fake.host, vec![config], (1, 26));
    authn(fake, Config { issuers: Some(issuers), ..Config::default() }, &Informers::empty())
}

async fn check(sim: &Sim, fake: &Fake, authn: &Authn, key: &PrivateKey, wanted: &str) {
    sim.elapse(FORGOTTEN).await;
    let now = fake.host.clock().wall();
    assert_eq!(bearer(authn, &token(key, now), now).await, wanted);
}

#[test]
fn an_issuer_that_is_not_there_yet_is_asked_every_ten_seconds() {
    run(|sim, fake| async move {
        let key = key();
        let idp = Idp::start(&sim, &[&key]).await;
        idp.state.lock().is_broken = true;
        let authn = believing(&fake, &idp);
        let start = fake.host.clock().monotonic();
        sim.elapse(Duration::from_secs(1)).await;
        let now = fake.host.clock().wall();
        let mut errors = Vec::new();
        let mut headers = super::headers(&[("authorization", &format!("Bearer {}", token(&key, now)))]);
        authn.identify(&mut headers, &super::peer(vec![]), now, &mut errors, &mut Remarks::default()).await;
        assert_eq!(errors, ["oidc: authenticator not initialized"]);
        idp.state.lock().is_broken = false;
        sim.elapse(Duration::from_secs(8)).await;
        assert_eq!(bearer(&authn, &token(&key, now), now).await, "401");
        assert_eq!(idp.seen(), ["GET /.well-known/openid-configuration"]);
        sim.elapse(Duration::from_secs(2)).await;
        assert_eq!(bearer(&authn, &token(&key, now), now).await, JANE);
        assert_eq!(idp.seen(), ["GET /.well-known/openid-configuration", "GET /keys"]);
        assert!(fake.host.clock().monotonic().since(start) < Duration::from_secs(12));
    });
}

#[test]
fn an_issuer_that_calls_itself_something_else_is_never_believed() {
    run(|sim, fake| async move {
        let key = key();
        let idp = Idp::start(&sim, &[&key]).await;
        idp.state.lock().issuer = Some("https://evil".to_owned());
        let authn = believing(&fake, &idp);
        check(&sim, &fake, &authn, &key, "401").await;
        idp.state.lock().issuer = None;
        check(&sim, &fake, &authn, &key, JANE).await;
    });
}

#[test]
fn a_new_key_is_fetched_when_a_token_names_it() {
    run(|sim, fake| async move {
        let (old, new) = (key(), key());
        let idp = Idp::start(&sim, &[&old]).await;
        let authn = believing(&fake, &idp);
        check(&sim, &fake, &authn, &old, JANE).await;
        check(&sim, &fake, &authn, &new, "401").await;
        idp.state.lock().keys = Idp::set(&[&old, &new]);
        check(&sim, &fake, &authn, &new, JANE).await;
        idp.seen();
        // Known keys cost no question, even if the issuer is gone.
        idp.state.lock().is_broken = true;
        check(&sim, &fake, &authn, &old, JANE).await;
        assert_eq!(idp.seen(), Vec::<String>::new());
        // A key that the issuer took back counts until somebody makes us ask.
        idp.state.lock().is_broken = false;
        idp.state.lock().keys = Idp::set(&[&new]);
        check(&sim, &fake, &authn, &old, JANE).await;
        check(&sim, &fake, &authn, &key(), "401").await;
        check(&sim, &fake, &authn, &old, "401").await;
    });
}

#[test]
fn keys_that_the_issuer_calls_fresh_are_not_fetched_again() {
    run(|sim, fake| async move {
        let (old, new) = (key(), key());
        let idp = Idp::start(&sim, &[&old]).await;
        idp.state.lock().cache_control = "public, max-age=300".to_owned();
        let authn = believing(&fake, &idp);
        check(&sim, &fake, &authn, &old, JANE).await;
        let fetched = fake.host.clock().wall();
        idp.state.lock().keys = Idp::set(&[&new]);
        let ask_at = async |seconds: u64, wanted: &str| {
            let now = fake.host.clock().wall();
            let wait = (fetched + Duration::from_secs(seconds)).duration_since(now);
            sim.elapse(Duration::try_from(wait).unwrap()).await;
            assert_eq!(bearer(&authn, &token(&new, fetched), fetched).await, wanted, "{seconds} s");
        };
        // Thirty seconds before their end they may be asked for again.
        ask_at(269, "401").await;
        ask_at(271, JANE).await;
    });
}

const FILE: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: \"https://idp:8443\", audiences: [kubernetes], certificateAuthority: \"$CA\"}
  claimMappings: {username: {claim: email, prefix: \"$PREFIX\"}}
";

#[test]
fn the_file_is_read_again_every_minute_and_a_bad_one_changes_nothing() {
    run(|sim, fake| async move {
        let key = key();
        let idp = Idp::start(&sim, &[&key]).await;
        let disk = fake.host.disk();
        let ca = idp.ca_pem().replace('\n', "\\n");
        let write = |text: &str| {
            disk.write("/authn.yaml", text, 0o600).unwrap();
            text.as_bytes().to_vec()
        };
        let file = FILE.replace("$CA", &ca);
        let content = write(&file.replace("$PREFIX", "a:"));
        let issuers =
            Issuers::new(&fake.host, AuthenticationConfig::parse(&content, &[]).unwrap().jwt, (1, 26));
        let _task = issuers.keep_fresh(disk, "/authn.yaml".into(), content, vec![]);
        let authn = authn(&fake, Config { issuers: Some(issuers), ..Config::default() }, &Informers::empty());
        check(&sim, &fake, &authn, &key, "a:jane@example.com [system:authenticated]").await;
        write("kind: Nonsense");
        sim.elapse(Duration::from_secs(61)).await;
        check(&sim, &fake, &authn, &key, "a:jane@example.com [system:authenticated]").await;
        write(&file.replace("$PREFIX", "b:"));
        sim.elapse(Duration::from_secs(61)).await;
        check(&sim, &fake, &authn, &key, "b:jane@example.com [system:authenticated]").await;
    });
}

/// The file's issuer, and one that nobody is.
fn two_issuers(file: &str) -> String {
    let nobody = "- issuer: {url: \"https://nobody:8443\", audiences: [kubernetes]}\n  claimMappings: {username: {claim: sub, prefix: \"\"}}\n";
    format!("{file}{nobody}")
}

#[test]
fn a_new_file_counts_once_all_its_issuers_are_there() {
    run(|sim, fake| async move {
        let key = key();
        let idp = Idp::start(&sim, &[&key]).await;
        let disk = fake.host.disk();
        let file = FILE.replace("$CA", &idp.ca_pem().replace('\n', "\\n"));
        let write = |text: String| disk.write("/authn.yaml", &text, 0o600).unwrap();
        let content = file.replace("$PREFIX", "a:");
        write(content.clone());
        let config = AuthenticationConfig::parse(content.as_bytes(), &[]).unwrap();
        let issuers = Issuers::new(&fake.host, config.jwt, (1, 26));
        let _task = issuers.keep_fresh(disk, "/authn.yaml".into(), content.into_bytes(), vec![]);
        let authn = authn(&fake, Config { issuers: Some(issuers), ..Config::default() }, &Informers::empty());
        check(&sim, &fake, &authn, &key, "a:jane@example.com [system:authenticated]").await;
        let asked = || idp.seen().iter().filter(|line| line.contains("well-known")).count();
        assert_eq!(asked(), 1);
        // One of two is not found: who was believed is believed, and looked for by nobody.
        write(two_issuers(&file.replace("$PREFIX", "a:")));
        sim.elapse(Duration::from_secs(200)).await;
        check(&sim, &fake, &authn, &key, "a:jane@example.com [system:authenticated]").await;
        assert_eq!(asked(), 0, "an issuer that did not change is kept with its keys");
        // What changed in the other one waits for it too.
        write(two_issuers(&file.replace("$PREFIX", "b:")));
        sim.elapse(Duration::from_secs(200)).await;
        check(&sim, &fake, &authn, &key, "a:jane@example.com [system:authenticated]").await;
        write(file.replace("$PREFIX", "b:"));
        sim.elapse(Duration::from_secs(130)).await;
        check(&sim, &fake, &authn, &key, "b:jane@example.com [system:authenticated]").await;
        // Who may be anonymous was settled at start.
        write(format!("{}anonymous: {{enabled: true}}\n", file.replace("$PREFIX", "c:")));
        sim.elapse(Duration::from_secs(130)).await;
        check(&sim, &fake, &authn, &key, "b:jane@example.com [system:authenticated]").await;
    });
}

#[test]
fn keys_are_fresh_for_no_longer_than_a_clock_can_tell() {
    run(|sim, fake| async move {
        let key = key();
        let idp = Idp::start(&sim, &[&key]).await;
        idp.state.lock().cache_control = "max-age=9999999999999".to_owned();
        check(&sim, &fake, &believing(&fake, &idp), &key, JANE).await;
    });
}

#[test]
fn the_flags_issuer_is_none_of_service_accounts() {
    let own = [Idp::URL.to_owned(), "https://api".to_owned()];
    assert_eq!(
        JwtConfig::from_flags(&flags(), None, &own).unwrap_err().to_string(),
        "issuer.url: Invalid value: \"https://idp:8443\": URL must not overlap with disallowed issuers: \
         [https://api https://idp:8443]"
    );
}

#[test]
fn a_bad_file_is_told_in_upstreams_words() {
    let disallowed = ["https://own".to_owned(), "https://api".to_owned()];
    let check = |change: fn(&str) -> String, words: &str| {
        let good = FILE.replace("certificateAuthority: \"$CA\"", "discoveryURL: \"https://elsewhere\"");
        let error =
            AuthenticationConfig::parse(change(&good).as_bytes(), &disallowed).unwrap_err().to_string();
        assert!(error.contains(words), "{error}\n does not say {words}");
    };
    let good = FILE.replace("certificateAuthority: \"$CA\"", "discoveryURL: \"https://elsewhere\"");
    AuthenticationConfig::parse(good.as_bytes(), &[]).unwrap();
    check(|_| String::new(), "empty config data");
    check(|f| f.replace("kind: A", "kind: B"), "no kind \"ButhenticationConfiguration\" is registered");
    check(|f| f.replace("audiences:", "audience:"), "strict decoding error");
    check(
        |f| f.replace("https://idp:8443", "http://idp:8443"),
        "jwt[0].issuer.url: Invalid value: \"http://idp:8443\": URL scheme must be https",
    );
    check(
        |f| f.replace("https://idp:8443", "https://api"),
        "jwt[0].issuer.url: Invalid value: \"https://api\": URL must not overlap with disallowed issuers: [https://api https://own]",
    );
    check(|f| f.replace("https://idp:8443", ""), "jwt[0].issuer.url: Required value: URL is required");
    check(
        |f| f.replace("https://idp:8443", "https://a:b@idp"),
        "URL must not contain a username or password",
    );
    check(|f| f.replace("https://idp:8443", "https://idp?a=b"), "URL must not contain a query");
    check(|f| f.replace("https://idp:8443", "https://idp#a"), "URL must not contain a fragment");
    check(
        |f| f.replace("https://elsewhere", "https://idp:8443/"),
        "jwt[0].issuer.discoveryURL: Invalid value: \"https://idp:8443/\": discoveryURL must be different from URL",
    );
    check(
        |f| f.replace("[kubernetes]", "[]"),
        "jwt[0].issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required",
    );
    check(
        |f| f.replace("[kubernetes]", "[a, b]"),
        "audienceMatchPolicy must be MatchAny for multiple audiences",
    );
    check(
        |f| f.replace(", prefix: \"$PREFIX\"", ""),
        "jwt[0].claimMappings.username.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing",
    );
    check(
        |f| f.replace("claim: email, prefix: \"$PREFIX\"", ""),
        "jwt[0].claimMappings.username: Required value: claim or expression is required",
    );
    check(
        |f| f.replace("claim: email, prefix: \"$PREFIX\"", "expression: claims.email"),
        "claims.email_verified must be used in",
    );
    check(
        |f| f.replace("claim: email, prefix: \"$PREFIX\"", "expression: \"claims.sub +\""),
        "jwt[0].claimMappings.username.expression: Invalid value: \"claims.sub +\": compilation failed: ",
    );
    check(
        |f| f.replace("claim: email, prefix: \"$PREFIX\"", "expression: \"1 + 1\""),
        "must evaluate to string",
    );
}

#[test]
fn a_webhooks_answer_counts_for_two_minutes() {
    run(|sim, fake| async move {
        let idp = Idp::start(&sim, &[]).await;
        let ttl = Duration::from_secs(120);
        let hook =
            TokenWebhook::new(idp.webhook(&fake.host), "v1beta1", ttl, vec![], fake.host.clock().clone());
        let authn = authn(&fake, Config { webhook: Some(hook), ..Config::default() }, &Informers::empty());
        let authn = Arc::new(authn);
        let ask = async |token: &str, wanted: &str, asked: bool| {
            let now = fake.host.clock().wall();
            assert_eq!(bearer(&authn, token, now).await, wanted);
            assert_eq!(idp.seen().len(), usize::from(asked), "{token}");
        };
        const WHO: &str = "jane [dev system:authenticated]";
        ask("good", WHO, true).await;
        ask("unknown", "401", true).await;
        sim.elapse(Duration::from_secs(119)).await;
        ask("good", WHO, false).await;
        ask("unknown", "401", false).await;
        // The union in front remembers the good one for ten seconds more.
        sim.elapse(Duration::from_secs(2)).await;
        ask("unknown", "401", true).await;
        ask("good", WHO, false).await;
        sim.elapse(Duration::from_secs(8)).await;
        ask("good", WHO, true).await;
        // That nobody answered is not remembered, and neither is a refusal in words.
        ask("said-no", "401", true).await;
        ask("said-no", "401", true).await;
        // A 500 is tried five times.
        idp.state.lock().is_broken = true;
        let now = fake.host.clock().wall();
        assert_eq!(bearer(&authn, "another", now).await, "401");
        assert_eq!(idp.seen(), vec!["POST /review"; 5]);
    });
}

/// An issuer whose tokens say where their groups are, and how those who find out fare.
#[test]
fn groups_that_are_somewhere_else_are_fetched() {
    run(|sim, fake| async move {
        let (key, stranger) = (key(), self::key());
        let idp = Idp::start(&sim, &[&key]).await;
        let flags = Oidc { groups_claim: "groups".to_owned(), ..flags() };
        let config = JwtConfig::from_flags(&flags, Some(idp.ca_pem()), &[]).unwrap();
        let issuers = Issuers::new(&fake.host, vec![config], (1, 26));
        let authn = authn(&fake, Config { issuers: Some(issuers), ..Config::default() }, &Informers::empty());
        sim.elapse(Duration::from_secs(1)).await;
        let now = fake.host.clock().wall();
        let signed = |key: &PrivateKey, more: serde_json::Value| {
            let mut header = Header::new(Algorithm::ES256);
            header.kid = Some(key_id(&key.public()));
            let mut claims = json!({"iss": Idp::URL, "aud": "kubernetes", "exp": now.as_second() + 86_400});
            claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(key.pkcs8_der())).unwrap()
        };
        let serve = |path: &str, page: String| {
            idp.state.lock().pages.insert(path.to_owned(), ("f005ba11", page));
        };
        serve("/groups", signed(&key, json!({"groups": ["dev", "ops"]})));
        serve("/nothing", signed(&key, json!({"roles": ["dev"]})));
        serve("/forged", signed(&stranger, json!({"groups": ["system:masters"]})));
        serve("/old", signed(&key, json!({"groups": ["dev"], "exp": now.as_second() - 1})));
        serve("/for-others", signed(&key, json!({"groups": ["dev"], "aud": "vault"})));
        serve("/no-token", "none".to_owned());
        let source = |path: &str, token: &str| json!({"endpoint": format!("{}{path}", Idp::URL), "access_token": token});
        let ask = async |more: serde_json::Value| {
            let mut claims = json!({"email": "jane@example.com"});
            claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let mut headers =
                super::headers(&[("authorization", &format!("Bearer {}", signed(&key, claims)))]);
            let mut errors = Vec::new();
            let (peer, mut remarks) = (super::peer(vec![]), Remarks::default());
            let user = authn.identify(&mut headers, &peer, now, &mut errors, &mut remarks).await;
            user.map(|user| user.groups.join(" ")).ok_or_else(|| errors.join(", "))
        };
        let elsewhere = |path: &str, token: &str| json!({"_claim_names": {"groups": "src"}, "_claim_sources": {"src": source(path, token)}});
        let refused = |why: &str| Err(format!("oidc: could not expand distributed claims: {why}"));
        // Who signs them is looked for when first met, as upstream.
        let unknown = format!(
            "verifying untrusted issuer {0} failed: verifier not initialized for issuer: {0:?}",
            Idp::URL
        );
        assert_eq!(ask(elsewhere("/groups", "f005ba11")).await, refused(&unknown));
        sim.elapse(Duration::from_secs(1)).await;
        assert_eq!(ask(elsewhere("/groups", "f005ba11")).await, Ok("dev ops".to_owned()));
        let getting =
            r#"while getting distributed claim "groups": error while getting distributed claim JWT: "#;
        for (claims, wanted) in [
            (json!({}), Ok(String::new())),
            // What is there is not looked for.
            (json!({"groups": ["own"], "_claim_names": {"groups": "src"}}), Ok("own".to_owned())),
            (json!({"_claim_names": {"roles": "src"}, "_claim_sources": {}}), Ok(String::new())),
            // Aggregated claims are none.
            (
                json!({"_claim_names": {"groups": "src"}, "_claim_sources": {"src": {"JWT": "x.y.z"}}}),
                Ok(String::new()),
            ),
            (json!({"_claim_names": {"groups": "src"}}), refused("oidc: no claim sources")),
            (
                json!({"_claim_names": {"groups": "src"}, "_claim_sources": {}}),
                refused("id token _claim_names contained a source src missing in _claims_sources"),
            ),
            (elsewhere("/groups", "wrong"), refused(&format!("{getting}403 Forbidden"))),
            (elsewhere("/absent", "f005ba11"), refused(&format!("{getting}404 Not Found"))),
            (
                elsewhere("/nothing", "f005ba11"),
                refused(&format!(
                    "jwt returned by distributed claim endpoint \"{}/nothing\" did not contain claim: groups",
                    Idp::URL
                )),
            ),
            (
                elsewhere("/no-token", "f005ba11"),
                refused(&format!(
                    "getting untrusted issuer from endpoint {}/no-token failed for claim \"groups\": malformed token",
                    Idp::URL
                )),
            ),
        ] {
            assert_eq!(ask(claims.clone()).await, wanted, "{claims}");
        }
        for path in ["/forged", "/old", "/for-others"] {
            let why = ask(elsewhere(path, "f005ba11")).await.unwrap_err();
            let wanted = "oidc: could not expand distributed claims: verify distributed claim token: ";
            assert!(why.starts_with(wanted), "{path}: {why}");
        }
    });
}
