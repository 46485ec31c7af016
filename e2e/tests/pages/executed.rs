//! The commands of the pages, typed into a shell as they stand: each page in a folder of its own, its lines in their
//! order. What runs for ever is stopped when it is ready, and what needs a cluster runs meanwhile.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::commands::{self, Fate, Found};

/// In Go's place, of which no test has more than syntax (docs/go.md): looks at what Go's tests would be handed.
const GO: &str = r#"#!/bin/sh
if [ "$*" != "test ./..." ]; then echo "go: $*" >&2; exit 64; fi
if [ -n "$KUBEBUILDER_ASSETS" ]; then
  test -x "$KUBEBUILDER_ASSETS/kube-apiserver" && test -x "$KUBEBUILDER_ASSETS/etcd"
else
  grep -q 'current-context' "$KUBECONFIG"
fi
"#;

/// A folder with the programs that pages call by their names.
fn programs() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    symlink(env!("CARGO_BIN_EXE_chronoplane"), dir.path().join("chronoplane")).expect("a link");
    let go = dir.path().join("go");
    fs::write(&go, GO).expect("written");
    fs::set_permissions(&go, fs::Permissions::from_mode(0o755)).expect("executable");
    dir
}

fn shell(line: &str, programs: &Path, folder: &Path) -> Command {
    let mut shell = Command::new("bash");
    let path = std::env::var("PATH").unwrap_or_default();
    shell.args(["-euc", line]).env("PATH", format!("{}:{path}", programs.display()));
    shell.current_dir(folder).stdin(Stdio::null()).env_remove("KUBECONFIG").env_remove("KUBEBUILDER_ASSETS");
    shell
}

fn has_kubectl() -> bool {
    Command::new("kubectl").args(["version", "--client"]).output().is_ok_and(|ran| ran.status.success())
}

/// Runs until it is told to end.
fn is_endless(line: &str) -> bool {
    line.starts_with("chronoplane up") && !line.contains("--exec")
}

/// One line; what is wrong with it.
fn run(line: &str, programs: &Path, folder: &Path) -> Option<String> {
    let ran = shell(line, programs, folder).output().expect("bash");
    (!ran.status.success()).then(|| {
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!("{line}: {}\n{}{}", ran.status, said(&ran.stdout), said(&ran.stderr))
    })
}

/// A page's lines in their order; what is exported stays so.
fn page(lines: &[String], beside: &[String], programs: &Path) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a directory");
    let mut exported = String::new();
    let mut wrong = Vec::new();
    for line in lines {
        if line.contains("kubectl") && !has_kubectl() {
            eprintln!("SKIPPED: {line}: there is no kubectl on this machine");
            continue;
        }
        let whole = format!("{exported}{line}");
        if is_endless(line) {
            wrong.extend(endless(&whole, beside, programs, folder.path()));
        } else {
            wrong.extend(run(&whole, programs, folder.path()));
        }
        if line.starts_with("export ") {
            exported += &format!("{line}; ");
        }
    }
    wrong
}

/// `up`, until its nodes are Ready and what was to run beside it is done.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
        let _ = self.0.wait();
    }
}

fn endless(line: &str, beside: &[String], programs: &Path, folder: &Path) -> Vec<String> {
    // The shell makes place for it, so that it is the one that is told to end.
    let mut command = shell(&format!("exec {line}"), programs, folder);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bash");
    let mut said = BufReader::new(child.stderr.take().expect("piped"));
    let mut printed = BufReader::new(child.stdout.take().expect("piped"));
    let mut up = Up(child);
    let mut log = String::new();
    while !log.contains("Ctrl-C ends it") {
        if said.read_line(&mut log).expect("UTF-8") == 0 {
            return vec![format!("{line}: it ended before its nodes were Ready: {log}")];
        }
    }
    let mut export = String::new();
    printed.read_line(&mut export).expect("UTF-8");
    let export = export.trim();
    let mut wrong = Vec::new();
    for line in beside {
        if line.starts_with("kubectl") && !has_kubectl() {
            eprintln!("SKIPPED: {line}: there is no kubectl on this machine");
            continue;
        }
        wrong.extend(run(&format!("{export}; {line}"), programs, folder));
    }
    kill_process(Pid::from_child(&up.0), Signal::INT).expect("it runs");
    let status = up.0.wait().expect("it ends");
    if !status.success() {
        wrong.push(format!("{line}: told to end, it ends with {status}"));
    }
    wrong
}

#[test]
fn the_commands_of_the_pages_do_what_they_say() {
    let mut pages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut beside, mut seen) = (Vec::new(), Vec::new());
    for found in commands::all() {
        let fate = commands::fate(&found);
        let Found { page, line, .. } = found;
        // What two pages have alike is run once.
        if !matches!(fate, Ok(Fate::Here | Fate::Beside)) || seen.contains(&line) {
            continue;
        }
        seen.push(line.clone());
        match fate {
            Ok(Fate::Beside) => beside.push(line),
            _ => pages.entry(page).or_default().push(line),
        }
    }
    // Clocks that were set wrong are right again in the end.
    beside.sort_by_key(|line| (line.contains("clock"), line.contains("reset")));
    let endless = pages.values().flatten().filter(|line| is_endless(line)).count();
    assert_eq!(endless, 1, "beside which of them should {beside:?} run?");
    let programs = programs();
    let (beside, programs) = (beside.as_slice(), programs.path());
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            pages.values().map(|lines| scope.spawn(move || page(lines, beside, programs))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
