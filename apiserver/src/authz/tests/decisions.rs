//! A table of decisions per authorizer: who asks what, and the verdict with its reason. The tables are data, each row
//! names the fact that it is about; here is how they are read.
//!
//! A table is an apiserver's flags, the files of its host, the objects of the cluster, and rows. A row of a webhook
//! says what the webhook answers.

use std::path::Path;

use api::{
    object::ObjectExt as _,
    selector::{FieldSelector, LabelSelector},
};
use client::Informer;
use serde_json::Value;

use super::ask;
use crate::{
    admission::testing::{Fake, PORT},
    authz::{Attributes, Authz, Configuration, Decision, Verdict},
    identity::User,
    informers::Informers,
    options::Options,
};

macro_rules! tables {
    ($($name:ident = $file:literal;)+) => {
        $(#[test]
        fn $name() {
            check($file, include_str!(concat!("decisions/", $file)));
        })+
    };
}

tables! {
    abac_with_versions = "abac-v1beta1.yaml";
    abac_without_versions = "abac-v0.yaml";
    always_allow = "always-allow.yaml";
    always_deny = "always-deny.yaml";
    rbac = "rbac.yaml";
    node = "node.yaml";
    node_before_selectors = "node-1.31.yaml";
    node_before_accounts = "node-1.33.yaml";
    webhook = "webhook.yaml";
    webhook_that_denies_when_it_fails = "webhook-deny.yaml";
    webhook_in_the_older_form = "webhook-v1beta1.yaml";
    webhook_with_conditions = "webhook-conditions.yaml";
    chain_in_the_order_of_its_flag = "chain.yaml";
}

/// The kubeconfig of the scripted webhook: tables write `HOOK` for it.
fn hook() -> String {
    let cluster = format!("{{name: hook, cluster: {{server: 'http://127.0.0.1:{PORT}/authorize'}}}}");
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{cluster}]\nusers: [{{name: us, user: {{}}}}]\n\
         contexts: [{{name: c, context: {{cluster: hook, user: us}}}}]\n"
    )
}

fn informers(objects: &Value) -> Informers {
    let of = |kind: &str| Informer::fixed(objects.list_at(&format!("/{kind}")).to_vec());
    Informers {
        pods: of("pods"),
        persistent_volumes: of("persistentvolumes"),
        volume_attachments: of("volumeattachments"),
        resource_slices: of("resourceslices"),
        roles: of("roles"),
        cluster_roles: of("clusterroles"),
        role_bindings: of("rolebindings"),
        cluster_role_bindings: of("clusterrolebindings"),
        ..Informers::empty()
    }
}

fn check(file: &'static str, text: &'static str) {
    world::sim::run(world::sim::Config::default(), move |sim| async move {
        let table: Value = serde_saphyr::from_str(text).unwrap();
        let fake = Fake::plain(&sim).await;
        for (path, content) in table.map_at("/files").into_iter().flatten() {
            let content = content.as_str().unwrap();
            let content = if content == "HOOK" { hook() } else { content.to_owned() };
            fake.host.disk().create_dir_all(Path::new(path).parent().unwrap()).unwrap();
            fake.host.disk().write(path, content, 0o600).unwrap();
        }
        let flags = table.list_at("/flags").iter().filter_map(Value::as_str);
        let options = Options::parse(std::iter::once("--storage-backend=memory").chain(flags)).unwrap();
        let configuration = Configuration::load(fake.host.disk(), &options).unwrap();
        let informers = informers(&table["objects"]);
        let authz = Authz::start(&fake.host, &options, configuration, &informers).unwrap();
        let (mut allowed, mut refused) = (0, 0);
        for row in table.list_at("/rows") {
            assert!(!row.str_at("/fact").is_empty(), "{file}: {row} cites no fact");
            if judge(&fake, &authz, row, file).await.is_allowed() { allowed += 1 } else { refused += 1 }
        }
        let one_sided = table.bool_at("/oneSided");
        assert!(
            allowed + refused > 0 && (one_sided || (allowed > 0 && refused > 0)),
            "{file}: {allowed}, {refused}"
        );
    })
    .unwrap();
}

async fn judge(fake: &Fake, authz: &Authz, row: &Value, file: &str) -> Verdict {
    let mut words = row.str_at("/as").split_whitespace();
    let name = words.next().unwrap_or_default();
    let user = User::new(name, &words.collect::<Vec<_>>());
    let question = row.str_at("/ask");
    let path = question.split_once(' ').filter(|(_, path)| path.starts_with('/'));
    let fields = row.at("/fields").map(|_| FieldSelector::parse(row.str_at("/fields")).unwrap());
    let labels = row.at("/labels").map(|_| LabelSelector::parse(row.str_at("/labels")).unwrap());
    let request = match path {
        Some((verb, path)) => Attributes { verb, path, ..Attributes::of(&user) },
        None => Attributes {
            field_selector: fields.as_ref(),
            label_selector: labels.as_ref(),
            ..ask(&user, question)
        },
    };
    if let Some(answer) = row.at("/answer") {
        let code = answer.i64_at("/code").map_or(201, |code| u16::try_from(code).unwrap());
        fake.put("POST /authorize", code, answer.clone());
    }
    let verdict = authz.authorize(&request).await;
    let decision = match verdict.decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
        Decision::NoOpinion => "no opinion",
    };
    assert_eq!(decision, row.str_at("/verdict"), "{file}: {row}: {verdict:?}");
    assert_eq!(&*verdict.reason, row.str_at("/reason"), "{file}: {row}");
    assert_eq!(verdict.errors.join("; "), row.str_at("/error"), "{file}: {row}");
    let sent = fake.bodies();
    if let Some(wanted) = row.at("/asked") {
        let found: Vec<&Value> = sent.iter().map(|review| &review["spec"]).collect();
        assert_eq!(found, wanted.as_array().unwrap().iter().collect::<Vec<_>>(), "{file}: {row}");
    }
    verdict
}
