//! What every engine promises, checked point by point on each: memory, sled, `store::server` over TLS, and etcd
//! itself where there is one.
//!
//! ```text
//! engines     what is a store here, and how is it restarted
//! subjects    one check for each point of the contract
//! stories     random steps, beside a store that is obviously right
//! concurrent  many clients at once; `linear` judges what they were told
//! ```
//!
//! `STORE_ROUNDS=n` plays n times as many stories and histories.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

#[path = "../common/mod.rs"]
mod common;
mod concurrent;
mod engines;
mod etcd;
mod linear;
mod stories;
mod subjects;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use engines::{Engine, Stage, say};

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
}

/// How much of what is random is played on an engine.
struct Share {
    stories: u32,
    longest: usize,
    histories: u64,
}

fn check(engine: Engine, share: &Share) {
    let rounds = std::env::var("STORE_ROUNDS").map_or(1, |n| n.parse().expect("STORE_ROUNDS is a number"));
    let Some(mut stage) = Stage::of(engine) else { return };
    let mut failed = Vec::new();
    for (name, subject) in subjects::ALL {
        let checked = catch_unwind(AssertUnwindSafe(|| {
            stage.play(1, async |bench| subject(bench).await);
        }));
        if let Err(panic) = checked {
            failed.push(format!("{name}: {}", said(&*panic)));
        }
    }
    assert!(failed.is_empty(), "{engine:?} breaks its contract:\n{}", failed.join("\n"));
    let stories = share.stories * rounds;
    let steps = stories::play(&mut stage, engine, stories, share.longest);
    let histories = share.histories * u64::from(rounds);
    let mut operations = 0;
    for seed in 1..=histories {
        // In every third the store is killed in the middle.
        let restart = seed % 3 == 0;
        let recorded = catch_unwind(AssertUnwindSafe(|| {
            let record =
                async |bench: &mut engines::Bench<'_>| concurrent::history(bench, seed, restart).await;
            if restart { stage.play(seed, record) } else { stage.play_on(seed, record) }
        }));
        operations +=
            recorded.unwrap_or_else(|panic| panic!("{engine:?}, history {seed}: {}", said(&*panic)));
    }
    say(&format!(
        "{engine:?}: {} subjects, {stories} stories of {steps} steps, {histories} histories of {operations} operations ({} with a kill)",
        subjects::ALL.len(),
        histories / 3
    ));
}

#[test]
fn memory() {
    check(Engine::Memory, &Share { stories: 256, longest: 60, histories: 60 });
}

#[test]
fn moved() {
    check(Engine::Moved, &Share { stories: 128, longest: 60, histories: 30 });
}

#[test]
fn memory_on_threads() {
    check(Engine::MemoryOnThreads, &Share { stories: 64, longest: 60, histories: 90 });
}

#[test]
fn sled() {
    check(Engine::Sled, &Share { stories: 24, longest: 40, histories: 24 });
}

#[test]
fn server() {
    check(Engine::Server, &Share { stories: 128, longest: 40, histories: 30 });
}

#[test]
fn server_on_sled() {
    check(Engine::ServerOnSled, &Share { stories: 12, longest: 40, histories: 12 });
}

#[test]
fn etcd_alone() {
    check(Engine::Etcd(1), &Share { stories: 40, longest: 40, histories: 9 });
}

#[test]
fn etcd_of_three() {
    check(Engine::Etcd(3), &Share { stories: 12, longest: 40, histories: 9 });
}
