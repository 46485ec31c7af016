//! Answers of a webhook, each until its time is over; of too many the one that was used longest ago is forgotten.

use std::collections::{BTreeMap, HashMap};

use world::Mono;

use super::review::Answer;

/// Upstream's size.
const MOST: usize = 8192;

#[derive(Default)]
pub(super) struct Cache {
    /// Asked by key only: the order of a hashed map must not show.
    answers: HashMap<String, Kept>,
    /// The keys in the order of their last use.
    used: BTreeMap<u64, String>,
    ticks: u64,
}

struct Kept {
    answer: Answer,
    until: Mono,
    used: u64,
}

impl Cache {
    pub(super) fn get(&mut self, key: &str, now: Mono) -> Option<Answer> {
        let kept = self.answers.get_mut(key)?;
        if now > kept.until {
            let used = kept.used;
            self.answers.remove(key);
            self.used.remove(&used);
            return None;
        }
        self.ticks += 1;
        if let Some(key) = self.used.remove(&kept.used) {
            self.used.insert(self.ticks, key);
        }
        kept.used = self.ticks;
        Some(kept.answer.clone())
    }

    pub(super) fn put(&mut self, key: String, answer: Answer, until: Mono) {
        self.ticks += 1;
        let used = self.ticks;
        if let Some(old) = self.answers.insert(key.clone(), Kept { answer, until, used }) {
            self.used.remove(&old.used);
        }
        self.used.insert(used, key);
        if self.answers.len() > MOST
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.answers.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_one_that_was_used_longest_ago_goes_first() {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let now = sim.host("master").clock().monotonic();
            let until = now + Duration::from_secs(1);
            let mut cache = Cache::default();
            for n in 0..MOST {
                cache.put(n.to_string(), Answer::default(), until);
            }
            assert!(cache.get("0", now).is_some());
            cache.put("one more".to_owned(), Answer::default(), until);
            assert!(cache.get("0", now).is_some());
            assert!(cache.get("1", now).is_none());
            assert!(cache.get("2", now).is_some());
            assert_eq!((cache.answers.len(), cache.used.len()), (MOST, MOST));
        })
        .unwrap();
    }
}
