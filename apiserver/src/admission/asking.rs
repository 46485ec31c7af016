//! `authorizer` in expressions about a write: what its user may do, asked of the server's own authorizers.

use std::collections::{BTreeMap, BTreeSet};

use api::selector::{FieldSelector, LabelSelector};
use parking_lot::Mutex;

use super::Review;
use crate::{
    authz::{Attributes, Authz, Verdict},
    cel::{Asker, Question},
    identity::User,
};

/// Whether it is allowed, why, and what failed on the way.
type Answer = (bool, String, Option<String>);

/// Who answers for `authorizer`. Expressions cannot wait, and some authorizers must be waited for: what is
/// not known yet is noted, and whoever evaluates lets it be answered and evaluates once more.
pub(super) struct Asking<'a> {
    authz: &'a Authz,
    user: &'a User,
    about: Question,
    known: Mutex<BTreeMap<Question, Answer>>,
    open: Mutex<BTreeSet<Question>>,
}

impl std::fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asking({})", self.user.name)
    }
}

impl<'a> Asking<'a> {
    pub(super) fn new(authz: &'a Authz, review: &Review<'a>) -> Self {
        let about = Question {
            group: review.group.to_owned(),
            resource: review.resource.to_owned(),
            subresource: review.subresource.to_owned(),
            namespace: review.namespace.to_owned(),
            name: review.object_name().to_owned(),
            ..Question::default()
        };
        Self { authz, user: review.user, about, known: Mutex::default(), open: Mutex::default() }
    }

    /// Answers what the last evaluation had to leave open; whether that was anything.
    pub(super) async fn settle(&self) -> bool {
        let open = std::mem::take(&mut *self.open.lock());
        let any = !open.is_empty();
        for question in open {
            let asked = Asked::of(&question, self.user);
            let verdict = self.authz.authorize(&asked.attributes(&question)).await;
            self.known.lock().insert(question, answer(&verdict));
        }
        any
    }
}

fn answer(verdict: &Verdict) -> Answer {
    let error = (!verdict.errors.is_empty()).then(|| verdict.errors.join(", "));
    (verdict.is_allowed(), verdict.reason.to_string(), error)
}

/// What a question's attributes borrow from.
struct Asked<'a> {
    account: Option<User>,
    user: &'a User,
    fields: Option<FieldSelector>,
    labels: Option<LabelSelector>,
}

impl<'a> Asked<'a> {
    fn of(question: &Question, user: &'a User) -> Self {
        let account = question.service_account.as_ref();
        let given = |text: &str| !text.is_empty();
        Self {
            account: account.map(|(namespace, name)| User::service_account(namespace, name, "")),
            user,
            // A selector that cannot be read is none.
            fields: FieldSelector::parse(&question.field_selector)
                .ok()
                .filter(|_| given(&question.field_selector)),
            labels: LabelSelector::parse(&question.label_selector)
                .ok()
                .filter(|_| given(&question.label_selector)),
        }
    }

    fn attributes<'q>(&'q self, question: &'q Question) -> Attributes<'q> {
        Attributes {
            verb: &question.verb,
            group: &question.group,
            version: if question.path.is_empty() { "*" } else { "" },
            resource: &question.resource,
            subresource: &question.subresource,
            namespace: &question.namespace,
            name: &question.name,
            path: &question.path,
            resource_request: question.path.is_empty(),
            field_selector: self.fields.as_ref(),
            label_selector: self.labels.as_ref(),
            ..Attributes::of(self.account.as_ref().unwrap_or(self.user))
        }
    }
}

impl Asker for Asking<'_> {
    fn ask(&self, question: &Question) -> Answer {
        if let Some(answer) = self.known.lock().get(question) {
            return answer.clone();
        }
        let asked = Asked::of(question, self.user);
        if let Some(verdict) = self.authz.authorize_at_once(&asked.attributes(question)) {
            return answer(&verdict);
        }
        self.open.lock().insert(question.clone());
        (false, String::new(), Some("the authorizer has not answered yet".to_owned()))
    }

    fn request(&self) -> Question {
        self.about.clone()
    }
}
