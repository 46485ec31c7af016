//! What a file of cases says: requests in order, and what must come back.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::cli::Refusal;

/// One file: cases about one subject.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The subject in a sentence.
    pub about: String,
    /// Files that the flags of [`Case::needs`] name, by their path on the server's host.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Its cases, each in a namespace of its own.
    pub cases: Vec<Case>,
}

/// One case: it holds if every step does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// What must hold, in a sentence.
    pub name: String,
    /// Where it is written down: file and section of the collected facts.
    pub fact: String,
    /// The case moves time, which only the simulated gear can do.
    #[serde(default)]
    pub moves_time: bool,
    /// What the server must have been started with, flag by flag; programs that must run beside it stand without dashes.
    #[serde(default)]
    pub needs: Vec<String>,
    /// No namespace is made for it.
    #[serde(default)]
    pub bare: bool,
    /// Which authenticators, authorizers and admission plugins are seen to decide, and how.
    #[serde(default)]
    pub decides: BTreeMap<String, Vec<Decision>>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// How somebody decides about a request.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It may go on as it is.
    Allow,
    /// It may not.
    Deny,
    /// It goes on, and is another one.
    Change,
}

/// One request and its answer; or more of a watch; or time passes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// `METHOD /path?query`, sent as it is after variables are put in.
    pub send: Option<String>,
    /// Shows this bearer token instead of being the administrator.
    pub bearer: Option<String>,
    /// Shows nothing that says who it is.
    #[serde(default)]
    pub nobody: bool,
    /// Headers of the request. A body of `body` is `application/json` unless they say otherwise.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The request's body, sent as compact JSON.
    pub body: Option<Value>,
    /// The request's body as it is.
    pub text: Option<String>,
    /// The request's body in hexadecimal: what no text can hold.
    pub hex: Option<String>,
    /// The request's body, too long to be written down.
    pub fill: Option<Fill>,
    /// The body breaks off in the middle. Whatever is answered is fine; further steps say what must hold.
    #[serde(default)]
    pub breaks_off: bool,
    /// The answer's code.
    pub status: Option<u16>,
    /// Patterns of the answer's headers.
    #[serde(default)]
    pub has: BTreeMap<String, Value>,
    /// Pattern of the answer's body, JSON or YAML as its type says.
    pub expect: Option<Value>,
    /// Pattern of the answer's body as text.
    pub says: Option<Value>,
    /// Patterns of the next events of a watch, in order and without others in between.
    pub events: Option<Vec<Value>>,
    /// The watch ends then, without another event.
    #[serde(default)]
    pub ends: bool,
    /// Keeps the watch open under this name.
    pub keep: Option<String>,
    /// Reads on from a watch that was kept.
    pub from: Option<String>,
    /// Variables from the answer: a JSON pointer, `base64:` and the pointer of what is to be decoded, or
    /// `header:name`.
    #[serde(default)]
    pub capture: BTreeMap<String, String>,
    /// Sends it so many times, `$n` counting from 1.
    pub times: Option<u32>,
    /// Sends it again until everything holds, for so many seconds at most, or a minute where time is real.
    pub until: Option<u64>,
    /// Lets so many seconds pass, in a case that moves time.
    pub pass: Option<u64>,
}

/// A long body: `head`, `unit` so many times, `tail`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fill {
    /// Its beginning.
    #[serde(default)]
    pub head: String,
    /// What is repeated.
    pub unit: String,
    /// How often.
    pub times: usize,
    /// Its end.
    #[serde(default)]
    pub tail: String,
}

/// The cases that come with the program: file name and text.
pub const FILES: &[(&str, &str)] = &[
    ("admission", include_str!("../../tests/api/cases/admission.yaml")),
    ("authentication", include_str!("../../tests/api/cases/authentication.yaml")),
    ("authorization", include_str!("../../tests/api/cases/authorization.yaml")),
    ("bad-bodies", include_str!("../../tests/api/cases/bad-bodies.yaml")),
    ("bad-requests", include_str!("../../tests/api/cases/bad-requests.yaml")),
    ("create", include_str!("../../tests/api/cases/create.yaml")),
    ("delete", include_str!("../../tests/api/cases/delete.yaml")),
    ("dry-run", include_str!("../../tests/api/cases/dry-run.yaml")),
    ("field-validation", include_str!("../../tests/api/cases/field-validation.yaml")),
    ("get", include_str!("../../tests/api/cases/get.yaml")),
    ("list", include_str!("../../tests/api/cases/list.yaml")),
    ("optional-plugins", include_str!("../../tests/api/cases/optional-plugins.yaml")),
    ("pages", include_str!("../../tests/api/cases/pages.yaml")),
    ("patch", include_str!("../../tests/api/cases/patch.yaml")),
    ("policies", include_str!("../../tests/api/cases/policies.yaml")),
    ("representations", include_str!("../../tests/api/cases/representations.yaml")),
    ("selectors", include_str!("../../tests/api/cases/selectors.yaml")),
    ("subresources", include_str!("../../tests/api/cases/subresources.yaml")),
    ("update", include_str!("../../tests/api/cases/update.yaml")),
    ("watch", include_str!("../../tests/api/cases/watch.yaml")),
];

/// Reads one file of cases.
///
/// # Errors
/// It is not in this form; says where.
pub fn parse(file: &str, text: &str) -> Result<Subject, Refusal> {
    serde_saphyr::from_str(text).map_err(|e| Refusal(format!("{file}: {e}")))
}
