//! TokenReview: whose token is this?

use api::{object::ObjectExt as _, status::Status};
use serde_json::{Map, Value, json};
use world::Wall;

use super::{Authn, Opinion};

impl Authn {
    /// Answers a TokenReview into its status.
    ///
    /// # Errors
    /// 400 for a review without a token, or in a namespace.
    pub async fn review_token(&self, review: &mut Value, now: Wall) -> Result<(), Status> {
        let token = review.str_at("/spec/token").to_owned();
        if token.is_empty() {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        if !review.namespace().is_empty() {
            let why = format!("namespace is not allowed on this type: {}", review.namespace());
            return Err(Status::bad_request(why));
        }
        let audiences = review.list_at("/spec/audiences").iter().filter_map(Value::as_str);
        let audiences: Vec<String> = audiences.map(str::to_owned).collect();
        let is_own = self.loopback.as_ref().is_some_and(|l| pki::token::same_secret(&l.token, &token));
        let (opinion, good_for) = match &self.loopback {
            Some(loopback) if is_own => (Opinion::User(loopback.user.clone()), Vec::new()),
            _ => {
                let asked = (!audiences.is_empty()).then_some(audiences.as_slice());
                let answer = self.tokens.union().authenticate(&token, asked, now).await;
                (answer.opinion, answer.audiences)
            }
        };
        let mut status = Map::new();
        match opinion {
            Opinion::User(mut user) => {
                user.mark_authenticated();
                status.insert("authenticated".to_owned(), true.into());
                status.insert("user".to_owned(), user.to_value());
                // Tokens without audiences of their own are good for the server, and it alone.
                let shown = if good_for.is_empty() { audiences } else { good_for };
                if !shown.is_empty() {
                    status.insert("audiences".to_owned(), json!(shown));
                }
            }
            Opinion::None => {}
            Opinion::Bad(why) => {
                status.insert("error".to_owned(), why.into());
            }
        }
        review.set_at("/status", Value::Object(status));
        Ok(())
    }
}
