//! Random stories, the same for every store: each must do what the reference does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::sync::Arc;

use common::{
    model::{Leniency, Model, Step, compare, stories},
    real_host,
};
use proptest::prelude::*;
use store::{EtcdOptions, Medium, Store, memory_on};
use world::{Process, sim};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

async fn play(story: &[Step], store: &dyn Store) {
    let mut model = Model::at(1);
    for step in story {
        compare(&mut model, store, step, Leniency::default()).await;
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn memory_does_what_the_reference_does(story in stories(true, 60)) {
        sim::run(sim::Config::default(), |sim| async move {
            let (host, medium) = (sim.host("cp1"), Medium::default());
            let mut process = host.process("etcd");
            let mut store = memory_on(process.host(), &medium);
            let mut model = Model::at(1);
            for step in &story {
                if matches!(step, Step::Restart) {
                    process.kill().await;
                    process = host.process("etcd");
                    store = memory_on(process.host(), &medium);
                }
                compare(&mut model, &*store, step, Leniency::default()).await;
            }
        })
        .unwrap();
    }

    #[test]
    fn a_server_on_the_wire_does_what_the_reference_does(story in stories(false, 40)) {
        sim::run(sim::Config::default(), |sim| async move {
            let (server, client) = (sim.host("etcd1"), sim.host("cp1"));
            let url = format!("http://{}:2379", server.net().address());
            let args = [format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}"), "--data-dir=/d".into()];
            store::server::start(&server, &args).await.unwrap();
            let options = EtcdOptions { endpoints: vec![url], ca: None, cert: None, key: None, go: (1, 26) };
            play(&story, &*store::etcd(&client, &options).unwrap()).await;
        })
        .unwrap();
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn sled_does_what_the_reference_does(story in stories(true, 40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let root = tempfile::tempdir().unwrap();
            let host = real_host(root.path());
            let open = async |process: &Process| store::sled(process.host(), "/data").await.unwrap();
            let mut process = host.process("etcd");
            let mut store: Arc<dyn Store> = open(&process).await;
            let mut model = Model::at(1);
            for step in &story {
                if matches!(step, Step::Restart) {
                    drop(store);
                    process.kill().await;
                    process = host.process("etcd");
                    store = open(&process).await;
                }
                compare(&mut model, &*store, step, Leniency::default()).await;
            }
        });
    }
}
