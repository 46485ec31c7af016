//! The story as a user runs it: its exit code, its words, its trace, and that it depends on the one
//! thing it is about.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
};

fn story(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chronoplane"))
        .args(["run", "loopback-expiry"])
        .args(args)
        .output()
        .expect("the program starts")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn trace_of(seed: u32, dir: &Path, run: u32) -> String {
    let path = dir.join(format!("{seed}-{run}"));
    let seed = seed.to_string();
    let output = story(&["--seed", &seed, "--trace", path.to_str().expect("UTF-8")]);
    assert!(output.status.success(), "{}", text(&output));
    std::fs::read_to_string(path).expect("the trace was written")
}

/// Everything that a line says but its instant.
fn kind(line: &str) -> &str {
    line.split(' ').nth(3).unwrap_or_default()
}

#[test]
fn one_seed_has_one_trace_in_every_process_and_another_seed_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let (one, two, other) = std::thread::scope(|s| {
        let one = s.spawn(|| trace_of(7, dir.path(), 1));
        let two = s.spawn(|| trace_of(7, dir.path(), 2));
        let (one, two) = (one.join().expect("ran"), two.join().expect("ran"));
        (one, two, trace_of(8, dir.path(), 1))
    });
    let differing = one.lines().zip(two.lines()).enumerate().find(|(_, (a, b))| a != b);
    assert_eq!(differing, None, "first difference between two runs of one seed");
    assert_eq!(one.lines().count(), two.lines().count());
    assert_ne!(one, other, "another seed is another world");
    let kinds: BTreeSet<&str> = one.lines().map(kind).collect();
    assert!(one.lines().count() >= 500 && kinds.len() >= 6, "{} events of {kinds:?}", one.lines().count());
    for secret in ["PRIVATE KEY", "Bearer", "sha256:"] {
        assert!(!one.contains(secret), "the trace holds {secret}");
    }
}

#[test]
fn it_is_told_on_two_screens_with_the_words_that_people_reported() {
    let output = story(&[]);
    let told = text(&output);
    assert!(output.status.success(), "{told}");
    for words in [
        "403 pods \"p-dead\" is forbidden: Get \"https://127.0.0.1:6443/api/v1/namespaces/default/limitranges\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time",
        "500 Internal error occurred: Get \"https://127.0.0.1:6443/api/v1/namespaces/t1-dead\": tls: failed to verify certificate: x509:",
        "In a real cluster: restart kube-apiserver",
        "Control run",
    ] {
        assert!(told.contains(words), "missing {words:?} in\n{told}");
    }
    assert!(told.lines().count() <= 60, "{} lines are more than two screens", told.lines().count());
}

#[test]
fn it_fails_when_nobody_checks_the_dates() {
    let output = story(&["--ignore-certificate-dates"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}
