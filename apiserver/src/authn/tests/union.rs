//! Certificates, proxies, tables, nobody: and that a bad credential is never anonymous.

use serde_json::json;
use world::Disk;

use super::{Ca, DAY, authn, bearer, headers, loopback, peer, proxy, run, who};
use crate::authn::Remarks;
use crate::{
    authn::{AnonymousConfig, CaBundle, Config, StaticTokens},
    identity::CREDENTIAL_ID,
    informers::Informers,
};

const NOBODY: &str = "system:anonymous [system:unauthenticated]";
const SERVER: &str = "system:apiserver [system:authenticated system:masters]";

fn table(disk: &Disk) -> Option<StaticTokens> {
    disk.write("/tokens.csv", "table-token,jane,7,\"dev\"\n", 0o600).unwrap();
    Some(StaticTokens::file(disk, "/tokens.csv").unwrap())
}

#[test]
fn a_certificate_serves_until_its_end_on_any_connection() {
    run(|_, fake| async move {
        let (ca, other) = (Ca::new(&fake.host, "kubernetes"), Ca::new(&fake.host, "kubernetes"));
        let config = Config {
            client_ca: Some(ca.bundle()),
            anonymous: AnonymousConfig::everywhere(true),
            ..Config::default()
        };
        let authn = authn(&fake, config, &Informers::empty());
        let start = fake.host.clock().wall();
        let jane = peer(ca.client("jane", &["dev", "ops"]));
        let check = async |peer: &wire::Peer, now, wanted: &str| {
            assert_eq!(who(&authn, &mut headers(&[]), peer, now).await, wanted);
        };
        check(&jane, start, "jane [dev ops system:authenticated]").await;
        // The last second still counts, the next does not: same connection, same certificate.
        check(&jane, start + DAY, "jane [dev ops system:authenticated]").await;
        check(&jane, start + DAY + std::time::Duration::from_nanos(1), "401").await;
        check(&jane, start - std::time::Duration::from_secs(1), "401").await;
        check(&jane, start, "jane [dev ops system:authenticated]").await;
        check(&peer(other.client("jane", &[])), start, "401").await;
        check(&peer(ca.issue("jane", &[], false)), start, "401").await;
        // A certificate that names nobody is no opinion, and no error.
        check(&peer(ca.client("", &["dev"])), start, NOBODY).await;
        check(&peer(vec![]), start, NOBODY).await;

        let found = authn
            .authenticate(&mut headers(&[]), &jane, "/api", start, &mut Remarks::default())
            .await
            .unwrap();
        assert_eq!(found.extra[CREDENTIAL_ID], [format!("X509SHA256={}", jane.certificates[0].sha256())]);
    });
}

/// Of `jane`, whose UID is `u-1`; valid from November 2026 on, and its own authority.
const WITH_UID: &str = "\
-----BEGIN CERTIFICATE-----
MIIBgTCCASagAwIBAgIUcZ+M6DJqoI190fBmUF3EiVXvNU0wCgYIKoZIzj0EAwIw
IzENMAsGA1UEAwwEamFuZTESMBAGCSsGAQQBg8JTAgwDdS0xMCAXDTI2MTEyOTAz
NDIzOVoYDzIxMjYxMTA1MDM0MjM5WjAjMQ0wCwYDVQQDDARqYW5lMRIwEAYJKwYB
BAGDwlMCDAN1LTEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARiy+uJCqw2Ihl3
jgIiSqkpMdfnYMSKPzOm0WyYQmBGrb6q8TlWpr5CwbW91lpgW9jmVjfu8od/N/GX
pXGdqNmVozYwNDATBgNVHSUEDDAKBggrBgEFBQcDAjAdBgNVHQ4EFgQUBgHzloGX
uj0n4k6lZu9FX/+9teAwCgYIKoZIzj0EAwIDSQAwRgIhAN1beeBHvRjjsVXIfPL6
IVmkcWegPxfAZj/BzN7vL3mRAiEA5eEIQS/9Q2zzSrfinFG8hcuOIV+V7pRwD4xR
OFXsojk=
-----END CERTIFICATE-----
";

#[test]
fn a_certificate_names_a_uid_where_the_release_reads_it() {
    run(|_, fake| async move {
        let certificates = pki::Certificate::parse_pem(WITH_UID.as_bytes()).unwrap();
        let now = fake.host.clock().wall() + 365 * DAY;
        for (certificates_name_uids, uid) in [(true, "u-1"), (false, "")] {
            let client_ca = Some(CaBundle::fixed(certificates[0].clone().into()));
            let config = Config { client_ca, certificates_name_uids, ..Config::default() };
            let authn = authn(&fake, config, &Informers::empty());
            let (mut headers, peer) = (headers(&[]), peer(certificates.clone()));
            let found = authn.authenticate(&mut headers, &peer, "/api", now, &mut Remarks::default()).await;
            let user = found.unwrap();
            assert_eq!((user.name.as_str(), user.uid.as_str()), ("jane", uid));
        }
    });
}

#[test]
fn a_reloaded_bundle_counts_for_open_connections() {
    run(|_, fake| async move {
        let (old, new) = (Ca::new(&fake.host, "old"), Ca::new(&fake.host, "new"));
        let disk = fake.host.disk();
        disk.create_dir_all("/pki").unwrap();
        disk.write("/pki/ca.crt", old.authority.certificate.to_pem(), 0o644).unwrap();
        let bundle = CaBundle::file(disk, "/pki/ca.crt").unwrap();
        let config = Config { client_ca: Some(bundle.clone()), ..Config::default() };
        let authn = authn(&fake, config, &Informers::empty());
        let now = fake.host.clock().wall();
        let (jane, joe) = (peer(old.client("jane", &[])), peer(new.client("joe", &[])));
        let check = async |jane_is: &str, joe_is: &str| {
            assert_eq!(who(&authn, &mut headers(&[]), &jane, now).await, jane_is);
            assert_eq!(who(&authn, &mut headers(&[]), &joe, now).await, joe_is);
        };
        check("jane [system:authenticated]", "401").await;
        assert!(!bundle.reload().unwrap());
        disk.write("/pki/ca.crt", "half a cert", 0o644).unwrap();
        assert!(bundle.reload().is_err());
        check("jane [system:authenticated]", "401").await;
        disk.write("/pki/ca.crt", new.authority.certificate.to_pem(), 0o644).unwrap();
        assert!(bundle.reload().unwrap());
        check("401", "joe [system:authenticated]").await;
    });
}

#[test]
fn a_bundle_is_read_again_every_minute() {
    run(|sim, fake| async move {
        let (old, new) = (Ca::new(&fake.host, "old"), Ca::new(&fake.host, "new"));
        let disk = fake.host.disk();
        disk.write("/ca.crt", old.authority.certificate.to_pem(), 0o644).unwrap();
        let bundle = CaBundle::file(disk, "/ca.crt").unwrap();
        let _task = bundle.keep_fresh(&fake.host);
        disk.write("/ca.crt", new.authority.certificate.to_pem(), 0o644).unwrap();
        let name = |bundle: &CaBundle| bundle.roots().certificates()[0].subject_cn().to_owned();
        sim.elapse(std::time::Duration::from_secs(59)).await;
        assert_eq!(name(&bundle), "old");
        sim.elapse(std::time::Duration::from_secs(2)).await;
        assert_eq!(name(&bundle), "new");
    });
}

#[test]
fn a_bad_bundle_is_one_clear_sentence() {
    run(|_, fake| async move {
        let disk = fake.host.disk();
        disk.write("/ca.crt", "", 0o644).unwrap();
        let error = CaBundle::file(disk, "/ca.crt").unwrap_err().to_string();
        assert!(error.starts_with("/ca.crt holds no usable certificate authorities: "), "{error}");
        assert!(error.ends_with("write PEM blocks of type CERTIFICATE there"), "{error}");
        let error = CaBundle::file(disk, "/gone.crt").unwrap_err().to_string();
        assert!(error.contains("/gone.crt"), "{error}");
    });
}

#[test]
fn a_front_proxy_speaks_for_others() {
    run(|_, fake| async move {
        let (proxies, clients) = (Ca::new(&fake.host, "front-proxy-ca"), Ca::new(&fake.host, "kubernetes"));
        let config = Config {
            request_headers: proxy(&proxies, &["front-proxy-client"]),
            client_ca: Some(clients.bundle()),
            anonymous: AnonymousConfig::everywhere(true),
            ..Config::default()
        };
        let authn = authn(&fake, config, &Informers::empty());
        let now = fake.host.clock().wall();
        let says = [("x-remote-user", "jane"), ("x-remote-group", "dev")];
        let check = async |peer: &wire::Peer, entries: &[(&'static str, &str)], wanted: &str| {
            let mut headers = headers(entries);
            assert_eq!(who(&authn, &mut headers, peer, now).await, wanted, "{entries:?}");
            assert!(wanted == "401" || headers.is_empty(), "stripped");
        };
        let trusted = peer(proxies.client("front-proxy-client", &[]));
        check(&trusted, &says, "jane [dev system:authenticated]").await;
        // It proves nothing by itself: its authority is none of the clients'.
        check(&trusted, &[], "401").await;
        check(&peer(proxies.client("somebody", &[])), &says, "401").await;
        // A client's own certificate speaks for itself, whatever its headers say.
        check(&peer(clients.client("joe", &[])), &says, "joe [system:authenticated]").await;
        check(&peer(vec![]), &says, NOBODY).await;
    });
}

#[test]
fn the_loopback_token_comes_first() {
    run(|_, fake| async move {
        let ca = Ca::new(&fake.host, "kubernetes");
        let config = Config {
            loopback: loopback(),
            client_ca: Some(ca.bundle()),
            static_tokens: table(fake.host.disk()),
            anonymous: AnonymousConfig::everywhere(true),
            ..Config::default()
        };
        let authn = authn(&fake, config, &Informers::empty());
        let now = fake.host.clock().wall();
        assert_eq!(bearer(&authn, "loopback-token", now).await, SERVER);
        assert_eq!(bearer(&authn, "table-token", now).await, "jane [dev system:authenticated]");
        assert_eq!(bearer(&authn, "loopback-tokeN", now).await, "401");
        // With a certificate too, the token wins.
        let mut both = headers(&[("authorization", "Bearer loopback-token")]);
        assert_eq!(who(&authn, &mut both, &peer(ca.client("joe", &[])), now).await, SERVER);
        // A certificate whose time is over does not spoil a good token, nor a bad token a certificate.
        let late = now + DAY + DAY;
        let mut both = headers(&[("authorization", "Bearer table-token")]);
        let joe = peer(ca.client("joe", &[]));
        assert_eq!(who(&authn, &mut both, &joe, late).await, "jane [dev system:authenticated]");
        let mut both = headers(&[("authorization", "Bearer nonsense")]);
        assert_eq!(who(&authn, &mut both, &joe, now).await, "joe [system:authenticated]");
        assert_eq!(who(&authn, &mut headers(&[]), &peer(vec![]), now).await, NOBODY);
        // Another scheme is not ours to judge.
        let mut basic = headers(&[("authorization", "Basic eDp5")]);
        assert_eq!(who(&authn, &mut basic, &peer(vec![]), now).await, NOBODY);
    });
}

#[test]
fn without_anonymous_nobody_is_refused() {
    run(|_, fake| async move {
        let authn = authn(&fake, Config::default(), &Informers::empty());
        let now = fake.host.clock().wall();
        assert_eq!(who(&authn, &mut headers(&[]), &peer(vec![]), now).await, "401");
    });
}

#[test]
fn a_browsers_websocket_carries_the_token_in_a_protocol() {
    run(|_, fake| async move {
        let config = Config { static_tokens: table(fake.host.disk()), ..Config::default() };
        let authn = authn(&fake, config, &Informers::empty());
        let now = fake.host.clock().wall();
        let mut request = headers(&[
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            (
                "sec-websocket-protocol",
                "base64url.bearer.authorization.k8s.io.dGFibGUtdG9rZW4, v4.channel.k8s.io",
            ),
        ]);
        assert_eq!(who(&authn, &mut request, &peer(vec![]), now).await, "jane [dev system:authenticated]");
        assert_eq!(request["sec-websocket-protocol"], "v4.channel.k8s.io");
    });
}

/// Tokens that name no audience are good for the server alone, whoever asks.
#[test]
fn a_token_without_audiences_is_good_for_the_server_alone() {
    run(|_, fake| async move {
        let own = vec!["https://api".to_owned(), "api".to_owned()];
        let config = Config {
            loopback: loopback(),
            static_tokens: table(fake.host.disk()),
            audiences: own,
            ..Config::default()
        };
        let authn = authn(&fake, config, &Informers::empty());
        let now = fake.host.clock().wall();
        let check = async |token: &str, asked: &[&str], good_for: Option<&[&str]>| {
            let mut review = json!({"metadata": {}, "spec": {"token": token, "audiences": asked}});
            authn.review_token(&mut review, now).await.unwrap();
            let status = &review["status"];
            match good_for {
                Some(good_for) => {
                    assert_eq!(status["authenticated"], true, "{token} for {asked:?}");
                    assert_eq!(status["audiences"], json!(good_for), "{token} for {asked:?}");
                }
                None => {
                    assert_eq!(*status, json!({"error": "invalid bearer token"}), "{token} for {asked:?}")
                }
            }
        };
        for token in ["table-token", "loopback-token"] {
            check(token, &[], Some(&["https://api", "api"])).await;
            check(token, &["api"], Some(&["api"])).await;
            check(token, &["vault", "api"], Some(&["api"])).await;
            check(token, &["vault"], None).await;
        }
    });
}

#[test]
fn a_token_review_tells_whose_it_is() {
    run(|_, fake| async move {
        let config =
            Config { loopback: loopback(), static_tokens: table(fake.host.disk()), ..Config::default() };
        let authn = authn(&fake, config, &Informers::empty());
        let now = fake.host.clock().wall();
        let mut review = json!({"metadata": {}, "spec": {"token": "table-token"}});
        authn.review_token(&mut review, now).await.unwrap();
        assert_eq!(
            review["status"],
            json!({"authenticated": true, "user": {"username": "jane", "uid": "7", "groups": ["dev", "system:authenticated"]}})
        );
        review["spec"]["token"] = "nonsense".into();
        authn.review_token(&mut review, now).await.unwrap();
        assert_eq!(review["status"], json!({"error": "invalid bearer token"}));
        review["spec"]["token"] = "loopback-token".into();
        authn.review_token(&mut review, now).await.unwrap();
        assert_eq!(review["status"]["user"]["username"], "system:apiserver");
        let refused = authn.review_token(&mut json!({"metadata": {}, "spec": {}}), now).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (400, "token is required for TokenReview in authentication")
        );
    });
}
