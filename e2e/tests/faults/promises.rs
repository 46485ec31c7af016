//! What a cluster promises and no story of the catalogue tells: each is what a mutant of `world::mutants` breaks.

use std::time::Duration;

use api::object::{ObjectExt as _, base64};
use chronoplane::{Cluster, ClusterOptions};
use client::{DeleteParams, EventKind, ListParams, Resource, Rest, WatchParams};
use jiff::SignedDuration;
use pki::{
    KeyAlgorithm, PrivateKey,
    csr::Csr,
    kubeconfig::{Kubeconfig, User},
    token::{BootstrapToken, TokenSecret},
};
use serde_json::{Value, json};

use crate::common::{CONFIG_MAPS, as_node, config_map, count, ready};

const SECOND: Duration = Duration::from_secs(1);
const SECRETS: Resource = Resource::core("secrets");
const ACCOUNTS: Resource = Resource::core("serviceaccounts");
const CSRS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
const DEFAULT: Option<&str> = Some("default");

/// Compare-and-write, lists that are as new as what was acknowledged, and a revision for each change, also for one
/// that deletes.
#[chronoplane::test]
async fn writes_are_compared_counted_and_seen(sim: chronoplane::Sim) {
    let cluster = Cluster::start(&sim, Default::default()).await.expect("a cluster");
    let admin = cluster.admin();
    let mut last = 0;
    for n in 0..20 {
        let name = format!("m{n:02}");
        let made = admin.create(&CONFIG_MAPS, DEFAULT, &config_map(&name, "1")).await.expect("made");
        let listed = admin.list(&CONFIG_MAPS, DEFAULT, &ListParams::default()).await.expect("listed");
        assert!(listed.items.iter().any(|item| item.name() == name), "{name} was acknowledged");
        let again = admin.create(&CONFIG_MAPS, DEFAULT, &config_map(&name, "2")).await;
        assert!(again.is_err_and(|e| e.is_already_exists()), "{name}");

        let mut newer = made.clone();
        newer["data"]["k"] = "2".into();
        let newer = admin.update(&CONFIG_MAPS, DEFAULT, &name, &newer).await.expect("from the newest");
        let mut stale = made.clone();
        stale["data"]["k"] = "3".into();
        let refused = admin.update(&CONFIG_MAPS, DEFAULT, &name, &stale).await;
        assert!(refused.is_err_and(|e| e.is_conflict()), "{name}");
        for object in [&made, &newer] {
            let revision: u64 = object.resource_version().parse().expect("a number");
            assert!(revision > last, "{revision} after {last}");
            last = revision;
        }
    }
    let params = WatchParams { resource_version: Some(last.to_string()), ..WatchParams::default() };
    let mut watch = admin.watch(&CONFIG_MAPS, DEFAULT, &params).await.expect("a watch");
    for n in 0..20 {
        admin
            .delete(&CONFIG_MAPS, DEFAULT, &format!("m{n:02}"), &DeleteParams::default())
            .await
            .expect("gone");
        let event = watch.next().await.expect("goes on").expect("an event");
        let revision: u64 = event.object.resource_version().parse().expect("a number");
        assert_eq!((event.kind, event.object.name()), (EventKind::Deleted, format!("m{n:02}").as_str()));
        assert!(revision > last, "{revision} after {last}");
        last = revision;
    }
}

/// A watch that resumes from a revision gets all after it, each once, and a bookmark when it is quiet for a minute.
#[chronoplane::test]
async fn a_watch_resumes_without_a_gap_and_hears_how_far_it_is(sim: chronoplane::Sim) {
    let cluster = Cluster::start(&sim, Default::default()).await.expect("a cluster");
    let admin = cluster.admin();
    let made = admin.create(&CONFIG_MAPS, DEFAULT, &config_map("a", "0")).await.expect("made");
    let mut from = made.resource_version().to_owned();
    for n in 1..=5 {
        let patch = json!({"data": {"k": n.to_string()}});
        admin.patch(&CONFIG_MAPS, DEFAULT, "a", client::Patch::Merge(&patch), None).await.expect("changed");
        let params = WatchParams {
            resource_version: Some(from.clone()),
            field_selector: Some("metadata.name=a".into()),
            allow_bookmarks: true,
            ..WatchParams::default()
        };
        let mut watch = admin.watch(&CONFIG_MAPS, DEFAULT, &params).await.expect("a watch");
        let clock = sim.host("workstation").clock().clone();
        let event = clock.timeout(SECOND, watch.next()).await.expect("at once").expect("open").expect("one");
        assert_eq!(
            (event.kind, event.object.str_at("/data/k")),
            (EventKind::Modified, n.to_string().as_str())
        );
        from = event.object.resource_version().to_owned();
        if n == 5 {
            let mark = clock.timeout(70 * SECOND, watch.next()).await.expect("within a minute");
            assert_eq!(mark.expect("open").expect("one").kind, EventKind::Bookmark);
        }
    }
}

/// A client on the workstation with that token.
fn with_token(cluster: &Cluster, token: &str) -> Rest {
    let mut config: Kubeconfig = cluster.kubeconfig().clone();
    for named in &mut config.users {
        named.user = User::with_token(token);
    }
    let workstation = cluster.sim().host("workstation");
    Rest::from_kubeconfig(&workstation, &config, cluster.options().profile.go(), "test").expect("a client")
}

/// A client on the workstation with a token of a new service account, as `asked` for.
async fn as_account(cluster: &Cluster, name: &str, asked: &Value) -> Rest {
    let admin = cluster.admin();
    admin.create(&ACCOUNTS, DEFAULT, &json!({"metadata": {"name": name}})).await.expect("made");
    let issued = admin.create_sub(&ACCOUNTS, DEFAULT, name, "token", asked).await.expect("issued");
    with_token(cluster, issued.str_at("/status/token"))
}

/// Whether the server knows who somebody is who may nothing.
async fn is_known(client: &Rest) -> bool {
    let listed = client.list(&CONFIG_MAPS, DEFAULT, &ListParams::default()).await;
    let refused = listed.expect_err("no role allows it");
    assert!(refused.is_forbidden() || refused.is_unauthorized(), "{refused}");
    refused.is_forbidden()
}

/// A bootstrap token is good until the second of its expiration, and then for as long as the token cache remembers it.
#[chronoplane::test]
async fn a_bootstrap_token_ends_at_its_expiration(sim: chronoplane::Sim) {
    let cluster = Cluster::start(&sim, Default::default()).await.expect("a cluster");
    let workstation = sim.host("workstation");
    let token = BootstrapToken::generate(workstation.entropy());
    let until = workstation.clock().wall() + SignedDuration::from_secs(60);
    let secret = TokenSecret {
        token: token.clone(),
        description: String::new(),
        expiration: Some(world::Wall::from_second(until.as_second()).expect("a date")),
        signing: false,
        authentication: true,
        groups: Vec::new(),
    };
    cluster.admin().create(&SECRETS, Some("kube-system"), &secret.to_object()).await.expect("made");
    let client = with_token(&cluster, &token.reveal());
    cluster.elapse(58 * SECOND).await;
    assert!(is_known(&client).await, "a second before");
    cluster.elapse(13 * SECOND).await;
    assert!(!is_known(&client).await, "eleven seconds after");
}

/// A token that is bound to a secret ends with it, but for the ten seconds that upstream's token cache allows.
#[chronoplane::test]
async fn a_token_ends_with_the_secret_that_it_is_bound_to(sim: chronoplane::Sim) {
    let cluster = Cluster::start(&sim, Default::default()).await.expect("a cluster");
    let admin = cluster.admin();
    let secret = json!({"metadata": {"name": "holder"}, "type": "Opaque"});
    let secret = admin.create(&SECRETS, DEFAULT, &secret).await.expect("made");
    let bound = json!({"kind": "Secret", "apiVersion": "v1", "name": "holder", "uid": secret.uid()});
    let asked = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 86_400, "boundObjectRef": bound},
    });
    let client = as_account(&cluster, "who", &asked).await;
    let known = async || is_known(&client).await;
    for _ in 0..3 {
        assert!(known().await, "the control: the secret is there");
        cluster.elapse(15 * SECOND).await;
    }
    assert!(known().await);
    admin.delete(&SECRETS, DEFAULT, "holder", &DeleteParams::default()).await.expect("gone");
    cluster.elapse(11 * SECOND).await;
    assert!(!known().await, "the cache has forgotten it");
}

/// A kubelet reads the secrets of its own pods and of nobody else's; the other node's kubelet is the control.
#[chronoplane::test(nodes = 2)]
async fn a_kubelet_reads_no_secret_of_another_node(cluster: Cluster) {
    let admin = cluster.admin();
    let secret = json!({"metadata": {"name": "private"}, "type": "Opaque"});
    admin.create(&SECRETS, DEFAULT, &secret).await.expect("made");
    let pod = json!({"metadata": {"name": "p"}, "spec": {
        "nodeName": "node2",
        "containers": [{"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", "sleep 9999"]}],
        "volumes": [{"name": "v", "secret": {"secretName": "private"}}],
    }});
    admin.create(&Resource::core("pods"), DEFAULT, &pod).await.expect("made");
    cluster.elapse(SECOND).await;
    let reads = async |node: &str| as_node(&cluster, node).get(&SECRETS, DEFAULT, "private").await;
    assert_eq!(reads("node2").await.expect("its own").name(), "private");
    assert!(reads("node1").await.is_err_and(|e| e.is_forbidden()));
}

/// Who may ask for certificates, and has no role that lets nodes be bootstrapped, gets none in the name of a node: nobody
/// approves that. The control: a node gets one in its own name.
#[chronoplane::test(nodes = 1)]
async fn nobody_gets_a_certificate_in_the_name_of_a_node(cluster: Cluster) {
    let (admin, rbac) = (cluster.admin(), |plural| Resource::new("rbac.authorization.k8s.io", "v1", plural));
    let role = json!({"metadata": {"name": "asks"}, "rules": [{
        "apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests"], "verbs": ["create"],
    }]});
    admin.create(&rbac("clusterroles"), None, &role).await.expect("made");
    let binding = json!({
        "metadata": {"name": "asks"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "asks"},
        "subjects": [{"kind": "ServiceAccount", "name": "asker", "namespace": "default"}],
    });
    admin.create(&rbac("clusterrolebindings"), None, &binding).await.expect("made");
    let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let asker = as_account(&cluster, "asker", &asked).await;
    cluster.elapse(SECOND).await;
    for (by, name, approved) in
        [(as_node(&cluster, "node1"), "of-itself", true), (asker, "of-another", false)]
    {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let organization = ["system:nodes".to_owned()];
        let request = Csr::create(&key, "system:node:node1", &organization, &[], &[]).expect("a request");
        let csr = json!({"metadata": {"name": name}, "spec": {
            "request": base64(request.as_bytes()),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
        }});
        by.create(&CSRS, None, &csr).await.expect("both may ask");
        cluster.elapse(30 * SECOND).await;
        let csr = admin.get(&CSRS, None, name).await.expect("there");
        assert_eq!(csr.pointer("/status/certificate").is_some_and(Value::is_string), approved, "{csr}");
    }
}

/// What counts for a node's heartbeat is the running clock of the controller manager.
#[chronoplane::test(nodes = 1)]
async fn a_step_of_the_control_planes_clock_makes_no_node_silent(cluster: Cluster) {
    // Not cp1 itself, whose own heartbeat goes back with its clock.
    let unknown = || count(&cluster, "cp1", "node", &["name=node1", "state=unknown"]);
    let before = unknown();
    for hours in [1, -1, 2, -2] {
        cluster.step("cp1", SignedDuration::from_hours(hours));
        for _ in 0..12 {
            cluster.elapse(5 * SECOND).await;
            assert_eq!(ready(&cluster, "node1").await, "True", "{hours} h");
        }
    }
    assert_eq!(unknown(), before);
}

/// Kubelets whose certificates live a day, for three days: whatever they ask for, no answer is 401.
#[chronoplane::test(sparse)]
async fn a_rotation_leaves_no_connection_behind_that_is_refused(sim: chronoplane::Sim) {
    let options = ClusterOptions {
        nodes: 1,
        signing_duration: Some(Duration::from_secs(86_400)),
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(&sim, options).await.expect("a cluster");
    let refused = || count(&cluster, "cp1", "request", &["code=401"]);
    let before = refused();
    cluster.elapse(Duration::from_secs(3 * 86_400)).await;
    assert!(count(&cluster, "node1", "client", &["connections=closed"]) >= 2, "it has rotated");
    assert_eq!(refused(), before);
    assert_eq!(ready(&cluster, "node1").await, "True");
}
