//! Watchers that resume from their last revision, and what they were told.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{ClientError, EventKind, ListParams, Rest, WatchParams};
use parking_lot::Mutex;
use serde_json::Value;
use world::Host;

use super::super::{
    history::revision,
    invariants::{ACKNOWLEDGED, WATCHES},
    scene::{CONFIG_MAPS, NS, Scene},
};
use crate::HarnessError;

/// Before it tries again.
const AGAIN: Duration = Duration::from_secs(2);
/// For how long a watch is asked for, in seconds: a connection that hangs is found out after that.
const WATCH_SECONDS: u64 = 3600;

/// See the module.
pub(crate) struct Watcher {
    scene: Arc<Scene>,
    host: Host,
    rest: Rest,
    name: String,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// The history's, when it listed last.
    epoch: u64,
    /// Everything up to here is told.
    at: u64,
    /// Revisions after the first and up to the second were not told: it listed instead.
    gaps: Vec<(u64, u64)>,
    /// By revision: name and stamp.
    events: BTreeMap<u64, (String, String)>,
    objects: BTreeMap<String, Value>,
}

impl Told {
    /// What it was told of revisions that are lost.
    fn forget_beyond(&mut self, floor: u64) {
        self.events.retain(|at, _| *at <= floor);
        self.at = self.at.min(floor);
    }
}

impl Watcher {
    pub(super) fn new(scene: &Arc<Scene>, name: &str) -> Result<Self, HarnessError> {
        let host = scene.workstation();
        let rest = scene.administrator(&host, name)?;
        Ok(Self { scene: scene.clone(), host, rest, name: name.to_owned(), told: Mutex::default() })
    }

    pub(super) async fn run(&self) {
        let mut listed = false;
        while !self.scene.tempo.has_ended() {
            let epoch = self.told.lock().epoch;
            // When something acknowledged is lost, whoever was told of it begins anew.
            let step = match listed && epoch == self.scene.history.epoch() {
                true => self.follow(epoch).await,
                false => self.list().await,
            };
            match step {
                Ok(()) => listed = true,
                Err(e) if e.is_expired() => {
                    listed = false;
                    continue;
                }
                Err(_) => {}
            }
            self.host.clock().sleep(AGAIN).await;
        }
    }

    async fn list(&self) -> Result<(), ClientError> {
        let epoch = self.scene.history.epoch();
        let list = self.rest.list(&CONFIG_MAPS, NS, &ListParams::default()).await?;
        let at: u64 = list.resource_version.parse().unwrap_or(0);
        if epoch < self.scene.history.epoch() {
            return Ok(());
        }
        let mut told = self.told.lock();
        if epoch > told.epoch {
            told.forget_beyond(self.scene.history.floor());
            told.epoch = epoch;
        }
        let before = told.at;
        self.scene.judge.check(ACKNOWLEDGED, at >= before, || {
            format!("{} was told of revision {before}, and a list from the store is of {at}", self.name)
        });
        told.gaps.push((before, at));
        told.at = at;
        told.objects = list.items.iter().map(|o| (o.name().to_owned(), Value::clone(o))).collect();
        Ok(())
    }

    /// One watch, until it ends.
    async fn follow(&self, epoch: u64) -> Result<(), ClientError> {
        let from = self.told.lock().at;
        let params = WatchParams {
            resource_version: Some(from.to_string()),
            allow_bookmarks: true,
            timeout_seconds: Some(WATCH_SECONDS),
            ..WatchParams::default()
        };
        let mut watch = self.rest.watch(&CONFIG_MAPS, NS, &params).await?;
        loop {
            // A program's own limit, for a connection over which nothing comes any more.
            let limit = Duration::from_secs(WATCH_SECONDS + 60);
            let next = self.host.clock().timeout(limit, watch.next());
            let event = tokio::select! {
                biased;
                () = self.scene.history.lost_since(epoch) => return Ok(()),
                event = next => event,
            };
            let Ok(Some(event)) = event else { return Ok(()) };
            let event = event?;
            self.tell(event.kind, &event.object);
            if self.scene.tempo.has_ended() {
                return Ok(());
            }
        }
    }

    fn tell(&self, kind: EventKind, object: &Value) {
        let at = revision(object);
        let mut told = self.told.lock();
        let least = if kind == EventKind::Bookmark { told.at } else { told.at + 1 };
        self.scene.judge.check(WATCHES, at >= least, || {
            format!("{} was at {}, and was told {kind:?} {} of {at}", self.name, told.at, object.name())
        });
        told.at = at.max(told.at);
        let (name, stamp) = (object.name().to_owned(), object.str_at("/data/by").to_owned());
        match kind {
            EventKind::Bookmark => return,
            EventKind::Deleted => drop(told.objects.remove(&name)),
            EventKind::Added | EventKind::Modified => drop(told.objects.insert(name.clone(), object.clone())),
        }
        told.events.insert(at, (name, stamp));
    }

    /// Up to which revision it was told everything.
    pub(crate) fn at(&self) -> u64 {
        self.told.lock().at
    }

    /// How many events it was told.
    pub(crate) fn told(&self) -> u64 {
        self.told.lock().events.len() as u64
    }

    /// Compares what was told with what was acknowledged, and the copy with the original.
    pub(crate) fn compare(&self, objects: &BTreeMap<String, Value>) {
        let told = self.told.lock();
        let judge = &self.scene.judge;
        for (at, ack) in self.scene.history.acks() {
            if at > told.at || told.gaps.iter().any(|(from, to)| (from + 1..=*to).contains(&at)) {
                continue;
            }
            match told.events.get(&at) {
                Some((name, stamp)) => judge.check(WATCHES, (name, stamp) == (&ack.name, &ack.stamp), || {
                    format!(
                        "{} was told {name} by {stamp} of {at}, written was {} by {}",
                        self.name, ack.name, ack.stamp
                    )
                }),
                None => judge.violated(
                    WATCHES,
                    format!(
                        "{} was never told of {} by {}, acknowledged at {at}",
                        self.name, ack.name, ack.stamp
                    ),
                ),
            }
        }
        let revisions = |of: &BTreeMap<String, Value>| -> BTreeMap<String, u64> {
            of.iter().map(|(name, object)| (name.clone(), revision(object))).collect()
        };
        let (copy, original) = (revisions(&told.objects), revisions(objects));
        judge.check(WATCHES, copy == original, || {
            let differ = original.iter().find(|(name, at)| copy.get(*name) != Some(at));
            let differ = differ.or_else(|| copy.iter().find(|(name, _)| !original.contains_key(*name)));
            format!("what {} was told adds up to another state than the list, as in {differ:?}", self.name)
        });
    }
}
