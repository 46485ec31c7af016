//! The same seed gives the same trace: once more in this process, in another process, on another day, in another time
//! zone. What is compared is everything that the world recorded (`world::Event`), for a small cluster that is built,
//! works for a while and meets a few faults.
//!
//! This program is its own other process: `determinism digests whole SEED…` prints digests instead of testing.
//! A difference is shown by its first event.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod day;
mod small;

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, ExitCode, Output, Stdio},
    thread,
};

use chronoplane_cli::{
    catalogue,
    story::{self, Settings},
};
use libtest_mimic::{Arguments, Failed, Trial};

use small::{
    Chance::{Anew, AsSeeded},
    Life, trace,
};

/// How many seeds the promise is tested with.
const SEEDS: u64 = 200;
/// With how many of them a cluster is built, unless `CHRONOPLANE_DETERMINISM_CLUSTERS` says so: it costs several times what an
/// apiserver and its controllers cost, which the others have.
const CLUSTERS: u64 = 20;

fn clusters() -> u64 {
    let given = std::env::var("CHRONOPLANE_DETERMINISM_CLUSTERS").ok().and_then(|n| n.parse().ok());
    given.unwrap_or(CLUSTERS).min(SEEDS)
}

/// What the other process is asked for: digests, or the events themselves.
const DIGESTS: &str = "digests";
const EVENTS: &str = "events";

type Digests = BTreeMap<u64, String>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [wanted, life, seeds @ ..] = words.as_slice()
        && [DIGESTS, EVENTS].contains(&wanted.as_str())
        && let Some(life) = Life::parse(life)
    {
        return print(wanted, life, seeds);
    }
    let trials = vec![
        Trial::test("every_seed_in_another_process", every_seed),
        Trial::test("once_more_in_this_process", once_more),
        Trial::test("on_another_day_and_in_another_zone", day::elsewhen),
        Trial::test("another_seed_is_another_trace", other_seeds),
        Trial::test("one_host_seeded_anew", one_host_seeded_anew),
        Trial::test("the_digest_that_run_prints", printed_digest),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The other process: what it was asked for, one line for each seed or event.
fn print(wanted: &str, life: Life, seeds: &[String]) -> ExitCode {
    let mut out = std::io::stdout().lock();
    for seed in seeds.iter().filter_map(|seed| seed.parse().ok()) {
        let events = trace(seed, life, AsSeeded);
        let told = match wanted {
            EVENTS => events.iter().try_for_each(|event| writeln!(out, "{event}")),
            _ => writeln!(out, "{seed} {}", story::digest(&events)),
        };
        if told.is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// This program with these words, in an environment that `change` has changed.
fn other_process(words: &[String], change: impl FnOnce(&mut Command)) -> Result<Output, Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words).stdin(Stdio::null());
    change(&mut command);
    let output = command.output()?;
    match output.status.success() {
        true => Ok(output),
        false => Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Digests of these seeds by another process.
fn digests(seeds: &[u64], life: Life, change: impl FnOnce(&mut Command)) -> Result<Digests, Failed> {
    let command = [DIGESTS.to_owned(), life.name().to_owned()].into_iter();
    let words: Vec<String> = command.chain(seeds.iter().map(u64::to_string)).collect();
    let output = other_process(&words, change)?;
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    Ok(lines.filter_map(|(seed, digest)| Some((seed.parse().ok()?, digest.to_owned()))).collect())
}

/// The first seed of which the two differ, told by its first event that does.
fn same(life: Life, here: &Digests, there: &Digests) -> Result<(), Failed> {
    if here.len() != there.len() {
        return Err(format!("{} seeds here, {} there", here.len(), there.len()).into());
    }
    let Some((seed, _)) = here.iter().find(|(seed, digest)| there.get(*seed) != Some(*digest)) else {
        return Ok(());
    };
    let others = here.iter().filter(|(seed, digest)| there.get(*seed) != Some(*digest)).count();
    let words = [EVENTS.to_owned(), life.name().to_owned(), seed.to_string()];
    let again = other_process(&words, |_| {})?;
    let text = String::from_utf8(again.stdout)?;
    let own: Vec<String> = trace(*seed, life, AsSeeded).iter().map(ToString::to_string).collect();
    let differs = own.iter().map(String::as_str).zip(text.lines()).find(|(own, other)| own != other);
    let told = match differs {
        Some((own, other)) => format!("here:  {own}\nthere: {other}"),
        None => "told once more, both are equal: it depends on what ran before".to_owned(),
    };
    Err(format!("seed {seed} (of {others} that differ)\n{told}").into())
}

/// Here they are run upwards, there downwards: what one world left behind in its process would show too.
fn every_seed() -> Result<(), Failed> {
    for (life, seeds) in [(Life::Young, 0..clusters()), (Life::Alone, clusters()..SEEDS)] {
        let down: Vec<u64> = seeds.clone().rev().collect();
        let there = thread::spawn(move || digests(&down, life, |_| {}));
        let digest = |seed| (seed, story::digest(&trace(seed, life, AsSeeded)));
        let here: Digests = seeds.map(digest).collect();
        let there = there.join().map_err(|_| "the thread that waits for the other process panicked")??;
        same(life, &here, &there)?;
    }
    Ok(())
}

fn once_more() -> Result<(), Failed> {
    for seed in [1, 2, 3] {
        let (one, other) = (trace(seed, Life::Whole, AsSeeded), trace(seed, Life::Whole, AsSeeded));
        if let Some((one, other)) = one.iter().zip(&other).find(|(one, other)| one != other) {
            return Err(format!("seed {seed}\nfirst: {one}\nthen:  {other}").into());
        }
        if one.len() != other.len() || one.len() < 1_000 {
            return Err(format!("seed {seed}: {} events, then {}", one.len(), other.len()).into());
        }
    }
    Ok(())
}

/// The control of all others: a trace tells seeds apart.
fn other_seeds() -> Result<(), Failed> {
    for life in [Life::Young, Life::Alone] {
        let [one, other] = [4, 5].map(|seed| story::digest(&trace(seed, life, AsSeeded)));
        if one == other {
            return Err(format!(
                "two seeds, one trace, {}: it holds nothing that chance decides",
                life.name()
            )
            .into());
        }
    }
    Ok(())
}

/// Another chance for one host only: its own certificate gets another serial, and what it does comes at other times. The
/// control is the same once more.
fn one_host_seeded_anew() -> Result<(), Failed> {
    for host in ["node1", "cp1"] {
        let as_seeded = trace(6, Life::Young, AsSeeded);
        let anew = || trace(6, Life::Young, Anew { host, seed: 99 });
        let (one, other) = (anew(), anew());
        if story::digest(&one) != story::digest(&other) {
            return Err(format!("{host} seeded anew twice with the same number: two traces").into());
        }
        if story::digest(&one) == story::digest(&as_seeded) {
            return Err(format!("{host} seeded anew: the trace stays as it was").into());
        }
    }
    Ok(())
}

/// What `chronoplane run … --output json` prints is the digest of the story told here.
fn printed_digest() -> Result<(), Failed> {
    let entry = catalogue::find("token-born-expired").ok_or("the story is gone")?;
    let settings = Settings {
        profile: entry.newest(),
        seed: 3,
        gear: chronoplane::Gear::Simulated,
        check_certificate_dates: true,
    };
    let here = story::tell(entry, &settings, false).map_err(|refusal| refusal.0)?;
    let output = Command::new(env!("CARGO_BIN_EXE_chronoplane"))
        .args(["run", entry.id, "--seed", "3", "--output", "json"])
        .output()?;
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let (here, there) = (story::digest(&here.events), &printed["traceDigest"]);
    match there.as_str() == Some(&*here) {
        true => Ok(()),
        false => Err(format!("here {here}, printed {there}").into()),
    }
}
