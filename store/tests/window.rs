//! How much history a member keeps by itself: by age, by number, or all of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{collections::VecDeque, time::Duration};

use store::{ListOptions, Range, StoreError, memory, server};
use world::sim;

const MINUTES: usize = 200;
const MINUTE: Duration = Duration::from_secs(60);

/// Writes once a minute for more than three hours under `flags`; gives for each minute how many revisions of history there are
/// before the newest.
fn kept(flags: &[&str]) -> Vec<i64> {
    sim::run(sim::Config::default(), |sim| async move {
        let host = sim.host("etcd1");
        let store = memory(&host);
        let args: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        server::serve(&host, server::Options::parse(&args).unwrap(), store.clone()).await.unwrap();
        let mut kept = Vec::new();
        // What a reader of each minute saw, for as long as it is kept.
        let mut states: VecDeque<(i64, _)> = VecDeque::new();
        for minute in 0..MINUTES {
            let at = store.put("/k".into(), minute.to_string().into()).await.unwrap();
            states.push_back((at, minute.to_string()));
            // Beside the timers that fall due together with it.
            sim.elapse(MINUTE - Duration::from_secs(1)).await;
            let oldest = store.status().await.unwrap().oldest;
            for (at, value) in &states {
                let options = ListOptions { at: Some(*at), ..ListOptions::default() };
                match store.list(Range::all(), options).await {
                    Ok(found) => {
                        assert_eq!((&found.kvs[0].value, *at >= oldest), (&value.clone().into(), true))
                    }
                    Err(e) => assert!(matches!(e, StoreError::Compacted { .. }) && *at < oldest, "{e}"),
                }
            }
            kept.push(at - oldest.max(1));
            sim.elapse(Duration::from_secs(1)).await;
        }
        kept
    })
    .unwrap()
}

#[test]
fn history_is_kept_by_age_by_number_or_whole() {
    // (flags, in minutes: kept at least, kept at most, nothing is compacted before)
    let rows: [(&[&str], i64, i64, usize); 4] = [
        (&["--auto-compaction-retention=10m"], 10, 10 + 10 + 1, 10),
        (&["--auto-compaction-mode=periodic", "--auto-compaction-retention=1"], 60, 60 + 60 + 6, 60),
        (&["--auto-compaction-mode=revision", "--auto-compaction-retention=20"], 20, 20 + 5, 20),
        // The control.
        (&["--auto-compaction-retention=0"], MINUTES as i64, MINUTES as i64, MINUTES),
    ];
    for (flags, least, most, quiet) in rows {
        let kept = kept(flags);
        for (minute, kept) in (1_i64..).zip(&kept) {
            assert!(*kept >= least.min(minute), "{flags:?}: in minute {minute} only {kept} are left");
            assert!(*kept <= most, "{flags:?}: in minute {minute} there are {kept}");
        }
        assert!(
            kept.iter().take(quiet - 1).zip(1..).all(|(kept, minute)| *kept == minute),
            "{flags:?}: {kept:?}"
        );
        let compacted = kept.windows(2).filter(|pair| pair[1] <= pair[0]).count();
        assert_eq!(compacted > 0, quiet < MINUTES, "{flags:?} compacts: {kept:?}");
    }
}
