//! Bootstrap tokens: who gets in, to the second, and the ten seconds of memory.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::Informer;
use serde_json::{Map, Value, json};
use world::rfc3339;

use super::{authn, bearer, run};
use crate::{
    authn::{AnonymousConfig, Config},
    informers::Informers,
};

const TOKEN: &str = "abcdef.0123456789abcdef";
const JOINER: &str = "system:bootstrap:abcdef [system:bootstrappers system:bootstrappers:kubeadm:default-node-token system:authenticated]";

fn secret(change: impl FnOnce(&mut Map<String, Value>, &mut Value)) -> Value {
    let mut data = Map::new();
    for (key, value) in [
        ("token-id", "abcdef"),
        ("token-secret", "0123456789abcdef"),
        ("usage-bootstrap-authentication", "true"),
        ("auth-extra-groups", "system:bootstrappers:kubeadm:default-node-token"),
    ] {
        data.insert(key.to_owned(), value.into());
    }
    let mut secret = json!({
        "metadata": {"namespace": "kube-system", "name": "bootstrap-token-abcdef"},
        "type": "bootstrap.kubernetes.io/token",
    });
    change(&mut data, &mut secret);
    let encoded = data.into_iter().map(|(k, v)| (k, STANDARD.encode(v.as_str().unwrap()).into()));
    secret["data"] = Value::Object(encoded.collect());
    secret
}

fn config() -> Config {
    Config { bootstrap_tokens: true, anonymous: AnonymousConfig::everywhere(true), ..Config::default() }
}

fn with(secrets: Vec<Value>) -> Informers {
    Informers { secrets: Informer::fixed(secrets), ..Informers::empty() }
}

#[test]
fn what_the_secret_says_decides() {
    let check = |secret: Value, wanted: &'static str| {
        run(|_, fake| async move {
            let authn = authn(&fake, config(), &with(vec![secret]));
            assert_eq!(bearer(&authn, TOKEN, fake.host.clock().wall()).await, wanted);
        });
    };
    check(secret(|_, _| ()), JOINER);
    check(
        secret(|data, _| drop(data.remove("auth-extra-groups"))),
        "system:bootstrap:abcdef [system:bootstrappers system:authenticated]",
    );
    check(secret(|data, _| drop(data.insert("auth-extra-groups".into(), "admins".into()))), "401");
    check(secret(|data, _| drop(data.insert("token-secret".into(), "0123456789abcdeg".into()))), "401");
    check(secret(|data, _| drop(data.insert("token-id".into(), "bcdefg".into()))), "401");
    check(secret(|data, _| drop(data.remove("usage-bootstrap-authentication"))), "401");
    check(secret(|data, _| drop(data.insert("expiration".into(), "soon".into()))), "401");
    check(secret(|_, secret| secret["type"] = "Opaque".into()), "401");
    check(secret(|_, secret| secret["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into()), "401");
    check(secret(|_, secret| secret["metadata"]["namespace"] = "default".into()), "401");
}

#[test]
fn it_ends_at_the_very_second_but_for_the_memory_of_ten() {
    run(|sim, fake| async move {
        let end = fake.host.clock().wall() + Duration::from_secs(60);
        let secret = secret(|data, _| drop(data.insert("expiration".into(), rfc3339(end).into())));
        let authn = authn(&fake, config(), &with(vec![secret]));
        let nano = Duration::from_nanos(1);
        assert_eq!(bearer(&authn, TOKEN, end).await, "401");
        assert_eq!(bearer(&authn, TOKEN, end - nano).await, JOINER);
        // From now on it is remembered, for ten seconds of running time, whatever the wall clock says.
        assert_eq!(bearer(&authn, TOKEN, end + Duration::from_secs(3600)).await, JOINER);
        sim.step("master", jiff::SignedDuration::from_hours(1));
        assert_eq!(bearer(&authn, TOKEN, end).await, JOINER);
        sim.elapse(Duration::from_secs(11)).await;
        assert_eq!(bearer(&authn, TOKEN, end).await, "401");
    });
}

#[test]
fn a_new_token_serves_as_soon_as_the_informer_has_it() {
    run(|_, fake| async move {
        let informers = with(vec![]);
        let authn = authn(&fake, config(), &informers);
        let now = fake.host.clock().wall();
        assert_eq!(bearer(&authn, TOKEN, now).await, "401");
        informers.secrets.put(secret(|_, _| ()));
        assert_eq!(bearer(&authn, TOKEN, now).await, JOINER, "failures are not remembered");
        // What has another form is none, and a flag turns all of it off.
        assert_eq!(bearer(&authn, "ABCDEF.0123456789abcdef", now).await, "401");
        let off = super::authn(&fake, Config::default(), &informers);
        assert_eq!(bearer(&off, TOKEN, now).await, "401");
        assert_eq!(fake.seen(), Vec::<String>::new(), "only the informer is asked");
    });
}
