//! What the kubelet tells about itself and its pods, through the apiserver's proxy of nodes.

use chronoplane::Cluster;
use serde_json::{Value, json};

use crate::clients::{mirrored, run};

async fn page(cluster: &Cluster, path: &str) -> (u16, String) {
    let path = format!("/api/v1/nodes/node1/proxy{path}");
    let (status, bytes) = cluster.admin().raw(http::Method::GET, &path, None).await.expect("an answer");
    (status.as_u16(), String::from_utf8_lossy(&bytes).into_owned())
}

#[chronoplane::test(nodes = 1)]
async fn a_node_is_asked_through_the_proxy(cluster: Cluster) {
    run(&cluster, "p", json!({"command": ["sleep", "1d"]})).await;
    assert_eq!(page(&cluster, "/healthz").await, (200, "ok".into()));
    let (code, pods) = page(&cluster, "/pods").await;
    let pods: Value = serde_json::from_str(&pods).expect("JSON");
    assert_eq!((code, pods["kind"].as_str()), (200, Some("PodList")));
    let names: Vec<&Value> =
        pods["items"].as_array().expect("pods").iter().map(|p| &p["metadata"]["name"]).collect();
    assert!(names.contains(&&json!("p")), "{names:?}");
    let (_, metrics) = page(&cluster, "/metrics").await;
    let value = |name: &str| -> f64 {
        let line = metrics
            .lines()
            .find_map(|l| l.strip_prefix(name))
            .unwrap_or_else(|| panic!("{name} in {metrics}"));
        line.trim().parse().expect("a number")
    };
    let ttl = value("kubelet_certificate_manager_client_ttl_seconds ");
    let year = 365.0 * 86_400.0;
    assert!(ttl > 0.99 * year && ttl <= year, "{ttl}");
    assert_eq!(value("kubelet_running_pods "), pods["items"].as_array().expect("pods").len() as f64);
    cluster.sim().elapse(std::time::Duration::from_secs(3600)).await;
    let (_, metrics) = page(&cluster, "/metrics").await;
    let later =
        metrics.lines().find_map(|l| l.strip_prefix("kubelet_certificate_manager_client_ttl_seconds "));
    let later: f64 = later.expect("still there").parse().expect("a number");
    assert!((ttl - later - 3600.0).abs() < 10.0, "{ttl} and {later}");

    let (_, summary) = page(&cluster, "/stats/summary").await;
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    assert_eq!(summary["node"]["nodeName"], "node1");
    let ours =
        summary["pods"].as_array().expect("pods").iter().find(|p| p["podRef"]["name"] == "p").expect("there");
    assert_eq!(ours["containers"][0]["name"], "c");
    let (_, config) = page(&cluster, "/configz").await;
    let config: Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["kubeletconfig"]["port"], 10_250);
    assert_eq!(page(&cluster, "/none").await, (404, "404 page not found\n".into()));
}

#[chronoplane::test]
async fn pods_and_services_are_reached_through_their_proxies(cluster: Cluster) {
    mirrored(&cluster, "kube-apiserver-cp1").await;
    let ask = async |path: &str| {
        let (status, bytes) = cluster.admin().raw(http::Method::GET, path, None).await.expect("an answer");
        (status.as_u16(), String::from_utf8_lossy(&bytes).into_owned())
    };
    let pod = "/api/v1/namespaces/kube-system/pods/https:kube-apiserver-cp1:6443/proxy/livez?exclude=etcd";
    assert_eq!(ask(pod).await, (200, "ok".into()));
    let service = "/api/v1/namespaces/default/services/https:kubernetes:https/proxy/livez";
    assert_eq!(ask(service).await, (200, "ok".into()));
    let (code, words) = ask("/api/v1/namespaces/default/services/kubernetes:80/proxy/").await;
    let status: Value = serde_json::from_str(&words).expect("a Status");
    assert_eq!((code, status["reason"].as_str()), (503, Some("ServiceUnavailable")), "{words}");
    assert_eq!(status["message"], "no service port \"80\" found for service \"kubernetes\"");
}
