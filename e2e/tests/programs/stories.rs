//! Stories told in the real gear: separate processes of this program, each host with a clock file. Each is told at its
//! newest release, with its control run, by the program itself.
//!
//! Here a handful that takes seconds. `CHRONOPLANE_REAL_GEAR=all` tells every story that is told in that gear at all,
//! which takes minutes (`scripts/nightly real` does it with a release build). A name given on the command line picks
//! those that contain it: `cargo test --test programs -- wrong-pin`.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use chronoplane_cli::{catalogue::Entry, scenarios};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_chronoplane");
/// Told by every run of the tests: a wrong word, a host with a wrong clock, an edge that all clocks are set to, a host that
/// boots in 1970 and a broken connection.
const HANDFUL: [&str; 4] = ["wrong-pin", "node-clock-behind", "loopback-three-years", "loopback-boot-1970"];

fn failed(what: &str, ran: &Output) -> Failed {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Failed::from(format!("{what}: {}\n{}{}", ran.status, text(&ran.stdout), text(&ran.stderr)))
}

/// `chronoplane run` with those words, temporary files below `temporary`.
fn run(words: &[&str], temporary: &Path) -> Command {
    let mut run = Command::new(PROGRAM);
    run.arg("run").args(words).env("TMPDIR", temporary);
    run
}

/// Whether a process has that directory in its environment.
fn anybody_of(temporary: &Path) -> bool {
    let wanted = temporary.to_str().unwrap().as_bytes();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let own = std::process::id().to_string();
    processes.filter(|process| process.file_name().to_str() != Some(own.as_str())).any(|process| {
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        environment.windows(wanted.len()).any(|part| part == wanted)
    })
}

fn check_nothing_left(temporary: &Path) -> Result<(), Failed> {
    let left: Vec<_> = std::fs::read_dir(temporary).unwrap().flatten().map(|entry| entry.path()).collect();
    if !left.is_empty() {
        return Err(Failed::from(format!("files are left behind: {left:?}")));
    }
    if anybody_of(temporary) {
        return Err(Failed::from("processes are left behind"));
    }
    Ok(())
}

fn tell(entry: &Entry) -> Result<(), Failed> {
    let temporary = tempfile::tempdir().unwrap();
    let ran = run(&[entry.id, "--gear", "real", "--output", "json"], temporary.path()).output().unwrap();
    let told: Value = serde_json::from_slice(&ran.stdout).map_err(|_| failed("it told nothing", &ran))?;
    if !ran.status.success() || told["held"] != true {
        return Err(failed("not all held", &ran));
    }
    assert_eq!(told["gear"], "real");
    assert_eq!(told["traceDigest"], Value::Null, "nothing has a seed there");
    assert!(told["events"].as_u64().unwrap() > 0, "the processes recorded what happened");
    check_nothing_left(temporary.path())
}

/// What must elapse is refused in one sentence, with the exit code of what cannot be done.
fn what_must_elapse_is_refused() -> Result<(), Failed> {
    let temporary = tempfile::tempdir().unwrap();
    for entry in scenarios::all().filter(|entry| !entry.is_real()) {
        let ran = run(&[entry.id, "--gear", "real"], temporary.path()).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        let expected = format!("error: {} is not told in the real gear: ", entry.id);
        if ran.status.code() != Some(2) || !said.starts_with(&expected) || !said.contains("need") {
            return Err(failed("it was not refused so", &ran));
        }
    }
    check_nothing_left(temporary.path())
}

/// Somebody presses Ctrl-C while the processes of a story run.
fn a_story_that_is_ended_leaves_nothing() -> Result<(), Failed> {
    let temporary = tempfile::tempdir().unwrap();
    let mut story = run(&["joiner-behind", "--gear", "real"], temporary.path());
    let mut story = story.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(story.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("a machine joins")), "it ended before it began");
    assert!(anybody_of(temporary.path()));
    let pid = rustix::process::Pid::from_child(&story);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ran = story.wait_with_output().unwrap();
    if ran.status.code() != Some(130) || !String::from_utf8_lossy(&ran.stderr).contains("files are gone") {
        return Err(failed("it did not say that it was ended", &ran));
    }
    check_nothing_left(temporary.path())
}

/// The stories, and what else is to be seen of them.
pub fn trials() -> Vec<Trial> {
    let all = std::env::var("CHRONOPLANE_REAL_GEAR").is_ok_and(|value| value == "all");
    let wanted = |entry: &&Entry| entry.is_real() && (all || HANDFUL.contains(&entry.id));
    let stories = scenarios::all()
        .filter(wanted)
        .map(|entry| Trial::test(format!("stories::{}", entry.id), move || tell(entry)));
    let mut trials: Vec<Trial> = stories.collect();
    assert!(all || trials.len() == HANDFUL.len(), "a story of the handful is not told in the real gear");
    trials.push(Trial::test("stories::what_must_elapse_is_refused", what_must_elapse_is_refused));
    trials.push(Trial::test(
        "stories::a_story_that_is_ended_leaves_nothing",
        a_story_that_is_ended_leaves_nothing,
    ));
    trials
}
