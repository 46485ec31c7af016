//! `chronoplane up`: a command with a cluster around it, what a program reads of it, and what its directory remembers.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_chronoplane");

fn up(command: &str) -> Output {
    with(&["--nodes", "0", "--exec", command])
}

fn with(flags: &[&str]) -> Output {
    Command::new(PROGRAM).arg("up").args(flags).output().expect("the program starts")
}

fn start(flags: &[&str]) -> Child {
    let mut up = Command::new(PROGRAM);
    up.arg("up").args(flags).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    up.spawn().expect("the program starts")
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it runs");
}

/// The command alone has standard output, its exit code is passed on, and nothing is left of the cluster.
fn a_command_runs_with_a_cluster_around_it() {
    let ran = up(r#"grep -c "server: https://127" "$KUBECONFIG"; echo "$KUBECONFIG"; exit 7"#);
    assert_eq!(ran.status.code(), Some(7), "{ran:?}");
    let said = String::from_utf8(ran.stdout).unwrap();
    let [servers, kubeconfig] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert_eq!(servers, "1");
    assert!(kubeconfig.ends_with("cp1/etc/kubernetes/admin.conf"), "{kubeconfig}");
    let data = Path::new(kubeconfig).ancestors().nth(4).unwrap();
    assert!(!data.exists(), "{} is left", data.display());
}

fn a_command_that_is_killed_counts_as_in_a_shell() {
    assert_eq!(up("kill -TERM $$").status.code(), Some(128 + 15));
}

/// A process that has ended may wait for somebody to ask how.
fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// What is cut short has not succeeded; and nothing goes on without the cluster that it was started with. Each command
/// says whom it started.
fn who_ends_it_ends_its_command() {
    for (command, signal, code) in [
        ("sleep 60 & echo $$ $!; wait", Signal::TERM, 128 + 15),
        ("echo $$; exec sleep 60", Signal::INT, 128 + 2),
        // One that takes leave by itself.
        ("trap 'exit 5' TERM; echo $$; while :; do sleep 0.1; done", Signal::TERM, 5),
        // One that does not, and one that it started.
        ("trap '' TERM; sleep 60 & echo $$ $!; wait", Signal::TERM, 128 + 9),
    ] {
        let mut child = start(&["--nodes", "0", "--exec", command]);
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let started: Vec<_> = said.split_whitespace().collect();
        assert!(!started.is_empty() && started.iter().all(|pid| lives(pid)), "{command}: {said:?}");
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{command}");
        assert!(!started.iter().any(|pid| lives(pid)), "{command}: of {said:?} somebody is left");
    }
}

fn a_program_reads_where_the_cluster_is() {
    let mut child = start(&["--nodes", "1", "--page", "--output", "json"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
    let text = |field: &str| ready[field].as_str().unwrap_or_else(|| panic!("{field}: {ready}")).to_owned();
    let kubeconfig = std::fs::read_to_string(text("kubeconfig")).unwrap();
    assert!(kubeconfig.contains(&format!("server: {}", text("server"))), "{ready}");
    assert!(text("timeline").starts_with("http://127."), "{ready}");
    assert_eq!(ready["hosts"], serde_json::json!(["cp1", "node1"]));
    assert!(text("kubernetesVersion").starts_with("v1."), "{ready}");
    send(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(0), "that is its usual end");
    let (mut more, mut aside) = (String::new(), String::new());
    out.read_to_string(&mut more).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut aside).unwrap();
    assert_eq!((more.as_str(), aside.as_str()), ("", ""), "a program that reads JSON wants nothing else");
}

/// What a directory remembers is not changed by a flag, and not passed over in silence.
fn a_directory_with_another_cluster_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let run = |flags: &[&str]| with(&[&["--data-dir", dir, "--exec", "true"][..], flags].concat());
    let first = run(&["--nodes", "0", "--kubernetes-version", "1.35"]);
    assert!(first.status.success(), "{first:?}");
    let etcd = "https://127.0.0.2:2379";
    let elsewhere =
        ["--etcd", etcd, "--etcd-cafile", "ca.crt", "--etcd-certfile", "a.crt", "--etcd-keyfile", "a.key"];
    for (flags, words) in [
        (&["--nodes", "3"][..], ["--nodes 3", "has 0"]),
        (&["--kubernetes-version", "1.34"][..], ["--kubernetes-version v1.34.", "has v1.35."]),
        (&elsewhere[..], ["--etcd https://127.0.0.2:2379", "has an etcd of its own"]),
    ] {
        let ran = run(flags);
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{flags:?}: {said}");
        assert!(words.iter().all(|words| said.contains(words)), "{flags:?}: {said}");
    }
    for flags in [&[][..], &["--nodes", "0", "--kubernetes-version", "1.35"][..]] {
        let again = run(flags);
        assert!(again.status.success(), "{flags:?}: {again:?}");
    }
}

pub const TESTS: &[(&str, fn())] = &[
    ("up::a_command_runs_with_a_cluster_around_it", a_command_runs_with_a_cluster_around_it),
    ("up::a_command_that_is_killed_counts_as_in_a_shell", a_command_that_is_killed_counts_as_in_a_shell),
    ("up::who_ends_it_ends_its_command", who_ends_it_ends_its_command),
    ("up::a_program_reads_where_the_cluster_is", a_program_reads_where_the_cluster_is),
    ("up::a_directory_with_another_cluster_is_refused", a_directory_with_another_cluster_is_refused),
];
