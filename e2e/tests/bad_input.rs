//! What cannot be done is refused with one sentence and exit code 2, and nothing is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Command, Output},
};

fn chronoplane(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chronoplane")).args(args).output().expect("the program starts")
}

fn check(args: &[&str], words: &[&str]) {
    let output = chronoplane(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    words.iter().for_each(|w| assert!(said.contains(w), "{args:?} lacks {w:?}: {said}"));
}

#[test]
fn without_arguments_there_is_short_help_with_an_example() {
    let output = chronoplane(&[]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.lines().count() <= 15, "{said}");
    assert!(said.contains("cargo run --release -- run loopback-expiry"), "{said}");
}

#[test]
fn unknown_words_are_named() {
    check(&["run", "loopback"], &["no story \"loopback\"", "loopback-expiry"]);
    check(&["run", "loopback-expiry", "--kubernetes-version", "1.99"], &["1.99", "1.36"]);
    check(&["up", "--node", "3"], &["--node"]);
    check(&["apiserver", "--", "--no-such-flag=1"], &["unknown flag: --no-such-flag"]);
    check(&["etcd", "--", "--no-such-flag=1"], &["no-such-flag"]);
    check(&["controllers", "--", "--no-such-flag=1"], &["--no-such-flag"]);
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("thesis.tex"), "years of work").expect("written");
    let path = dir.path().to_str().expect("UTF-8");
    check(&["up", "--data-dir", path], &["thesis.tex", "empty or a new directory"]);
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1, "nothing was added");
    std::fs::remove_file(dir.path().join("thesis.tex")).expect("removed");
    std::fs::write(dir.path().join("chronoplane.json"), "{\"format\": 99").expect("written");
    check(&["up", "--data-dir", path], &["chronoplane.json", "another --data-dir"]);
}

fn apiserver(dir: &Path, flags: &[&str]) -> Output {
    let place = serde_json::json!({"name": "a", "address": "127.0.0.1", "root": dir});
    Command::new(env!("CARGO_BIN_EXE_chronoplane"))
        .args(["apiserver", "--", "--cert-dir=/certs", "--service-account-issuer=https://x"])
        .args(flags)
        .env("CHRONOPLANE_HOST", place.to_string())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the program starts")
}

#[test]
fn files_and_ports_that_do_not_serve_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let check = |flags: &[&str], words: &[&str]| {
        let output = apiserver(dir.path(), flags);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
        words.iter().for_each(|w| assert!(said.contains(w), "{flags:?} lacks {w:?}: {said}"));
    };
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = format!("--secure-port={}", taken.local_addr().expect("bound").port());
    check(&["--storage-backend=memory", &port], &["address already in use"]);
    std::fs::write(dir.path().join("half.crt"), "-----BEGIN CERTIFICATE-----\nMIIB").expect("written");
    check(&["--storage-backend=memory", "--client-ca-file=/half.crt"], &["/half.crt"]);
    check(&["--storage-backend=memory", "--client-ca-file=/missing.crt"], &["/missing.crt", "no such file"]);
    std::fs::create_dir(dir.path().join("data")).expect("made");
    std::fs::write(dir.path().join("data/conf"), "not sled's").expect("written");
    check(&["--storage-backend=sled", "--data-dir=/data"], &["data"]);
    assert_eq!(std::fs::read_to_string(dir.path().join("data/conf")).expect("there"), "not sled's");
}

#[test]
fn a_half_written_kubeconfig_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("kcm.conf"), "apiVersion: v1\nkind: Conf").expect("written");
    let place = serde_json::json!({"name": "a", "address": "127.0.0.1", "root": dir.path()});
    let output = Command::new(env!("CARGO_BIN_EXE_chronoplane"))
        .args(["controllers", "--", "--kubeconfig=/kcm.conf"])
        .env("CHRONOPLANE_HOST", place.to_string())
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("/kcm.conf"), "{said}");
}

#[test]
fn kubeadm_stays_below_its_rootfs() {
    let dir = tempfile::tempdir().expect("a directory");
    let kubeadm = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_chronoplane"))
            .args(["kubeadm", "--"])
            .args(args)
            .output()
            .expect("the program starts")
    };
    let root = dir.path().to_str().expect("UTF-8");
    let args = [
        "--rootfs",
        root,
        "init",
        "phase",
        "certs",
        "ca",
        "--encryption-algorithm=ECDSA-P256",
        "--node-name=n",
    ];
    let output = kubeadm(&args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(dir.path().join("etc/kubernetes/pki/ca.crt").is_file());
    assert!(!Path::new("/etc/kubernetes/pki/ca.crt").exists(), "the machine's own files are not touched");
    check(
        &["kubeadm", "--", "--rootfs=/no/such/directory", "version"],
        &["/no/such/directory", "make it first"],
    );
    check(&["kubeadm", "--", "version", "--rootfs"], &["--rootfs wants a directory"]);
}
