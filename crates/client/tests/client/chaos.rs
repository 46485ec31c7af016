//! Whatever happens on the way, in the end the copy is the original, every handler's account of the
//! changes adds up to it, and the same seed tells the same story.

use std::{collections::BTreeMap, sync::Arc};

use api::object::ObjectExt as _;
use client::{Change, Informer, InformerOptions, Resource, key_of};
use parking_lot::Mutex;
use proptest::prelude::*;
use world::Event;

use crate::fake::{Put, World, config_map, expired, run};

#[derive(Clone, Debug)]
enum Step {
    Write(u8, u8),
    Erase(u8),
    Reset,
    Down,
    Up,
    Compact,
    Refuse,
    Elapse(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_u8..8, 0_u8..100).prop_map(|(n, v)| Step::Write(n, v)),
        3 => (0_u8..8).prop_map(Step::Erase),
        1 => Just(Step::Reset),
        1 => Just(Step::Down),
        1 => Just(Step::Up),
        1 => Just(Step::Compact),
        1 => Just(Step::Refuse),
        4 => (0_u16..20_000).prop_map(Step::Elapse),
    ];
    prop::collection::vec(step, 1..60)
}

type Objects = BTreeMap<String, String>;

fn objects<'a>(of: impl Iterator<Item = &'a serde_json::Value>) -> Objects {
    of.map(|o| (key_of(o), o.str_at("/data/k").to_owned())).collect()
}

struct Outcome {
    original: Objects,
    copy: Objects,
    /// What each of two handlers made of the changes that it heard of.
    retold: Vec<Result<Objects, String>>,
    events: Vec<Event>,
}

async fn story(world: World, steps: Vec<Step>) -> Outcome {
    let start = || {
        Informer::start(&world.host, &world.rest, Resource::core("configmaps"), InformerOptions::default())
    };
    let informer = start();
    let retold = [(), ()].map(|()| Arc::new(Mutex::new(Ok(Objects::new()))));
    let listen = |n: usize| {
        let retold = retold[n].clone();
        informer.on(move |change| retell(&mut retold.lock(), change));
    };
    listen(0);
    let half = steps.len() / 2;
    for (n, step) in steps.into_iter().enumerate() {
        if n == half {
            listen(1);
        }
        let path = |n: u8| format!("/api/v1/namespaces/ns{}/configmaps", n % 2);
        match step {
            Step::Write(n, value) => {
                world.fake.write(&path(n), config_map(&format!("m{n}"), &value.to_string()));
            }
            Step::Erase(n) => {
                let path = format!("{}/m{n}", path(n));
                if world.fake.object(&path).is_some() {
                    world.fake.erase(&path);
                }
            }
            Step::Reset => drop(world.sim.reset_connections("client", "server", crate::fake::PORT)),
            Step::Down => world.fake.down().await,
            Step::Up => world.fake.up().await,
            Step::Compact => world.fake.compact(),
            Step::Refuse => world.fake.put("configmaps", Put::Status(expired())),
            Step::Elapse(ms) => world.elapse(f64::from(ms) / 1000.0).await,
        }
    }
    world.fake.up().await;
    // The longest backoff, several times over: refusals may still be waiting.
    world.elapse(1200.0).await;
    let (original, copy) = (world.fake.all(), informer.list());
    let retold = retold.map(|r| r.lock().clone());
    Outcome {
        original: objects(original.iter()),
        copy: objects(copy.iter().map(|o| &**o)),
        retold: retold.into(),
        events: world.sim.events(),
    }
}

/// Applies a change to an account of the objects, and complains where it does not fit.
fn retell(account: &mut Result<Objects, String>, change: &Change) {
    let Ok(objects) = account else { return };
    let (key, value) = (change.key(), change.object().str_at("/data/k").to_owned());
    let fits = match change {
        Change::Added(_) => objects.insert(key.clone(), value).is_none(),
        Change::Updated { old, .. } => {
            objects.insert(key.clone(), value).as_deref() == Some(old.str_at("/data/k"))
        }
        Change::Deleted(_) => objects.remove(&key).is_some(),
    };
    if !fits {
        *account = Err(format!("{key}: {change:?} does not follow"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_copy_becomes_the_original(steps in steps()) {
        let outcome = run(|world| story(world, steps));
        prop_assert_eq!(&outcome.copy, &outcome.original);
        for retold in outcome.retold {
            prop_assert_eq!(retold, Ok(outcome.original.clone()));
        }
    }

    #[test]
    fn the_same_seed_tells_the_same_story(steps in steps()) {
        let [first, second] = [steps.clone(), steps].map(|steps| run(|world| story(world, steps)).events);
        prop_assert_eq!(first, second);
    }
}
