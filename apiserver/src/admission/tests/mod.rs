//! Each plugin by rows, and the two sentences that a dead loopback puts into users' faces.

mod certificates;
mod limits;
mod loopback;
mod namespaces;
mod node_restriction;
mod pods;
mod policies;
mod quota;
mod quota_races;
mod tables;
mod webhooks;

use std::sync::Arc;

use api::{profile::Profile, status::Status};
use client::{Informer, InformerOptions, Resource};
use serde_json::{Value, json};
use world::sim::{Config, Sim};

use super::{Admission, Aside, Enabled, Operation, Remarks, Review, testing::Fake};
use crate::{
    authz::{Authz, Mode},
    identity::User,
    informers::Informers,
};

/// A write to be judged.
struct Write {
    operation: Operation,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    namespace: &'static str,
    name: &'static str,
    user: User,
    object: Option<Value>,
    old: Option<Value>,
    kind: &'static str,
    dry_run: bool,
}

impl Write {
    /// By the admin; `what` is `pods`, `pods/status`, `deployments.apps`.
    fn new(operation: Operation, what: &'static str, namespace: &'static str, name: &'static str) -> Self {
        let (qualified, subresource) = what.split_once('/').unwrap_or((what, ""));
        let (resource, group) = qualified.split_once('.').unwrap_or((qualified, ""));
        let user = User::new("admin", &["system:masters"]);
        let (object, old, kind) = (None, None, "");
        Self {
            operation,
            group,
            resource,
            subresource,
            namespace,
            name,
            user,
            object,
            old,
            kind,
            dry_run: false,
        }
    }

    fn create(what: &'static str, namespace: &'static str, object: Value) -> Self {
        Self { object: Some(object), ..Self::new(Operation::Create, what, namespace, "") }
    }

    fn update(
        what: &'static str,
        namespace: &'static str,
        name: &'static str,
        new: Value,
        old: Value,
    ) -> Self {
        Self { object: Some(new), old: Some(old), ..Self::new(Operation::Update, what, namespace, name) }
    }

    fn by(self, user: User) -> Self {
        Self { user, ..self }
    }

    fn by_node(self, node: &str) -> Self {
        self.by(User::new(format!("system:node:{node}"), &["system:nodes", "system:authenticated"]))
    }
}

/// A chain with every plugin on that works here, over a scripted server.
struct Chain {
    sim: Sim,
    fake: Fake,
    admission: Admission,
    informers: Informers,
    /// What plugins said in all writes so far.
    remarks: Remarks,
}

impl Chain {
    async fn new(sim: Sim, fake: Fake, informers: Informers) -> Self {
        Self::with(sim, fake, informers, &[])
    }

    fn with(sim: Sim, fake: Fake, informers: Informers, without: &[&str]) -> Self {
        let authz = Arc::new(Authz::new(Profile::NEWEST, &[Mode::Rbac], &informers).unwrap());
        let enabled = Enabled::from_flags(&["NodeRestriction"], without).unwrap();
        let admission = Admission::new(&fake.host, &informers, &fake.rest, authz, enabled).unwrap();
        Self { sim, fake, admission, informers, remarks: Remarks::default() }
    }

    /// Both passes; the object as it came out.
    async fn admit(&self, write: Write) -> Result<Value, Status> {
        let Write {
            operation,
            group,
            resource,
            subresource,
            namespace,
            name,
            user,
            object,
            old,
            kind,
            dry_run,
        } = write;
        let mut object = object;
        let mut review = Review {
            operation,
            group,
            version: "v1",
            resource,
            subresource,
            kind,
            namespace,
            name,
            user: &user,
            object: object.as_mut(),
            old: old.as_ref(),
            dry_run,
            now: self.fake.host.clock().wall(),
            remarks: &self.remarks,
            aside: Aside::default(),
        };
        self.admission.mutate(&mut review).await?;
        self.admission.check_escalation(&review).await?;
        self.admission.validate(&review).await?;
        Ok(object.unwrap_or_default())
    }

    #[track_caller]
    fn refused(outcome: Result<Value, Status>, code: u16, message: &str) {
        let status = outcome.unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (code, message));
    }
}

/// Runs a story with a chain that holds `informers`.
fn story<F, Fut>(informers: Informers, story: F)
where
    F: FnOnce(Chain) -> Fut,
    Fut: Future<Output = ()>,
{
    world::sim::run(Config::default(), |sim| async move {
        let fake = Fake::plain(&sim).await;
        story(Chain::new(sim, fake, informers).await).await;
    })
    .unwrap();
}

fn namespace(name: &str, phase: &str) -> Value {
    json!({"kind": "Namespace", "metadata": {"name": name}, "status": {"phase": phase}})
}

fn list(kind: &str, items: Value) -> Value {
    json!({"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
}

/// What nearly every story needs: namespace `ns` with account `default`, and a limit range that
/// bounds nothing, so that nobody asks for one.
fn furnished() -> Informers {
    let fixed = client::Informer::fixed;
    Informers {
        namespaces: fixed(vec![namespace("ns", "Active")]),
        service_accounts: fixed(vec![
            json!({"metadata": {"namespace": "ns", "name": "default", "uid": "sa"}}),
        ]),
        limit_ranges: fixed(vec![
            json!({"metadata": {"namespace": "ns", "name": "none"}, "spec": {"limits": []}}),
        ]),
        ..Informers::empty()
    }
}

/// An informer that is told each time that there is no such list.
fn unlisted(fake: &Fake) -> Informer {
    Informer::start(&fake.host, &fake.rest, Resource::core("things"), InformerOptions::default())
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c"}]}})
}
