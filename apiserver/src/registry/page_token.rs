//! The `continue` token: where a page of a list ended, and as of which revision.

use api::status::Status;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageToken {
    /// The first page's revision; −1: whatever is newest.
    pub revision: i64,
    /// The first key that may follow, relative to the resource's prefix.
    pub start: String,
}

const VERSION: &str = "meta.k8s.io/v1";

impl PageToken {
    /// Goes on after `last`.
    pub(super) fn after(last: &str, revision: i64) -> Self {
        Self { revision, start: format!("{last}\0") }
    }

    pub(super) fn encode(&self) -> String {
        let token = json!({ "v": VERSION, "rv": self.revision, "start": self.start });
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    /// Reads what a client sent back.
    ///
    /// # Errors
    /// 400: it is not one of ours.
    pub(super) fn decode(text: &str) -> Result<Self, Status> {
        let bad = |why: &str| {
            Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|e| bad(&e.to_string()))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|e| bad(&e.to_string()))?;
        if token.get("v").and_then(Value::as_str) != Some(VERSION) {
            return Err(bad("server does not recognize this encoded version"));
        }
        let revision = token.get("rv").and_then(Value::as_i64).unwrap_or(0);
        if revision == 0 {
            return Err(bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        let start = token.get("start").and_then(Value::as_str).unwrap_or_default().to_owned();
        if start.is_empty() {
            return Err(bad("encoded start key empty (version meta.k8s.io/v1)"));
        }
        // A key that climbs out of the resource's own prefix was made by hand.
        let climbs = start.starts_with('/')
            || start.split('/').any(|s| matches!(s.trim_end_matches('\0'), "." | ".."));
        if climbs {
            return Err(bad(&format!("{start:?}")));
        }
        Ok(Self { revision, start })
    }

    /// The refusal when the revision is compacted away; it carries a token that goes on with what is
    /// newest.
    pub(super) fn expired(&self) -> Status {
        let mut status = Status::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        );
        status.continue_token = Self { revision: -1, start: self.start.clone() }.encode();
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_there_and_back() {
        let token = PageToken::after("default/a", 42);
        assert_eq!(PageToken::decode(&token.encode()), Ok(token));
    }

    #[test]
    fn what_was_made_by_hand_is_refused() {
        let made = |start: &str| PageToken { revision: 1, start: start.to_owned() }.encode();
        for text in ["", "!", "bm8", &made("../secrets/a"), &made("/a"), &made("")] {
            let refused = PageToken::decode(text).expect_err(text);
            assert_eq!(refused.code, 400, "{text}");
            assert!(refused.message.starts_with("invalid continue token: "), "{}", refused.message);
        }
    }
}
