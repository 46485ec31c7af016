//! `chronoplane clock`: from any language a host's clock is set, and its components notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_chronoplane");

/// `up` with `script` around it; `$C` is `chronoplane clock`.
fn up(flags: &[&str], script: &str) -> String {
    let ran = Command::new(PROGRAM)
        .args(["up", "--nodes", "1", "--exec", &format!("set -eu\nC='{PROGRAM} clock'\n{script}")])
        .args(flags)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

fn ahead(clocks: &serde_json::Value, host: &str) -> f64 {
    let all = clocks.as_array().unwrap();
    all.iter().find(|clock| clock["host"] == host).unwrap()["ahead_seconds"].as_f64().unwrap()
}

/// The node's next lease is of the hour that its clock shows: the component lives by it, in whichever process it is.
const NODE_IS_AN_HOUR_BEHIND: &str = r#"
$C --output json show
$C --output json step node1 -1h
for _ in $(seq 150); do
  renewed=$(kubectl -n kube-node-lease get lease node1 -o 'jsonpath={.spec.renewTime}')
  if [ $(( $(date +%s) - $(date -d "$renewed" +%s) )) -gt 3000 ]; then echo behind; break; fi
  sleep 0.2
done
$C --output json reset node1
"#;

fn node_is_an_hour_behind(flags: &[&str]) {
    let said = up(flags, NODE_IS_AN_HOUR_BEHIND);
    let lines: Vec<_> = said.lines().collect();
    let [before, after, "behind", reset] = lines[..] else { panic!("{said}") };
    let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    assert_eq!(ahead(&parse(before), "node1"), 0.0);
    assert_eq!([ahead(&parse(after), "node1"), ahead(&parse(after), "cp1")], [-3600.0, 0.0]);
    assert_eq!(ahead(&parse(reset), "node1"), 0.0);
}

#[test]
fn a_node_lives_by_the_clock_that_it_is_given() {
    node_is_an_hour_behind(&[]);
}

#[test]
fn a_node_in_a_process_of_its_own_lives_by_it_too() {
    node_is_an_hour_behind(&["--processes"]);
}

/// While it is paused its lease is not renewed, although it was before, and is afterwards.
#[test]
fn a_paused_host_does_nothing_and_goes_on() {
    let said = up(
        &[],
        r#"
lease() { kubectl -n kube-node-lease get lease node1 -o 'jsonpath={.spec.renewTime}'; }
changes() { # from $1, within so many seconds
  for _ in $(seq $(($2 * 5))); do
    if [ "$(lease)" != "$1" ]; then return 0; fi
    sleep 0.2
  done
  return 1
}
changes "$(lease)" 60 && echo "renewed before"
$C pause node1 25s >/dev/null &
while ! [ -e "$(dirname "$KUBECONFIG")/../../../node1/run/chronoplane/pause" ]; do sleep 0.1; done
sleep 2 # what was on its way has arrived
if changes "$(lease)" 18; then echo "renewed meanwhile"; else echo "stood still"; fi
wait
changes "$(lease)" 60 && echo "renewed afterwards"
"#,
    );
    assert_eq!(said, "renewed before\nstood still\nrenewed afterwards\n");
}

#[test]
fn clocks_freeze_and_drift() {
    let said = up(
        &[],
        r#"
$C freeze cp1 >/dev/null; $C step cp1 +2h >/dev/null
$C --output json show; sleep 1; $C --output json show
$C drift node1 -250 | tail -1
"#,
    );
    let lines: Vec<_> = said.lines().collect();
    let [one, other, node1] = lines[..] else { panic!("{said}") };
    let wall = |line: &str| {
        let clocks: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(clocks[0]["frozen"], true);
        clocks[0]["wall"].clone()
    };
    assert_eq!(wall(one), wall(other));
    assert!(node1.starts_with("node1 ") && node1.ends_with("drifts by -250 ppm"), "{node1}");
}

fn refused(args: &[&str]) -> String {
    let ran: Output =
        Command::new(PROGRAM).arg("clock").args(args).env_remove("KUBECONFIG").output().unwrap();
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    String::from_utf8(ran.stderr).unwrap()
}

#[test]
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
