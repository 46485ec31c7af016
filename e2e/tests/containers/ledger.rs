//! Who writes all the time, and remembers what was acknowledged: uid and revision of each object.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use client::{ListParams, Resource, Rest};
use parking_lot::Mutex;
use serde_json::{Value, json};
use world::{Host, Mono};

const NAMESPACE: &str = "ledger";
const MAPS: Resource = Resource::core("configmaps");
const WRITERS: usize = 4;
/// How long a writer waits for an answer where some never come.
pub const ANSWER: Duration = Duration::from_secs(5);
/// And where each must come, however busy this machine is.
pub const UNHURRIED: Duration = Duration::from_secs(30);
/// How long a writer waits between two writes.
const PAUSE: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Default)]
pub struct Ledger {
    acknowledged: BTreeMap<String, (String, i64)>,
    /// Sent, and not known to be there.
    unknown: usize,
    written: usize,
}

/// What became of the writes during one story.
#[derive(Debug, Default)]
pub struct Tally {
    pub acknowledged: usize,
    /// Refused, or without an answer; the first words of each.
    pub failed: Vec<String>,
    /// The longest time without any acknowledgement.
    pub silence: Duration,
}

/// What the writers share.
struct Desk {
    lines: Mutex<Vec<(String, String, i64)>>,
    failed: Mutex<Vec<String>>,
    last: Mutex<(Mono, Duration)>,
    over: AtomicBool,
}

impl Desk {
    fn heard(&self, now: Mono) {
        let mut last = self.last.lock();
        last.1 = last.1.max(now.since(last.0));
        last.0 = now;
    }
}

/// The writers at work.
pub struct Writing<'a> {
    host: &'a Host,
    desk: Arc<Desk>,
}

impl Writing<'_> {
    /// Waits until so many further writes were acknowledged.
    pub async fn goes_on(&self, writes: usize, within: Duration) {
        let enough = self.count() + writes;
        let clock = self.host.clock();
        let all = clock.timeout(within, async {
            while self.count() < enough {
                clock.sleep(PAUSE).await;
            }
        });
        if all.await.is_err() {
            let failed = self.desk.failed.lock();
            panic!("no {writes} writes within {within:?}; the last that failed: {:?}", failed.last());
        }
    }

    /// How many were acknowledged so far.
    pub fn count(&self) -> usize {
        self.desk.lines.lock().len()
    }
}

impl Ledger {
    /// Makes the namespace.
    pub async fn open(admin: &Rest) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        admin.create(&Resource::core("namespaces"), None, &namespace).await.expect("a namespace");
    }

    /// Writes while `story` goes on, with a client of its own for each writer, which waits so long for an `answer`.
    pub async fn during(
        &mut self,
        host: &Host,
        answer: Duration,
        client: impl Fn() -> Rest,
        story: impl AsyncFnOnce(&Writing<'_>),
    ) -> Tally {
        let now = host.clock().monotonic();
        let desk = Arc::new(Desk {
            lines: Mutex::default(),
            failed: Mutex::default(),
            last: Mutex::new((now, Duration::ZERO)),
            over: AtomicBool::new(false),
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let name = format!("{}-{writer}", self.written);
                host.spawn(write(host.clone(), client(), name, answer, desk.clone()))
            })
            .collect();
        self.written += 1;
        story(&Writing { host, desk: desk.clone() }).await;
        desk.over.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.join().await.expect("a writer comes to its end");
        }
        let lines = std::mem::take(&mut *desk.lines.lock());
        let failed = std::mem::take(&mut *desk.failed.lock());
        let silence = desk.last.lock().1;
        let tally = Tally { acknowledged: lines.len(), failed, silence };
        self.unknown += tally.failed.len();
        self.acknowledged.extend(lines.into_iter().map(|(name, uid, revision)| (name, (uid, revision))));
        tally
    }

    /// Compares with what one apiserver has: everything acknowledged, as it was acknowledged, and nothing that was never
    /// sent. Gives how many there were, and how many more that had been under way.
    pub async fn compare(&self, who: &str, rest: &Rest) -> (usize, usize) {
        let found =
            rest.list_all(&MAPS, Some(NAMESPACE), &ListParams::default()).await.expect("a list").items;
        let found: BTreeMap<String, (String, i64)> = found
            .iter()
            .map(|map| line(map))
            // Published to every namespace.
            .filter(|(name, ..)| name != "kube-root-ca.crt")
            .map(|(name, uid, revision)| (name, (uid, revision)))
            .collect();
        let lost: Vec<_> =
            self.acknowledged.iter().filter(|(name, line)| found.get(*name) != Some(line)).collect();
        assert!(
            lost.is_empty(),
            "{who} lacks {} of what was acknowledged, or has another: {lost:?}",
            lost.len()
        );
        let more = found.len() - self.acknowledged.len();
        assert!(more <= self.unknown, "{who} has {more} more, and only {} had no answer", self.unknown);
        (self.acknowledged.len(), more)
    }
}

fn line(object: &Value) -> (String, String, i64) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).expect("there").to_owned();
    let revision = text("/metadata/resourceVersion").parse().expect("a number");
    (text("/metadata/name"), text("/metadata/uid"), revision)
}

async fn write(host: Host, rest: Rest, name: String, answer: Duration, desk: Arc<Desk>) {
    let clock = host.clock();
    let mut newest = 0;
    for n in 0_u32.. {
        if desk.over.load(Ordering::SeqCst) {
            return;
        }
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("{name}-{n}"), "namespace": NAMESPACE}, "data": {"n": n.to_string()},
        });
        match clock.timeout(answer, rest.create(&MAPS, Some(NAMESPACE), &map)).await {
            Ok(Ok(made)) => {
                let made = line(&made);
                assert!(
                    made.2 > newest,
                    "revisions go forward, whichever apiserver answers: {} after {newest}",
                    made.2
                );
                newest = made.2;
                desk.heard(clock.monotonic());
                desk.lines.lock().push(made);
            }
            Ok(Err(e)) => desk.failed.lock().push(e.to_string()),
            Err(e) => desk.failed.lock().push(e.to_string()),
        }
        clock.sleep(PAUSE).await;
    }
}
