//! One event of a resource's history, and what it means to a watcher with a filter.

use std::sync::{Arc, OnceLock};

use api::selector::{FieldSelector, LabelSelector};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use world::Mono;

use super::item::Item;
use crate::respond::Encoding;

/// `type` of a watch event that concerns an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// The object came into view.
    Added,
    /// The object in view changed.
    Modified,
    /// The object left the view.
    Deleted,
}

impl EventType {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// Which objects a list or a watch is about.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Empty: all namespaces.
    pub namespace: String,
    /// By labels.
    pub labels: LabelSelector,
    /// By fields.
    pub fields: FieldSelector,
}

impl Filter {
    /// Whether every object in the namespace passes.
    pub fn is_open(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The key of the one object that the filter can let through, if its fields name one.
    pub fn key(&self, namespaced: bool) -> Option<String> {
        let name = self.fields.requirement("metadata.name")?;
        match (namespaced, self.namespace.is_empty()) {
            (false, _) => Some(name.to_owned()),
            (true, false) => Some(format!("{}/{name}", self.namespace)),
            (true, true) => None,
        }
    }

    /// Whether the object is in the view. One that cannot be read is not.
    pub fn matches(&self, item: &Item) -> bool {
        if !self.namespace.is_empty() && item.namespace() != self.namespace {
            return false;
        }
        let by_key = self.judge_key(item);
        by_key.unwrap_or_else(|| item.object().is_ok_and(|object| self.matches_object(&object)))
    }

    /// The answer, if the key alone has it: thousands of kubelets watch one object each by its name, and
    /// nothing has to be read for them.
    fn judge_key(&self, item: &Item) -> Option<bool> {
        if !self.labels.is_everything() {
            return None;
        }
        let mut passes = true;
        for requirement in self.fields.requirements() {
            let value = match requirement.field.as_str() {
                "metadata.name" => item.name(),
                "metadata.namespace" => item.namespace(),
                _ => return None,
            };
            passes &= (value == requirement.value) == requirement.equal;
        }
        Some(passes)
    }

    /// Whether labels and fields of an object pass.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }
}

/// One committed change of one object.
#[derive(Debug)]
pub struct Change {
    /// The revision that made it.
    pub revision: i64,
    /// When the cache saw it; decides how long it is kept.
    pub seen: Mono,
    new: Option<Arc<Item>>,
    old: Option<Arc<Item>>,
    gone: OnceLock<Arc<Item>>,
    frames: Mutex<Vec<(EventType, Encoding, Bytes)>>,
}

impl Change {
    /// A change from `old` to `new`.
    pub fn new(revision: i64, seen: Mono, old: Option<Arc<Item>>, new: Option<Arc<Item>>) -> Self {
        Self { revision, seen, new, old, gone: OnceLock::new(), frames: Mutex::default() }
    }

    /// A watcher has shown it. The last of them lets go of what was made for all: whoever comes later makes it anew.
    pub fn shown(self: Arc<Self>) {
        // Besides this one there is the history's.
        if Arc::strong_count(&self) > 2 {
            return;
        }
        *self.frames.lock() = Vec::new();
        if let Some(old) = &self.old {
            old.forget();
        }
    }

    /// Lets go of what can be made anew, once those who follow closely have passed.
    pub(super) fn settle(&self) {
        self.frames.lock().clear();
        for item in self.old.iter().chain(&self.new) {
            item.forget();
        }
    }

    /// The object before.
    pub(super) fn old(&self) -> Option<&Arc<Item>> {
        self.old.as_ref()
    }

    /// The object after.
    pub(super) fn new_item(&self) -> Option<&Arc<Item>> {
        self.new.as_ref()
    }

    /// The object before and after, as far as there was one.
    pub fn items(&self) -> Vec<Arc<Item>> {
        self.old.iter().chain(&self.new).cloned().collect()
    }

    /// What a watcher with that filter sees of it, if anything.
    pub fn through(&self, filter: &Filter) -> Option<(EventType, &Arc<Item>)> {
        let before = self.old.as_ref().filter(|item| filter.matches(item));
        let after = self.new.as_ref().filter(|item| filter.matches(item));
        match (before, after) {
            (Some(_), Some(new)) => Some((EventType::Modified, new)),
            (None, Some(new)) => Some((EventType::Added, new)),
            (Some(old), None) => {
                Some((EventType::Deleted, self.gone.get_or_init(|| Arc::new(old.at(self.revision)))))
            }
            (None, None) => None,
        }
    }

    /// The event's frame in one encoding: made by the first watcher that wants it.
    pub fn frame(&self, event: EventType, encoding: Encoding, make: impl FnOnce() -> Bytes) -> Bytes {
        let mut frames = self.frames.lock();
        if let Some((.., frame)) = frames.iter().find(|(t, e, _)| *t == event && *e == encoding) {
            return frame.clone();
        }
        let frame = make();
        frames.push((event, encoding, frame.clone()));
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_judged_by_the_key_alone() {
        let check = |fields: &str, labels: &str, expect: Option<bool>| {
            let filter = Filter {
                namespace: String::new(),
                labels: LabelSelector::parse(labels).expect("labels"),
                fields: FieldSelector::parse(fields).expect("fields"),
            };
            let item = Item::parsed("ns/a".to_owned(), 1, Value::Null.into());
            assert_eq!(filter.judge_key(&item), expect, "{fields} {labels}");
        };
        check("", "", Some(true));
        check("metadata.name=a", "", Some(true));
        check("metadata.name=b", "", Some(false));
        check("metadata.name!=a", "", Some(false));
        check("metadata.name=a,metadata.namespace=ns", "", Some(true));
        check("metadata.name=a,metadata.namespace=other", "", Some(false));
        // These want to see the object.
        check("metadata.name=b,spec.nodeName=n", "", None);
        check("metadata.name=a", "app=x", None);
    }
}
