//! May they? One request against a thousand roles and a thousand bindings: at most 20 µs.
//!
//! `cargo bench -p chronoplane-apiserver`
//!
//! The user that is refused has been looked for everywhere; `crowded` holds all thousand roles itself.

#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has failed")]
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use api::profile::Profile;
use apiserver::{
    authz::{Attributes, Authz, Mode},
    identity::User,
    informers::Informers,
};
use client::Informer;
use criterion::{Criterion, criterion_group, criterion_main};
use futures::FutureExt as _;
use serde_json::{Value, json};

const MANY: usize = 1_000;

/// Half of the roles are of the cluster, half in one of ten namespaces; each is bound to a user and to a group of its
/// own, and to `crowded`.
fn informers() -> Informers {
    let namespace = |n: usize| if n.is_multiple_of(2) { String::new() } else { format!("ns-{}", n % 10) };
    let role = |n: usize| {
        let rule = |group: &str, resource: String| json!({"verbs": ["get", "list", "watch"], "apiGroups": [group], "resources": [resource]});
        let rules = [
            rule("", format!("things-{n}")),
            rule("apps", format!("parts-{n}")),
            rule("batch", "jobs".to_owned()),
        ];
        json!({"metadata": {"namespace": namespace(n), "name": format!("role-{n}")}, "rules": rules})
    };
    let binding = |n: usize| {
        let kind = if n.is_multiple_of(2) { "ClusterRole" } else { "Role" };
        json!({
            "metadata": {"namespace": namespace(n), "name": format!("binding-{n}")},
            "roleRef": {"kind": kind, "name": format!("role-{n}")},
            "subjects": [
                {"kind": "User", "name": format!("user-{n}")},
                {"kind": "Group", "name": format!("group-{}", n / 10)},
                {"kind": "User", "name": "crowded"},
            ],
        })
    };
    let of = |make: &dyn Fn(usize) -> Value, cluster: bool| {
        Informer::fixed((0..MANY).filter(|n| n.is_multiple_of(2) == cluster).map(make).collect())
    };
    Informers {
        cluster_roles: of(&role, true),
        roles: of(&role, false),
        cluster_role_bindings: of(&binding, true),
        role_bindings: of(&binding, false),
        ..Informers::empty()
    }
}

fn benches(criterion: &mut Criterion) {
    let informers = informers();
    let modes = [Mode::Node, Mode::Rbac];
    let authz = Authz::new(Profile::NEWEST, &modes, &informers).expect("these modes need no file");
    let mut group = criterion.benchmark_group("authorize");
    let mut ask = |name: &str, user: &User, resource: &str, allowed: bool| {
        let request = Attributes {
            verb: "get",
            group: "apps",
            version: "v1",
            resource,
            namespace: "ns-3",
            name: "x",
            resource_request: true,
            ..Attributes::of(user)
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let verdict = authz.authorize(&request).now_or_never().expect("nobody is waited for");
                assert_eq!(verdict.is_allowed(), allowed);
            });
        });
    };
    let groups = ["group-1", "group-50", "group-99", "system:authenticated"];
    ask("allowed by a cluster role", &User::new("user-500", &groups), "parts-500", true);
    ask("allowed by a role", &User::new("user-503", &groups), "parts-503", true);
    ask("refused", &User::new("user-500", &groups), "deployments", false);
    ask(
        "refused to who is in no binding",
        &User::new("nobody", &["system:authenticated"]),
        "deployments",
        false,
    );
    ask("refused to who holds 600 of the roles", &User::new("crowded", &[]), "deployments", false);
    group.finish();
}

criterion_group!(authorize, benches);
criterion_main!(authorize);
