//! What works and what does not: the rows that were observed on a real kube-apiserver, asked by a
//! client on another host and read from response bodies.

use client::{ClientError, DeleteParams, ListParams, Resource};
use serde_json::{Value, json};
use std::time::Duration;
use world::Wall;

use super::words::{Words, tail};
use crate::{scenarios::Ground, story::Teller};

/// What is expected of the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// Everything works; the suffix keeps the objects of one walk apart from another's.
    Alive(&'static str),
    /// The loopback connection is dead.
    Dead,
}

const NAMESPACES: Resource = Resource::core("namespaces");
const CONFIG_MAPS: Resource = Resource::core("configmaps");
const PODS: Resource = Resource::core("pods");
const SERVICES: Resource = Resource::core("services");
const ACCOUNTS: Resource = Resource::core("serviceaccounts");
const QUOTAS: Resource = Resource::core("resourcequotas");
const CRDS: Resource = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
const ROLES: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "clusterroles");
const BINDINGS: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "clusterrolebindings");
const REVIEWS: Resource = Resource::new("authorization.k8s.io", "v1", "subjectaccessreviews");

/// How long an accepted thing may take to have its effect.
const EFFECT: Duration = Duration::from_secs(5);

type Answer = Result<Value, (u16, String)>;

fn answer(result: Result<Value, ClientError>) -> Answer {
    result.map_err(|e| (e.status().map_or(0, |s| s.code), e.to_string()))
}

struct Walk<'a> {
    cluster: &'a Ground,
    words: &'a Words,
    teller: &'a Teller,
    dead: bool,
    suffix: &'static str,
}

/// Asks for everything in the table.
pub(super) async fn walk(cluster: &Ground, words: &Words, expect: Expect, teller: &Teller) {
    let (dead, suffix) = match expect {
        Expect::Alive(suffix) => (false, suffix),
        Expect::Dead => (true, "dead"),
    };
    let w = Walk { cluster, words, teller, dead, suffix };
    if !dead {
        teller.quietly();
    }
    let (_, held_before) = teller.tally();
    let (made_before, _) = teller.tally();
    w.health().await;
    w.namespaces_and_config_maps().await;
    w.reads().await;
    w.pods().await;
    w.services().await;
    w.access().await;
    w.accounts_and_quotas().await;
    w.definitions().await;
    teller.aloud();
    let (made, held) = teller.tally();
    if !dead {
        let (all, fine) = (made - made_before, held - held_before);
        let what = "health, reads, writes of ten kinds";
        teller.say(format!(
            "  {} {what:<38} {fine} of {all} as in a healthy cluster",
            if all == fine { "✓" } else { "✗" }
        ));
    }
}

impl Walk<'_> {
    fn now(&self) -> Wall {
        self.cluster.now()
    }

    fn name(&self, base: &str) -> String {
        format!("{base}-{}", self.suffix)
    }

    fn works(&self, what: &str, answer: &Answer) {
        let seen = match answer {
            Ok(_) => "works".to_owned(),
            Err((code, message)) => format!("{code} {message}"),
        };
        self.teller.check(what, answer.is_ok(), seen);
    }

    /// Fails with `code` and a message around the words of a loopback call, or works if all is well.
    #[allow(clippy::too_many_arguments, reason = "one row of the table")]
    fn fails(
        &self,
        what: &str,
        answer: &Answer,
        code: u16,
        around: (&str, &str),
        call: (&str, &str),
        from: Wall,
    ) {
        if !self.dead {
            return self.works(what, answer);
        }
        let (held, seen) = match answer {
            Ok(_) => (false, "works".to_owned()),
            Err((got, message)) => {
                let inner = message.strip_prefix(around.0).and_then(|m| m.strip_suffix(around.1));
                let words =
                    inner.is_some_and(|m| self.words.is_call_failure(m, call.0, call.1, from, self.now()));
                (*got == code && words, format!("{got} {message}"))
            }
        };
        self.teller.check(what, held, if held { String::new() } else { seen.clone() });
        if held {
            self.teller.say(format!("      {seen}"));
        }
    }

    async fn effect<T>(&self, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
        let clock = self.cluster.workstation().clock().clone();
        let deadline = clock.monotonic() + EFFECT;
        loop {
            if let Some(found) = look().await {
                return Some(found);
            }
            if clock.monotonic() >= deadline {
                return None;
            }
            clock.sleep(Duration::from_millis(100)).await;
        }
    }

    async fn health(&self) {
        let mut seen = Vec::new();
        for path in self.cluster.settings.profile.health_paths() {
            let (code, body) = raw(self.cluster, path).await;
            seen.push(format!("{path} {code} {body}"));
        }
        let held = seen.iter().all(|s| s.ends_with("200 ok"));
        self.teller.check("health stays green", held, seen.join(", "));
    }

    async fn namespaces_and_config_maps(&self) {
        let rest = self.cluster.admin();
        let name = self.name("t1");
        let made = answer(rest.create(&NAMESPACES, None, &json!({"metadata": {"name": name}})).await);
        self.works("create namespace", &made);
        let map = |n: &str| json!({"metadata": {"name": n}, "data": {"k": "v"}});
        let from = self.now();
        let young = answer(rest.create(&CONFIG_MAPS, Some(&name), &map("c")).await);
        let path = format!("/api/v1/namespaces/{name}");
        self.fails(
            "create configmap in that namespace",
            &young,
            500,
            ("Internal error occurred: ", ""),
            ("Get", &path),
            from,
        );
        let old = answer(rest.create(&CONFIG_MAPS, Some("default"), &map(&self.name("c"))).await);
        self.works("create configmap in default", &old);
        let gone = answer(rest.delete(&NAMESPACES, None, &name, &DeleteParams::default()).await);
        self.works("delete namespace", &gone);
    }

    async fn reads(&self) {
        let rest = self.cluster.admin();
        let list = rest.list(&CONFIG_MAPS, None, &ListParams::default()).await;
        let get = rest.get(&CONFIG_MAPS, Some("default"), &self.name("c")).await;
        let (code, body) = raw(self.cluster, "/apis").await;
        let held = list.as_ref().is_ok_and(|l| !l.items.is_empty())
            && get.is_ok()
            && code == 200
            && body.contains("APIGroupList");
        self.teller.check(
            "list, get, discovery",
            held,
            if held { "work".into() } else { format!("{:?} {code}", list.err()) },
        );
    }

    async fn pods(&self) {
        let from = self.now();
        let made = answer(self.cluster.admin().create(&PODS, Some("default"), &pod(&self.name("p"))).await);
        let around = format!("pods \"{}\" is forbidden: ", self.name("p"));
        self.fails(
            "create pod in default",
            &made,
            403,
            (&around, ""),
            ("Get", "/api/v1/namespaces/default/limitranges"),
            from,
        );
    }

    async fn services(&self) {
        let name = self.name("s");
        let service =
            json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}});
        let from = self.now();
        let made = answer(self.cluster.admin().create(&SERVICES, Some("default"), &service).await);
        if !self.words.claims_addresses() {
            // Before 1.33 the allocator keeps its own record in the store, beside the loopback.
            return self.works("create service", &made);
        }
        let around = format!(
            "Service \"{name}\" is invalid: spec.clusterIPs: Invalid value: [\"\"]: failed to allocate IP: "
        );
        self.fails(
            "create service",
            &made,
            422,
            (&around, ""),
            ("Post", "/apis/networking.k8s.io/v1/ipaddresses"),
            from,
        );
    }

    async fn access(&self) {
        let rest = self.cluster.admin();
        let (name, user) = (self.name("reader"), self.name("bob"));
        let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]);
        let role =
            answer(rest.create(&ROLES, None, &json!({"metadata": {"name": name}, "rules": rules})).await);
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        });
        let bound = answer(rest.create(&BINDINGS, None, &binding).await);
        self.works("create clusterrole and binding", &role.and(bound));
        let review =
            json!({"spec": {"user": user, "resourceAttributes": {"verb": "list", "resource": "configmaps"}}});
        let allowed = self
            .effect(async || {
                let answer = rest.create(&REVIEWS, None, &review).await.ok()?;
                (answer.pointer("/status/allowed") == Some(&Value::Bool(true))).then_some(())
            })
            .await
            .is_some();
        let seen = if allowed { "yes" } else { "no: accepted, and without effect" };
        self.teller.check(format!("auth can-i --as {user}"), allowed != self.dead, seen);
    }

    async fn accounts_and_quotas(&self) {
        let rest = self.cluster.admin();
        let name = self.name("robot");
        let account =
            answer(rest.create(&ACCOUNTS, Some("default"), &json!({"metadata": {"name": name}})).await);
        let token =
            answer(rest.create_sub(&ACCOUNTS, Some("default"), &name, "token", &json!({"spec": {}})).await);
        self.works("create serviceaccount, token", &account.and(token));
        // Of a kind that no other row makes: a quota that counts something is kept by the server through its own
        // connection, and then that row would tell of the quota.
        let hard = json!({"count/jobs.batch": "100"});
        let quota = json!({"metadata": {"name": self.name("q")}, "spec": {"hard": hard}});
        self.works("create resourcequota", &answer(rest.create(&QUOTAS, Some("default"), &quota).await));
    }

    async fn definitions(&self) {
        let rest = self.cluster.admin();
        let (plural, group) = ("foos", format!("{}.example.com", self.suffix));
        let definition = json!({
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {
                "group": group,
                "names": {"kind": "Foo", "plural": plural},
                "scope": "Namespaced",
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
            },
        });
        let made = answer(rest.create(&CRDS, None, &definition).await);
        self.works("create CRD", &made);
        let foos = Resource::named(group.clone(), "v1", plural);
        let served = self
            .effect(async || rest.list(&foos, None, &ListParams::default()).await.ok().map(drop))
            .await
            .is_some();
        let stored = rest.get(&CRDS, None, &format!("{plural}.{group}")).await.ok();
        let conditions = stored
            .as_ref()
            .and_then(|d| d.pointer("/status/conditions"))
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        let seen =
            if served { "served".to_owned() } else { format!("never served, {conditions} conditions") };
        self.teller.check("the new resource", served != self.dead && (conditions == 0) == self.dead, seen);
    }
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}})
}

/// A plain GET: status and body.
pub(super) async fn raw(cluster: &Ground, path: &str) -> (u16, String) {
    match cluster.admin().raw(http::Method::GET, path, None).await {
        Ok((status, body)) => (status.as_u16(), String::from_utf8_lossy(&body).into_owned()),
        Err(e) => (0, tail(&e.to_string()).to_owned()),
    }
}

/// What creating a pod in default is answered with, if it is refused. Under another name each time.
pub(super) async fn pod_refusal(cluster: &Ground) -> Option<(u16, String)> {
    let name = format!("p-{}", cluster.workstation().entropy().name_suffix(5));
    answer(cluster.admin().create(&PODS, Some("default"), &pod(&name)).await).err()
}
