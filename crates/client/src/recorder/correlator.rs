//! Which events are new, which only count up, and which are too many: client-go's correlator.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::object::ObjectExt as _;
use serde_json::Value;
use world::Mono;

use crate::Bucket;

/// What to do with an event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing like it is known.
    Create(Value),
    /// It was written before: this is that event with a higher count.
    Count(Value),
    /// The source says too much about the object.
    Drop,
}

/// Events of one source about one object: so many at once, then one in five minutes.
const BURST: u32 = 25;
const QPS: f64 = 1.0 / 300.0;
/// So many different messages of one reason in ten minutes become one event.
const SIMILAR: usize = 10;
const SIMILAR_WITHIN: Duration = Duration::from_secs(600);
const COMBINED: &str = "(combined from similar events): ";

/// See the module.
#[derive(Default)]
pub(super) struct Correlator {
    spam: Recent<Bucket>,
    similar: Recent<Similar>,
    known: Recent<Known>,
}

#[derive(Default)]
struct Similar {
    messages: BTreeSet<String>,
    last: Mono,
}

struct Known {
    name: String,
    count: i64,
    first: Value,
}

impl Correlator {
    /// Judges `event`. `name_for` makes a name for an event that stands for several.
    pub(super) fn judge(
        &mut self,
        mut event: Value,
        now: Mono,
        name_for: impl Fn(&str) -> String,
    ) -> Verdict {
        let (source, message) = (key(&event, SOURCE), event.str_at("/message").to_owned());
        let reason = source.clone() + &key(&event, REASON);
        let mut exact = reason.clone() + "\n" + &message;

        let similar = self.similar.get_or(&reason, Similar::default);
        if now.since(similar.last) > SIMILAR_WITHIN {
            similar.messages.clear();
        }
        similar.messages.insert(message.clone());
        similar.last = now;
        if similar.messages.len() >= SIMILAR {
            // The set need not grow to know that there are many.
            similar.messages.pop_first();
            event.set_at("/message", format!("{COMBINED}{message}"));
            let name = name_for(event.str_at("/involvedObject/name"));
            event.set_name(&name);
            exact = reason;
        }

        // Counted even if it is dropped: the number is right when the next one gets through.
        let bucket = self.spam.get_or(&source, || Bucket::new(QPS, BURST));
        let verdict = match self.known.get(&exact) {
            Some(known) => {
                event.set_name(&known.name);
                event.set_at("/firstTimestamp", known.first.clone());
                event.set_at("/count", known.count + 1);
                known.count += 1;
                Verdict::Count(event)
            }
            None => {
                let known =
                    Known { name: event.name().to_owned(), count: 1, first: event["firstTimestamp"].clone() };
                self.known.put(exact, known);
                Verdict::Create(event)
            }
        };
        if bucket.try_take(now) { verdict } else { Verdict::Drop }
    }

    /// What the server made of an event: its count and name are what the next one goes on from.
    pub(super) fn written(&mut self, event: &Value) {
        let exact = key(event, SOURCE) + &key(event, REASON) + "\n" + event.str_at("/message");
        if let Some(known) = self.known.get(&exact) {
            known.name = event.name().to_owned();
            known.count = event.i64_at("/count").unwrap_or(known.count);
        }
    }
}

const SOURCE: &[&str] = &[
    "/source/component",
    "/source/host",
    "/involvedObject/kind",
    "/involvedObject/namespace",
    "/involvedObject/name",
    "/involvedObject/uid",
    "/involvedObject/apiVersion",
];
const REASON: &[&str] = &["/type", "/reason"];

fn key(event: &Value, fields: &[&str]) -> String {
    // A separator that is in no name keeps `a`+`bc` and `ab`+`c` apart.
    fields.iter().flat_map(|field| ["\n", event.str_at(field)]).collect()
}

/// A map that forgets what was not used for longest.
struct Recent<T> {
    entries: BTreeMap<String, (u64, T)>,
    uses: u64,
}

/// As many entries as upstream's caches keep.
const MOST: usize = 4096;

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), uses: 0 }
    }
}

impl<T> Recent<T> {
    fn get(&mut self, key: &str) -> Option<&mut T> {
        self.uses += 1;
        let (used, value) = self.entries.get_mut(key)?;
        *used = self.uses;
        Some(value)
    }

    fn get_or(&mut self, key: &str, make: impl FnOnce() -> T) -> &mut T {
        self.make_room(key);
        self.uses += 1;
        let (used, value) = self.entries.entry(key.to_owned()).or_insert_with(|| (0, make()));
        *used = self.uses;
        value
    }

    fn put(&mut self, key: String, value: T) {
        self.make_room(&key);
        self.uses += 1;
        self.entries.insert(key, (self.uses, value));
    }

    fn make_room(&mut self, key: &str) {
        if self.entries.len() < MOST || self.entries.contains_key(key) {
            return;
        }
        let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(object: &str, reason: &str, message: &str) -> Value {
        json!({
            "metadata": {"name": format!("{object}.1"), "namespace": "default"},
            "involvedObject": {"kind": "Pod", "namespace": "default", "name": object, "apiVersion": "v1"},
            "source": {"component": "kubelet"}, "type": "Normal", "reason": reason, "message": message,
            "firstTimestamp": "2026-01-01T00:00:00Z", "count": 1,
        })
    }

    fn at(seconds: u64) -> Mono {
        Mono::default() + Duration::from_secs(seconds)
    }

    #[track_caller]
    fn judge(correlator: &mut Correlator, event: Value, seconds: u64) -> Verdict {
        correlator.judge(event, at(seconds), |of| format!("{of}.combined"))
    }

    #[test]
    fn what_repeats_counts_up_under_its_first_name_and_time() {
        let mut correlator = Correlator::default();
        let first = event("p", "Pulled", "image x");
        assert_eq!(judge(&mut correlator, first.clone(), 0), Verdict::Create(first));
        let mut again = event("p", "Pulled", "image x");
        again.set_name("p.2");
        again.set_at("/firstTimestamp", "2026-01-02T00:00:00Z");
        let Verdict::Count(counted) = judge(&mut correlator, again, 1) else { panic!("is not counted") };
        assert_eq!((counted.name(), counted.i64_at("/count")), ("p.1", Some(2)));
        assert_eq!(counted.str_at("/firstTimestamp"), "2026-01-01T00:00:00Z");
        // Another object, reason or message is another event.
        for other in
            [event("q", "Pulled", "image x"), event("p", "Started", "image x"), event("p", "Pulled", "y")]
        {
            assert!(matches!(judge(&mut correlator, other, 2), Verdict::Create(_)));
        }
    }

    #[test]
    fn ten_similar_messages_become_one() {
        let mut correlator = Correlator::default();
        for n in 0..9 {
            assert!(matches!(
                judge(&mut correlator, event("p", "Failed", &n.to_string()), n),
                Verdict::Create(_)
            ));
        }
        let Verdict::Create(combined) = judge(&mut correlator, event("p", "Failed", "9"), 9) else {
            panic!()
        };
        assert_eq!(combined.str_at("/message"), "(combined from similar events): 9");
        assert_eq!(combined.name(), "p.combined");
        let Verdict::Count(combined) = judge(&mut correlator, event("p", "Failed", "10"), 10) else {
            panic!()
        };
        assert_eq!((combined.name(), combined.i64_at("/count")), ("p.combined", Some(2)));
        // After ten quiet minutes it is news again.
        assert!(matches!(judge(&mut correlator, event("p", "Failed", "11"), 700), Verdict::Create(_)));
    }

    #[test]
    fn a_chatterbox_is_silenced_per_object() {
        let mut correlator = Correlator::default();
        let told = |c: &mut Correlator, object: &str, n: u64| {
            (0..n).filter(|_| judge(c, event(object, "R", "m"), 0) != Verdict::Drop).count()
        };
        assert_eq!(told(&mut correlator, "p", 100), 25);
        assert_eq!(told(&mut correlator, "q", 10), 10);
        // One more every five minutes; what was dropped was counted all the same.
        let Verdict::Count(late) = judge(&mut correlator, event("p", "R", "m"), 300) else { panic!() };
        assert_eq!(late.i64_at("/count"), Some(101));
        assert_eq!(judge(&mut correlator, event("p", "R", "m"), 301), Verdict::Drop);
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::default();
        for n in 0..MOST + 10 {
            recent.put(n.to_string(), n);
            recent.get("0");
        }
        assert_eq!(recent.entries.len(), MOST);
        assert_eq!(recent.get("0"), Some(&mut 0), "what is used stays");
        assert_eq!(recent.get("1"), None);
    }
}
