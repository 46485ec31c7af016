//! What the server repairs by and by: what services hold, and leases of servers that are no more.

use std::time::Duration;

use api::object::ObjectExt;
use client::{DeleteParams, ListParams, Resource};
use serde_json::{Value, json};
use store::Range;

use crate::plane::{Plane, with_plane};

const NS: Option<&str> = Some("default");
const SERVICES: Resource = Resource::core("services");
const ADDRESSES: Resource = Resource::new("networking.k8s.io", "v1", "ipaddresses");
const ROUND: Duration = Duration::from_secs(181);

fn service(name: &str, ip: &str, port: u16) -> Value {
    let ports = json!([{ "port": 80, "nodePort": port }]);
    json!({
        "metadata": { "name": name },
        "spec": { "type": "NodePort", "clusterIP": ip, "ports": ports },
    })
}

/// Reason and message of each event in `default`.
async fn events(plane: &Plane) -> Vec<(String, String)> {
    plane.sim.elapse(Duration::from_secs(1)).await;
    let events = plane.admin.list(&Resource::core("events"), NS, &ListParams::default()).await.unwrap().items;
    events.iter().map(|e| (e.str_at("/reason").to_owned(), e.str_at("/message").to_owned())).collect()
}

fn told(reason: &str, message: &str) -> (String, String) {
    (reason.to_owned(), message.to_owned())
}

#[test]
fn an_address_that_a_service_holds_is_taken_again() {
    with_plane(&[], |plane| async move {
        plane.admin.create(&SERVICES, NS, &service("web", "10.96.0.99", 30_100)).await.unwrap();
        plane.admin.delete(&ADDRESSES, None, "10.96.0.99", &DeleteParams::default()).await.unwrap();
        plane.sim.elapse(ROUND).await;
        let again = plane.admin.get(&ADDRESSES, None, "10.96.0.99").await.unwrap();
        assert_eq!(again.str_at("/spec/parentRef/name"), "web");
        let words = "Cluster IP [IPv4]: 10.96.0.99 is not allocated; repairing";
        assert_eq!(events(&plane).await, [told("ClusterIPNotAllocated", words)]);
    });
}

#[test]
fn an_address_that_nobody_holds_is_given_back() {
    with_plane(&[], |plane| async move {
        let leaked = |ip: &str, name: &str| {
            let labels = json!({
                "ipaddress.kubernetes.io/ip-family": "IPv4",
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            });
            let parent = json!({ "group": "", "resource": "services", "namespace": "default", "name": name });
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "IPAddress",
                "metadata": { "name": ip, "labels": labels },
                "spec": { "parentRef": parent },
            })
        };
        plane.admin.create(&SERVICES, NS, &service("web", "10.96.0.99", 30_100)).await.unwrap();
        // Of a service that never came to be, and another one of a service that has its own.
        for (ip, of) in [("10.96.0.50", "never"), ("10.96.0.51", "web")] {
            plane.admin.create(&ADDRESSES, None, &leaked(ip, of)).await.unwrap();
        }
        // Somebody else's is left alone.
        let mut other = leaked("10.96.0.52", "never");
        other.remove_at("/metadata/labels");
        plane.admin.create(&ADDRESSES, None, &other).await.unwrap();
        plane.sim.elapse(ROUND).await;
        let left = plane.admin.list(&ADDRESSES, None, &ListParams::default()).await.unwrap().items;
        let mut left: Vec<&str> = left.iter().map(|a| a.name()).collect();
        left.sort_unstable();
        assert_eq!(left, ["10.96.0.1", "10.96.0.52", "10.96.0.99"]);
        let mut said = events(&plane).await;
        said.sort();
        let words = [
            "IPAddress: 10.96.0.50 for Service default/never appears to have leaked: cleaning up",
            "IPAddress: 10.96.0.51 for Service default/web has a wrong reference; cleaning up",
        ];
        let expected = [told("IPAddressNotAllocated", words[0]), told("IPAddressWrongReference", words[1])];
        assert_eq!(said, expected);
    });
}

/// Ports, and in releases that keep addresses so the addresses: taken again when they are held, given back after
/// three rounds when they are not.
fn bitmap(
    flags: &'static [&'static str],
    key: &'static str,
    first: (&'static str, u16),
    lost: (String, String),
) {
    with_plane(flags, move |plane| async move {
        let store = plane.server.context().store.clone();
        plane.admin.create(&SERVICES, NS, &service("web", first.0, first.1)).await.unwrap();
        let kept = store.get(key.as_bytes(), None).await.unwrap().0.unwrap().value;
        store.delete(Range::key(key)).await.unwrap();
        plane.sim.elapse(ROUND).await;
        assert!(events(&plane).await.contains(&lost), "{:?}", events(&plane).await);
        // The other of both is free for this one.
        let second = match key.ends_with("serviceips") {
            true => service("second", first.0, first.1 + 1),
            false => service("second", "10.96.0.98", first.1),
        };
        let refused = plane.admin.create(&SERVICES, NS, &second).await.unwrap_err();
        assert!(refused.to_string().contains("already allocated"), "{refused}");

        plane.admin.delete(&SERVICES, NS, "web", &DeleteParams::default()).await.unwrap();
        plane.sim.elapse(Duration::from_secs(1)).await;
        store.put(key.into(), kept).await.unwrap();
        // Flagged, looked at again and again: somebody may be about to write its service.
        plane.sim.elapse(3 * ROUND - Duration::from_secs(10)).await;
        plane.admin.create(&SERVICES, NS, &second).await.unwrap_err();
        plane.sim.elapse(ROUND).await;
        plane.admin.create(&SERVICES, NS, &second).await.unwrap();
    });
}

#[test]
fn ports_and_the_bitmap_are_brought_together() {
    let lost = told("PortNotAllocated", "Port 30100 is not allocated; repairing");
    bitmap(&[], "/registry/ranges/servicenodeports", ("10.96.0.99", 30_100), lost);
}

#[test]
fn addresses_and_the_bitmap_of_older_releases_are_brought_together() {
    let lost = told("ClusterIPNotAllocated", "Cluster IP [IPv4]:10.96.0.99 is not allocated; repairing");
    bitmap(&["--kubernetes-version=1.32"], "/registry/ranges/serviceips", ("10.96.0.99", 30_100), lost);
}

#[test]
fn leases_of_servers_that_are_no_more_are_collected() {
    with_plane(&[], |plane| async move {
        let leases = Resource::new("coordination.k8s.io", "v1", "leases");
        let lease = |name: &str, identity: &str, renewed: &str| {
            json!({
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": { "name": name, "labels": { "apiserver.kubernetes.io/identity": identity } },
                "spec": { "holderIdentity": name, "leaseDurationSeconds": 3600, "renewTime": renewed },
            })
        };
        let system = Some("kube-system");
        let long_ago = "2001-01-01T00:00:00.000000Z";
        for gone in [lease("gone", "kube-apiserver", long_ago), lease("another", "another", long_ago)] {
            plane.admin.create(&leases, system, &gone).await.unwrap();
        }
        plane.sim.elapse(Duration::from_secs(3700)).await;
        let left = plane.admin.list(&leases, system, &ListParams::default()).await.unwrap().items;
        let left: Vec<&str> = left.iter().map(|lease| lease.name()).collect();
        assert!(!left.contains(&"gone"), "{left:?}");
        assert!(
            left.contains(&"another") && left.iter().any(|name| name.starts_with("apiserver-")),
            "{left:?}"
        );
    });
}
