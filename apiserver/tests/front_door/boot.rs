//! What is there once the server is ready.

use api::object::ObjectExt;
use client::{ListParams, Resource};

use crate::plane::with_plane;

#[test]
fn ready_means_the_bootstrap_objects_are_there() {
    with_plane(&[], |plane| async move {
        let names = |resource: Resource, ns: Option<&'static str>| {
            let admin = plane.admin.clone();
            async move {
                let list = admin.list(&resource, ns, &ListParams::default()).await.unwrap();
                list.items.iter().map(|o| o.name().to_owned()).collect::<Vec<_>>()
            }
        };
        assert_eq!(
            names(Resource::core("namespaces"), None).await,
            ["default", "kube-node-lease", "kube-public", "kube-system"]
        );
        let roles = names(Resource::new("rbac.authorization.k8s.io", "v1", "clusterroles"), None).await;
        for name in ["cluster-admin", "system:node", "view"] {
            assert!(roles.iter().any(|r| r == name), "{name} is missing from {roles:?}");
        }
        let classes = names(Resource::new("scheduling.k8s.io", "v1", "priorityclasses"), None).await;
        assert_eq!(classes, ["system-cluster-critical", "system-node-critical"]);
        plane.sim.elapse(std::time::Duration::from_secs(3)).await;
        assert_eq!(names(Resource::core("services"), Some("default")).await, ["kubernetes"]);
        assert_eq!(names(Resource::core("endpoints"), Some("default")).await, ["kubernetes"]);
        let addresses = names(Resource::new("networking.k8s.io", "v1", "ipaddresses"), None).await;
        assert_eq!(addresses, ["10.96.0.1"]);
        let cidrs = names(Resource::new("networking.k8s.io", "v1", "servicecidrs"), None).await;
        assert_eq!(cidrs, ["kubernetes"]);
    });
}

#[test]
fn health_is_shown_as_upstream_shows_it() {
    with_plane(&[], |plane| async move {
        let ready = plane.get("/readyz").await;
        assert_eq!((ready.code, ready.body.as_str()), (200, "ok"));
        let live = plane.get("/livez?verbose").await;
        assert!(
            live.body.starts_with("[+]ping ok\n[+]log ok\n[+]loopback-serving-certificate ok\n[+]etcd ok\n"),
            "{}",
            live.body
        );
        assert!(live.body.ends_with("livez check passed\n"), "{}", live.body);
        let ready = plane.get("/readyz?verbose&exclude=etcd&exclude=nothing").await;
        assert!(!ready.body.contains("loopback-serving-certificate"), "{}", ready.body);
        assert!(ready.body.contains("[+]etcd excluded: ok\n"), "{}", ready.body);
        let warning = "warn: some health checks cannot be excluded: no matches for \"nothing\"\n";
        assert!(ready.body.contains(warning), "{}", ready.body);
        let one = plane.get("/readyz/poststarthook/rbac/bootstrap-roles").await;
        assert_eq!((one.code, one.body.as_str()), (200, "ok"));
        // Anonymous health is a role of everybody's; anything else is not.
        let anonymous = plane.send("", "GET", "/livez", &[], "").await;
        assert_eq!((anonymous.code, anonymous.body.as_str()), (200, "ok"));
        let other = plane.send("", "GET", "/api/v1/secrets", &[], "").await;
        assert_eq!(other.code, 403);
        let status = other.json();
        assert_eq!(
            status.str_at("/message"),
            "secrets is forbidden: User \"system:anonymous\" cannot list resource \"secrets\" in API group \"\" at the cluster scope"
        );
        let bad = plane.send("nonsense", "GET", "/livez", &[], "").await;
        assert_eq!((bad.code, bad.json().str_at("/message").to_owned()), (401, "Unauthorized".to_owned()));
    });
}

#[test]
fn two_runs_leave_one_trace() {
    let run = || {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let plane = crate::plane::Plane::start(&sim, &[]).await;
            plane.sim.elapse(std::time::Duration::from_secs(90)).await;
            plane.server.context().host.trace().events().iter().map(ToString::to_string).collect::<Vec<_>>()
        })
        .unwrap()
    };
    let (first, second) = (run(), run());
    let differs = first.iter().zip(&second).find(|(a, b)| a != b);
    assert_eq!(differs, None);
    assert_eq!(first.len(), second.len());
    assert!(first.len() > 200, "{}", first.len());
}
