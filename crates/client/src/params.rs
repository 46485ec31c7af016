//! What may be said about a request besides its path, and how it is written into the query.

use std::time::Duration;

use serde_json::{Value, json};

/// What a list asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListParams {
    /// `a=b,c in (d)`.
    pub label_selector: Option<String>,
    /// `spec.nodeName=n`.
    pub field_selector: Option<String>,
    /// At most so many items in one answer.
    pub limit: Option<u64>,
    /// Token of the next page.
    pub cont: Option<String>,
    /// How old the answer may be: unset for the latest, `0` for any.
    pub resource_version: Option<String>,
    /// `Exact` or `NotOlderThan`.
    pub resource_version_match: Option<String>,
    /// Server-side limit of the call, in seconds.
    pub timeout_seconds: Option<u64>,
}

/// What a watch asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchParams {
    /// As in [`ListParams`].
    pub label_selector: Option<String>,
    /// As in [`ListParams`].
    pub field_selector: Option<String>,
    /// Events after this revision.
    pub resource_version: Option<String>,
    /// `NotOlderThan`, with [`WatchParams::send_initial_events`].
    pub resource_version_match: Option<String>,
    /// Ask for bookmarks.
    pub allow_bookmarks: bool,
    /// Ask for the present state as ADDED events first.
    pub send_initial_events: Option<bool>,
    /// When the server ends the watch.
    pub timeout_seconds: Option<u64>,
}

/// What a delete asks for: `DeleteOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteParams {
    /// Seconds of grace; 0 deletes at once.
    pub grace_period_seconds: Option<u64>,
    /// `Background`, `Foreground` or `Orphan`.
    pub propagation_policy: Option<String>,
    /// Only the object with this UID.
    pub uid: Option<String>,
    /// Only the object at this resourceVersion.
    pub resource_version: Option<String>,
}

impl DeleteParams {
    /// Only the object that was looked at: its UID as a precondition.
    pub fn uid(uid: impl Into<String>) -> Self {
        Self { uid: Some(uid.into()), ..Self::default() }
    }

    /// Whether nothing is asked for: upstream then sends no body that matters.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
        if let Some(seconds) = self.grace_period_seconds {
            body["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(uid) = &self.uid {
            body["preconditions"]["uid"] = uid.as_str().into();
        }
        if let Some(version) = &self.resource_version {
            body["preconditions"]["resourceVersion"] = version.as_str().into();
        }
        if let Some(policy) = &self.propagation_policy {
            body["propagationPolicy"] = policy.as_str().into();
        }
        body
    }
}

/// A change to an object, in one of the three forms of patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patch<'a> {
    /// RFC 6902: a list of operations.
    Json(&'a Value),
    /// RFC 7386: what is to be there, null for what is not.
    Merge(&'a Value),
    /// Kubernetes' own: as merge, but lists merge by key.
    Strategic(&'a Value),
}

impl<'a> Patch<'a> {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json(_) => "application/json-patch+json",
            Self::Merge(_) => "application/merge-patch+json",
            Self::Strategic(_) => "application/strategic-merge-patch+json",
        }
    }

    pub(crate) fn value(self) -> &'a Value {
        match self {
            Self::Json(v) | Self::Merge(v) | Self::Strategic(v) => v,
        }
    }
}

impl ListParams {
    pub(crate) fn query(&self) -> Query {
        let mut q = Query::default();
        q.text("continue", self.cont.as_deref());
        q.text("fieldSelector", self.field_selector.as_deref());
        q.text("labelSelector", self.label_selector.as_deref());
        q.number("limit", self.limit.filter(|n| *n > 0));
        q.text("resourceVersion", self.resource_version.as_deref());
        q.text("resourceVersionMatch", self.resource_version_match.as_deref());
        q.number("timeoutSeconds", self.timeout_seconds);
        q
    }
}

impl WatchParams {
    pub(crate) fn query(&self) -> Query {
        let mut q = Query::default();
        q.text("allowWatchBookmarks", self.allow_bookmarks.then_some("true"));
        q.text("fieldSelector", self.field_selector.as_deref());
        q.text("labelSelector", self.label_selector.as_deref());
        q.text("resourceVersion", self.resource_version.as_deref());
        q.text("resourceVersionMatch", self.resource_version_match.as_deref());
        q.text("sendInitialEvents", self.send_initial_events.map(|b| if b { "true" } else { "false" }));
        if let Some(seconds) = self.timeout_seconds {
            // Upstream's generated clients say it twice.
            q.text("timeout", Some(&api::duration::format(Duration::from_secs(seconds))));
            q.number("timeoutSeconds", Some(seconds));
        }
        q.text("watch", Some("true"));
        q
    }
}

/// A query string in the making. Keys are added in alphabetical order, as Go's `Encode` sorts them,
/// since the whole URL shows in errors.
#[derive(Default)]
pub(crate) struct Query(Vec<(&'static str, String)>);

impl Query {
    pub(crate) fn text(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            self.0.push((key, value.to_owned()));
        }
    }

    fn number(&mut self, key: &'static str, value: Option<u64>) {
        self.0.extend(value.map(|n| (key, n.to_string())));
    }

    /// `path?query`, or the path alone.
    pub(crate) fn on(mut self, path: &str) -> String {
        self.0.sort_by_key(|(k, _)| *k);
        let mut out = path.to_owned();
        for (n, (key, value)) in self.0.iter().enumerate() {
            out.push(if n == 0 { '?' } else { '&' });
            out.push_str(key);
            out.push('=');
            out.push_str(&encode_query(value));
        }
        out
    }
}

/// A query value as Go's `url.QueryEscape` writes it.
fn encode_query(text: &str) -> String {
    encode(text, |b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b)).replace("%20", "+")
}

/// A path segment as Go's `url.PathEscape` family leaves it on the wire; `/` is escaped.
pub(crate) fn encode_path(text: &str) -> String {
    encode(text, |b| b.is_ascii_alphanumeric() || b"-_.~$&+,:;=@".contains(&b))
}

fn encode(text: &str, plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if plain(b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_sorted_and_escaped() {
        let list = ListParams {
            label_selector: Some("a in (b, c)".into()),
            limit: Some(500),
            resource_version: Some("0".into()),
            ..ListParams::default()
        };
        assert_eq!(list.query().on("/x"), "/x?labelSelector=a+in+%28b%2C+c%29&limit=500&resourceVersion=0");
        let watch = WatchParams {
            allow_bookmarks: true,
            resource_version: Some("195".into()),
            timeout_seconds: Some(450),
            ..WatchParams::default()
        };
        let query =
            "/x?allowWatchBookmarks=true&resourceVersion=195&timeout=7m30s&timeoutSeconds=450&watch=true";
        assert_eq!(watch.query().on("/x"), query);
        assert_eq!(ListParams::default().query().on("/x"), "/x");
    }

    #[test]
    fn delete_options() {
        assert_eq!(DeleteParams::default().body(), json!({"kind": "DeleteOptions", "apiVersion": "v1"}));
        let all = DeleteParams {
            grace_period_seconds: Some(0),
            propagation_policy: Some("Background".into()),
            uid: Some("u".into()),
            resource_version: Some("7".into()),
        };
        let body = all.body();
        assert_eq!(body["preconditions"], json!({"uid": "u", "resourceVersion": "7"}));
        assert_eq!(body["gracePeriodSeconds"], 0);
        assert_eq!(body["propagationPolicy"], "Background");
    }
}
