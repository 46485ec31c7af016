//! One stored object as readers see it: parsed once, shared by all.

use std::sync::Arc;

use api::{object::ObjectExt, status::Status};
use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use serde_json::Value;

use crate::catalog::Served;

/// An object at one revision.
#[derive(Debug)]
pub struct Item {
    key: String,
    revision: i64,
    raw: Bytes,
    served: Option<Arc<Served>>,
    made: Mutex<Made>,
}

/// What was made of the stored bytes for readers.
#[derive(Debug, Default)]
struct Made {
    object: Option<Result<Arc<Value>, String>>,
    json: Option<Bytes>,
}

impl Item {
    /// An object as the store has it, to be shown as `served` has it.
    pub fn stored(key: String, revision: i64, raw: Bytes, served: Arc<Served>) -> Self {
        Self { key, revision, raw, served: Some(served), made: Mutex::default() }
    }

    /// An object that is at hand already, its resource version set.
    pub fn parsed(key: String, revision: i64, object: Arc<Value>) -> Self {
        let made = Made { object: Some(Ok(object)), json: None };
        Self { key, revision, raw: Bytes::new(), served: None, made: Mutex::new(made) }
    }

    /// An object that was just stored as `raw`, at hand with its resource version set.
    pub fn written(key: String, revision: i64, raw: Bytes, served: Arc<Served>, object: Arc<Value>) -> Self {
        Self { raw, served: Some(served), ..Self::parsed(key, revision, object) }
    }

    /// The key after the resource's prefix: `<namespace>/<name>` or `<name>`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The namespace in the key; empty at the cluster scope.
    pub fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The name in the key.
    pub fn name(&self) -> &str {
        self.key.split_once('/').map_or(&*self.key, |(_, name)| name)
    }

    /// The revision that wrote it.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The object, with its resource version.
    ///
    /// # Errors
    /// What is stored is not an object: 500 with reason StorageReadError.
    pub fn object(&self) -> Result<Arc<Value>, Status> {
        let mut made = self.made.lock();
        let parsed = made.object.get_or_insert_with(|| {
            decode(&self.raw, self.revision, self.served.as_deref()).map(Arc::new).map_err(|e| e.to_string())
        });
        parsed.clone().map_err(|why| unreadable(&self.key, &why))
    }

    /// The object as it is stored, if nobody has read or converted it yet.
    ///
    /// # Errors
    /// As [`Item::object`].
    pub fn unconverted(&self) -> Result<Option<Value>, Status> {
        if self.made.lock().object.is_some() {
            return Ok(None);
        }
        let object = decode(&self.raw, self.revision, None);
        object.map(Some).map_err(|why| unreadable(&self.key, &why.to_string()))
    }

    /// What a webhook made of it.
    pub fn set_converted(&self, mut object: Value) {
        object.set_resource_version(&self.revision.to_string());
        *self.made.lock() = Made { object: Some(Ok(Arc::new(object))), json: None };
    }

    fn is_converted(&self) -> bool {
        self.served.as_ref().is_some_and(|served| served.webhook().is_some())
    }

    /// Lets go of what can be made anew from the stored bytes: hardly anybody reads an old revision.
    pub(super) fn forget(&self) {
        if self.served.is_some() && !self.raw.is_empty() && !self.is_converted() {
            *self.made.lock() = Made::default();
        }
    }

    /// The object as compact JSON.
    ///
    /// # Errors
    /// As [`Item::object`].
    pub fn json(&self) -> Result<Bytes, Status> {
        // As quickly made as found, and not to be kept beside the stored bytes.
        if let Some(json) = self.spliced() {
            return Ok(json);
        }
        if let Some(json) = &self.made.lock().json {
            return Ok(json.clone());
        }
        let json = encode(self.object()?.as_ref());
        Ok(self.made.lock().json.insert(json).clone())
    }

    /// The stored bytes with the resource version put in, where they are in the form that
    /// [`encode_stored`] writes: most events are never parsed here.
    fn spliced(&self) -> Option<Bytes> {
        // A custom object may have been stored under another schema than it is shown by.
        let head = head(self.served.as_ref().filter(|served| !served.is_custom())?);
        let rest = self.raw.strip_prefix(head.as_bytes()).filter(|rest| rest.first() == Some(&b'"'))?;
        let version = format!("\"resourceVersion\":\"{}\",", self.revision);
        let mut json = BytesMut::with_capacity(self.raw.len() + version.len());
        json.put_slice(head.as_bytes());
        json.put_slice(version.as_bytes());
        json.put_slice(rest);
        Some(json.freeze())
    }

    /// The same object as of another revision: what a DELETED event shows.
    pub fn at(&self, revision: i64) -> Self {
        if let (Some(served), false, false) = (&self.served, self.raw.is_empty(), self.is_converted()) {
            return Self::stored(self.key.clone(), revision, self.raw.clone(), served.clone());
        }
        let mut object = self.object().map(|object| Value::clone(&object)).unwrap_or_default();
        object.set_resource_version(&revision.to_string());
        Self::parsed(self.key.clone(), revision, Arc::new(object))
    }
}

/// How a stored object of this version begins.
fn head(served: &Served) -> String {
    format!(r#"{{"kind":"{}","apiVersion":"{}","metadata":{{"#, served.kind, served.api_version())
}

/// The refusal to show what the store holds under `key`.
fn unreadable(key: &str, why: &str) -> Status {
    Status::store_read(format!("unable to read the stored object {key:?}: {why}"))
}

/// An object as the store keeps it, made presentable: resource version set, version as served.
///
/// # Errors
/// The bytes are not a JSON object.
pub fn decode(raw: &[u8], revision: i64, served: Option<&Served>) -> Result<Value, serde_json::Error> {
    let mut object: Value = serde_json::from_slice(raw)?;
    if !object.is_object() {
        return Err(serde::de::Error::custom("not an object"));
    }
    if let Some(served) = served {
        served.present(&mut object);
    }
    object.set_resource_version(&revision.to_string());
    Ok(object)
}

/// Compact JSON. An object read from JSON can always be written as JSON.
pub fn encode(object: &Value) -> Bytes {
    serde_json::to_vec(object).map(Bytes::from).unwrap_or_default()
}

/// What the store keeps of an object: no resource version, for the store knows it; kind, version and
/// metadata first, so that it can be shown without being parsed.
pub fn encode_stored(served: &Served, object: &Value) -> Bytes {
    let translated;
    let object = if served.api_version() == served.stored_api_version || served.webhook().is_some() {
        object
    } else {
        let mut other = object.clone();
        served.to_stored(&mut other);
        translated = other;
        &translated
    };
    let mut out = Vec::with_capacity(512);
    let Value::Object(fields) = object else { return encode(object) };
    let first = ["kind", "apiVersion", "metadata"];
    let ordered = first
        .iter()
        .filter_map(|key| fields.get_key_value(*key))
        .chain(fields.iter().filter(|(key, _)| !first.contains(&key.as_str())));
    out.push(b'{');
    for (n, (key, value)) in ordered.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        put(&mut out, key);
        out.push(b':');
        match value {
            Value::Object(metadata) if key == "metadata" => {
                out.push(b'{');
                let kept = metadata.iter().filter(|(key, _)| *key != "resourceVersion");
                for (n, (key, value)) in kept.enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    put(&mut out, key);
                    out.push(b':');
                    put(&mut out, value);
                }
                out.push(b'}');
            }
            value => put(&mut out, value),
        }
    }
    out.push(b'}');
    // It is kept for as long as the history goes: without the room to grow.
    out.into_boxed_slice().into()
}

/// Writing JSON into memory cannot fail.
fn put(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use api::kinds;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_spliced_is_what_is_parsed() {
        let check = |kind: &'static kinds::Kind, object: Value, splices: bool| {
            let served = Arc::new(Served::from(kind));
            let raw = encode_stored(&served, &object);
            let item = Item::stored("ns/a".to_owned(), 7, raw.clone(), served.clone());
            assert_eq!(item.spliced().is_some(), splices, "{object}");
            let parsed = decode(&raw, 7, Some(&served)).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&item.json().unwrap()).unwrap(), parsed);
            assert_eq!(parsed.resource_version(), "7");
            assert!(!raw.windows(15).any(|w| w == b"resourceVersion"), "{object}");
            assert_eq!(item.at(9).object().unwrap().resource_version(), "9");
        };
        let map = kinds::find("", "v1", "configmaps").unwrap();
        let object = json!({
            "data": { "metadata": "x" }, "metadata": { "resourceVersion": "3", "name": "a" },
            "apiVersion": "v1", "kind": "ConfigMap",
        });
        check(map, object, true);
        check(map, json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": {} }), false);
        // Stored in another version than it is shown in.
        let event = kinds::find("events.k8s.io", "v1", "events").unwrap();
        let object = json!({
            "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": { "name": "a" }, "note": "n",
        });
        check(event, object, false);
    }
}
