//! Service account tokens: issued, used, out of time, out of account.

use std::time::Duration;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use client::Informer;
use pki::{
    KeyAlgorithm, PrivateKey,
    jwt::{Claims, LEGACY_ISSUER, ServiceAccountSigner},
};
use serde_json::{Value, json};
use world::Wall;

use super::{Fake, authn, bearer, headers, peer, run};
use crate::authn::Remarks;
use crate::{
    authn::{Authn, Config, ServiceAccounts, TokenIssuer},
    informers::Informers,
};

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const ROBOT: &str =
    "system:serviceaccount:ns:robot [system:serviceaccounts system:serviceaccounts:ns system:authenticated]";

fn account() -> Value {
    json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"namespace": "ns", "name": "robot", "uid": "robot-uid"}})
}

fn a_pod() -> Value {
    json!({
        "metadata": {"namespace": "ns", "name": "p", "uid": "p-uid"},
        "spec": {"serviceAccountName": "robot", "nodeName": "n1"},
    })
}

fn informers() -> Informers {
    Informers {
        service_accounts: Informer::fixed(vec![account()]),
        pods: Informer::fixed(vec![a_pod()]),
        nodes: Informer::fixed(vec![json!({"metadata": {"name": "n1", "uid": "n1-uid"}})]),
        ..Informers::empty()
    }
}

fn server(fake: &Fake, informers: &Informers, key: &PrivateKey, longest: Option<Duration>) -> Authn {
    let audiences = vec![ISSUER.to_owned()];
    let signer = ServiceAccountSigner::new(ISSUER, key);
    let config = Config {
        service_accounts: Some(ServiceAccounts::new(
            audiences.clone(),
            audiences.clone(),
            &[key.public()],
            true,
        )),
        issuer: Some(TokenIssuer::new(signer, audiences, longest, true)),
        ..Config::default()
    };
    authn(fake, config, informers)
}

fn story<F, Fut>(informers: Informers, story: F)
where
    F: FnOnce(Story) -> Fut,
    Fut: Future<Output = ()>,
{
    run(|sim, fake| async move {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let authn = server(&fake, &informers, &key, None);
        let start = fake.host.clock().wall();
        story(Story { sim, fake, authn, key, informers, start }).await;
    });
}

struct Story {
    sim: world::sim::Sim,
    fake: Fake,
    authn: Authn,
    key: PrivateKey,
    informers: Informers,
    start: Wall,
}

impl Story {
    fn issue(&self, spec: Value, bound: Option<&Value>) -> Value {
        let mut request = json!({"spec": spec});
        self.authn.issue_token(&self.fake.host, &mut request, &account(), bound, self.start).unwrap();
        request
    }

    fn after(&self, seconds: u64) -> Wall {
        self.start + Duration::from_secs(seconds)
    }

    /// Long enough that nothing is remembered.
    async fn forget(&self) {
        self.sim.elapse(Duration::from_secs(11)).await;
    }
}

fn token(request: &Value) -> &str {
    request["status"]["token"].as_str().unwrap()
}

fn claims(request: &Value) -> Value {
    let payload = token(request).split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn to_pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p-uid"})
}

#[test]
fn a_token_names_the_account_and_lasts_an_hour() {
    story(informers(), |s| async move {
        let issued = s.issue(json!({}), None);
        assert_eq!(
            issued["metadata"],
            json!({"name": "robot", "namespace": "ns", "creationTimestamp": "2026-01-01T00:00:00Z"})
        );
        assert_eq!(issued["spec"], json!({"audiences": [ISSUER], "expirationSeconds": 3600}));
        assert_eq!(issued["status"]["expirationTimestamp"], "2026-01-01T01:00:00Z");
        let mut claims = claims(&issued);
        assert_eq!(claims["jti"].as_str().unwrap().len(), 36);
        claims["jti"] = Value::Null;
        let start = s.start.as_second();
        assert_eq!(
            claims,
            json!({
                "aud": [ISSUER], "exp": start + 3600, "iat": start, "iss": ISSUER, "jti": null,
                "kubernetes.io": {"namespace": "ns", "serviceaccount": {"name": "robot", "uid": "robot-uid"}},
                "nbf": start, "sub": "system:serviceaccount:ns:robot",
            })
        );
        assert_eq!(bearer(&s.authn, token(&issued), s.start).await, ROBOT);
    });
}

#[test]
fn times_have_a_minute_of_leeway() {
    story(informers(), |s| async move {
        let issued = s.issue(json!({}), None);
        let check = async |now: Wall, wanted: &str| {
            s.forget().await;
            assert_eq!(bearer(&s.authn, token(&issued), now).await, wanted, "{now}");
        };
        check(s.after(3660), ROBOT).await;
        check(s.after(3661), "401").await;
        check(s.start - Duration::from_secs(60), ROBOT).await;
        check(s.start - Duration::from_secs(61), "401").await;
    });
}

#[test]
fn a_mounted_token_lives_a_year_and_says_when_to_warn() {
    story(informers(), |s| async move {
        let issued = s.issue(json!({"expirationSeconds": 3607, "boundObjectRef": to_pod()}), Some(&a_pod()));
        let claims = claims(&issued);
        let start = s.start.as_second();
        assert_eq!(claims["exp"], start + 365 * 24 * 3600);
        assert_eq!(
            claims["kubernetes.io"],
            json!({
                "namespace": "ns", "node": {"name": "n1", "uid": "n1-uid"}, "pod": {"name": "p", "uid": "p-uid"},
                "serviceaccount": {"name": "robot", "uid": "robot-uid"}, "warnafter": start + 3607,
            })
        );
        assert_eq!(
            issued["status"]["expirationTimestamp"], "2026-01-01T01:00:07Z",
            "what the kubelet goes by"
        );
        // Not bound to a pod, another duration, other audiences: as asked.
        let check = |spec: Value, bound: Option<&Value>, seconds: i64| {
            assert_eq!(self::claims(&s.issue(spec, bound))["exp"], start + seconds);
        };
        check(json!({"expirationSeconds": 3607}), None, 3607);
        check(json!({"expirationSeconds": 3608, "boundObjectRef": to_pod()}), Some(&a_pod()), 3608);
        check(
            json!({"expirationSeconds": 3607, "audiences": ["vault"], "boundObjectRef": to_pod()}),
            Some(&a_pod()),
            3607,
        );

        let mut headers = headers(&[("authorization", &format!("Bearer {}", token(&issued)))]);
        let user = s
            .authn
            .authenticate(&mut headers, &peer(vec![]), "/api", s.start, &mut Remarks::default())
            .await
            .unwrap();
        let extra: Vec<(&str, &str)> = user.extra.iter().map(|(k, v)| (k.as_str(), v[0].as_str())).collect();
        let jti = format!("JTI={}", claims["jti"].as_str().unwrap());
        assert_eq!(
            extra,
            [
                ("authentication.kubernetes.io/credential-id", jti.as_str()),
                ("authentication.kubernetes.io/node-name", "n1"),
                ("authentication.kubernetes.io/node-uid", "n1-uid"),
                ("authentication.kubernetes.io/pod-name", "p"),
                ("authentication.kubernetes.io/pod-uid", "p-uid"),
            ]
        );
    });
}

#[test]
fn requests_that_make_no_sense() {
    story(informers(), |s| async move {
        let check = |request: Value, bound: Option<&Value>, code: u16, message: &str| {
            let found = s.authn.issue_token(&s.fake.host, &mut request.clone(), &account(), bound, s.start);
            let status = found.unwrap_err();
            assert_eq!((status.code, status.message.as_str()), (code, message), "{request}");
        };
        let invalid =
            r#"TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: "#;
        check(
            json!({"spec": {"expirationSeconds": 599}}),
            None,
            422,
            &format!("{invalid}599: may not specify a duration less than 10 minutes"),
        );
        check(
            json!({"spec": {"expirationSeconds": 4_294_967_297_i64}}),
            None,
            422,
            &format!("{invalid}4294967297: may not specify a duration larger than 2^32 seconds"),
        );
        check(
            json!({"metadata": {"name": "other"}, "spec": {}}),
            None,
            422,
            r#"TokenRequest.authentication.k8s.io "robot" is invalid: metadata.name: Invalid value: "other": must match the service account name if specified"#,
        );
        let mut stranger = a_pod();
        stranger["spec"]["serviceAccountName"] = "other".into();
        check(
            json!({"spec": {"boundObjectRef": to_pod()}}),
            Some(&stranger),
            400,
            r#"cannot bind token for serviceaccount "robot" to pod running with different serviceaccount name."#,
        );
        let mut reborn = a_pod();
        reborn["metadata"]["uid"] = "new".into();
        check(
            json!({"spec": {"boundObjectRef": to_pod()}}),
            Some(&reborn),
            409,
            r#"Operation cannot be fulfilled on Pod "p": the UID in the bound object reference (p-uid) does not match the UID in record. The object might have been deleted and then recreated"#,
        );
        check(
            json!({"spec": {"boundObjectRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}),
            None,
            400,
            "cannot bind token to object of type apps/v1, Kind=Deployment",
        );
    });
}

#[test]
fn a_servers_longest_duration_is_kept_with_a_warning() {
    run(|_, fake| async move {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let authn = server(&fake, &informers(), &key, Some(Duration::from_secs(7200)));
        let mut request = json!({"spec": {"expirationSeconds": 9000}});
        let now = fake.host.clock().wall();
        let warnings = authn.issue_token(&fake.host, &mut request, &account(), None, now).unwrap();
        assert_eq!(warnings, ["requested expiration of 9000 seconds shortened to 7200 seconds"]);
        assert_eq!(request["status"]["expirationTimestamp"], "2026-01-01T02:00:00Z");
    });
}

#[test]
fn a_token_dies_with_what_it_is_bound_to() {
    let check = |change: fn(&Informers), wanted: &'static str| {
        story(informers(), |s| async move {
            let issued = s.issue(json!({"boundObjectRef": to_pod()}), Some(&a_pod()));
            assert_eq!(bearer(&s.authn, token(&issued), s.start).await, ROBOT);
            change(&s.informers);
            assert_eq!(bearer(&s.authn, token(&issued), s.start).await, ROBOT, "remembered");
            s.forget().await;
            assert_eq!(bearer(&s.authn, token(&issued), s.after(100)).await, wanted);
        });
    };
    check(|_| (), ROBOT);
    check(|informers| informers.pods.remove("ns", "p"), "401");
    check(|informers| informers.service_accounts.remove("ns", "robot"), "401");
    // The node of a pod is only told along.
    check(|informers| informers.nodes.remove(None, "n1"), ROBOT);
    check(
        |informers| {
            let mut pod = a_pod();
            pod["metadata"]["uid"] = "new".into();
            informers.pods.put(pod);
        },
        "401",
    );
    // Deleted a hundred seconds ago is gone, forty seconds ago is not yet.
    check(
        |informers| {
            let mut pod = a_pod();
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            informers.pods.put(pod);
        },
        "401",
    );
    check(
        |informers| {
            let mut pod = a_pod();
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z".into();
            informers.pods.put(pod);
        },
        ROBOT,
    );
}

#[test]
fn an_account_that_the_informer_lacks_is_asked_for() {
    let without = Informers { service_accounts: Informer::fixed(vec![]), ..informers() };
    story(without, |s| async move {
        let issued = s.issue(json!({}), None);
        let line = "GET /api/v1/namespaces/ns/serviceaccounts/robot";
        assert_eq!(bearer(&s.authn, token(&issued), s.start).await, "401");
        assert_eq!(s.fake.seen(), [line]);
        s.fake.put(line, 200, account());
        assert_eq!(bearer(&s.authn, token(&issued), s.start).await, ROBOT);
    });
}

#[test]
fn strangers_tokens_and_other_audiences() {
    story(informers(), |s| async move {
        let stranger = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let forged = server(&s.fake, &s.informers, &stranger, None);
        let mut request = json!({"spec": {}});
        forged.issue_token(&s.fake.host, &mut request, &account(), None, s.start).unwrap();
        assert_eq!(bearer(&s.authn, token(&request), s.start).await, "401");

        let for_vault = s.issue(json!({"audiences": ["vault"]}), None);
        assert_eq!(bearer(&s.authn, token(&for_vault), s.start).await, "401");
        let mut review =
            json!({"metadata": {}, "spec": {"token": token(&for_vault), "audiences": ["vault", "x"]}});
        s.authn.review_token(&mut review, s.start).await.unwrap();
        assert_eq!(review["status"]["audiences"], json!(["vault"]));
        assert_eq!(review["status"]["user"]["username"], "system:serviceaccount:ns:robot");
    });
}

fn legacy_token(s: &Story) -> String {
    let mut claims = Claims { subject: "system:serviceaccount:ns:robot".to_owned(), ..Claims::default() };
    for (key, value) in [
        ("namespace", "ns"),
        ("secret.name", "robot-token"),
        ("service-account.name", "robot"),
        ("service-account.uid", "robot-uid"),
    ] {
        claims.other.insert(format!("kubernetes.io/serviceaccount/{key}"), value.into());
    }
    ServiceAccountSigner::new(LEGACY_ISSUER, &s.key).sign(&claims).unwrap()
}

/// What is said of a token besides whose it is.
async fn remarks(s: &Story, token: &str, now: Wall) -> Remarks {
    s.forget().await;
    let mut headers = headers(&[("authorization", &format!("Bearer {token}"))]);
    let mut remarks = Remarks::default();
    let _ = s.authn.authenticate(&mut headers, &peer(vec![]), "/api", now, &mut remarks).await;
    remarks
}

#[test]
fn a_token_whose_life_was_extended_is_remarked_upon_when_it_is_stale() {
    story(informers(), |s| async move {
        let issued = s.issue(json!({"expirationSeconds": 3607, "boundObjectRef": to_pod()}), Some(&a_pod()));
        assert_eq!(remarks(&s, token(&issued), s.after(3607)).await, Remarks::default());
        let words = "subject: system:serviceaccount:ns:robot, seconds after warning threshold: 1";
        let found = remarks(&s, token(&issued), s.after(3608)).await;
        assert_eq!(found.annotations, [("authentication.k8s.io/stale-token", words.to_owned())]);
        // Said again each time, from memory too.
        let mut headers = headers(&[("authorization", &format!("Bearer {}", token(&issued)))]);
        let mut again = Remarks::default();
        s.authn.authenticate(&mut headers, &peer(vec![]), "/api", s.after(3608), &mut again).await.unwrap();
        assert_eq!(again, found);
    });
}

#[test]
fn a_legacy_token_is_remarked_upon() {
    let check = |is_auto: bool, invalid: bool, annotation: &'static str, value: &'static str| {
        story(informers(), |s| async move {
            let token = legacy_token(&s);
            let labels = match invalid {
                true => json!({"kubernetes.io/legacy-token-invalid-since": "2025-01-01"}),
                false => json!({}),
            };
            s.informers.secrets.put(json!({
                "metadata": {"namespace": "ns", "name": "robot-token", "labels": labels},
                "data": {"token": STANDARD.encode(&token)},
            }));
            if is_auto {
                let mut account = account();
                account["secrets"] = json!([{"name": "robot-token"}]);
                s.informers.service_accounts.put(account);
            }
            let found = remarks(&s, &token, s.start).await;
            assert_eq!(found.annotations, [(annotation, value.to_owned())]);
            assert_eq!(found.warnings.len(), usize::from(is_auto), "{found:?}");
            // Its use is noted, refused or not.
            let note =
                json!({"metadata": {"labels": {"kubernetes.io/legacy-token-last-used": "2026-01-01"}}});
            assert_eq!(s.fake.bodies(), [note]);
        });
    };
    check(false, false, "authentication.k8s.io/legacy-token-manual-secret", "robot-token");
    check(true, false, "authentication.k8s.io/legacy-token-autogenerated-secret", "robot-token");
    check(false, true, "authentication.k8s.io/legacy-token-invalidated", "robot-token/ns");
}

#[test]
fn a_legacy_token_lives_in_its_secret() {
    let check = |change: fn(&mut Value), wanted: &'static str| {
        story(informers(), |s| async move {
            let token = legacy_token(&s);
            let mut secret = json!({
                "metadata": {"namespace": "ns", "name": "robot-token", "labels": {}},
                "data": {"token": STANDARD.encode(&token)},
            });
            change(&mut secret);
            s.informers.secrets.put(secret);
            // It has no end.
            let year = s.after(365 * 24 * 3600);
            assert_eq!(bearer(&s.authn, &token, year).await, wanted);
            if wanted == ROBOT {
                let note =
                    json!({"metadata": {"labels": {"kubernetes.io/legacy-token-last-used": "2027-01-01"}}});
                assert_eq!(s.fake.bodies(), [note]);
            }
        });
    };
    check(|_| (), ROBOT);
    check(|secret| secret["data"]["token"] = STANDARD.encode("another").into(), "401");
    check(|secret| secret["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(), "401");
    check(
        |secret| {
            secret["metadata"]["labels"]["kubernetes.io/legacy-token-invalid-since"] = "2026-01-01".into()
        },
        "401",
    );
    check(|secret| secret["metadata"]["name"] = "another".into(), "401");
}
