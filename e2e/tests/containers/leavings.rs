//! What a test leaves behind: nothing, be it that it panics, is killed, or is killed together with its reaper. Shown with
//! child processes that have a container running on a network of theirs.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Trial};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    docker::{self, Image, Left, Network},
    on_path,
    reaper::Reaper,
};

/// In the environment of a child: how it ends.
const CHILD: &str = "CHRONOPLANE_TEST_LEAVINGS";
const PANICS: &str = "panics";
const IS_KILLED: &str = "is killed";
/// How long a reaper may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A test of this kind.
type Test = fn() -> Result<(), String>;

/// All of them.
pub const TRIALS: &[(&str, Test)] = &[
    ("a_test_that_panics_leaves_nothing", a_test_that_panics_leaves_nothing),
    ("a_test_that_is_killed_leaves_nothing", a_test_that_is_killed_leaves_nothing),
    (
        "what_is_left_without_a_reaper_the_next_one_removes",
        what_is_left_without_a_reaper_the_next_one_removes,
    ),
];

/// How this process shall end, if it is a child.
pub fn is_child() -> Option<String> {
    std::env::var(CHILD).ok()
}

/// The child half: a test program with one test in it, which makes a network and a container that runs there, says so,
/// and comes to its end.
pub fn child(end: &str) -> ExitCode {
    let reaper = Reaper::start().expect("a process beside this one");
    let (end, pid) = (end.to_owned(), reaper.pid());
    let test = Trial::test("child", move || {
        let sleep = on_path("sleep").ok_or("no `sleep` on PATH")?;
        let image = Image::of(&sleep, "sleep")?;
        let network = Network::new()?;
        let container = network.container("sleeper", 2, &image, &[], &["1000000".to_owned()])?;
        container.start()?;
        assert!(container.is_running()?, "{}", container.logs());
        // Past the harness, which keeps what tests print.
        let mut out = std::io::stdout();
        writeln!(out, "\nrunning beside {pid}").and_then(|()| out.flush()).map_err(|e| e.to_string())?;
        assert!(end != PANICS, "as it was told to");
        loop {
            thread::park();
        }
    });
    let arguments = Arguments { test_threads: Some(1), ..Arguments::default() };
    libtest_mimic::run(&arguments, vec![test]).exit_code()
}

/// A child, from the moment at which its container runs.
struct Running {
    child: Child,
    owner: String,
    reaper: u32,
}

impl Running {
    fn start(end: &str) -> Result<Self, String> {
        let mut command = Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
        command.env(CHILD, end).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let owner = docker::owner(child.id()).ok_or("the child is not there")?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no pipe")?).lines();
        let said = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.strip_prefix("running beside ").and_then(|pid| pid.trim().parse::<u32>().ok())
        });
        // It must not wait for anybody to read the rest.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let Some(reaper) = said else {
            let _ = child.kill();
            let ended = child.wait();
            return Err(format!("the child has no container: {ended:?}"));
        };
        Ok(Self { child, owner, reaper })
    }

    fn left(&self) -> Result<Vec<&'static str>, String> {
        Ok(docker::left_by(&self.owner)?.iter().map(|Left { kind, .. }| *kind).collect())
    }

    fn kill(&mut self) -> Result<(), String> {
        self.child.kill().and_then(|()| self.child.wait()).map(drop).map_err(|e| e.to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn a_test_that_panics_leaves_nothing() -> Result<(), String> {
    let mut running = Running::start(PANICS)?;
    let ended = running.child.wait().map_err(|e| e.to_string())?;
    // At once: nobody else had to come.
    assert_eq!((ended.code(), running.left()?), (Some(101), Vec::new()));
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "waits for another process, in the system's time")]
fn a_test_that_is_killed_leaves_nothing() -> Result<(), String> {
    let mut running = Running::start(IS_KILLED)?;
    docker::sweep()?;
    assert_eq!(running.left()?, ["container", "network", "image"], "the control: its owner lives");
    running.kill()?;
    let began = Instant::now();
    while !running.left()?.is_empty() {
        assert!(began.elapsed() < PATIENCE, "its reaper is too slow: {:?}", running.left());
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn what_is_left_without_a_reaper_the_next_one_removes() -> Result<(), String> {
    let mut running = Running::start(IS_KILLED)?;
    let reaper = i32::try_from(running.reaper).ok().and_then(Pid::from_raw).ok_or("no such process")?;
    kill_process(reaper, Signal::KILL).map_err(|e| e.to_string())?;
    running.kill()?;
    assert_eq!(running.left()?, ["container", "network", "image"], "the control: nobody removes it");
    docker::sweep()?;
    assert_eq!(running.left()?, [] as [&str; 0]);
    Ok(())
}
