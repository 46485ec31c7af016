//! One informer per resource that can be listed, watched and deleted, as discovery says at present.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{Index, Informer, InformerOptions, Resource, discovery::Served};
use parking_lot::Mutex;
use serde_json::Value;
use world::Host;

use super::{Collector, Found, Trouble};
use crate::context::Context;

/// How often discovery is asked again.
const PERIOD: Duration = Duration::from_secs(30);
const DEFINITIONS: Resource = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");

/// What follows one resource.
pub(super) struct Monitor {
    pub served: Served,
    informer: Informer,
    /// Shared with other loops: it is not ours to stop.
    shared: bool,
    by_owner: Index,
    by_uid: Index,
}

impl Monitor {
    /// The object's key in the queue.
    pub(super) fn place(&self, object: &Value) -> String {
        format!("{}|{}", self.served.resource.qualified(), client::key_of(object))
    }
}

/// All monitors, by the qualified name of their resource.
pub(super) struct Monitors {
    context: Context,
    all: Mutex<BTreeMap<String, Arc<Monitor>>>,
}

/// What nobody garbage-collects (`DefaultIgnoredResources`), and what cannot be followed.
fn is_followed(served: &Served) -> bool {
    let event = served.resource.plural == "events" && matches!(&*served.resource.group, "" | "events.k8s.io");
    !event && served.has(&["delete", "list", "watch"])
}

impl Monitors {
    pub(super) fn new(context: &Context) -> Self {
        Self { context: context.clone(), all: Mutex::default() }
    }

    fn every(&self) -> Vec<Arc<Monitor>> {
        self.all.lock().values().cloned().collect()
    }

    /// What is followed now.
    pub(super) fn informers(&self) -> Vec<Informer> {
        self.every().iter().map(|m| m.informer.clone()).collect()
    }

    /// Every object that is served is known.
    ///
    /// # Errors
    /// Some are not yet.
    pub(super) fn check_listed(&self) -> Result<(), Trouble> {
        match self.every().iter().find(|m| !m.informer.has_synced()) {
            None => Ok(()),
            Some(m) => Err(Trouble::NotListed { resource: m.served.resource.qualified() }),
        }
    }

    /// The object at a place of the queue.
    pub(super) fn at(&self, place: &str) -> Option<Found> {
        let (resource, key) = place.split_once('|')?;
        let monitor = self.all.lock().get(resource)?.clone();
        let object = monitor.informer.get_key(key)?;
        Some(Found { monitor, object })
    }

    /// All objects that name `uid` as an owner.
    pub(super) fn dependents(&self, uid: &str) -> Vec<Found> {
        let found = |m: Arc<Monitor>| {
            let objects = m.by_owner.get(uid).into_iter();
            objects.map(|object| Found { monitor: m.clone(), object }).collect::<Vec<_>>()
        };
        self.every().into_iter().flat_map(found).collect()
    }

    pub(super) fn by_uid(&self, uid: &str) -> Option<Found> {
        self.every().into_iter().find_map(|monitor| {
            let object = monitor.by_uid.get(uid).into_iter().next()?;
            Some(Found { monitor, object })
        })
    }

    /// The resource behind a reference: kinds of one group are the same objects in every version.
    ///
    /// # Errors
    /// Discovery does not know the kind, or not yet.
    pub(super) fn of_kind(&self, api_version: &str, kind: &str) -> Result<Arc<Monitor>, Trouble> {
        let group = api::object::group_of(api_version);
        let is = |m: &Arc<Monitor>| m.served.kind == kind && m.served.resource.group == group;
        self.every().into_iter().find(is).ok_or_else(|| Trouble::UnknownKind {
            kind: kind.to_owned(),
            api_version: api_version.to_owned(),
        })
    }

    fn add(&self, collector: &Arc<Collector>, served: Served) {
        let Context { host, .. } = &self.context;
        let resource = served.resource.clone();
        let shared = api::kinds::find(&resource.group, &resource.version, &resource.plural).is_some();
        let informer = if shared {
            self.context.informer(resource)
        } else {
            let options =
                InformerOptions { kind: Some("PartialObjectMetadata".into()), ..Default::default() };
            Informer::start(host, &collector.rest, resource, options)
        };
        let by_owner = informer.index(|o| o.owner_refs().map(|r| r.uid.to_owned()).collect());
        let by_uid = informer.index(|o| vec![o.uid().to_owned()]);
        let monitor = Arc::new(Monitor { served, informer, shared, by_owner, by_uid });
        self.all.lock().insert(monitor.served.resource.qualified(), monitor.clone());
        let (hears, of) = (Arc::downgrade(collector), Arc::downgrade(&monitor));
        monitor.informer.on(move |change| {
            if let (Some(collector), Some(monitor)) = (hears.upgrade(), of.upgrade()) {
                collector.heard(&monitor, change);
            }
        });
    }

    /// Follows what is served now. What a silent group had is kept: it may answer again.
    fn follow(&self, collector: &Arc<Collector>, found: client::discovery::Discovery) {
        let wanted: BTreeMap<String, Served> =
            found.served.into_iter().filter(is_followed).map(|s| (s.resource.qualified(), s)).collect();
        let silent = |m: &Monitor| {
            found.silent.iter().any(|(api_version, _)| *api_version == m.served.resource.api_version())
        };
        let gone: Vec<Arc<Monitor>> = {
            let mut all = self.all.lock();
            let stays = |m: &Monitor| {
                wanted.get(&m.served.resource.qualified()).map_or_else(|| silent(m), |w| *w == m.served)
            };
            let names: Vec<String> =
                all.iter().filter(|(_, m)| !stays(m)).map(|(name, _)| name.clone()).collect();
            names.iter().filter_map(|name| all.remove(name)).collect()
        };
        gone.iter().filter(|m| !m.shared).for_each(|m| m.informer.stop());
        for (name, served) in wanted {
            let known = self.all.lock().contains_key(&name);
            if !known {
                self.add(collector, served);
            }
        }
    }
}

/// Asks discovery for ever: every 30 s, and in a stretched world 30 s after a definition changed.
pub(super) async fn keep_up(host: &Host, collector: &Arc<Collector>) {
    let changed = Arc::new(tokio::sync::Notify::new());
    let teller = changed.clone();
    collector.monitors.context.informer(DEFINITIONS).on(move |_| teller.notify_one());
    let mut begun = false;
    loop {
        match client::discovery::preferred(&collector.rest).await {
            Ok(found) => {
                collector.monitors.follow(collector, found);
                if !std::mem::replace(&mut begun, true) {
                    host.spawn(super::begin(host.clone(), collector.clone()));
                }
            }
            Err(e) => tracing::warn!("garbage collector: discovery failed: {e}"),
        }
        tokio::select! {
            biased;
            () = host.recur(PERIOD) => {}
            () = changed.notified() => host.clock().sleep(PERIOD).await,
        }
    }
}
