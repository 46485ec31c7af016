//! Refusals, word for word and byte for byte.

use super::*;

fn check(status: Status, code: u16, reason: &str, message: &str) {
    assert_eq!((status.code, status.reason.as_str(), status.message.as_str()), (code, reason, message));
    let back = Status::from_value(&status.to_value());
    assert_eq!(back.as_ref(), Some(&status), "does not survive the wire");
}

#[test]
fn words() {
    let kind = "deployments.apps";
    check(Status::not_found("pods", "a"), 404, "NotFound", r#"pods "a" not found"#);
    check(Status::not_found(kind, "a"), 404, "NotFound", r#"deployments.apps "a" not found"#);
    check(Status::already_exists(kind, "a"), 409, "AlreadyExists", r#"deployments.apps "a" already exists"#);
    check(
        Status::generate_name_conflict("pods", "a-x"),
        409,
        "AlreadyExists",
        r#"pods "a-x" already exists, the server was not able to generate a unique name for the object"#,
    );
    check(
        Status::modified(kind, "a"),
        409,
        "Conflict",
        r#"Operation cannot be fulfilled on deployments.apps "a": the object has been modified; please apply your changes to the latest version and try again"#,
    );
    check(Status::bad_request("no"), 400, "BadRequest", "no");
    check(Status::unauthorized(), 401, "Unauthorized", "Unauthorized");
    check(Status::forbidden("pods", "p", "no"), 403, "Forbidden", r#"pods "p" is forbidden: no"#);
    check(Status::forbidden(kind, "", "no"), 403, "Forbidden", "deployments.apps is forbidden: no");
    check(Status::forbidden("", "", "no"), 403, "Forbidden", "forbidden: no");
    check(
        Status::method_not_allowed(kind, "patch"),
        405,
        "MethodNotAllowed",
        r#"patch is not supported on resources of kind "deployments.apps""#,
    );
    check(
        Status::not_acceptable(&["application/json", "application/yaml"]),
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml",
    );
    check(Status::too_old(5, 9), 410, "Expired", "too old resource version: 5 (9)");
    check(
        Status::too_large("limit is 3145728"),
        413,
        "RequestEntityTooLarge",
        "Request entity too large: limit is 3145728",
    );
    check(
        Status::unsupported_media_type(&["application/json"]),
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: application/json",
    );
    check(
        Status::too_many_requests("storage is (re)initializing", 1),
        429,
        "TooManyRequests",
        "storage is (re)initializing",
    );
    check(Status::internal("boom"), 500, "InternalError", "Internal error occurred: boom");
    check(
        Status::unclassified("resourceVersion should not be set on objects to be created"),
        500,
        "",
        "resourceVersion should not be set on objects to be created",
    );
    check(
        Status::server_timeout(kind, "list", 2),
        500,
        "ServerTimeout",
        "The list operation against deployments.apps could not be completed at this time, please try again.",
    );
    check(Status::service_unavailable("later"), 503, "ServiceUnavailable", "later");
    check(
        Status::version_too_large(7, 3),
        504,
        "Timeout",
        "Timeout: Too large resource version: 7, current: 3",
    );
}

#[test]
fn invalid_names_each_field_once_in_the_sentence_and_each_time_in_the_causes() {
    let name = FieldError::required("metadata.name", "name or generateName is required");
    let one = Status::invalid("Pod", "p", vec![name.clone()]);
    check(
        one,
        422,
        "Invalid",
        r#"Pod "p" is invalid: metadata.name: Required value: name or generateName is required"#,
    );
    let replicas = FieldError::invalid("spec.replicas", -1, "must be greater than or equal to 0");
    let two = Status::invalid("Deployment.apps", "d", vec![name.clone(), replicas, name]);
    assert_eq!(two.details.as_ref().map(|d| (d.kind.as_str(), d.causes.len())), Some(("Deployment", 3)));
    check(
        two,
        422,
        "Invalid",
        r#"Deployment.apps "d" is invalid: [metadata.name: Required value: name or generateName is required, spec.replicas: Invalid value: -1: must be greater than or equal to 0]"#,
    );
}

#[test]
fn the_wire_form_is_upstreams() {
    let status = Status::invalid("Pod", "p", vec![FieldError::forbidden("spec", "no")]);
    assert_eq!(
        status.to_value().to_string(),
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Pod \"p\" is invalid: spec: Forbidden: no","reason":"Invalid","details":{"name":"p","kind":"Pod","causes":[{"reason":"FieldValueForbidden","message":"Forbidden: no","field":"spec"}]},"code":422}"#
    );
    assert_eq!(
        deleted("deployments.apps", "d", "u").to_string(),
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name":"d","group":"apps","kind":"deployments","uid":"u"}}"#
    );
    assert_eq!(Status::from_value(&deleted("pods", "p", "u")), None);
}
