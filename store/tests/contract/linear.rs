//! Whether a history of one key can be told in one order: what linearizable means.
//!
//! After Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with Lowe's memory of states that were
//! seen. A history is given key by key (linearizability is a property of each key by itself).

use std::collections::BTreeSet;

/// A value by number; every write has its own. 0: the key is absent.
pub type Value = u64;

/// What a client did with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read it.
    Read { found: Value },
    /// Wrote it, whatever was there (0: deleted it).
    Write { value: Value },
    /// Wrote it if `expected` was there, and was refused because of what was there instead.
    Swap { expected: Value, value: Value, refused_by: Option<Value> },
}

/// One operation. The times are numbers of one common count.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    #[allow(dead_code, reason = "for who reads a history that has no order")]
    pub client: usize,
    pub called: u64,
    /// `None`: no answer came; it may have happened at any time since, or not at all.
    pub returned: Option<u64>,
    pub action: Action,
}

impl Operation {
    /// What the key is after the operation, if it fits to what the key was.
    fn apply(&self, state: Value) -> Option<Value> {
        match self.action {
            Action::Read { found } => (found == state).then_some(state),
            Action::Write { value } => Some(value),
            Action::Swap { expected, value, refused_by: None } => (expected == state).then_some(value),
            Action::Swap { expected, refused_by: Some(found), .. } => {
                (found == state && found != expected).then_some(state)
            }
        }
    }
}

/// Why there is no such order: the longest one that was found ends here.
#[derive(Debug, PartialEq, Eq)]
pub struct Stuck {
    /// How many operations it holds, of how many.
    pub told: usize,
    pub of: usize,
    /// What the key is then.
    pub state: Value,
}

/// Looks for an order of all operations in which each gives what it gave, and none comes before one that had
/// returned when it was called. The key is absent at the beginning.
///
/// # Errors
/// There is none.
pub fn check(history: &[Operation]) -> Result<(), Stuck> {
    let mut history = history.to_vec();
    history.sort_by_key(|op| op.called);
    let answered = history.iter().filter(|op| op.returned.is_some()).count();
    let mut told = Told { done: vec![0; history.len().div_ceil(64)], first_left: 0, answered: 0 };
    let mut seen = BTreeSet::new();
    // Which operation was told, and what the key was before.
    let mut path: Vec<(usize, Value)> = Vec::new();
    let (mut state, mut next) = (0, 0);
    let mut longest = Stuck { told: 0, of: history.len(), state };
    while told.answered < answered {
        let found = told.candidates(&history, next).find_map(|at| Some((at, history[at].apply(state)?)));
        match found {
            Some((at, after)) => {
                told.toggle(&history, at);
                if seen.insert((told.key(), after)) {
                    path.push((at, state));
                    (state, next) = (after, 0);
                    if path.len() > longest.told {
                        longest = Stuck { told: path.len(), state, ..longest };
                    }
                } else {
                    told.toggle(&history, at);
                    next = at + 1;
                }
            }
            None => {
                let Some((at, before)) = path.pop() else { return Err(longest) };
                told.toggle(&history, at);
                (state, next) = (before, at + 1);
            }
        }
    }
    Ok(())
}

/// Which operations of the history were told already.
struct Told {
    done: Vec<u64>,
    /// All before it were.
    first_left: usize,
    /// How many of those had an answer.
    answered: usize,
}

impl Told {
    fn has(&self, at: usize) -> bool {
        self.done[at / 64] & (1 << (at % 64)) != 0
    }

    fn toggle(&mut self, history: &[Operation], at: usize) {
        let was = self.has(at);
        self.done[at / 64] ^= 1 << (at % 64);
        if history[at].returned.is_some() {
            self.answered = if was { self.answered - 1 } else { self.answered + 1 };
        }
        if was {
            self.first_left = self.first_left.min(at);
        } else {
            while self.first_left < history.len() && self.has(self.first_left) {
                self.first_left += 1;
            }
        }
    }

    /// The same for the same operations; short, however long the history is.
    fn key(&self) -> (usize, Vec<u64>) {
        let tail = self.done.get(self.first_left / 64..).unwrap_or_default();
        let used = tail.iter().rposition(|bits| *bits != 0).map_or(0, |last| last + 1);
        (self.first_left, tail[..used].to_vec())
    }

    fn left<'a>(&'a self, history: &'a [Operation]) -> impl Iterator<Item = usize> + 'a {
        (self.first_left..history.len()).filter(|at| !self.has(*at))
    }

    /// What may come next: from number `from` on, those called before the first of the others returned.
    fn candidates<'a>(&'a self, history: &'a [Operation], from: usize) -> impl Iterator<Item = usize> + 'a {
        let mut horizon = u64::MAX;
        for at in self.left(history) {
            if history[at].called > horizon {
                break;
            }
            horizon = horizon.min(history[at].returned.unwrap_or(u64::MAX));
        }
        let called_by = move |at: &usize| history[*at].called <= horizon;
        self.left(history).skip_while(move |at| *at < from).take_while(called_by)
    }
}

/// A row of the table below: `client called-returned action`, the time without an end for no answer.
fn history(text: &str) -> Vec<Operation> {
    let number = |text: &str| text.parse::<u64>().unwrap();
    let op = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (called, returned) = words[1].split_once('-').unwrap();
        let action = match words[2..] {
            ["r", found] => Action::Read { found: number(found) },
            ["w", value] => Action::Write { value: number(value) },
            ["s", expected, value] => {
                Action::Swap { expected: number(expected), value: number(value), refused_by: None }
            }
            ["s", expected, value, found] => Action::Swap {
                expected: number(expected),
                value: number(value),
                refused_by: Some(number(found)),
            },
            _ => panic!("{text:?}"),
        };
        let returned = (!returned.is_empty()).then(|| number(returned));
        Operation { client: number(words[0]) as usize, called: number(called), returned, action }
    };
    text.split(',').map(op).collect()
}

/// The checker itself: each wrong history stands beside a right one that differs in one thing.
#[test]
fn wrong_histories_are_refused_and_their_controls_are_not() {
    let rows = [
        // A read after a write sees it; one during it may or may not.
        ("1 1-2 w 5, 2 3-4 r 5", true),
        ("1 1-2 w 5, 2 3-4 r 0", false),
        ("1 1-4 w 5, 2 2-3 r 0", true),
        ("1 1-4 w 5, 2 2-3 r 5", true),
        // What was seen once is not unseen.
        ("1 1-9 w 5, 2 2-3 r 5, 3 4-5 r 5", true),
        ("1 1-9 w 5, 2 2-3 r 5, 3 4-5 r 0", false),
        ("1 1-9 w 5, 2 2-3 r 0, 3 4-5 r 5", true),
        // A value from nowhere.
        ("1 1-2 w 5, 2 3-4 r 6", false),
        // Of two that expected the same, one wins.
        ("1 1-2 w 5, 2 3-6 s 5 6, 3 4-7 s 5 7 6", true),
        ("1 1-2 w 5, 2 3-6 s 5 6, 3 4-7 s 5 7", false),
        // Who is refused met something else than what it expected.
        ("1 1-2 w 5, 2 3-4 s 5 6 5", false),
        ("1 1-2 w 5, 2 3-4 s 4 6 5", true),
        ("1 1-2 w 5, 2 3-4 s 4 6 5, 3 5-6 r 6", false),
        // A lost update.
        ("1 1-2 w 5, 2 3-4 s 5 6, 3 5-6 r 5", false),
        ("1 1-2 w 5, 2 3-4 s 5 6, 3 5-6 r 6", true),
        // A deletion, and a creation after it.
        ("1 1-2 w 5, 2 3-4 s 5 0, 3 5-6 r 0, 1 7-8 s 0 7, 2 9-10 r 7", true),
        ("1 1-2 w 5, 2 3-4 s 5 0, 3 5-6 r 5", false),
        // No answer: seen or not seen, late or never, but not taken back.
        ("1 1- w 5, 2 2-3 r 0, 3 4-5 r 5", true),
        ("1 1- w 5, 2 2-3 r 0, 3 4-5 r 0", true),
        ("1 1- w 5, 2 2-3 r 5, 3 4-5 r 0", false),
        ("1 4- w 5, 2 2-3 r 5", false),
        ("1 1-2 w 4, 2 3- s 4 5, 3 4-5 w 6, 1 6-7 r 5", false),
        ("1 1-2 w 4, 2 3- s 4 5, 3 4-5 r 5, 3 6-7 w 6, 1 8-9 r 6", true),
        // Two readers that disagree about the order of two writes.
        ("1 1-9 w 5, 2 1-9 w 6, 3 1-2 r 5, 3 3-4 r 6, 4 1-2 r 5, 4 3-4 r 6", true),
        ("1 1-9 w 5, 2 1-9 w 6, 3 1-2 r 5, 3 3-4 r 6, 4 1-2 r 6, 4 3-4 r 5", false),
    ];
    for (text, right) in rows {
        assert_eq!(check(&history(text)).is_ok(), right, "{text}");
    }
}

/// Many clients at once: the search must not be exponential, nor end early.
#[test]
fn a_long_history_is_told_in_good_time() {
    let mut ops = Vec::new();
    for round in 0..200_u64 {
        // Six writes at once, then a read of one of them.
        for client in 0..6_u64 {
            let action = Action::Write { value: round * 6 + client + 1 };
            let (called, returned) = (round * 20, Some(round * 20 + 9));
            ops.push(Operation { client: client as usize, called, returned, action });
        }
        let found = round * 6 + round % 6 + 1;
        ops.push(Operation {
            client: 6,
            called: round * 20 + 10,
            returned: Some(round * 20 + 11),
            action: Action::Read { found },
        });
    }
    assert_eq!(check(&ops), Ok(()));
    let last = ops.len() - 1;
    ops[last].action = Action::Read { found: 1 };
    let stuck = check(&ops).unwrap_err();
    assert_eq!((stuck.told, stuck.of), (last, ops.len()), "only the last does not fit");
}
