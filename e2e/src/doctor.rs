//! `chronoplane doctor`: what this machine can do, what each of it is for, and what to do where it cannot.
//!
//! Nothing is changed: a directory of files that is made to be timed is removed again. Programs that are found are asked
//! for their version, and nothing else.

use std::{
    fs::File,
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use clap::Args;
use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};
use world::Host;

use crate::{
    cli::{Output, Refusal},
    components::{self, Place},
    style::{BAD, FAINT, GOOD, WARN},
};

/// Open files of a host of the real gear, roughly: what `up` with twenty nodes stays below.
const FEWEST_FILES: u64 = 4096;
const FEWEST_BYTES: u64 = 1 << 30;
/// Above it a write that must be on disk is felt.
const SLOW_FSYNC: Duration = Duration::from_millis(10);
const FSYNCS: usize = 20;
/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// `chronoplane doctor`.
#[derive(Args)]
pub struct DoctorArgs {
    /// Where files would be kept: its disk is looked at. Default: the directory for temporary files
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Well,
    /// It will do, less well.
    Weak,
    /// Not there; only what names it needs it.
    Missing,
    /// Nothing works without.
    Broken,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Weak => "weak",
            Self::Missing => "missing",
            Self::Broken => "broken",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What needs it.
    pub needed_for: &'static str,
    /// What to do when it is not well.
    pub advice: &'static str,
}

/// Looks and prints; exit code 1 if something is broken without which nothing works.
///
/// # Errors
/// No runtime could be made.
pub fn run(args: &DoctorArgs) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    let directory = args.data_dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut findings = vec![processors(), memory(), addresses(), files()];
    findings.extend(disk(&directory));
    let (runtime, host) = (components::runtime()?, Place::of_this_process()?.host());
    findings.extend(runtime.block_on(programs(&host)));
    runtime.shutdown_background();
    match args.output {
        Output::Json => outln!("{}", to_json(&findings)),
        Output::Text => print(&findings),
    }
    let broken = findings.iter().any(|finding| finding.state == State::Broken);
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn to_json(findings: &[Finding]) -> Value {
    let rows: Vec<Value> = findings
        .iter()
        .map(|f| {
            json!({
                "name": f.name, "state": f.state.word(), "seen": f.seen, "neededFor": f.needed_for,
                "advice": if f.state == State::Well { "" } else { f.advice },
            })
        })
        .collect();
    let well = findings.iter().all(|finding| finding.state != State::Broken);
    json!({"usable": well, "findings": rows})
}

fn print(findings: &[Finding]) {
    let width = findings.iter().map(|f| f.name.len()).max().unwrap_or_default();
    for Finding { name, state, seen, needed_for, advice } in findings {
        let (style, sign) = match state {
            State::Well => (GOOD, '✓'),
            State::Weak => (WARN, '!'),
            State::Missing => (FAINT, '–'),
            State::Broken => (BAD, '✗'),
        };
        outln!("{style}{sign}{style:#} {name:<width$}  {seen}");
        if *state != State::Well {
            outln!("  {:<width$}  {FAINT}needed for {needed_for}; {advice}{FAINT:#}", "");
        }
    }
}

fn processors() -> Finding {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    Finding {
        name: "processors",
        state: if cores >= 2 { State::Well } else { State::Weak },
        seen: cores.to_string(),
        needed_for: "many worlds side by side (chaos, tests)",
        advice: "stories and `up` work with one, and take longer",
    }
}

fn memory() -> Finding {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    let state = match kib {
        Some(kib) if kib * 1024 >= FEWEST_BYTES => State::Well,
        _ => State::Weak,
    };
    Finding {
        name: "memory",
        state,
        seen: kib.map_or("not known".to_owned(), |kib| format!("{} MiB available", kib / 1024)),
        needed_for: "building, and for worlds with thousands of nodes",
        advice: "a single cluster needs some 30 MiB; build with fewer jobs (`cargo build -j 1`)",
    }
}

/// Hosts of the real gear live at addresses of their own.
fn addresses() -> Finding {
    let tried = ["127.0.0.1", "127.64.0.1", "127.127.255.254"];
    let failed = tried.iter().find_map(|address| Some((address, TcpListener::bind((*address, 0)).err()?)));
    let (state, seen) = match failed {
        None => (State::Well, "all of 127.0.0.0/8 can be listened at".to_owned()),
        Some((&"127.0.0.1", e)) => (State::Broken, format!("cannot listen at 127.0.0.1: {e}")),
        Some((address, e)) => (State::Missing, format!("cannot listen at {address}: {e}")),
    };
    Finding {
        name: "addresses",
        state,
        seen,
        needed_for: "`up`, where each host has an address of its own in 127.0.0.0/8",
        advice: "on macOS add them by hand (`ifconfig lo0 alias 127.64.0.1 up`, one for each host), or use a Linux container; stories and tests in the simulated gear need none",
    }
}

fn files() -> Finding {
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let number = |n: u64| if n == u64::MAX { "unlimited".to_owned() } else { n.to_string() };
    Finding {
        name: "open files",
        state: if soft >= FEWEST_FILES { State::Well } else { State::Weak },
        seen: format!("{} (at most {})", number(soft), number(hard)),
        needed_for: "`up` with many nodes, and for benches with thousands of watchers",
        advice: "raise it for the shell: `ulimit -n 65536`",
    }
}

/// Room, and what a write costs that must be on disk.
fn disk(directory: &Path) -> Vec<Finding> {
    let room = rustix::fs::statvfs(directory).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    let (state, seen) = match &room {
        Ok(bytes) if *bytes >= FEWEST_BYTES => (State::Well, format!("{} MiB free", bytes >> 20)),
        Ok(bytes) => (State::Weak, format!("{} MiB free", bytes >> 20)),
        Err(e) => (State::Broken, e.to_string()),
    };
    let room = Finding {
        name: "room on disk",
        state,
        seen: format!("{seen} in {}", directory.display()),
        needed_for: "what `up` keeps (some MiB a cluster), and building (some GiB)",
        advice: "name another place with --data-dir, or set TMPDIR",
    };
    let (state, seen) = match fsync(directory) {
        Ok(took) if took < SLOW_FSYNC => (State::Well, format!("{:.2} ms", took.as_secs_f64() * 1e3)),
        Ok(took) => (State::Weak, format!("{:.2} ms", took.as_secs_f64() * 1e3)),
        Err(e) => (State::Broken, e.to_string()),
    };
    let cost = Finding {
        name: "fsync",
        state,
        seen: format!("{seen} in {}", directory.display()),
        needed_for: "`up` and the store on disk: each write that is acknowledged waits for one",
        advice: "name a directory on a faster disk with --data-dir, one in memory (/dev/shm) for throw-away clusters",
    };
    vec![room, cost]
}

/// The median of some small writes that are synced.
#[allow(clippy::disallowed_methods, reason = "what the disk costs in real time is what is asked for")]
fn fsync(directory: &Path) -> std::io::Result<Duration> {
    let place = tempfile::Builder::new().prefix("chronoplane-doctor-").tempdir_in(directory)?;
    let mut file = File::create(place.path().join("probe"))?;
    let mut took = Vec::with_capacity(FSYNCS);
    for _ in 0..FSYNCS {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(took[FSYNCS / 2])
}

struct Program {
    name: &'static str,
    names: &'static [&'static str],
    args: &'static [&'static str],
    needed_for: &'static str,
    advice: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "kubectl",
        names: &["kubectl"],
        args: &["version", "--client"],
        needed_for: "looking into `up` by hand, and scripts/kubectl-*",
        advice: "see kubernetes.io/docs/tasks/tools; any client library will do too",
    },
    Program {
        name: "etcd",
        names: &["etcd"],
        args: &["--version"],
        needed_for: "`bench store` beside the real one, and scripts/etcd-story",
        advice: "Debian: `apt install etcd-server`",
    },
    Program {
        name: "openssl",
        names: &["openssl"],
        args: &["version"],
        needed_for: "tests that hold our certificates against another reader",
        advice: "Debian: `apt install openssl`; without it these tests say that they are skipped",
    },
    Program {
        name: "chromium",
        names: &["chromium", "chromium-browser", "google-chrome"],
        args: &["--version"],
        needed_for: "scripts/timeline-story, the tests of the timeline page",
        advice: "Debian: `apt install chromium`; to read a page any browser will do",
    },
    Program {
        name: "docker",
        names: &["docker", "podman"],
        args: &["version", "--format", "{{.Server.Version}}"],
        needed_for: "a container image of chronoplane, and `cargo test --test containers`",
        advice: "install it or leave it: clusters here need no containers",
    },
];

async fn programs(host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    for program in PROGRAMS {
        let path = program.names.iter().find_map(|name| on_path(name));
        let (state, seen) = match path {
            None => (State::Missing, "not installed".to_owned()),
            Some(path) => match version(host, &path, program.args).await {
                Ok(words) => (State::Well, format!("{words} ({})", path.display())),
                Err(why) => (State::Weak, format!("{} is there, but {why}", path.display())),
            },
        };
        let Program { name, needed_for, advice, .. } = *program;
        findings.push(Finding { name, state, seen, needed_for, advice });
    }
    findings
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The first line of what it says.
async fn version(host: &Host, path: &Path, args: &[&str]) -> Result<String, String> {
    let mut command = tokio::process::Command::new(path);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let ran = host.clock().timeout(PATIENCE, command.output()).await;
    let ran = ran.map_err(|_| format!("says nothing within {} s", PATIENCE.as_secs()))?;
    let ran = ran.map_err(|e| format!("does not start: {e}"))?;
    let said = if ran.status.success() { &ran.stdout } else { &ran.stderr };
    let text = String::from_utf8_lossy(said);
    let line =
        text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it says nothing").to_owned();
    if ran.status.success() { Ok(line) } else { Err(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_advice_and_what_is_well_without() {
        let finding = |state| Finding { name: "x", state, seen: "y".into(), needed_for: "z", advice: "do" };
        let shown = to_json(&[finding(State::Well), finding(State::Missing)]);
        assert_eq!(shown["usable"], true, "{shown}");
        assert_eq!(shown["findings"][0]["advice"], "");
        assert_eq!(shown["findings"][1]["advice"], "do");
        assert_eq!(to_json(&[finding(State::Broken)])["usable"], false);
    }

    #[test]
    fn a_directory_that_is_not_there_is_broken_and_nothing_is_left_in_one_that_is() {
        let place = tempfile::tempdir().unwrap();
        let states = |dir: &Path| disk(dir).iter().map(|f| f.state).collect::<Vec<_>>();
        assert_eq!(states(&place.path().join("nowhere")), [State::Broken, State::Broken]);
        assert!(states(place.path()).iter().all(|state| *state != State::Broken));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
