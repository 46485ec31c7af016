//! Order of authorizers, and the refusal's words.

use super::{ask, authz, informers, now};
use crate::{
    authz::{Attributes, Authz, Decision, Mode, Verdict},
    identity::User,
    informers::Informers,
};

#[test]
fn masters_come_before_every_mode() {
    let authz = authz(&[Mode::AlwaysDeny], &Informers::empty());
    let check = |groups: &[&str], decision: Decision, reason: &str| {
        let user = User::new("u", groups);
        let verdict = now(authz.authorize(&ask(&user, "delete nodes - n")));
        assert_eq!((verdict.decision, &*verdict.reason), (decision, reason), "{groups:?}");
    };
    check(&["system:masters"], Decision::Allow, "");
    check(&["masters"], Decision::NoOpinion, "Everything is forbidden.");
}

#[test]
fn modes_are_asked_in_order_and_their_reasons_add_up() {
    let check = |modes: &[Mode], user: User, question: &str, allowed: bool, reason: &str| {
        let verdict = now(authz(modes, &informers()).authorize(&ask(&user, question)));
        assert_eq!((verdict.is_allowed(), &*verdict.reason), (allowed, reason), "{modes:?} {question}");
    };
    let kubelet = || User::new("system:node:n1", &["system:nodes"]);
    let no = "no relationship found between node 'n1' and this object";
    check(&[Mode::Node, Mode::Rbac], kubelet(), "get secrets ns s", false, no);
    check(&[Mode::Node, Mode::AlwaysAllow], kubelet(), "get secrets ns s", true, "");
    check(&[Mode::AlwaysAllow, Mode::AlwaysDeny], kubelet(), "get secrets ns s", true, "");
    check(
        &[Mode::Node, Mode::AlwaysDeny],
        kubelet(),
        "get secrets ns s",
        false,
        "no relationship found between node 'n1' and this object\nEverything is forbidden.",
    );
    check(&[Mode::Node, Mode::Rbac], User::new("jane", &[]), "get secrets ns s", false, "");
}

#[test]
fn the_refusal_says_who_what_and_where() {
    let check = |request: Attributes<'_>, reason: &str, message: &str| {
        let verdict =
            Verdict { decision: Decision::NoOpinion, reason: reason.to_owned().into(), errors: vec![] };
        let status = Authz::forbidden(&request, &verdict);
        assert_eq!(status.message, message);
        assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    };
    let jane = User::new("jane", &[]);
    check(
        ask(&jane, "list pods ns"),
        "",
        r#"pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "ns""#,
    );
    check(
        ask(&jane, "get pods/log ns p"),
        "",
        r#"pods "p" is forbidden: User "jane" cannot get resource "pods/log" in API group "" in the namespace "ns""#,
    );
    check(
        ask(&jane, "create deployments.apps"),
        "why not",
        r#"deployments.apps is forbidden: User "jane" cannot create resource "deployments" in API group "apps" at the cluster scope: why not"#,
    );
    check(
        Attributes { verb: "get", path: "/metrics", ..Attributes::of(&jane) },
        "",
        r#"forbidden: User "jane" cannot get path "/metrics""#,
    );
    let mallory = User::new("<b>&", &[]);
    check(
        ask(&mallory, "get pods ns p"),
        "",
        r#"pods "p" is forbidden: User "&lt;b&gt;&amp;" cannot get resource "pods" in API group "" in the namespace "ns""#,
    );
}
