//! Reading and writing the fields that every API object shares, without copying the object.
//!
//! An object is a `serde_json::Value`; [`ObjectExt`] gives it the vocabulary of `metadata`. Readers
//! borrow and never fail: an absent or mistyped field reads as empty. Writers create the maps that
//! they need.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// One entry of `metadata.ownerReferences`, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerRef<'a> {
    /// `apiVersion` of the owner.
    pub api_version: &'a str,
    /// `kind` of the owner.
    pub kind: &'a str,
    /// `metadata.name` of the owner.
    pub name: &'a str,
    /// `metadata.uid` of the owner.
    pub uid: &'a str,
    /// Whether this owner is the managing controller.
    pub controller: bool,
    /// Whether foreground deletion of the owner waits for this object.
    pub block_owner_deletion: bool,
}

impl<'a> OwnerRef<'a> {
    /// Reads one entry; absent fields read as empty.
    pub fn read(entry: &'a Value) -> OwnerRef<'a> {
        OwnerRef {
            api_version: entry.str_at("/apiVersion"),
            kind: entry.str_at("/kind"),
            name: entry.str_at("/name"),
            uid: entry.str_at("/uid"),
            controller: entry.bool_at("/controller"),
            block_owner_deletion: entry.bool_at("/blockOwnerDeletion"),
        }
    }

    /// The API group of the owner: `apps` of `apps/v1`, empty for the core group.
    pub fn group(&self) -> &'a str {
        group_of(self.api_version)
    }
}

/// The group part of an `apiVersion`: `apps` of `apps/v1`, empty for `v1`.
pub fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The version part of an `apiVersion`: `v1` of `apps/v1` and of `v1`.
pub fn version_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or(api_version, |(_, version)| version)
}

/// What Go's `encoding/json` calls a value that it cannot decode: `cannot unmarshal number into …`.
pub fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Bytes as fields of bytes hold them (`Secret.data`, `caBundle`): base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes in such a field; `None` if it is not base64.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Kubernetes' vocabulary on JSON values. Paths are JSON pointers (`/spec/nodeName`).
pub trait ObjectExt {
    /// The value at a JSON pointer. Allocates only for pointers with `~` in them.
    fn at(&self, pointer: &str) -> Option<&Value>;
    /// The value at a JSON pointer, to be changed in place.
    fn at_mut(&mut self, pointer: &str) -> Option<&mut Value>;
    /// Puts `value` at a pointer and creates the maps on the way. Does nothing if something that is
    /// not a map stands in the way, other than a null.
    fn set_at(&mut self, pointer: &str, value: impl Into<Value>);
    /// Takes the value at a pointer out of its map.
    fn remove_at(&mut self, pointer: &str) -> Option<Value>;

    /// The text at a pointer, empty if there is none.
    fn str_at(&self, pointer: &str) -> &str {
        self.at(pointer).and_then(Value::as_str).unwrap_or("")
    }
    /// The integer at a pointer.
    fn i64_at(&self, pointer: &str) -> Option<i64> {
        self.at(pointer).and_then(Value::as_i64)
    }
    /// Whether `true` stands at a pointer.
    fn bool_at(&self, pointer: &str) -> bool {
        self.at(pointer).and_then(Value::as_bool).unwrap_or(false)
    }
    /// The list at a pointer, empty if there is none.
    fn list_at(&self, pointer: &str) -> &[Value] {
        self.at(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
    /// The map at a pointer.
    fn map_at(&self, pointer: &str) -> Option<&Map<String, Value>> {
        self.at(pointer).and_then(Value::as_object)
    }
    /// The RFC 3339 time at a pointer.
    fn time_at(&self, pointer: &str) -> Option<Timestamp> {
        self.str_at(pointer).parse().ok()
    }

    /// `kind`.
    fn kind(&self) -> &str {
        self.str_at("/kind")
    }
    /// `apiVersion`.
    fn api_version(&self) -> &str {
        self.str_at("/apiVersion")
    }
    /// The group in `apiVersion`.
    fn group(&self) -> &str {
        group_of(self.api_version())
    }
    /// `metadata.name`.
    fn name(&self) -> &str {
        self.str_at("/metadata/name")
    }
    /// `metadata.generateName`.
    fn generate_name(&self) -> &str {
        self.str_at("/metadata/generateName")
    }
    /// `metadata.namespace`, empty for cluster-scoped objects.
    fn namespace(&self) -> &str {
        self.str_at("/metadata/namespace")
    }
    /// `metadata.uid`.
    fn uid(&self) -> &str {
        self.str_at("/metadata/uid")
    }
    /// `metadata.resourceVersion`.
    fn resource_version(&self) -> &str {
        self.str_at("/metadata/resourceVersion")
    }
    /// `metadata.generation`, 0 if absent.
    fn generation(&self) -> i64 {
        self.i64_at("/metadata/generation").unwrap_or(0)
    }
    /// `metadata.creationTimestamp`.
    fn creation_timestamp(&self) -> Option<Timestamp> {
        self.time_at("/metadata/creationTimestamp")
    }
    /// `metadata.deletionTimestamp`: `Some` while the object is being deleted.
    fn deletion_timestamp(&self) -> Option<Timestamp> {
        self.time_at("/metadata/deletionTimestamp")
    }
    /// Whether deletion has begun.
    fn is_terminating(&self) -> bool {
        !self.str_at("/metadata/deletionTimestamp").is_empty()
    }
    /// `metadata.deletionGracePeriodSeconds`.
    fn deletion_grace_period_seconds(&self) -> Option<i64> {
        self.i64_at("/metadata/deletionGracePeriodSeconds")
    }
    /// All labels. Values that are not text are passed over.
    fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        text_entries(self.map_at("/metadata/labels"))
    }
    /// One label.
    fn label(&self, key: &str) -> Option<&str> {
        self.map_at("/metadata/labels")?.get(key)?.as_str()
    }
    /// All annotations. Values that are not text are passed over.
    fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        text_entries(self.map_at("/metadata/annotations"))
    }
    /// One annotation.
    fn annotation(&self, key: &str) -> Option<&str> {
        self.map_at("/metadata/annotations")?.get(key)?.as_str()
    }
    /// `metadata.finalizers`.
    fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.list_at("/metadata/finalizers").iter().filter_map(Value::as_str)
    }
    /// Whether a finalizer is set.
    fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers().any(|f| f == name)
    }
    /// `metadata.ownerReferences`.
    fn owner_refs(&self) -> impl Iterator<Item = OwnerRef<'_>> {
        self.list_at("/metadata/ownerReferences").iter().map(OwnerRef::read)
    }
    /// The owner that manages this object, if any.
    fn controller_of(&self) -> Option<OwnerRef<'_>> {
        self.owner_refs().find(|owner| owner.controller)
    }

    /// Sets `metadata.name`.
    fn set_name(&mut self, name: &str) {
        self.set_at("/metadata/name", name);
    }
    /// Sets `metadata.namespace`; empty removes it.
    fn set_namespace(&mut self, namespace: &str) {
        if namespace.is_empty() {
            self.remove_at("/metadata/namespace");
        } else {
            self.set_at("/metadata/namespace", namespace);
        }
    }
    /// Sets `metadata.uid`.
    fn set_uid(&mut self, uid: &str) {
        self.set_at("/metadata/uid", uid);
    }
    /// Sets `metadata.resourceVersion`; empty removes it.
    fn set_resource_version(&mut self, version: &str) {
        if version.is_empty() {
            self.remove_at("/metadata/resourceVersion");
        } else {
            self.set_at("/metadata/resourceVersion", version);
        }
    }
    /// Sets `metadata.generation`; 0 removes it.
    fn set_generation(&mut self, generation: i64) {
        if generation == 0 {
            self.remove_at("/metadata/generation");
        } else {
            self.set_at("/metadata/generation", generation);
        }
    }
    /// Sets one label.
    fn set_label(&mut self, key: &str, value: &str) {
        set_entry(self.metadata_mut(), "labels", key, value);
    }
    /// Removes one label.
    fn remove_label(&mut self, key: &str) {
        remove_entry(self.metadata_mut(), "labels", key);
    }
    /// Sets one annotation.
    fn set_annotation(&mut self, key: &str, value: &str) {
        set_entry(self.metadata_mut(), "annotations", key, value);
    }
    /// Removes one annotation.
    fn remove_annotation(&mut self, key: &str) {
        remove_entry(self.metadata_mut(), "annotations", key);
    }
    /// Adds a finalizer unless it is there.
    fn add_finalizer(&mut self, name: &str) {
        if self.has_finalizer(name) {
            return;
        }
        let Some(metadata) = self.metadata_mut() else { return };
        match metadata.get_mut("finalizers") {
            Some(Value::Array(list)) => list.push(name.into()),
            _ => {
                metadata.insert("finalizers".into(), vec![Value::from(name)].into());
            }
        }
    }
    /// Removes a finalizer; says whether it was there. An empty list is removed with its last entry.
    fn remove_finalizer(&mut self, name: &str) -> bool {
        let Some(metadata) = self.metadata_mut() else { return false };
        let Some(Value::Array(list)) = metadata.get_mut("finalizers") else { return false };
        let before = list.len();
        list.retain(|f| f.as_str() != Some(name));
        let found = list.len() != before;
        if list.is_empty() {
            metadata.shift_remove("finalizers");
        }
        found
    }
    /// `metadata`, created if absent; `None` only if the object or its metadata is no map.
    fn metadata_mut(&mut self) -> Option<&mut Map<String, Value>>;
}

impl ObjectExt for Value {
    fn at(&self, pointer: &str) -> Option<&Value> {
        let mut here = self;
        for token in tokens(pointer)? {
            here = match here {
                Value::Object(map) => map.get(token.as_ref())?,
                Value::Array(list) => list.get(index(&token)?)?,
                _ => return None,
            };
        }
        Some(here)
    }

    fn at_mut(&mut self, pointer: &str) -> Option<&mut Value> {
        let mut here = self;
        for token in tokens(pointer)? {
            here = match here {
                Value::Object(map) => map.get_mut(token.as_ref())?,
                Value::Array(list) => list.get_mut(index(&token)?)?,
                _ => return None,
            };
        }
        Some(here)
    }

    fn set_at(&mut self, pointer: &str, value: impl Into<Value>) {
        let Some(tokens) = tokens(pointer) else { return };
        let mut here = self;
        for token in tokens {
            if here.is_null() {
                *here = Value::Object(Map::new());
            }
            here = match here {
                Value::Object(map) => {
                    if !map.contains_key(token.as_ref()) {
                        map.insert(token.clone().into_owned(), Value::Null);
                    }
                    match map.get_mut(token.as_ref()) {
                        Some(next) => next,
                        None => return,
                    }
                }
                Value::Array(list) => match index(&token).and_then(|i| list.get_mut(i)) {
                    Some(next) => next,
                    None => return,
                },
                _ => return,
            };
        }
        *here = value.into();
    }

    fn remove_at(&mut self, pointer: &str) -> Option<Value> {
        let (parent, last) = pointer.rsplit_once('/')?;
        match self.at_mut(parent)? {
            Value::Object(map) => map.shift_remove(unescape(last).as_ref()),
            Value::Array(list) => index(last).filter(|i| *i < list.len()).map(|i| list.remove(i)),
            _ => None,
        }
    }

    fn metadata_mut(&mut self) -> Option<&mut Map<String, Value>> {
        let object = self.as_object_mut()?;
        let metadata = object.entry("metadata").or_insert(Value::Null);
        if metadata.is_null() {
            *metadata = Value::Object(Map::new());
        }
        metadata.as_object_mut()
    }
}

type Token<'a> = std::borrow::Cow<'a, str>;

fn tokens(pointer: &str) -> Option<impl Iterator<Item = Token<'_>>> {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return None;
    }
    Some(Tokens(pointer))
}

/// Byte by byte: tokens are short, and every look into an object passes here.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = self.0.strip_prefix('/')?;
        let mut escaped = false;
        let end = rest.bytes().position(|b| {
            escaped |= b == b'~';
            b == b'/'
        });
        let (token, rest) = rest.split_at(end.unwrap_or(rest.len()));
        self.0 = rest;
        Some(if escaped { unescape(token) } else { token.into() })
    }
}

fn unescape(token: &str) -> Token<'_> {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~").into() } else { token.into() }
}

fn index(token: &str) -> Option<usize> {
    if token.starts_with('+') || (token.len() > 1 && token.starts_with('0')) {
        return None;
    }
    token.parse().ok()
}

fn text_entries(map: Option<&Map<String, Value>>) -> impl Iterator<Item = (&str, &str)> {
    map.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

fn set_entry(metadata: Option<&mut Map<String, Value>>, field: &str, key: &str, value: &str) {
    let Some(metadata) = metadata else { return };
    match metadata.get_mut(field) {
        Some(Value::Object(map)) => {
            map.insert(key.into(), value.into());
        }
        _ => {
            let map = Map::from_iter([(key.to_owned(), Value::from(value))]);
            metadata.insert(field.into(), map.into());
        }
    }
}

fn remove_entry(metadata: Option<&mut Map<String, Value>>, field: &str, key: &str) {
    let Some(metadata) = metadata else { return };
    let Some(Value::Object(map)) = metadata.get_mut(field) else { return };
    map.shift_remove(key);
    if map.is_empty() {
        metadata.shift_remove(field);
    }
}

#[cfg(test)]
mod tests;
