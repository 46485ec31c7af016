//! What the store costs: put, get, a list of 1000, one write to 100 watches; in memory and on sled.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that fails may stop")]

use std::{hint::black_box, sync::Arc};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use store::{Range, Store, Watch, WatchOptions};
use tokio::runtime::Runtime;
use world::real::{Block, Real};

const OBJECTS: usize = 1000;
const WATCHES: usize = 100;
/// About what a small pod takes as JSON.
const BYTES: usize = 2048;

fn value() -> bytes::Bytes {
    vec![b'x'; BYTES].into()
}

async fn fill(store: &Arc<dyn Store>) {
    let puts = (0..OBJECTS).map(|n| store.put(format!("/registry/pods/default/pod-{n:04}").into(), value()));
    futures::future::try_join_all(puts).await.expect("filled");
}

fn engine(c: &mut Criterion, runtime: &Runtime, name: &str, store: &Arc<dyn Store>) {
    runtime.block_on(fill(store));
    let key = "/registry/pods/default/pod-0500";
    c.bench_function(&format!("{name}/put"), |b| {
        b.to_async(runtime).iter(|| async { store.put(key.into(), value()).await.expect("put") });
    });
    c.bench_function(&format!("{name}/put, 64 writers"), |b| {
        b.to_async(runtime).iter(|| async {
            let puts =
                (0..64).map(|n| store.put(format!("/registry/pods/default/pod-{n:04}").into(), value()));
            futures::future::try_join_all(puts).await.expect("put")
        });
    });
    c.bench_function(&format!("{name}/get"), |b| {
        b.to_async(runtime).iter(|| async { black_box(store.get(key.as_bytes(), None).await.expect("get")) });
    });
    c.bench_function(&format!("{name}/list of 1000"), |b| {
        b.to_async(runtime).iter(|| async {
            let listing =
                store.list(Range::prefix("/registry/pods/"), Default::default()).await.expect("list");
            assert_eq!(listing.kvs.len(), OBJECTS);
        });
    });
    let watches = |store: Arc<dyn Store>| async move {
        let mut watches: Vec<Watch> = Vec::new();
        for _ in 0..WATCHES {
            let options = WatchOptions::default();
            watches.push(store.watch(Range::prefix("/registry/"), 0, options).await.expect("watch"));
        }
        watches
    };
    c.bench_function(&format!("{name}/one write to 100 watches"), |b| {
        b.to_async(runtime).iter_batched(
            || futures::executor::block_on(watches(store.clone())),
            |mut watches| async move {
                store.put(key.into(), value()).await.expect("put");
                for watch in &mut watches {
                    black_box(watch.next().await);
                }
            },
            BatchSize::SmallInput,
        );
    });
    // Tens of thousands of versions of one key are nobody's store.
    runtime.block_on(async {
        let now = store.revision().await.expect("revision");
        store.compact(now).await.expect("compact");
    });
}

fn all(c: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    let root = tempfile::tempdir().expect("directory");
    let host =
        Real::new(root.path().to_owned(), Block::reserve().expect("addresses")).host("cp1").expect("host");
    let (memory, sled) = runtime.block_on(async {
        (store::memory(&host), store::sled(&host, "/var/lib/etcd/member").await.expect("sled"))
    });
    engine(c, &runtime, "memory", &memory);
    engine(c, &runtime, "sled", &sled);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30);
    targets = all
}
criterion_main!(benches);
