//! `chronoplane clock`: from any language a host's clock is set, and its components live by it.

use std::{
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::Duration,
};

use api::object::ObjectExt as _;
use chronoplane::{Profile, SignedDuration, Wall, cluster::wait_for, real};
use client::{Resource, Rest};
use pki::kubeconfig::Kubeconfig;
use serde_json::Value;
use world::Host;

const PROGRAM: &str = env!("CARGO_BIN_EXE_chronoplane");
const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");

/// A cluster with one node that `up` runs, and ends with.
struct Up {
    child: Child,
    dir: tempfile::TempDir,
    /// Kept open: who writes into a closed pipe fails.
    said: BufReader<ChildStderr>,
}

impl Up {
    fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut up = Command::new(PROGRAM);
        up.args(["up", "--nodes", "1", "--data-dir"]).arg(dir.path()).args(flags);
        let mut child = up.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut this = Self { child, dir, said };
        let mut lines = (&mut this.said).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("nodes are Ready")), "it ended before its nodes were Ready");
        this
    }

    /// `chronoplane clock` of this cluster; all clocks as they are then.
    fn clock(&self, args: &[&str]) -> Value {
        let ran = clock(self.dir.path(), args);
        assert!(ran.status.success(), "{ran:?}");
        serde_json::from_slice(&ran.stdout).unwrap()
    }

    /// Looks at the cluster as an administrator, in true time.
    fn look(&self, story: impl AsyncFnOnce(Host, Rest)) {
        let text = std::fs::read_to_string(self.dir.path().join("cp1/etc/kubernetes/admin.conf")).unwrap();
        let config = Kubeconfig::parse(&text, None).unwrap();
        real::run(async |world| {
            let host = world.host_at("machine", Ipv4Addr::LOCALHOST);
            let rest = Rest::from_kubeconfig(&host, &config, Profile::default().go(), "test").unwrap();
            story(host, rest).await;
        })
        .unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.child.wait();
    }
}

fn clock(dir: &Path, args: &[&str]) -> Output {
    let mut clock = Command::new(PROGRAM);
    clock.args(["clock", "--output", "json", "--data-dir"]).arg(dir).args(args);
    clock.output().unwrap()
}

fn ahead(clocks: &Value, host: &str) -> f64 {
    let all = clocks.as_array().unwrap();
    all.iter().find(|clock| clock["host"] == host).unwrap()["ahead_seconds"].as_f64().unwrap()
}

/// When node1 has last renewed its lease, by its own clock.
async fn renewed(rest: &Rest) -> Option<Wall> {
    let lease = rest.get(&LEASES, Some("kube-node-lease"), "node1").await.ok()?;
    lease.time_at("/spec/renewTime")
}

fn a_node_lives_by_its_clock(flags: &[&str]) {
    let up = Up::start(flags);
    assert_eq!(ahead(&up.clock(&["show"]), "node1"), 0.0);
    // Ahead: the certificates of a cluster that was just made are not valid yet an hour ago.
    let clocks = up.clock(&["step", "node1", "+1h"]);
    assert_eq!([ahead(&clocks, "node1"), ahead(&clocks, "cp1")], [3600.0, 0.0]);
    up.look(async |host, rest| {
        wait_for(&host, "node1's lease is of an hour ahead", async || {
            let ahead = renewed(&rest).await?.duration_since(host.clock().wall());
            (ahead > SignedDuration::from_mins(55)).then_some(())
        })
        .await
        .unwrap();
    });
    assert_eq!(ahead(&up.clock(&["reset", "node1"]), "node1"), 0.0);
    up.look(async |host, rest| {
        wait_for(&host, "node1's lease is of now", async || {
            let ahead = renewed(&rest).await?.duration_since(host.clock().wall());
            (ahead < SignedDuration::from_mins(5)).then_some(())
        })
        .await
        .unwrap();
    });
}

fn a_node_lives_by_the_clock_that_it_is_given() {
    a_node_lives_by_its_clock(&[]);
}

fn a_node_in_a_process_of_its_own_lives_by_it_too() {
    a_node_lives_by_its_clock(&["--processes"]);
}

/// How long a renewal may take to come or to arrive.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether node1 renews its lease while `during` holds.
async fn renews(host: &Host, rest: &Rest, during: impl Fn() -> bool) -> bool {
    let mut before = None;
    let deadline = host.clock().monotonic() + PATIENCE;
    while host.clock().monotonic() < deadline && during() {
        // No answer is no news.
        if let Some(now) = renewed(rest).await
            && now != *before.get_or_insert(now)
        {
            return during();
        }
        host.clock().sleep(Duration::from_millis(200)).await;
    }
    false
}

/// While it is paused its lease is not renewed, although it was before, and is afterwards.
fn a_paused_host_does_nothing_and_goes_on() {
    let up = Up::start(&[]);
    up.look(async |host, rest| assert!(renews(&host, &rest, || true).await));
    let mut pause = Command::new(PROGRAM);
    pause.args(["clock", "pause", "node1", "25s", "--data-dir"]).arg(up.dir.path()).stdout(Stdio::null());
    let mut pausing = pause.spawn().unwrap();
    up.look(async |host, rest| {
        let request = up.dir.path().join("node1/run/chronoplane/pause");
        wait_for(&host, "the pause has begun", async || request.exists().then_some(())).await.unwrap();
        // A look of `up` later it has, and what was on its way has arrived.
        host.clock().sleep(Duration::from_secs(5)).await;
        // The request is gone when the host goes on. Until then there is time for two renewals.
        assert!(!renews(&host, &rest, || request.exists()).await, "a lease was renewed by a paused host");
    });
    assert!(pausing.wait().unwrap().success());
    up.look(async |host, rest| assert!(renews(&host, &rest, || true).await));
}

fn clocks_stand_still_and_drift_and_stay_so() {
    let up = Up::start(&[]);
    up.clock(&["freeze", "cp1"]);
    let one = up.clock(&["step", "cp1", "+2h"]);
    let other = up.clock(&["drift", "node1", "-250"]);
    assert_eq!((&one[0]["wall"], &one[0]["frozen"]), (&other[0]["wall"], &Value::from(true)));
    assert_eq!(other[1]["drift_ppm"], -250);
    // Nobody runs it any more, and its clocks are as they were.
    let Up { dir, .. } = &up;
    let dir = dir.path().to_owned();
    let kept = tempfile::tempdir().unwrap();
    for host in ["cp1", "node1"] {
        let clock = Path::new(host).join("run/chronoplane/clock");
        let copy = kept.path().join(&clock);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(dir.join(&clock), copy).unwrap();
    }
    std::fs::copy(dir.join("chronoplane.json"), kept.path().join("chronoplane.json")).unwrap();
    drop(up);
    let later: Value = serde_json::from_slice(&clock(kept.path(), &["show"]).stdout).unwrap();
    assert_eq!(later[0]["wall"], one[0]["wall"]);
    let idle = clock(kept.path(), &["pause", "node1", "1s"]);
    assert_eq!(idle.status.code(), Some(2));
    assert!(String::from_utf8(idle.stderr).unwrap().contains("nothing runs in "));
}

fn refused(args: &[&str]) -> String {
    let ran: Output =
        Command::new(PROGRAM).arg("clock").args(args).env_remove("KUBECONFIG").output().unwrap();
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    String::from_utf8(ran.stderr).unwrap()
}

fn what_cannot_be_is_refused_with_what_to_do_instead() {
    let elapse = refused(&["elapse", "365d"]);
    assert!(
        elapse.contains("nothing makes 365d pass sooner") && elapse.contains("step all +365d"),
        "{elapse}"
    );
    let suspend = refused(&["suspend", "node1", "8h"]);
    assert!(suspend.contains("cannot stand still for 8h") && suspend.contains("pause node1"), "{suspend}");
    let which = refused(&["show"]);
    assert!(which.contains("name the cluster with --data-dir"), "{which}");
    let dir = tempfile::tempdir().unwrap();
    let none = refused(&["--data-dir", dir.path().to_str().unwrap(), "show"]);
    assert!(none.contains("holds no cluster; `chronoplane up --data-dir DIR` makes one"), "{none}");
    let span = refused(&["step", "node1", "soon"]);
    assert!(span.contains("is no span of time; write it as 90s, -1h30m or +365d"), "{span}");
}

pub const TESTS: &[(&str, fn())] = &[
    ("clock::a_node_lives_by_the_clock_that_it_is_given", a_node_lives_by_the_clock_that_it_is_given),
    ("clock::a_node_in_a_process_of_its_own_lives_by_it_too", a_node_in_a_process_of_its_own_lives_by_it_too),
    ("clock::a_paused_host_does_nothing_and_goes_on", a_paused_host_does_nothing_and_goes_on),
    ("clock::clocks_stand_still_and_drift_and_stay_so", clocks_stand_still_and_drift_and_stay_so),
    (
        "clock::what_cannot_be_is_refused_with_what_to_do_instead",
        what_cannot_be_is_refused_with_what_to_do_instead,
    ),
];
