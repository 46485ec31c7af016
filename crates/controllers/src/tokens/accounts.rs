//! A secret with a token for every service account, made unasked and named in the account's list, as releases up to
//! 1.23 have it (`ensureReferencedToken`). Their pods are not admitted before it is there.

use api::object::ObjectExt as _;
use client::{DeleteParams, WorkQueue, split_key};
use serde_json::{Value, json};

use super::{ACCOUNTS, KIND, Loop, SECRETS, WORKERS, belongs};
use crate::{context::Context, start::start};

/// Of a name that is made; a name's end is random.
const LONGEST_BASE: usize = 58;
const SUFFIX: usize = 5;

/// Starts the loop beside the one that fills secrets.
pub(super) fn run(c: &Context, of: &Loop) {
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let (accounts, this) = (of.accounts.clone(), of.clone());
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        accounts.on(move |change| feed.add(change.key()));
    };
    start(&c.host, [of.accounts.clone(), of.secrets.clone()], queue, WORKERS, follow, move |key| {
        let this = this.clone();
        async move { this.ensure(&key).await }
    });
}

fn references(account: &Value) -> impl Iterator<Item = &str> {
    account.list_at("/secrets").iter().map(|reference| reference.str_at("/name"))
}

impl Loop {
    /// Sees to it that the account's list names one of its secrets.
    async fn ensure(&self, key: &str) -> Result<(), String> {
        let Some(account) = self.accounts.get_key(key).filter(|a| !a.is_terminating()) else { return Ok(()) };
        if self.has_token(&account) {
            return Ok(());
        }
        let (namespace, name) = split_key(key);
        let words = |e: client::ClientError| e.to_string();
        let Some(live) = self.rest.get_opt(&ACCOUNTS, namespace, name).await.map_err(words)? else {
            return Ok(());
        };
        // What was changed since comes back as a change.
        if live.str_at("/metadata/resourceVersion") != account.str_at("/metadata/resourceVersion") {
            return Ok(());
        }
        // The copy of the secrets may be behind that of the accounts.
        for reference in references(&live) {
            let secret = self.rest.get_opt(&SECRETS, namespace, reference).await.map_err(words)?;
            if secret.is_some_and(|secret| belongs(&secret, &live)) {
                return Ok(());
            }
        }
        self.make(namespace, name, &live).await
    }

    /// Whether the list names a secret of the account that is there.
    fn has_token(&self, account: &Value) -> bool {
        let namespace = account.str_at("/metadata/namespace");
        references(account)
            .filter_map(|name| self.secrets.get(namespace, name))
            .any(|secret| belongs(&secret, account))
    }

    async fn make(&self, namespace: Option<&str>, name: &str, account: &Value) -> Result<(), String> {
        let uid = account.str_at("/metadata/uid");
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": secret_name(name, &self.host.entropy().name_suffix(SUFFIX)),
                "namespace": namespace,
                "annotations": {"kubernetes.io/service-account.name": name},
            },
            "type": KIND,
        });
        let secret = self.with_token(&secret, account)?;
        let made = match self.rest.create(&SECRETS, namespace, &secret).await {
            Ok(made) => made,
            // Nothing is to be made there any more.
            Err(e) if e.is_not_found() || e.is_namespace_terminating() => return Ok(()),
            Err(e) => return Err(e.to_string()),
        };
        let secret = made.str_at("/metadata/name").to_owned();
        let mut added = false;
        let refer = |account: &mut Value| {
            added = account.str_at("/metadata/uid") == uid && !self.has_token(account);
            if added {
                let mut all: Vec<Value> = account.list_at("/secrets").to_vec();
                all.push(json!({"name": secret}));
                account["secrets"] = all.into();
            }
        };
        let outcome = self.rest.modify(&ACCOUNTS, namespace, name, None, refer).await;
        if added && outcome.is_ok() {
            return Ok(());
        }
        let params = DeleteParams::uid(made.str_at("/metadata/uid"));
        if let Err(e) = self.rest.delete(&SECRETS, namespace, &secret, &params).await
            && !e.is_not_found()
        {
            tracing::error!("secret {secret}, which its account does not name, is left behind: {e}");
        }
        match outcome {
            // It comes back with the account's next change, or is gone.
            Err(e) if !e.is_conflict() && !e.is_not_found() => Err(e.to_string()),
            _ => Ok(()),
        }
    }
}

fn secret_name(account: &str, suffix: &str) -> String {
    let base = format!("{account}-token-");
    // Names of accounts are ASCII.
    format!("{}{suffix}", base.get(..LONGEST_BASE).unwrap_or(&base))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::object::ObjectExt as _;
    use pki::{KeyAlgorithm, PrivateKey};
    use world::sim::{Config, Sim, run};

    use super::*;
    use crate::testing::Fake;

    const AT: [&str; 2] = ["/api/v1/serviceaccounts", "/api/v1/secrets"];

    fn account(secrets: Value) -> Value {
        let metadata = json!({"name": "robot", "namespace": "ns", "uid": "sa", "resourceVersion": "1"});
        json!({"metadata": metadata, "secrets": secrets})
    }

    fn token(name: &str, uid: &str) -> Value {
        let annotations = json!({
            "kubernetes.io/service-account.name": "robot", "kubernetes.io/service-account.uid": uid,
        });
        let metadata = json!({"name": name, "namespace": "ns", "uid": name, "annotations": annotations});
        let data = json!({"token": "dA==", "namespace": "bnM=", "ca.crt": "dGhlIHJvb3Q="});
        json!({"metadata": metadata, "type": KIND, "data": data})
    }

    async fn manager(sim: &Sim, version: &str, accounts: Vec<Value>, secrets: Vec<Value>) -> Fake {
        let (host, server) = (sim.host("cp"), Fake::start(sim).await);
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        host.disk().write("/sa.key", key.to_pem(), 0o600).expect("written");
        host.disk().write("/ca.crt", "the root", 0o644).expect("written");
        server.holds(AT[0], accounts);
        server.holds(AT[1], secrets);
        let flags = ["--service-account-private-key-file=/sa.key", "--root-ca-file=/ca.crt"];
        let context =
            server.context(&host, &[flags[0], flags[1], &format!("--kubernetes-version={version}")]);
        super::super::run(&context).expect("started");
        sim.elapse(Duration::from_secs(5)).await;
        server
    }

    /// What is written of an account with these secrets, one of which its list names.
    fn written(version: &'static str, listed: Value, secrets: Vec<Value>) -> Vec<(String, Value)> {
        let story = run(Config::default(), |sim| async move {
            manager(&sim, version, vec![account(listed)], secrets).await.written()
        });
        story.expect("a world")
    }

    #[test]
    fn an_account_without_a_secret_gets_one_up_to_123() {
        let all = written("1.23", json!([]), vec![]);
        let lines: Vec<&str> = all.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(
            lines,
            ["POST /api/v1/namespaces/ns/secrets", "PUT /api/v1/namespaces/ns/serviceaccounts/robot"]
        );
        let secret = &all[0].1;
        let name = secret.name();
        assert!(name.starts_with("robot-token-") && name.len() == "robot-token-".len() + SUFFIX, "{name}");
        assert_eq!(secret["type"], "kubernetes.io/service-account-token");
        let annotations = json!({
            "kubernetes.io/service-account.name": "robot", "kubernetes.io/service-account.uid": "sa",
        });
        assert_eq!(secret["metadata"]["annotations"], annotations);
        assert_eq!(crate::objects::bytes(secret, "/data/namespace"), b"ns");
        assert_eq!(crate::objects::bytes(secret, "/data/ca.crt"), b"the root");
        assert!(!crate::objects::bytes(secret, "/data/token").is_empty());
        assert_eq!(all[1].1["secrets"], json!([{"name": name}]));
        assert_eq!(written("1.24", json!([]), vec![]), [], "since then nobody asks for one");
    }

    #[test]
    fn one_that_its_list_names_is_enough() {
        assert_eq!(written("1.23", json!([{"name": "own"}]), vec![token("own", "sa")]), []);
        // A pull secret is none, and neither is one that nobody names.
        let lines = |listed: Value, secrets: Vec<Value>| -> Vec<String> {
            written("1.23", listed, secrets).into_iter().map(|(line, _)| line).collect()
        };
        let made = ["POST /api/v1/namespaces/ns/secrets", "PUT /api/v1/namespaces/ns/serviceaccounts/robot"];
        assert_eq!(lines(json!([{"name": "pull"}]), vec![]), made);
        assert_eq!(lines(json!([]), vec![token("own", "sa")]), made);
    }

    #[test]
    fn a_secret_that_goes_is_followed_by_another() {
        let story = run(Config::default(), |sim| async move {
            let server = manager(&sim, "1.10", vec![account(json!([]))], vec![]).await;
            let first = server.written()[0].1.name().to_owned();
            let rest = server.rest(&sim.host("laptop"));
            rest.delete(&SECRETS, Some("ns"), &first, &DeleteParams::default()).await.expect("deleted");
            sim.elapse(Duration::from_secs(5)).await;
            let left = rest.get(&ACCOUNTS, Some("ns"), "robot").await.expect("there");
            let names: Vec<&str> = references(&left).collect();
            assert!(names.len() == 1 && names[0] != first, "{names:?} after {first}");
            rest.get(&SECRETS, Some("ns"), names[0]).await.expect("made");
        });
        story.expect("a world");
    }

    #[test]
    fn one_that_cannot_be_named_does_not_stay() {
        let story = run(Config::default(), |sim| async move {
            let (host, server) = (sim.host("cp"), Fake::start(&sim).await);
            let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
            host.disk().write("/sa.key", key.to_pem(), 0o600).expect("written");
            server.holds(AT[0], vec![account(json!([]))]);
            server.holds(AT[1], vec![]);
            server.answer(|line, _| {
                line.starts_with("PUT").then(|| api::status::Status::not_found("serviceaccounts", "robot"))
            });
            let context = server
                .context(&host, &["--service-account-private-key-file=/sa.key", "--kubernetes-version=1.23"]);
            super::super::run(&context).expect("started");
            sim.elapse(Duration::from_secs(5)).await;
            let lines: Vec<String> = server.written().into_iter().map(|(line, _)| line).collect();
            let last = lines.last().cloned().unwrap_or_default();
            assert!(last.starts_with("DELETE /api/v1/namespaces/ns/secrets/robot-token-"), "{lines:?}");
        });
        story.expect("a world");
    }

    #[test]
    fn long_names_are_cut() {
        let account = "a".repeat(80);
        assert_eq!(secret_name(&account, "x2345").len(), 63);
        assert_eq!(secret_name("robot", "x2345"), "robot-token-x2345");
    }
}
