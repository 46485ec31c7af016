//! TokenReview: whose token is this, and for whom of those who ask is it good?

use api::{object::ObjectExt as _, status::Status};
use serde_json::{Map, Value, json};
use world::Wall;

use super::{Authn, Opinion, bearer::INVALID};

impl Authn {
    /// Answers a TokenReview into its status.
    ///
    /// # Errors
    /// 400 for a review without a token, or in a namespace; 500 if the audiences cannot be compared.
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
        let asked = (!audiences.is_empty()).then_some(audiences.as_slice());
        let tokens = self.tokens.union();
        let loopback = self.loopback.as_ref().filter(|l| pki::token::same_secret(&l.token, &token));
        let (opinion, good_for) = match loopback {
            Some(loopback) => match tokens.implicit(asked) {
                Some(good_for) => (Opinion::User(loopback.user.clone()), good_for),
                None => (Opinion::Bad(INVALID.to_owned()), Vec::new()),
            },
            None => {
                let answer = tokens.authenticate(&token, asked, now).await;
                (answer.opinion, answer.audiences)
            }
        };
        // A server without audiences of its own believes tokens whatever theirs are: that is no answer to this.
        if matches!(opinion, Opinion::User(_)) && asked.is_some() && good_for.is_empty() {
            return Err(Status::internal("error validating audiences"));
        }
        let mut status = Map::new();
        match opinion {
            Opinion::User(mut user) => {
                user.mark_authenticated();
                status.insert("authenticated".to_owned(), true.into());
                status.insert("user".to_owned(), user.to_value());
                if !good_for.is_empty() {
                    status.insert("audiences".to_owned(), json!(good_for));
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
