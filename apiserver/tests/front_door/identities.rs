//! As whom a request is carried out: by impersonation, and by the word of a front proxy.

use std::sync::Arc;

use api::object::ObjectExt as _;
use pki::{ClientTls, StaticIdentity};
use wire::{HttpClient, body};
use world::sim::Config;

use crate::{
    plane::{ADMIN, BOB, Plane, with_plane},
    trust::{DAY, authority, issue},
};

const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// `name [groups]`, or what is said instead.
async fn who(plane: &Plane, token: &str, headers: &[(&str, &str)]) -> String {
    let mut headers = headers.to_vec();
    headers.push(("content-type", "application/json"));
    let answer = plane.send(token, "POST", WHO, &headers, "{}").await;
    let answer = answer.json();
    if answer.str_at("/kind") == "Status" {
        return answer.str_at("/message").to_owned();
    }
    let user = &answer["status"]["userInfo"];
    let groups: Vec<&str> = user["groups"].as_array().unwrap().iter().filter_map(|g| g.as_str()).collect();
    format!("{} [{}]", user.str_at("/username"), groups.join(" "))
}

#[test]
fn who_is_impersonated_is_in_the_groups_that_go_without_saying() {
    // Everybody may ask who they are.
    with_plane(&["--authorization-mode=AlwaysAllow"], |plane| async move {
        let plane = &plane;
        let check = async |user: &str, groups: &[&str], wanted: &str| {
            let mut headers = vec![("impersonate-user", user)];
            headers.extend(groups.iter().map(|group| ("impersonate-group", *group)));
            assert_eq!(who(plane, ADMIN, &headers).await, wanted, "{user} in {groups:?}");
        };
        check("jane", &[], "jane [system:authenticated]").await;
        check("jane", &["dev"], "jane [dev system:authenticated]").await;
        check("jane", &["system:unauthenticated"], "jane [system:unauthenticated]").await;
        check("jane", &["system:authenticated", "dev"], "jane [system:authenticated dev]").await;
        check("system:anonymous", &[], "system:anonymous [system:unauthenticated]").await;
        check("system:anonymous", &["dev"], "system:anonymous [dev system:unauthenticated]").await;
        check(
            "system:anonymous",
            &["system:unauthenticated", "dev"],
            "system:anonymous [system:unauthenticated dev]",
        )
        .await;
        let account = "system:serviceaccount:ns:robot";
        let own = "[system:serviceaccounts system:serviceaccounts:ns system:authenticated]";
        check(account, &[], &format!("{account} {own}")).await;
        check(account, &["dev"], &format!("{account} [dev system:authenticated]")).await;
        // No account could be called so: it is anybody's name.
        check("system:serviceaccount:ns:a:b", &[], "system:serviceaccount:ns:a:b [system:authenticated]")
            .await;
    });
}

#[test]
fn each_part_of_somebody_is_a_permission_of_its_own() {
    with_plane(&[], |plane| async move {
        let plane = &plane;
        let refused = |what: &str, group: &str, place: &str| {
            format!(
                r#"{what} is forbidden: User "bob" cannot impersonate resource "{}" in API group "{group}" {place}"#,
                what.split([' ', '.']).next().unwrap_or_default()
            )
        };
        let check = async |user: &str, wanted: String| {
            assert_eq!(who(plane, BOB, &[("impersonate-user", user)]).await, wanted, "{user}");
        };
        let cluster = "at the cluster scope";
        check("jane", refused(r#"users "jane""#, "", cluster)).await;
        check(
            "system:serviceaccount:ns:robot",
            refused(r#"serviceaccounts "robot""#, "", r#"in the namespace "ns""#),
        )
        .await;
        for name in ["system:serviceaccount:ns:a:b", "system:serviceaccount:ns:", "system:serviceaccount:N:a"]
        {
            check(name, refused(&format!("users {name:?}"), "", cluster)).await;
        }
    });
}

/// A front proxy needs no authority of clients beside its own.
#[test]
fn a_front_proxy_is_asked_for_its_certificate_too() {
    world::sim::run(Config::default(), |sim| async move {
        let (cp, proxy) = (sim.host("cp"), sim.host("proxy"));
        let ca = authority(&cp, "front-proxy-ca");
        cp.disk().create_dir_all("/etc").unwrap();
        cp.disk().write("/etc/front-proxy-ca.crt", ca.certificate.to_pem(), 0o644).unwrap();
        let flags = [
            "--requestheader-client-ca-file=/etc/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
        ];
        let _plane = Plane::start(&sim, &flags).await;
        let ask = async |name: &str| {
            let identity = StaticIdentity::new(&issue(&ca, &proxy, name, 30 * DAY)).unwrap();
            let tls = ClientTls::new(&proxy, (1, 26)).insecure().identity(Arc::new(identity));
            let http = HttpClient::new(&proxy, "https://cp:6443", Some(tls)).unwrap();
            let request = http::Request::post(WHO)
                .header("content-type", "application/json")
                .header("x-remote-user", "jane");
            let response = http.send(request.body(body::full("{}".to_owned())).unwrap()).await.unwrap();
            let content = body::collect(response.into_body(), 1 << 20).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&content).unwrap();
            answer.str_at("/status/userInfo/username").to_owned()
        };
        assert_eq!(ask("front-proxy-client").await, "jane");
        assert_eq!(ask("somebody-else").await, "", "refused");
    })
    .unwrap();
}
