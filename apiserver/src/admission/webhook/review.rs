//! The question to a webhook and its answer: `AdmissionReview` in both of its versions.

use std::collections::BTreeMap;

use api::{
    object::{ObjectExt as _, unbase64},
    status::{Status, quoted},
};
use serde::Serialize;
use serde_json::Value;

use super::{
    super::{Form, Review, matching::namespace_of},
    Facts,
    hook::ReviewVersion,
};

#[derive(Serialize)]
struct Document<'a> {
    kind: &'a str,
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    request: Request<'a>,
}

/// `AdmissionRequest`, in the order of upstream's fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    uid: &'a str,
    kind: Kind<'a>,
    resource: Resource<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    sub_resource: &'a str,
    request_kind: Kind<'a>,
    request_resource: Resource<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_sub_resource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    operation: &'a str,
    user_info: UserInfo<'a>,
    #[serde(skip_serializing_if = "Omitted::is_left_out")]
    object: Omitted<'a>,
    #[serde(skip_serializing_if = "Omitted::is_left_out")]
    old_object: Omitted<'a>,
    dry_run: bool,
    options: &'a Value,
}

#[derive(Serialize)]
struct Kind<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

#[derive(Serialize)]
struct Resource<'a> {
    group: &'a str,
    version: &'a str,
    resource: &'a str,
}

#[derive(Serialize)]
struct UserInfo<'a> {
    username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    #[serde(skip_serializing_if = "slice_is_empty")]
    groups: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<&'a String, &'a Vec<String>>,
}

fn slice_is_empty(list: &[String]) -> bool {
    list.is_empty()
}

/// An object; `null` where there is none, and nothing at all where rules read it from elsewhere.
#[derive(Serialize)]
#[serde(untagged)]
enum Omitted<'a> {
    Shown(Option<&'a Value>),
    #[serde(skip)]
    LeftOut,
}

impl Omitted<'_> {
    fn is_left_out(&self) -> bool {
        matches!(self, Self::LeftOut)
    }
}

/// What is asked about a request, once for all who are asked in the same form.
pub(super) struct Question<'a> {
    pub review: &'a Review<'a>,
    pub form: &'a Form,
    /// As the webhook is to see it.
    pub object: Option<&'a Value>,
    pub old: Option<&'a Value>,
    pub facts: &'a Facts,
}

impl Question<'_> {
    fn request<'a>(&'a self, uid: &'a str, objects: bool) -> Request<'a> {
        let (review, own) = (self.review, &self.facts.own);
        let kind =
            |form: &'a Form| Kind { group: &form.kind_group, version: &form.kind_version, kind: &form.kind };
        let resource = |form: &'a Form| Resource {
            group: &form.group,
            version: &form.version,
            resource: &form.resource,
        };
        let shown = |object| if objects { Omitted::Shown(object) } else { Omitted::LeftOut };
        Request {
            uid,
            kind: kind(self.form),
            resource: resource(self.form),
            sub_resource: review.subresource,
            request_kind: kind(own),
            request_resource: resource(own),
            request_sub_resource: review.subresource,
            name: review.object_name(),
            namespace: namespace_of(review),
            operation: review.operation.as_str(),
            user_info: UserInfo {
                username: &review.user.name,
                uid: &review.user.uid,
                groups: &review.user.groups,
                extra: review.user.extra.iter().collect(),
            },
            object: shown(self.object),
            old_object: shown(self.old),
            dry_run: review.dry_run,
            options: &self.facts.options,
        }
    }

    /// The document to send.
    pub(super) fn document(&self, version: ReviewVersion, uid: &str) -> Vec<u8> {
        let api_version = format!("admission.k8s.io/{}", version.as_str());
        let request = self.request(uid, true);
        let document = Document { kind: "AdmissionReview", api_version: &api_version, request };
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// What conditions call `request`.
    pub(super) fn variables(&self) -> Value {
        serde_json::to_value(self.request("", false)).unwrap_or_default()
    }
}

/// What a webhook said.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Response {
    pub allowed: bool,
    pub result: Value,
    /// The patch; empty for none.
    pub patch: Vec<u8>,
    pub patch_type: String,
    pub audit_annotations: Vec<(String, String)>,
    pub warnings: Vec<String>,
}

/// Reads an answer.
///
/// # Errors
/// In upstream's words: it is none, or none to this question.
pub(super) fn read(
    answer: &Value,
    version: ReviewVersion,
    uid: &str,
    mutating: bool,
) -> Result<Response, String> {
    let response = answer.at("/response").filter(|r| r.is_object());
    let response = response.ok_or("webhook response was absent")?;
    let patch = response.str_at("/patch");
    let patch = unbase64(patch).ok_or("illegal base64 data in response.patch")?;
    let patch_type = response.get("patchType").and_then(Value::as_str);
    let mut read = Response {
        allowed: response.bool_at("/allowed"),
        result: response.get("status").cloned().unwrap_or_default(),
        audit_annotations: texts_of(response, "auditAnnotations"),
        warnings: response.list_at("/warnings").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        ..Response::default()
    };
    if version == ReviewVersion::V1 {
        verify(answer, response, uid)?;
        match (mutating, patch.is_empty(), patch_type) {
            (true, false, None) => {
                return Err("webhook returned response.patch but not response.patchType".into());
            }
            (true, true, Some(_)) => {
                return Err("webhook returned response.patchType but not response.patch".into());
            }
            (true, _, Some("")) => return Err("webhook returned invalid response.patchType of \"\"".into()),
            (false, false, _) => return Err("validating webhook may not return response.patch".into()),
            (false, _, Some(_)) => return Err("validating webhook may not return response.patchType".into()),
            _ => {}
        }
    }
    if mutating && !patch.is_empty() {
        // Nobody looked at the type before v1.
        let only = if version == ReviewVersion::V1Beta1 { Some("JSONPatch") } else { patch_type };
        read.patch_type = only.unwrap_or_default().to_owned();
        read.patch = patch;
    }
    Ok(read)
}

/// Whether it is the answer to the question that was asked.
fn verify(answer: &Value, response: &Value, uid: &str) -> Result<(), String> {
    let given = response.str_at("/uid");
    if given != uid {
        return Err(format!("expected response.uid={}, got {}", quoted(uid), quoted(given)));
    }
    let (version, kind) = (answer.api_version(), answer.kind());
    if (version, kind) != ("admission.k8s.io/v1", "AdmissionReview") {
        let version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
        return Err(format!(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {version}, Kind={kind}"
        ));
    }
    Ok(())
}

fn texts_of(response: &Value, key: &str) -> Vec<(String, String)> {
    let map = response.get(key).and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The refusal of a webhook that does not allow a request.
pub(super) fn denied(name: &str, result: &Value) -> Status {
    let denied = format!("admission webhook {} denied the request", quoted(name));
    let (message, reason) = (result.str_at("/message"), result.str_at("/reason"));
    let message = match (message, reason) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    let code = result.i64_at("/code").unwrap_or(0).clamp(400, 999);
    let code = u16::try_from(code).unwrap_or(400);
    // Its details are read as any Status' are.
    let mut failure = serde_json::json!({ "kind": "Status", "status": "Failure" });
    if let Some(details) = result.get("details") {
        failure["details"] = details.clone();
    }
    let details = Status::from_value(&failure).and_then(|status| status.details);
    Status { details, ..Status::new(code, reason, message) }
}
