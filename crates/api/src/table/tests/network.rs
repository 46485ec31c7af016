//! Services, what is behind them, their addresses, and ingresses.

use super::*;

#[test]
fn services() {
    let service =
        |spec: Value, status: Value| json!({"metadata": {"name": "s"}, "spec": spec, "status": status});
    check(
        "Service",
        service(
            json!({"type": "NodePort", "clusterIPs": ["10.96.0.9"], "selector": {"app": "web"},
            "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}),
            json!({}),
        ),
        "s | NodePort | 10.96.0.9 | <none> | 80:30080/TCP,53/UDP | 5m3s | app=web",
    );
    check(
        "Service",
        service(json!({"type": "ClusterIP", "clusterIPs": ["None"], "externalIPs": ["1.2.3.4"]}), json!({})),
        "s | ClusterIP | None | 1.2.3.4 | <none> | 5m3s | <none>",
    );
    check(
        "Service",
        service(json!({"type": "ExternalName", "externalName": "example.com"}), json!({})),
        "s | ExternalName | <none> | example.com | <none> | 5m3s | <none>",
    );
    let balancer = json!({"type": "LoadBalancer", "clusterIPs": ["10.96.0.9"]});
    check(
        "Service",
        service(balancer.clone(), json!({})),
        "s | LoadBalancer | 10.96.0.9 | <pending> | <none> | 5m3s | <none>",
    );
    check(
        "Service",
        service(balancer, json!({"loadBalancer": {"ingress": [{"hostname": "b"}, {"ip": "5.6.7.8"}]}})),
        "s | LoadBalancer | 10.96.0.9 | 5.6.7.8,b | <none> | 5m3s | <none>",
    );
}

#[test]
fn endpoints() {
    check("Endpoints", json!({"metadata": {"name": "e"}}), "e | <none> | 5m3s");
    check(
        "Endpoints",
        json!({"metadata": {"name": "e"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
            "ports": [{"port": 80}, {"port": 443}]}]}),
        "e | 10.0.0.1:80,[fd00::1]:80,10.0.0.1:443 + 1 more... | 5m3s",
    );
    check(
        "Endpoints",
        json!({"metadata": {"name": "e"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}]}]}),
        "e | 10.0.0.1 | 5m3s",
    );
    check(
        "EndpointSlice.discovery.k8s.io",
        json!({"metadata": {"name": "e"}, "addressType": "IPv4", "ports": [{"port": 80}, {"name": "x"}, {}],
            "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}]}),
        "e | IPv4 | 80,x,* | 10.0.0.1,10.0.0.2 | 5m3s",
    );
    check(
        "EndpointSlice.discovery.k8s.io",
        json!({"metadata": {"name": "e"}, "addressType": "IPv4"}),
        "e | IPv4 | <unset> | <unset> | 5m3s",
    );
    check(
        "IPAddress.networking.k8s.io",
        json!({"metadata": {"name": "10.96.0.1"}, "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "kubernetes"}}}),
        "10.96.0.1 | services/default/kubernetes",
    );
    check(
        "ServiceCIDR.networking.k8s.io",
        json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/12", "fd00::/108"]}}),
        "kubernetes | 10.96.0.0/12,fd00::/108 | 5m3s",
    );
}

#[test]
fn the_hosts_of_an_ingress_are_cut_short_by_rules() {
    let hosts = |hosts: &[&str]| {
        let rules: Vec<Value> = hosts.iter().map(|host| json!({"host": host})).collect();
        let cells = printed(
            "networking.k8s.io",
            "Ingress",
            json!({"metadata": {"name": "i"}, "spec": {"rules": rules}}),
        );
        cells.split(" | ").nth(2).map(str::to_owned)
    };
    for (given, shown) in [
        (&[][..], "*"),
        (&[""][..], "*"),
        (&["a", "", "b", "c"][..], "a,b,c"),
        (&["a", "b", "c", ""][..], "a,b,c + 1 more..."),
        (&["a", "", "b", "c", "d"][..], "a,b,c + 2 more..."),
    ] {
        assert_eq!(hosts(given).as_deref(), Some(shown));
    }
}
