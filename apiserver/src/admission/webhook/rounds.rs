//! Who is asked a second time: a request goes through the mutating pass once more when a webhook changed
//! the object, and then those are asked again that wished so and saw the object before it was changed.

use std::collections::BTreeSet;

use api::object::ObjectExt as _;
use serde_json::Value;

/// What is remembered of one request's passes.
#[derive(Debug, Default)]
pub(in super::super) struct Rounds {
    /// Whether this is the second pass.
    again: bool,
    /// Whether a webhook changed the object.
    changed: bool,
    /// Who wished to be asked again, and has not missed a change yet.
    invoked: BTreeSet<String>,
    /// Who is to be asked again.
    due: BTreeSet<String>,
    /// The object as the webhooks left it.
    last: Option<Value>,
    /// `metadata.managedFields` as they were before any webhook.
    managed: Option<Option<Value>>,
}

impl Rounds {
    /// Whether there is to be another pass; it begins with that. `others`: a policy changed the object.
    pub(in super::super) fn next(&mut self, others: bool) -> bool {
        let next = (self.changed || others) && !self.again;
        self.again |= next;
        next
    }

    /// `metadata.managedFields` as they were before a webhook changed the object; `None` if none did.
    pub(in super::super) fn managed_fields_before(&mut self) -> Option<Option<Value>> {
        self.managed.take()
    }

    /// 0 or 1, as annotations number them.
    pub(super) fn number(&self) -> usize {
        usize::from(self.again)
    }

    /// Webhooks begin to be asked. What other plugins changed in their second turn counts too.
    pub(super) fn begin(&mut self, object: Option<&Value>) {
        if self.again && self.last.as_ref() != object {
            self.miss();
        }
    }

    /// All webhooks were asked.
    pub(super) fn end(&mut self, object: Option<&Value>) {
        // Only those who wish to be asked again could miss something.
        let could_miss = !self.invoked.is_empty() || !self.due.is_empty();
        if could_miss && !self.again {
            self.last = object.cloned();
        }
    }

    /// Whether a webhook is asked in this pass: in the second one nobody is for the first time.
    pub(super) fn asks(&self, uid: &str) -> bool {
        !self.again || self.due.contains(uid)
    }

    /// The object, still as it was, changes: those who were asked so far have not seen it as it is to be.
    pub(super) fn change(&mut self, before: Option<&Value>) {
        self.changed = true;
        self.managed.get_or_insert_with(|| before.and_then(|o| o.at("/metadata/managedFields")).cloned());
        self.miss();
    }

    /// A webhook was asked that wishes to see what others change after it.
    pub(super) fn invoke(&mut self, uid: &str) {
        self.invoked.insert(uid.to_owned());
    }

    fn miss(&mut self) {
        self.due.append(&mut self.invoked);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Runs webhooks `a` (if it is told what the others do, again), then `b`; who was asked, by pass.
    fn passes(
        reinvoked: bool,
        a_changes: bool,
        b_changes: bool,
        others_change: bool,
    ) -> Vec<Vec<&'static str>> {
        let mut rounds = Rounds::default();
        let mut object = json!(0);
        let touch = |object: &mut Value| *object = json!(object.as_i64().unwrap() + 1);
        let mut asked = Vec::new();
        loop {
            if rounds.number() == 1 && others_change {
                touch(&mut object);
            }
            rounds.begin(Some(&object));
            let mut pass = Vec::new();
            for (name, changes) in [("a", a_changes), ("b", b_changes)] {
                if !rounds.asks(name) {
                    continue;
                }
                pass.push(name);
                if changes && rounds.number() == 0 {
                    touch(&mut object);
                    rounds.change(None);
                }
                if reinvoked && name == "a" {
                    rounds.invoke(name);
                }
            }
            rounds.end(Some(&object));
            asked.push(pass);
            if !rounds.next(false) {
                return asked;
            }
        }
    }

    #[test]
    fn who_wishes_so_is_asked_again_after_others() {
        let both = || vec!["a", "b"];
        for (reinvoked, a, b, others, expected) in [
            (false, false, false, false, vec![both()]),
            (true, false, false, false, vec![both()]),
            // Its own change is no reason.
            (true, true, false, false, vec![both(), vec![]]),
            (true, false, true, false, vec![both(), vec!["a"]]),
            (false, false, true, false, vec![both(), vec![]]),
            (true, true, true, false, vec![both(), vec!["a"]]),
            // A plugin reacts to a webhook's change in its second turn.
            (true, true, false, true, vec![both(), vec!["a"]]),
            (false, true, false, true, vec![both(), vec![]]),
        ] {
            assert_eq!(passes(reinvoked, a, b, others), expected, "{reinvoked} {a} {b} {others}");
        }
    }
}
