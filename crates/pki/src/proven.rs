//! Signatures that this process has checked before.
//!
//! In one process a thousand clients verify one server's certificate, and one request is read by admission,
//! approver and signer. A signature that was right stays right: it depends on key, message and signature alone,
//! never on a date or on whom anybody trusts, which are asked anew each time. What was wrong is not remembered.

use std::collections::{BTreeSet, VecDeque};

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;

/// The oldest goes when there are more: what is asked again is asked soon.
const MOST: usize = 4096;

/// What was signed, by which key, and how: nobody finds two with one digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Statement([u8; 32]);

impl Statement {
    pub(crate) fn of(parts: [&[u8]; 4]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            // Where one part ends and the next begins belongs to it.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }
}

#[derive(Default)]
struct Known {
    all: BTreeSet<Statement>,
    by_age: VecDeque<Statement>,
}

static KNOWN: Mutex<Known> = Mutex::new(Known { all: BTreeSet::new(), by_age: VecDeque::new() });

/// Whether it was found right before.
pub(crate) fn is_proven(statement: Statement) -> bool {
    KNOWN.lock().all.contains(&statement)
}

/// It was found right.
pub(crate) fn remember(statement: Statement) {
    let mut known = KNOWN.lock();
    if !known.all.insert(statement) {
        return;
    }
    known.by_age.push_back(statement);
    if known.by_age.len() > MOST
        && let Some(oldest) = known.by_age.pop_front()
    {
        known.all.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let of = |a: &str, b: &str| Statement::of([a.as_bytes(), b.as_bytes(), b"", b""]);
        assert!(of("ab", "c") != of("a", "bc"));
        assert!(of("ab", "c") == of("ab", "c"), "the control run");
    }

    #[test]
    fn the_oldest_is_forgotten_and_what_was_never_proven_is_not_known() {
        let of = |n: usize| Statement::of([b"a test", &n.to_be_bytes(), b"", b""]);
        assert!(!is_proven(of(0)));
        remember(of(0));
        assert!(is_proven(of(0)));
        (1..=MOST).for_each(|n| remember(of(n)));
        assert!(!is_proven(of(0)), "too old");
        assert!(is_proven(of(MOST)));
    }
}
