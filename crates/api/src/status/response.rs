//! What a client makes of a response that is not a success.

use serde_json::Value;

use super::{Details, GroupResource, Status, quoted};

impl Status {
    /// The refusal in a response: its `Status` body, or, where something else answered (a proxy, a
    /// panic, a 404 in plain text), the words that client-go puts in its place.
    ///
    /// `verb` is the HTTP method; `name` may be empty.
    pub fn from_response<'a>(
        code: u16,
        body: &[u8],
        verb: &str,
        resource: impl Into<GroupResource<'a>>,
        name: &str,
    ) -> Status {
        let parsed = serde_json::from_slice::<Value>(body).ok();
        if let Some(mut status) = parsed.as_ref().and_then(Status::from_value) {
            if status.code == 0 {
                status.code = code;
            }
            return status;
        }
        let body = String::from_utf8_lossy(body);
        Status::generic(code, verb, resource.into(), name, body.trim())
    }

    fn generic(code: u16, verb: &str, on: GroupResource<'_>, name: &str, body: &str) -> Status {
        let verb = verb.to_ascii_uppercase();
        let or = |words: &str| if body.is_empty() { words.to_owned() } else { body.to_owned() };
        let (reason, mut message) = match code {
            409 if verb == "POST" => ("AlreadyExists", "the server reported a conflict".to_owned()),
            409 => ("Conflict", "the server reported a conflict".to_owned()),
            404 => ("NotFound", "the server could not find the requested resource".to_owned()),
            400 => ("BadRequest", "the server rejected our request for an unknown reason".to_owned()),
            401 => ("Unauthorized", "the server has asked for the client to provide credentials".to_owned()),
            403 => ("Forbidden", body.to_owned()),
            405 => {
                ("MethodNotAllowed", "the server does not allow this method on the requested resource".to_owned())
            }
            406 => (
                "NotAcceptable",
                or("the server was unable to respond with a content type that the client supports"),
            ),
            415 => (
                "UnsupportedMediaType",
                or("the server was unable to respond with a content type that the client supports"),
            ),
            422 => ("Invalid", "the server rejected our request due to an error in our request".to_owned()),
            429 => (
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later".to_owned(),
            ),
            503 => {
                ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned())
            }
            504 => (
                "Timeout",
                "the server was unable to return a response in the time allotted, but may still be processing the request"
                    .to_owned(),
            ),
            500.. => (
                "InternalError",
                format!("an error on the server ({}) has prevented the request from succeeding", quoted(body)),
            ),
            _ => (
                "",
                format!("the server responded with the status code {code} but did not return more information"),
            ),
        };
        let verb = verb.to_ascii_lowercase();
        if !on.resource.is_empty() && !name.is_empty() {
            message = format!("{message} ({verb} {on} {name})");
        } else if !on.resource.is_empty() {
            message = format!("{message} ({verb} {on})");
        }
        let details = Details {
            name: name.into(),
            group: on.group.into(),
            kind: on.resource.into(),
            ..Details::default()
        };
        let mut status = Status { details: Some(details), ..Status::new(code, reason, message) };
        if !body.is_empty() {
            status.push_cause("UnexpectedServerResponse", body, "");
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: u16, body: &str, verb: &str, resource: &str, name: &str, reason: &str, message: &str) {
        let status = Status::from_response(code, body.as_bytes(), verb, resource, name);
        assert_eq!((status.code, status.reason.as_str(), status.message.as_str()), (code, reason, message));
    }

    #[test]
    fn a_status_in_the_body_is_taken_as_it_is() {
        let sent = Status::not_found("pods", "a");
        let body = sent.to_value().to_string();
        assert_eq!(Status::from_response(404, body.as_bytes(), "GET", "pods", "a"), sent);
    }

    #[test]
    fn other_bodies_get_the_clients_words() {
        check(
            404,
            "404 page not found",
            "GET",
            "foos.example.com",
            "",
            "NotFound",
            "the server could not find the requested resource (get foos.example.com)",
        );
        check(
            401,
            "",
            "GET",
            "pods",
            "a",
            "Unauthorized",
            "the server has asked for the client to provide credentials (get pods a)",
        );
        check(403, "go away", "GET", "", "", "Forbidden", "go away");
        check(409, "", "POST", "", "", "AlreadyExists", "the server reported a conflict");
        check(409, "", "PUT", "", "", "Conflict", "the server reported a conflict");
        check(
            503,
            "service unavailable",
            "GET",
            "",
            "",
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        );
        check(
            500,
            "oh\n",
            "DELETE",
            "",
            "",
            "InternalError",
            r#"an error on the server ("oh") has prevented the request from succeeding"#,
        );
        check(
            418,
            "{\"kind\":\"Teapot\"}",
            "GET",
            "",
            "",
            "",
            "the server responded with the status code 418 but did not return more information",
        );
    }
}
