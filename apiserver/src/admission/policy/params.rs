//! The params of policies: objects of a kind that the policy names, which an informer of their own
//! follows from when they are first needed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::{
    object::{ObjectExt as _, group_of, version_of},
    selector::LabelSelector,
};
use client::{Informer, InformerOptions, Resource};
use parking_lot::Mutex;
use serde_json::Value;

use super::super::Tools;
use crate::catalog::Served;

/// How long a request waits for the first list of a kind.
const SYNC_WAIT: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub(in crate::admission) struct Params {
    /// By API version and kind.
    following: Mutex<BTreeMap<(String, String), Informer>>,
}

/// A kind of params.
pub(super) struct Kind {
    served: Arc<Served>,
    informer: Informer,
    /// As Go prints a `ParamKind`.
    shown: String,
}

impl Params {
    /// The kind that a policy names, followed from now on; `None` without one.
    ///
    /// # Errors
    /// There is no such kind.
    pub(super) fn kind(&self, tools: &Tools, policy: &Value) -> Result<Option<Kind>, String> {
        let Some(named) = policy.at("/spec/paramKind").filter(|kind| kind.is_object()) else {
            return Ok(None);
        };
        let (api_version, kind) = (named.str_at("/apiVersion"), named.str_at("/kind"));
        let (group, version) = (group_of(api_version), version_of(api_version));
        let served = tools.catalog.by_kind(group, version, kind).ok_or_else(|| {
            format!("failed to find resource referenced by paramKind: '{group}/{version}, Kind={kind}'")
        })?;
        let key = (api_version.to_owned(), kind.to_owned());
        let mut following = self.following.lock();
        let informer = following.entry(key).or_insert_with(|| {
            let resource = Resource::named(&*served.group, &*served.version, &*served.plural);
            let options = InformerOptions { kind: Some(kind.to_owned()), ..InformerOptions::default() };
            Informer::start(&tools.host, &tools.rest, resource, options)
        });
        let shown = format!("&ParamKind{{APIVersion:{api_version},Kind:{kind},}}");
        Ok(Some(Kind { informer: informer.clone(), served, shown }))
    }

    /// As if a kind were followed already.
    #[cfg(test)]
    pub(in crate::admission) fn follow(&self, api_version: &str, kind: &str, informer: Informer) {
        self.following.lock().insert((api_version.to_owned(), kind.to_owned()), informer);
    }

    /// Follows no kind any longer that no policy names.
    pub(super) fn keep(&self, used: impl Fn(&str, &str) -> bool) {
        self.following.lock().retain(|(api_version, kind), informer| {
            let used = used(api_version, kind);
            if !used {
                informer.stop();
            }
            used
        });
    }
}

/// The params that a binding means: one that is nothing where policy or binding name none. Empty: there
/// are none, and the binding lets that pass.
///
/// # Errors
/// What is wrong with the binding.
pub(super) async fn collect(
    tools: &Tools,
    kind: Option<&Kind>,
    binding: &Value,
    namespace: &str,
) -> Result<Vec<Option<Arc<Value>>>, String> {
    let reference = binding.at("/spec/paramRef").filter(|reference| reference.is_object());
    let (Some(kind), Some(reference)) = (kind, reference) else { return Ok(vec![None]) };
    let named = reference.str_at("/namespace");
    let within = match (kind.served.namespaced, named) {
        (true, "") if namespace.is_empty() => {
            let words =
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources";
            return Err(words.to_owned());
        }
        (true, "") => Some(namespace),
        (true, named) => Some(named),
        (false, _) => None,
    };
    let synced = tools.host.clock().timeout(SYNC_WAIT, kind.informer.synced()).await;
    if synced.is_err() {
        return Err(format!("paramKind kind `{}` not yet synced to use for admission", kind.shown));
    }
    if !kind.served.namespaced && !named.is_empty() {
        return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned());
    }
    let name = reference.str_at("/name");
    let selector = reference.get("selector").filter(|selector| selector.is_object());
    let found: Vec<Arc<Value>> = match (name, selector) {
        ("", None) => return Err("one of name or selector must be provided".to_owned()),
        ("", Some(selector)) => {
            let selector = LabelSelector::from_object(selector).map_err(|error| error.to_string())?;
            let all = match within {
                Some(namespace) => kind.informer.by_namespace(namespace),
                None => kind.informer.list(),
            };
            all.into_iter().filter(|object| selector.matches(object)).collect()
        }
        (_, Some(_)) => {
            return Err("paramRef.name and paramRef.selector are mutually exclusive".to_owned());
        }
        (name, None) => match kind.informer.get(within, name) {
            Some(object) => vec![object],
            None => asked(tools, kind, within, name).await?.into_iter().collect(),
        },
    };
    if found.is_empty() && reference.str_at("/parameterNotFoundAction") == "Deny" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    Ok(found.into_iter().map(|object| Some(typed(object, &kind.served))).collect())
}

/// The informer may not have seen yet what was created just now.
async fn asked(
    tools: &Tools,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<Arc<Value>>, String> {
    let served = &kind.served;
    let resource = Resource::named(&*served.group, &*served.version, &*served.plural);
    match tools.rest.get(&resource, namespace, name).await {
        Ok(object) => Ok(Some(Arc::new(object))),
        Err(error) if error.status().is_some_and(|status| status.is_not_found()) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Elements of lists do not say what they are.
fn typed(object: Arc<Value>, served: &Served) -> Arc<Value> {
    if !object.kind().is_empty() && !object.api_version().is_empty() {
        return object;
    }
    let mut named = Value::clone(&object);
    named["apiVersion"] = served.api_version().into();
    named["kind"] = served.kind.as_ref().into();
    Arc::new(named)
}
