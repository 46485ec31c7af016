//! The query string: parameters in order, and the option kinds that are spelled in it.

use std::time::Duration;

use api::{
    selector::{FieldSelector, LabelSelector},
    status::{FieldError, Status},
};

use super::request_info::percent_decode;

/// A parsed query string.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Splits and decodes; what cannot be decoded stays as it is.
    pub fn parse(query: &str) -> Self {
        Self(
            query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    let decode = |text: &str| match text.contains('+') {
                        true => percent_decode(&text.replace('+', " ")),
                        false => percent_decode(text),
                    };
                    (decode(key), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Whether a parameter is given, with or without a value.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// `false` and `0` are false, anything else is true, the empty value included.
    pub fn truthy(&self, key: &str) -> bool {
        self.get(key).is_some_and(|v| !matches!(v.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    /// Whether a list is asked to go on as a watch.
    pub fn watches(&self) -> bool {
        self.truthy("watch")
    }

    /// `foo` of `fieldSelector=metadata.name=foo`.
    pub fn named_by_field_selector(&self) -> Option<String> {
        let selector = FieldSelector::parse(self.get("fieldSelector")?).ok()?;
        selector.requirement("metadata.name").map(str::to_owned)
    }

    fn boolean(&self, key: &str) -> Option<bool> {
        self.get(key).map(|_| self.truthy(key))
    }

    fn integer(&self, key: &str) -> Result<Option<i64>, Status> {
        match self.get(key) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
            }),
        }
    }
}

/// `resourceVersionMatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// `Exact`.
    Exact,
    /// `NotOlderThan`.
    NotOlderThan,
}

/// `metav1.ListOptions` as a list or watch request spells them.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Which labels.
    pub labels: LabelSelector,
    /// Which fields.
    pub fields: FieldSelector,
    /// `None` when unset; `Some(0)` for "0".
    pub resource_version: Option<i64>,
    /// How the version is meant.
    pub version_match: Option<Match>,
    /// At most so many items; 0 for all.
    pub limit: usize,
    /// Where the page before ended.
    pub continue_token: String,
    /// Watch only: how long.
    pub timeout: Option<Duration>,
    /// Watch only: whether bookmarks are wanted.
    pub bookmarks: bool,
    /// Watch only: begin with the state.
    pub send_initial_events: Option<bool>,
}

fn list_options_invalid(error: FieldError) -> Status {
    Status::invalid("ListOptions.meta.k8s.io", "", vec![error])
}

/// A resource version as a client wrote it: `None` when empty.
pub fn parse_resource_version(text: &str) -> Result<Option<i64>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    // Upstream's is an unsigned number; nothing that a store ever says is beyond i64.
    match text.parse::<u64>().ok().and_then(|n| i64::try_from(n).ok()) {
        Some(n) => Ok(Some(n)),
        None => Err(Status::bad_request(format!("invalid resource version: {text:?}"))),
    }
}

impl ListOptions {
    /// Reads and checks the options of a list (`watch` false) or a watch.
    ///
    /// # Errors
    /// 400 for what cannot be parsed, 422 for combinations that make no sense.
    pub fn parse(query: &Query, watch: bool) -> Result<Self, Status> {
        let labels = LabelSelector::parse(query.get("labelSelector").unwrap_or_default())
            .map_err(|e| Status::bad_request(e.to_string()))?;
        let fields = FieldSelector::parse(query.get("fieldSelector").unwrap_or_default())
            .map_err(|e| Status::bad_request(e.to_string()))?;
        let resource_version = parse_resource_version(query.get("resourceVersion").unwrap_or_default())?;
        let version_match = match query.get("resourceVersionMatch").unwrap_or_default() {
            "" => None,
            "Exact" => Some(Match::Exact),
            "NotOlderThan" => Some(Match::NotOlderThan),
            other => {
                let supported = ["Exact", "NotOlderThan", ""];
                return Err(list_options_invalid(FieldError::not_supported(
                    "resourceVersionMatch",
                    other,
                    &supported,
                )));
            }
        };
        let options = Self {
            labels,
            fields,
            resource_version,
            version_match,
            limit: query.integer("limit")?.and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
            continue_token: query.get("continue").unwrap_or_default().to_owned(),
            timeout: query
                .integer("timeoutSeconds")?
                .and_then(|n| u64::try_from(n).ok())
                .filter(|n| *n > 0)
                .map(Duration::from_secs),
            bookmarks: query.truthy("allowWatchBookmarks"),
            send_initial_events: query.boolean("sendInitialEvents"),
        };
        if watch {
            options.check_watch()?
        } else {
            options.check_list()?
        }
        Ok(options)
    }

    fn check_list(&self) -> Result<(), Status> {
        let forbidden = |field: &str, why: &str| Err(list_options_invalid(FieldError::forbidden(field, why)));
        if self.send_initial_events.is_some() {
            return forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list");
        }
        let Some(version_match) = self.version_match else { return Ok(()) };
        if self.resource_version.is_none() {
            return forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            );
        }
        if !self.continue_token.is_empty() {
            return forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            );
        }
        if version_match == Match::Exact && self.resource_version == Some(0) {
            return forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            );
        }
        Ok(())
    }

    fn check_watch(&self) -> Result<(), Status> {
        let forbidden = |field: &str, why: &str| Err(list_options_invalid(FieldError::forbidden(field, why)));
        match (self.send_initial_events, self.version_match) {
            (Some(_), Some(Match::NotOlderThan)) | (None, None) => Ok(()),
            (Some(_), _) => forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ),
            (None, Some(_)) => forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ),
        }
    }
}
