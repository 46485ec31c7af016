//! What a view of the cache promises while events are on their way to watchers.

use std::{sync::Arc, time::Duration};

use world::sim::Config;

use super::{Caches, Filter};
use crate::catalog::Catalog;

#[test]
fn a_view_shows_nothing_newer_than_its_revision() {
    world::sim::run(Config::default(), |sim| async move {
        let host = sim.host("cp");
        let store = store::memory(&host);
        let served = Catalog::builtin().find("", "v1", "configmaps").unwrap();
        let caches = Caches::start(&host, store.clone(), std::slice::from_ref(&served));
        caches.ready().await;
        // Somebody who takes nothing holds up those who tell all watchers.
        let slow = caches.subscribe(&served, &Filter::default(), None).unwrap();
        let writer = Arc::clone(&store);
        let writes = host.spawn(async move {
            for n in 0..1100 {
                let (key, value) = (format!("/registry/configmaps/default/{n:04}"), "{}");
                writer.put(key.into(), value.into()).await.unwrap();
            }
        });
        let _ = writes.join().await;
        let mut held_up = false;
        for _ in 0..100 {
            let (items, revision) = caches.list(&served, "").unwrap();
            let newest = items.iter().map(|item| item.revision()).max().unwrap_or_default();
            assert!(newest <= revision, "{newest} is shown in a view of {revision}");
            // Who has not been told everything is not told that this was all.
            held_up |= caches.revision() < revision;
            host.clock().sleep(Duration::from_millis(5)).await;
        }
        assert!(held_up);
        drop(slow);
    })
    .unwrap();
}
