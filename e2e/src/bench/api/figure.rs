//! One figure: how many a second, and how long each took.

use std::{fmt, time::Duration};

use serde_json::{Value, json};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    what: String,
    per_second: f64,
    /// Median, 90th and 99th percentile, slowest.
    took: [Duration; 4],
}

impl Figure {
    /// Above the columns of `Display`.
    pub(super) const HEADING: &'static str =
        "WHAT                                     A SECOND        P50        P90        P99       MOST";

    /// Of so many that were done in `whole`, each of which took one of `took`.
    pub(super) fn new(what: &str, count: usize, whole: Duration, mut took: Vec<Duration>) -> Self {
        took.sort();
        let at = |percent: usize| {
            let place = (took.len() * percent / 100).min(took.len().saturating_sub(1));
            took.get(place).copied().unwrap_or_default()
        };
        let per_second = count as f64 / whole.as_secs_f64().max(f64::EPSILON);
        Self { what: what.to_owned(), per_second, took: [at(50), at(90), at(99), at(100)] }
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let [p50, p90, p99, most] = self.took.map(|t| t.as_secs_f64() * 1000.0);
        json!({
            "what": self.what, "perSecond": self.per_second,
            "p50Ms": p50, "p90Ms": p90, "p99Ms": p99, "mostMs": most,
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<38} {:>10.0}", self.what, self.per_second)?;
        self.took.iter().try_for_each(|t| write!(f, " {:>7.2} ms", t.as_secs_f64() * 1000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_took_longest() {
        let took = (1..=100).rev().map(Duration::from_millis).collect();
        let figure = Figure::new("x", 100, Duration::from_secs(2), took).to_json();
        assert_eq!((figure["perSecond"].as_f64(), figure["p50Ms"].as_f64()), (Some(50.0), Some(51.0)));
        assert_eq!((figure["p99Ms"].as_f64(), figure["mostMs"].as_f64()), (Some(100.0), Some(100.0)));
        assert_eq!(Figure::new("x", 0, Duration::ZERO, Vec::new()).to_json()["mostMs"], 0.0);
    }
}
