//! Several machines: a cluster of containers on a private network, and what happens to such things. One is killed, its
//! cable is pulled, it is paused, its clock is set. The cluster goes on, or heals, and nothing that was acknowledged is
//! lost: writers write through all of it, and in the end each apiserver is asked for everything. Whatever ends a test, no
//! container, network or image of it stays behind.
//!
//! Needs a Docker Engine, and for the cluster an etcd; `CHRONOPLANE_REQUIRE=docker,etcd` makes their absence a failure.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod cluster;
mod docker;
mod leavings;
mod ledger;
mod reaper;
#[path = "../common/requirement.rs"]
mod requirement;
mod stories;
#[path = "../../../store/tests/common/tls.rs"]
#[allow(dead_code, reason = "not every client of these files is here")]
mod tls;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use libtest_mimic::{Arguments, Trial};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use stories::{STORIES, Stage};

/// The cluster of all stories; made for the first that is told.
#[derive(Default)]
struct Shared(Mutex<Option<Result<Stage, String>>>);

impl Shared {
    fn tell(&self, runtime: &Runtime, story: stories::Story) -> Result<(), String> {
        let mut stage = self.0.lock();
        let made = stage
            .get_or_insert_with(|| runtime.block_on(Stage::set(&program("chronoplane"), &program("etcd"))));
        let stage = made.as_mut().map_err(|e| e.clone())?;
        runtime.block_on(story(stage));
        Ok(())
    }
}

fn program(name: &str) -> PathBuf {
    if name == "chronoplane" {
        return env!("CARGO_BIN_EXE_chronoplane").into();
    }
    let named = std::env::var_os("ETCD").map(PathBuf::from);
    named.or_else(|| on_path(name)).unwrap_or_default()
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn main() -> ExitCode {
    if let Some(owner) = reaper::is_this() {
        return reaper::run(&owner);
    }
    if let Some(end) = leavings::is_child() {
        return leavings::child(&end);
    }
    let mut arguments = Arguments::from_args();
    // One cluster, one story after the other.
    arguments.test_threads = Some(1);
    let docker = arguments.list
        || requirement::met("docker", docker::is_here(), "no Docker Engine answers `docker version`");
    if !docker {
        return ExitCode::SUCCESS;
    }
    let etcd = arguments.list
        || requirement::met(
            "etcd",
            Path::new(&program("etcd")).is_file(),
            "no `etcd` on PATH; Debian has it in etcd-server",
        );
    let _reaper = (!arguments.list).then(|| reaper::Reaper::start().expect("a process beside this one"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = Arc::new(runtime.expect("a runtime"));
    let shared = Arc::new(Shared::default());
    let mut trials: Vec<Trial> = leavings::TRIALS
        .iter()
        .map(|(name, test)| Trial::test(*name, || test().map_err(Into::into)))
        .collect();
    trials.extend(STORIES.iter().filter(|_| etcd).map(|(name, story)| {
        let (runtime, shared) = (runtime.clone(), shared.clone());
        Trial::test(*name, move || shared.tell(&runtime, *story).map_err(Into::into))
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Containers and networks go before the process does.
    drop(shared);
    conclusion.exit_code()
}
