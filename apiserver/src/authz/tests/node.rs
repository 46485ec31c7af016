//! What a kubelet reaches changes with what is bound to its node; what it reaches at all is in the table of decisions.

use api::profile::Profile;
use serde_json::json;

use super::ask;
use crate::{authz::node::NodeAuthorizer, identity::User, informers::Informers};

#[test]
fn edges_come_and_go_with_pods() {
    let informers = Informers::empty();
    let authorizer = NodeAuthorizer::new(Profile::NEWEST, &informers);
    let kubelet = User::new("system:node:n1", &["system:nodes"]);
    let check = |allowed: bool, why: &str| {
        let verdict = authorizer.authorize(&ask(&kubelet, "get secrets ns shared"));
        assert_eq!(verdict.is_allowed(), allowed, "{why}");
    };
    let pod = |name: &str, node: &str| {
        let volume = json!({"name": "s", "secret": {"secretName": "shared"}});
        json!({
            "metadata": {"namespace": "ns", "name": name},
            "spec": {"nodeName": node, "containers": [], "volumes": [volume]},
        })
    };
    check(false, "nothing is there");
    informers.pods.put(pod("a", ""));
    check(false, "not bound");
    informers.pods.put(pod("a", "n1"));
    informers.pods.put(pod("b", "n1"));
    check(true, "two pods lead to it");
    informers.pods.remove("ns", "a");
    check(true, "one still does");
    informers.pods.put(pod("b", "n2"));
    check(false, "the last one is elsewhere");
}
