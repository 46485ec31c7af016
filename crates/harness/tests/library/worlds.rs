//! Planes beside each other, and what is left of one: nothing.

use std::{
    net::{IpAddr, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Mutex,
    time::Duration,
};

use chronoplane::{
    ControlPlane, ControlPlaneOptions, Manifests, SignedDuration, Sim,
    k8s_openapi::api::core::v1::ConfigMap,
    real,
    testing::{Options, run},
};
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

#[chronoplane::test]
async fn a_test_may_return_a_result(plane: ControlPlane) -> Result<(), Box<dyn std::error::Error>> {
    plane.client()?.apiserver_version().await?;
    Ok(())
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
    TcpListener::bind((address, 6443)).expect("the port is free again");
}

#[test]
fn nothing_is_left_of_a_real_plane() {
    let used = Mutex::new(None);
    real::run(async |world| drop(use_the_machine(world, &used).await)).unwrap();
    nothing_is_left(&used);
}

#[test]
fn nothing_is_left_after_a_panic() {
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
