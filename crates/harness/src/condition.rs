//! What is waited for, by name: in the words of `kubectl wait --for`, or as a closure that has one.

use std::{fmt, sync::Arc};

use api::{object::ObjectExt as _, table::jsonpath::JsonPath};
use serde_json::Value;

use crate::HarnessError;

/// Longest piece of an object that an error shows.
const SHOWN: usize = 400;

/// Something that is true of an object, or is not yet. Made from the words of `kubectl wait --for`:
///
/// * `condition=Available`, `condition=Ready=False`: a condition of its status, if it is of the newest generation;
/// * `create`, `delete`: it is there, it is gone;
/// * `jsonpath={.status.phase}=Running`, `jsonpath={.status.loadBalancer}`: a field has that value, or any.
#[derive(Clone)]
pub struct Condition {
    what: String,
    judge: Arc<Judge>,
}

/// `Err`: what is seen instead.
type Judge = dyn Fn(Option<&Value>) -> Result<(), String> + Send + Sync;

impl Condition {
    /// The words of `kubectl wait --for`.
    ///
    /// # Errors
    /// They are none of these.
    pub fn parse(words: &str) -> Result<Self, HarnessError> {
        let bad = |why: &str| {
            HarnessError::new(format!(
                "{words:?} is no condition: {why}; there are condition=TYPE[=STATUS], create, delete and \
                 jsonpath={{PATH}}[=VALUE]"
            ))
        };
        match words.split_once('=') {
            None if words == "create" => Ok(Self::exists()),
            None if words == "delete" => Ok(Self::gone()),
            Some(("condition", rest)) if !rest.is_empty() => {
                let (kind, status) = rest.split_once('=').unwrap_or((rest, "True"));
                Ok(Self::status(kind, status))
            }
            Some(("jsonpath", rest)) => {
                // A filter in the path has equals signs of its own.
                let (path, value) = match rest.rfind('}') {
                    Some(end) if rest.starts_with('{') => {
                        let (path, value) = rest.split_at(end + 1);
                        (path, value.strip_prefix('='))
                    }
                    _ => return Err(bad("the path stands in braces")),
                };
                let parsed = JsonPath::parse(path).map_err(|e| bad(&e.to_string()))?;
                Ok(Self::at(path, parsed, value))
            }
            _ => Err(bad("nothing of that name is known")),
        }
    }

    /// It is there.
    pub fn exists() -> Self {
        Self::judged("is there", |object| object.map(drop).ok_or_else(not_there))
    }

    /// It is not there, or not any more.
    pub fn gone() -> Self {
        Self::judged("is gone", |object| match object {
            None => Ok(()),
            Some(object) => {
                let finalizers = object.list_at("/metadata/finalizers");
                Err(match object.str_at("/metadata/deletionTimestamp") {
                    "" => "it is there, and nobody has deleted it".to_owned(),
                    since => {
                        let held: Vec<_> = finalizers.iter().filter_map(Value::as_str).collect();
                        format!("it is there, deleted since {since}, held by [{}]", held.join(", "))
                    }
                })
            }
        })
    }

    /// The condition of that type has that status, and is not of an older generation of the object.
    pub fn status(kind: &str, status: &str) -> Self {
        let (kind, status) = (kind.to_owned(), status.to_owned());
        Self::judged(format!("has condition {kind}={status}"), move |object| {
            let object = object.ok_or_else(not_there)?;
            let conditions = object.list_at("/status/conditions");
            let found = conditions.iter().find(|c| c.str_at("/type").eq_ignore_ascii_case(&kind));
            let Some(found) = found else {
                let types: Vec<_> = conditions.iter().map(|c| c.str_at("/type")).collect();
                return Err(format!("it has no such condition, only [{}]", types.join(", ")));
            };
            let observed =
                found.i64_at("/observedGeneration").or(object.i64_at("/status/observedGeneration"));
            let generation = object.i64_at("/metadata/generation");
            let seen = told(found);
            if let (Some(observed), Some(generation)) = (observed, generation)
                && observed < generation
            {
                return Err(format!("{seen}, of generation {observed} while it is at {generation}"));
            }
            if found.str_at("/status").eq_ignore_ascii_case(&status) { Ok(()) } else { Err(seen) }
        })
    }

    /// `judge` says so; `what` completes the sentence "waited until the object …".
    pub fn that(what: &str, judge: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        Self::judged(what.to_owned(), move |object| match object {
            Some(object) if judge(object) => Ok(()),
            Some(object) => Err(shown(object)),
            None => Err(not_there()),
        })
    }

    fn at(text: &str, path: JsonPath, value: Option<&str>) -> Self {
        let (place, value) = (text.to_owned(), value.map(str::to_owned));
        let what = match &value {
            Some(value) => format!("has {value} at {place}"),
            None => format!("has a value at {place}"),
        };
        Self::judged(what, move |object| {
            let object = object.ok_or_else(not_there)?;
            let Some(found) = path.find(object).into_iter().next() else {
                return Err(format!("nothing at {place} in {}", shown(object)));
            };
            let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            match &value {
                Some(value) if *value != text => Err(format!("{text} at {place}")),
                _ => Ok(()),
            }
        })
    }

    fn judged(
        what: impl Into<String>,
        judge: impl Fn(Option<&Value>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { what: what.into(), judge: Arc::new(judge) }
    }

    pub(crate) fn judge(&self, object: Option<&Value>) -> Result<(), String> {
        (self.judge)(object)
    }
}

/// Completes "waited until the object …".
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({})", self.what)
    }
}

/// Either a condition, or words for one.
pub trait IntoCondition {
    /// The condition.
    ///
    /// # Errors
    /// The words are none for a condition.
    fn into_condition(self) -> Result<Condition, HarnessError>;
}

impl IntoCondition for Condition {
    fn into_condition(self) -> Result<Condition, HarnessError> {
        Ok(self)
    }
}

impl IntoCondition for &str {
    fn into_condition(self) -> Result<Condition, HarnessError> {
        Condition::parse(self)
    }
}

fn not_there() -> String {
    "it is not there".to_owned()
}

/// `Available=False (MinimumReplicasUnavailable: Deployment does not have minimum availability.)`
pub(crate) fn told(condition: &Value) -> String {
    let (kind, status) = (condition.str_at("/type"), condition.str_at("/status"));
    match (condition.str_at("/reason"), condition.str_at("/message")) {
        ("", "") => format!("{kind}={status}"),
        (reason, message) => format!("{kind}={status} ({reason}: {message})"),
    }
}

/// What an object is like, without what every object has.
fn shown(object: &Value) -> String {
    let mut object = object.clone();
    if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let text = object.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(words: &str, object: Option<Value>, expected: Result<(), &str>) {
        let condition = Condition::parse(words).expect("words for a condition");
        assert_eq!(condition.judge(object.as_ref()), expected.map_err(str::to_owned), "{words} {object:?}");
    }

    #[test]
    fn the_words_of_kubectl_wait() {
        let absent = Err("it is not there");
        check("create", None, absent);
        check("create", Some(json!({})), Ok(()));
        check("delete", None, Ok(()));
        check("delete", Some(json!({})), Err("it is there, and nobody has deleted it"));
        let held = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"]}});
        check("delete", Some(held), Err("it is there, deleted since 2026-01-01T00:00:00Z, held by [x/y]"));
        check("condition=Ready", None, absent);
        let ready = |status: &str, observed: i64| {
            Some(json!({
                "metadata": {"generation": 2},
                "status": {
                    "observedGeneration": observed,
                    "conditions": [{"type": "Ready", "status": status, "reason": "Why", "message": "because"}],
                },
            }))
        };
        check("condition=Ready", ready("True", 2), Ok(()));
        check("condition=ready=false", ready("False", 2), Ok(()));
        check("condition=Ready", ready("False", 2), Err("Ready=False (Why: because)"));
        check(
            "condition=Ready",
            ready("True", 1),
            Err("Ready=True (Why: because), of generation 1 while it is at 2"),
        );
        check("condition=Available", ready("True", 2), Err("it has no such condition, only [Ready]"));
        let pod = || Some(json!({"status": {"phase": "Running", "ips": [{"ip": "a", "n": 1}]}}));
        check("jsonpath={.status.phase}=Running", pod(), Ok(()));
        check("jsonpath={.status.phase}=Pending", pod(), Err("Running at {.status.phase}"));
        check("jsonpath={.status.phase}", pod(), Ok(()));
        check(r#"jsonpath={.status.ips[?(@.ip=="a")].n}=1"#, pod(), Ok(()));
        check(
            "jsonpath={.spec}",
            pod(),
            Err(&format!("nothing at {{.spec}} in {}", pod().unwrap_or_default())),
        );
    }

    #[test]
    fn other_words_are_refused() {
        for words in ["", "ready", "condition=", "jsonpath=.status", "jsonpath={.status[}", "deleted"] {
            let refused = Condition::parse(words).expect_err("refused").to_string();
            assert!(refused.contains("there are condition=TYPE[=STATUS], create"), "{refused}");
        }
    }

    #[test]
    fn a_closure_has_a_name_and_shows_what_it_saw() {
        let condition = Condition::that("is large", |o| o.i64_at("/spec/size") > Some(5));
        assert_eq!(condition.to_string(), "is large");
        assert_eq!(condition.judge(Some(&json!({"spec": {"size": 6}}))), Ok(()));
        let small = json!({"metadata": {"managedFields": [1]}, "spec": {"size": 1}});
        assert_eq!(condition.judge(Some(&small)), Err(r#"{"metadata":{},"spec":{"size":1}}"#.to_owned()));
        let long = condition.judge(Some(&json!({"data": "x".repeat(1000)}))).expect_err("not large");
        assert!(long.ends_with("x…") && long.chars().count() == SHOWN + 1, "{long}");
    }
}
