//! Planes beside each other, and what is left of one: nothing.

use std::{
    net::{IpAddr, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chronoplane::{
    Cluster, Component, ControlPlane, ControlPlaneOptions, HarnessError, Manifests, SignedDuration, Sim,
    k8s_openapi::api::core::v1::ConfigMap,
    real,
    testing::{Options, run},
};
use futures::FutureExt as _;
use kube::{Api, api::ListParams};

fn map(name: &str, value: usize) -> Manifests {
    let text =
        format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{is: '{value}'}}}}");
    Manifests::yaml(&text).unwrap()
}

/// A hundred planes, eight at a time, each with a clock of its own and the same names in use.
#[test]
fn planes_do_not_know_of_each_other() {
    std::thread::scope(|scope| {
        for thread in 0..8_usize {
            scope.spawn(move || {
                for n in (thread..100).step_by(8) {
                    run(Options::new("planes"), |plane: ControlPlane| async move {
                        plane.apply(&map("same", n)).await.unwrap();
                        plane.elapse(Duration::from_secs(n as u64 * 60)).await.unwrap();
                        let maps: Api<ConfigMap> = Api::default_namespaced(plane.client().unwrap());
                        let all = maps.list(&ListParams::default()).await.unwrap().items;
                        let values: Vec<_> =
                            all.iter().filter_map(|m| Some(m.data.as_ref()?.get("is")?.as_str())).collect();
                        assert_eq!(values, [n.to_string().as_str()]);
                        let minutes = plane.host().clock().monotonic().since_boot().as_secs() / 60;
                        assert_eq!(minutes, n as u64);
                    });
                }
            });
        }
    });
}

#[chronoplane::test(controllers)]
async fn with_controllers_garbage_is_collected(plane: ControlPlane) {
    let owner = plane.apply(&map("owner", 1)).await.unwrap().remove(0).metadata.uid.unwrap();
    let owned = format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: owned, ownerReferences: [{{apiVersion: v1, kind: ConfigMap, \
         name: owner, uid: {owner}}}]}}}}"
    );
    plane.apply(&Manifests::yaml(&owned).unwrap()).await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.client().unwrap());
    maps.delete("owner", &Default::default()).await.unwrap();
    plane.wait_for("configmap/owned", "delete").await.unwrap();
}

#[chronoplane::test(seed = 5)]
async fn two_arguments_are_of_one_world(sim: Sim, plane: ControlPlane) {
    assert_eq!(sim.seed(), 5);
    sim.step("cp1", SignedDuration::from_hours(1));
    let ahead = plane.host().clock().wall().duration_since(sim.now());
    assert_eq!(ahead, SignedDuration::from_hours(1));
}

type Attempt<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A fault of a host that is not there would do nothing, and the test would pass.
#[chronoplane::test]
async fn a_misspelt_host_is_no_new_one(cluster: Cluster) {
    let (second, hour) = (Duration::from_secs(1), SignedDuration::from_hours(1));
    let (hosts, now) = (cluster.sim().hosts().len(), cluster.sim().now());
    let attempts: Vec<(&str, Attempt<'_>)> = vec![
        ("step", Box::pin(async { cluster.step("cp0", hour) })),
        ("drift", Box::pin(async { cluster.drift("cp0", 1) })),
        ("freeze", Box::pin(async { cluster.freeze("cp0") })),
        ("thaw", Box::pin(async { cluster.thaw("cp0") })),
        ("suspend", Box::pin(cluster.suspend("cp0", second))),
        ("pause", Box::pin(cluster.pause("cp0", second))),
        ("reboot", Box::pin(cluster.reboot("cp0", second))),
        ("power_failure", Box::pin(cluster.power_failure("cp0", second))),
        ("until_clock", Box::pin(async { _ = cluster.until_clock("cp0", now).await })),
        ("link", Box::pin(async { cluster.link("cp1", "cp0").cut() })),
        ("one_way", Box::pin(async { cluster.one_way("cp0", "cp1").cut() })),
        ("reset", Box::pin(async { _ = cluster.reset("cp0", "cp1", 6443) })),
        ("crash", Box::pin(async { _ = cluster.crash("cp0", Component::Kubelet).await })),
        ("stop", Box::pin(async { _ = cluster.stop("cp0", Component::Etcd).await })),
        ("start_again", Box::pin(async { _ = cluster.start_again("cp0", Component::Etcd) })),
        ("half_open", Box::pin(async { _ = cluster.half_open("cp0", "cp1", 6443) })),
        ("resolve_rightly", Box::pin(async { cluster.resolve_rightly("cp0", "cp1") })),
        ("full_disk", Box::pin(async { cluster.full_disk("cp0", true) })),
        ("read_only_disk", Box::pin(async { cluster.read_only_disk("cp0", true) })),
        ("slow_fsync", Box::pin(async { cluster.slow_fsync("cp0", second) })),
        ("failing_fsync", Box::pin(async { cluster.failing_fsync("cp0", true) })),
        ("lying_fsync", Box::pin(async { cluster.lying_fsync("cp0", true) })),
    ];
    for (what, attempt) in attempts {
        let panicked = AssertUnwindSafe(attempt).catch_unwind().await.expect_err(what);
        let said = panicked.downcast_ref::<String>().expect("a text");
        assert_eq!(said, r#"there is no host "cp0" in this world; there are cp1, workstation"#, "{what}");
    }
    assert_eq!(cluster.sim().hosts().len(), hosts, "none was switched on");
    // The control: one that a test has made itself is known.
    cluster.sim().host("edge");
    cluster.step("edge", hour);
}

#[chronoplane::test]
async fn a_test_may_return_a_result(plane: ControlPlane) -> Result<(), Box<dyn std::error::Error>> {
    plane.client()?.apiserver_version().await?;
    Ok(())
}

/// Played by [`a_failure_is_shown_in_its_words_and_with_its_seed`].
#[chronoplane::test]
#[ignore = "it fails on purpose: a_failure_is_shown_in_its_words_and_with_its_seed runs it"]
async fn a_test_that_fails_by_an_error(_sim: Sim) -> Result<(), HarnessError> {
    Err(HarnessError::new("said \"no\""))
}

/// A program that is started has, until it has begun, every listener of this process: tests that start one and tests that
/// look whether a port is free take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_failure_is_shown_in_its_words_and_with_its_seed() {
    let _turn = turn();
    let shown = |seed: &str| {
        let mut test = std::process::Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", "worlds::a_test_that_fails_by_an_error", "--ignored"]);
        let ran = test.env("CHRONOPLANE_SEED", seed).output().unwrap();
        assert!(!ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let said = shown("0x11");
    for words in ["\nError: said \"no\"\n", "CHRONOPLANE_SEED=17 cargo test a_test_that_fails_by_an_error"] {
        assert!(said.contains(words), "{words:?} is missing in {said}");
    }
    assert!(shown("seventeen").contains("a seed is a number such as 17 or 0x11"), "and is not passed over");
}

#[test]
fn a_control_plane_is_not_made_with_nodes() {
    let attempt = || run(Options::new("planes").nodes(1), async |_: ControlPlane| ());
    let why = catch_unwind(attempt).expect_err("there would be none");
    let said = why.downcast_ref::<String>().expect("a text");
    assert!(said.contains("a ControlPlane has no nodes; take a Cluster"), "{said}");
}

/// What a plane of the real gear uses: its directory, and its address with the server's port.
async fn use_the_machine(world: chronoplane::Real, used: &Mutex<Option<(PathBuf, IpAddr)>>) -> ControlPlane {
    let host = world.host("cp1").unwrap();
    let plane = ControlPlane::start(&host, ControlPlaneOptions::default()).await.unwrap();
    plane.client().unwrap().apiserver_version().await.unwrap();
    let file = host.disk().real_path("/etc/kubernetes/pki/ca.key").unwrap();
    assert!(file.exists());
    let address = host.net().address();
    assert!(TcpListener::bind((address, 6443)).is_err(), "the server listens there");
    *used.lock().unwrap() = Some((file, address));
    plane
}

fn nothing_is_left(used: &Mutex<Option<(PathBuf, IpAddr)>>) {
    let (file, address) = used.lock().unwrap().take().expect("it was used");
    let world = file.ancestors().nth(5).unwrap();
    assert!(!world.exists(), "{} is left", world.display());
    assert!(TcpListener::bind((address, 6443)).is_ok(), "the port is free again");
}

#[test]
fn nothing_is_left_of_a_real_plane() {
    let _turn = turn();
    let used = Mutex::new(None);
    real::run(async |world| drop(use_the_machine(world, &used).await)).unwrap();
    nothing_is_left(&used);
}

#[test]
fn nothing_is_left_after_a_panic() {
    let _turn = turn();
    let used = Mutex::new(None);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        real::run(async |world| {
            let _plane = use_the_machine(world, &used).await;
            panic!("as a failed assertion does");
        })
    }));
    let why = panicked.expect_err("it panicked");
    assert_eq!(why.downcast_ref::<&str>(), Some(&"as a failed assertion does"));
    nothing_is_left(&used);
}

#[test]
fn time_does_not_pass_sooner_in_the_real_gear() {
    real::run(async |world| {
        let plane = ControlPlane::start(&world.host("cp1").unwrap(), ControlPlaneOptions::default()).await;
        let refused = plane.unwrap().elapse(Duration::from_secs(3600)).await.unwrap_err().to_string();
        assert!(refused.contains("nothing makes 3600s pass sooner"), "{refused}");
    })
    .unwrap();
}
