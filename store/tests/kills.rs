//! sled under SIGKILL: a child writes and acknowledges, and is killed again and again, while it writes and while it
//! opens. What it acknowledged is there, and of what it did not, all or nothing.
//!
//! As many lives as ten seconds hold; `STORE_KILLS=n` for n of them, `STORE_SEED` for other points.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use common::real_host;
use store::{ListOptions, Op, Range, Store, Txn};
use world::{Entropy, Host};

const CHILD: &str = "STORE_KILLS_CHILD";
const WRITERS: usize = 8;
const KEYS: u64 = 40;

/// What the writer's `n`th transaction does to its keys; `None` deletes.
fn changes(writer: usize, n: u64) -> Vec<(String, Option<Bytes>)> {
    let key = |at: u64| format!("/w/{writer}/{:02}", at % KEYS);
    // Some take one item of sled's, some take several; one writer has some that are more than sled may have without a flush.
    let large = writer == WRITERS - 1 && matches!(n % 5, 1 | 3);
    let size = if large { 1 << 20 } else { (n * 37 % 7000) as usize + 1 };
    let value = Bytes::from(vec![(n % 251) as u8; size]);
    match n % 5 {
        4 => vec![(key(n * 7), None), (key(n * 7 + 20), Some(value))],
        0 | 2 => vec![(key(n * 7), Some(value.clone())), (key(n * 7 + 1), Some(value))],
        _ => vec![(key(n * 7), Some(value))],
    }
}

fn counter(writer: usize) -> String {
    format!("/n/{writer}")
}

/// How many transactions of the writer the store holds.
async fn held(store: &dyn Store, writer: usize) -> u64 {
    let kv = store.get(counter(writer).as_bytes(), None).await.unwrap().0;
    kv.map_or(0, |kv| std::str::from_utf8(&kv.value).unwrap().parse().unwrap())
}

/// The child half: goes on where the store is, and says what is acknowledged, until it is killed.
#[test]
fn child() {
    let Ok(root) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let host = real_host(Path::new(&root));
        let store = store::sled(&host, "/data").await.unwrap();
        let writers = (0..WRITERS).map(|writer| {
            let store = store.clone();
            host.spawn(async move {
                for n in held(&*store, writer).await.. {
                    let mut ops = vec![Op::put(counter(writer), (n + 1).to_string())];
                    ops.extend(changes(writer, n).into_iter().map(|(key, value)| match value {
                        Some(value) => Op::put(key, value),
                        None => Op::delete(key),
                    }));
                    let revision = store.txn(Txn::unconditional(ops)).await.unwrap().revision;
                    // One system call: a line is whole or not there.
                    println!("ACK {writer} {} {revision}", n + 1);
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        for writer in writers {
            writer.join().await;
        }
    });
}

/// What must be there.
#[derive(Default)]
struct Expected {
    /// Transactions of each writer.
    done: [u64; WRITERS],
    keys: BTreeMap<String, Bytes>,
    acknowledged: usize,
    unacknowledged: usize,
}

impl Expected {
    fn advance(&mut self, writer: usize) {
        for (key, value) in changes(writer, self.done[writer]) {
            match value {
                Some(value) => drop(self.keys.insert(key, value)),
                None => drop(self.keys.remove(&key)),
            }
        }
        self.done[writer] += 1;
    }

    /// The store as it is after a kill, `acks` (writer, transactions, revision) having been said before.
    async fn check(&mut self, store: &dyn Store, acks: &[(usize, u64, i64)]) {
        let before = 1 + self.done.iter().sum::<u64>() as i64;
        for (writer, n, revision) in acks {
            assert!(*revision > before, "revisions go on: {revision} after {before}");
            assert_eq!(*n, self.done[*writer] + 1, "writer {writer} goes on where it was");
            self.advance(*writer);
            self.acknowledged += 1;
        }
        for writer in 0..WRITERS {
            let held = held(store, writer).await;
            let said = self.done[writer];
            assert!(
                held == said || held == said + 1,
                "writer {writer}: {said} were acknowledged, one was under way, {held} are there"
            );
            if held > said {
                self.advance(writer);
                self.unacknowledged += 1;
            }
        }
        let found = store.list(Range::prefix("/w/"), ListOptions::default()).await.unwrap().kvs;
        let found: BTreeMap<String, Bytes> =
            found.into_iter().map(|kv| (String::from_utf8(kv.key.to_vec()).unwrap(), kv.value)).collect();
        let wrong: Vec<_> = self.keys.iter().filter(|(key, value)| found.get(*key) != Some(value)).collect();
        assert!(
            wrong.is_empty() && found.len() == self.keys.len(),
            "other than acknowledged: {:?}",
            wrong.first()
        );
        // One for each transaction, none for anything else.
        assert_eq!(store.revision().await, Ok(1 + self.done.iter().sum::<u64>() as i64));
    }
}

/// One life of the child; gives what it acknowledged.
async fn live(host: &Host, root: &Path, entropy: &Entropy) -> Vec<(usize, u64, i64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acks = Vec::new();
    let take = |line: std::io::Result<String>, acks: &mut Vec<(usize, u64, i64)>| {
        let line = line.unwrap();
        if let Some((_, ack)) = line.split_once("ACK ") {
            let words: Vec<&str> = ack.split(' ').collect();
            acks.push((words[0].parse().unwrap(), words[1].parse().unwrap(), words[2].parse().unwrap()));
        }
    };
    // Every fourth dies while it opens what the last one left, or shortly after.
    let (least, moment) = if entropy.below(4) == 0 {
        (0, entropy.below(60_000))
    } else {
        (1 + entropy.below(300), entropy.below(3000))
    };
    while (acks.len() as u64) < least {
        take(lines.next().expect("the child writes until it is killed"), &mut acks);
    }
    host.clock().sleep(Duration::from_micros(moment)).await;
    child.kill().unwrap();
    // What it said before it died counts too.
    lines.for_each(|line| take(line, &mut acks));
    child.wait().unwrap();
    acks.sort_by_key(|(_, _, revision)| *revision);
    acks
}

#[tokio::test]
async fn every_write_acknowledged_before_a_kill_is_there() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().expect("a number"));
    let (kills, seed) = (number("STORE_KILLS"), number("STORE_SEED").unwrap_or(1));
    let root = tempfile::tempdir().unwrap();
    let host = real_host(root.path());
    let entropy = Entropy::seeded(seed, "kills");
    let began = host.clock().monotonic();
    let mut expected = Expected::default();
    let (mut lives, mut while_opening) = (0, 0);
    let more = |lives| match kills {
        Some(kills) => lives < kills,
        None => lives < 10 || host.clock().monotonic().since(began) < Duration::from_secs(10),
    };
    while more(lives) {
        let acks = live(&host, root.path(), &entropy).await;
        let reader = host.process("reader");
        let store = store::sled(reader.host(), "/data").await.unwrap();
        expected.check(&*store, &acks).await;
        // The next child finds the directory free.
        drop(store);
        reader.kill().await;
        lives += 1;
        while_opening += u64::from(acks.is_empty());
    }
    let Expected { acknowledged, unacknowledged, .. } = expected;
    let said = format!(
        "sled: {lives} kills (seed {seed}, {while_opening} before the first write), {acknowledged} writes acknowledged and there, {unacknowledged} more that were under way, none by halves"
    );
    let _ = writeln!(std::io::stderr(), "{said}");
    assert!(acknowledged > 100, "the control: {said}");
}
