//! Over TLS and HTTP/2, as the apiserver speaks to itself: what happens when the certificate ends.

use client::{Informer, ListParams, Resource};

use crate::fake::{HOUR, Put, World, config_map, run_tls};

static ROLES: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "roles");
const PATH: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/a/roles";

fn errors(world: &World) -> Vec<String> {
    let events = world.sim.events().into_iter().filter(|e| e.kind == "informer");
    events.flat_map(|e| e.fields.into_iter().filter(|(k, _)| *k == "error").map(|(_, v)| v)).collect()
}

#[test]
fn an_expired_certificate_is_felt_only_after_a_reset_and_in_gos_words() {
    run_tls(|world| async move {
        world.fake.write(PATH, config_map("r", "1"));
        let roles = Informer::start(&world.host, &world.rest, ROLES.clone(), Default::default());
        roles.synced().await;
        world.sim.elapse(2 * HOUR).await;
        world.fake.write(PATH, config_map("r", "2"));
        world.elapse(1.0).await;
        assert_eq!(roles.get("a", "r").unwrap()["data"]["k"], "2", "an hour after its end all is as before");
        assert_eq!(errors(&world), [""; 0]);

        assert_eq!(
            world.sim.reset_connections("client", "server", 6443),
            1,
            "one connection carries everything"
        );
        world.elapse(5.0).await;
        let first = &errors(&world)[0];
        let start = "Failed to watch *v1.Role: Get \"https://server:6443/apis/rbac.authorization.k8s.io/v1/roles?\
                     allowWatchBookmarks=true&resourceVersion=102&timeout=";
        let end = "&watch=true\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: \
                   current time 2026-01-01T02:00:01Z is after 2026-01-01T01:00:00Z";
        assert!(first.starts_with(start) && first.ends_with(end), "{first}");
        let now = roles.last_error().unwrap();
        let list = "failed to list *v1.Role: Get \"https://server:6443/apis/rbac.authorization.k8s.io/v1/roles?\
                    resourceVersion=102\": tls: failed to verify certificate: x509: certificate has expired or is not \
                    yet valid: current time 2026-01-01T02:00:";
        assert!(now.starts_with(list), "{now}");
        world.fake.write(PATH, config_map("r", "3"));
        world.sim.elapse(HOUR).await;
        assert_eq!(roles.get("a", "r").unwrap()["data"]["k"], "2", "it stands still");
    });
}

#[test]
fn without_the_reset_nothing_fails() {
    run_tls(|world| async move {
        let roles = Informer::start(&world.host, &world.rest, ROLES.clone(), Default::default());
        world.sim.elapse(48 * HOUR).await;
        world.fake.write(PATH, config_map("r", "3"));
        world.elapse(1.0).await;
        assert_eq!(roles.len(), 1);
        assert_eq!(errors(&world), [""; 0]);
    });
}

#[test]
fn a_silent_network_is_noticed_by_pings() {
    run_tls(|world| async move {
        let roles = Informer::start(&world.host, &world.rest, ROLES.clone(), Default::default());
        roles.synced().await;
        world.elapse(1.0).await;
        world.sim.cut("client", "server");
        world.elapse(46.0).await;
        let errors = errors(&world);
        let lost = "watch of *v1.Role ended with: an error on the server (\"unable to decode an event from the watch \
                    stream: ";
        assert!(errors.len() == 1 && errors[0].starts_with(lost), "{errors:?}");
        world.sim.heal("client", "server");
        world.fake.write(PATH, config_map("r", "1"));
        world.elapse(90.0).await;
        assert_eq!(roles.len(), 1);
        assert_eq!(roles.last_error(), None);
    });
}

#[test]
fn an_answer_that_stops_half_way_is_an_error_of_the_transport() {
    run_tls(|world| async move {
        world.fake.put("roles", Put::Stall("{\"kind\": \"RoleList\", \"items\": ["));
        let none = ListParams::default();
        let reset = async {
            world.elapse(1.0).await;
            world.reset();
        };
        let (answer, ()) = futures::future::join(world.rest.list(&ROLES, None, &none), reset).await;
        let error = answer.unwrap_err();
        assert!(error.is_transport(), "{error:?}");
        let words = "unexpected error when reading response body. Please retry. Original error: read tcp ";
        assert!(error.to_string().starts_with(words), "{error}");
    });
}
