//! What a stateful set does next, free of requests (`stateful_set_control.go`): from the lowest ordinal
//! up, from the highest down, one at a time unless the set is `Parallel`.

use std::collections::BTreeMap;

use api::object::ObjectExt as _;
use serde_json::Value;

/// One pod of the set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Member {
    /// On its way out.
    pub deleting: bool,
    /// Ended, well or badly: to be replaced.
    pub finished: bool,
    /// Running, ready, and that for long enough.
    pub available: bool,
    /// Name of the revision that it was made from.
    pub revision: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Create(i64),
    /// A pod that has ended makes room for its successor.
    Replace(i64),
    Delete(i64),
}

/// What the set asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub start: i64,
    pub replicas: i64,
    pub parallel: bool,
    /// Ordinals from here on are updated; `None` leaves that to people.
    pub partition: Option<i64>,
    pub update_revision: String,
    pub deleting: bool,
}

impl Wish {
    pub(super) fn of(set: &Value, update_revision: &str, deleting: bool) -> Self {
        let rolling = set.str_at("/spec/updateStrategy/type") != "OnDelete";
        let partition = set.i64_at("/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
        let start = set.i64_at("/spec/ordinals/start").unwrap_or(0);
        Self {
            start,
            replicas: set.i64_at("/spec/replicas").unwrap_or(1),
            parallel: set.str_at("/spec/podManagementPolicy") == "Parallel",
            partition: rolling.then_some(start + partition),
            update_revision: update_revision.to_owned(),
            deleting,
        }
    }

    fn ordinals(&self) -> std::ops::Range<i64> {
        self.start..self.start + self.replicas
    }
}

/// The next actions; none while something has to be waited for.
pub(super) fn next(wish: &Wish, members: &BTreeMap<i64, Member>) -> Vec<Action> {
    if wish.deleting {
        return Vec::new();
    }
    let mut actions = Vec::new();
    for ordinal in wish.ordinals() {
        let blocked = match members.get(&ordinal) {
            None => {
                actions.push(Action::Create(ordinal));
                true
            }
            Some(m) if m.finished && !m.deleting => {
                actions.push(Action::Replace(ordinal));
                true
            }
            Some(m) => m.deleting || !m.available,
        };
        if blocked && !wish.parallel {
            return actions;
        }
    }
    let condemned: Vec<(i64, &Member)> =
        members.iter().rev().filter(|(o, _)| !wish.ordinals().contains(*o)).map(|(o, m)| (*o, m)).collect();
    let first_unhealthy = members.iter().find(|(_, m)| m.deleting || !m.available).map(|(o, _)| *o);
    for (ordinal, member) in condemned {
        if member.deleting {
            if wish.parallel {
                continue;
            }
            return actions;
        }
        // Going down, a pod that is not healthy is waited for, unless it is the only trouble there is.
        if !wish.parallel && !member.available && first_unhealthy != Some(ordinal) {
            return actions;
        }
        actions.push(Action::Delete(ordinal));
        if !wish.parallel {
            return actions;
        }
    }
    if actions.is_empty() {
        actions.extend(update(wish, members));
    }
    actions
}

fn update(wish: &Wish, members: &BTreeMap<i64, Member>) -> Option<Action> {
    let partition = wish.partition?;
    for ordinal in wish.ordinals().rev().take_while(|o| *o >= partition) {
        let member = members.get(&ordinal)?;
        if member.revision != wish.update_revision && !member.deleting {
            return Some(Action::Delete(ordinal));
        }
        if member.deleting || !member.available {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{Create, Delete, Replace};

    fn wish(replicas: i64) -> Wish {
        Wish { replicas, partition: Some(0), update_revision: "2".into(), ..Wish::default() }
    }

    /// A letter per pod: available, not available, terminating, finished; upper case of the old revision.
    fn members(letters: &str) -> BTreeMap<i64, Member> {
        let of = |c: char| {
            (c != '.').then(|| Member {
                deleting: c.eq_ignore_ascii_case(&'t'),
                finished: c.eq_ignore_ascii_case(&'f'),
                available: c.eq_ignore_ascii_case(&'a'),
                revision: if c.is_ascii_uppercase() { "1".into() } else { "2".into() },
            })
        };
        (0..).zip(letters.chars()).filter_map(|(i, c)| of(c).map(|m| (i, m))).collect()
    }

    fn check(wish: &Wish, letters: &str, expect: &[Action]) {
        assert_eq!(next(wish, &members(letters)), expect, "{wish:?} of {letters}");
    }

    #[test]
    fn one_after_the_other() {
        check(&wish(3), "", &[Create(0)]);
        check(&wish(3), "n", &[]);
        check(&wish(3), "a", &[Create(1)]);
        check(&wish(3), "a.a", &[Create(1)]);
        check(&wish(3), "afa", &[Replace(1)]);
        check(&wish(3), "ata", &[]);
        check(&wish(3), "aaa", &[]);
        let started = Wish { start: 2, ..wish(1) };
        check(&started, "", &[Create(2)]);
        check(&Wish { deleting: true, ..wish(3) }, "a", &[]);
    }

    #[test]
    fn down_from_the_highest() {
        check(&wish(1), "aaa", &[Delete(2)]);
        check(&wish(1), "aat", &[]);
        check(&wish(1), "aan", &[Delete(2)]);
        check(&wish(1), "ana", &[Delete(2)]);
        check(&wish(1), "ann", &[]);
        check(&wish(1), "naa", &[]);
    }

    #[test]
    fn parallel_sets_do_not_wait() {
        let parallel = |replicas| Wish { parallel: true, ..wish(replicas) };
        check(&parallel(3), "n", &[Create(1), Create(2)]);
        check(&parallel(0), "ana", &[Delete(2), Delete(1), Delete(0)]);
    }

    #[test]
    fn an_update_goes_down_to_the_partition() {
        check(&wish(3), "AAA", &[Delete(2)]);
        check(&wish(3), "AAa", &[Delete(1)]);
        check(&wish(3), "AAn", &[]);
        check(&wish(3), "aaa", &[]);
        check(&Wish { partition: Some(2), ..wish(3) }, "AAA", &[Delete(2)]);
        check(&Wish { partition: Some(2), ..wish(3) }, "AAa", &[]);
        check(&Wish { partition: None, ..wish(3) }, "AAA", &[]);
    }
}
