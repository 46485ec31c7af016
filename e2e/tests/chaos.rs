//! Chaos finds nothing where nothing is wrong, finds what is, and makes it small; and one seed has one trace.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    num::NonZeroU32,
    process::{Command, Output},
};

use chronoplane::Component;
use chronoplane::chaos::{self, Fault, INVARIANTS, KINDS, Outcome, Plan, Planned, Resolves, Shape, Weather};
use world::{Periods, mutants::MUTANTS};

fn play(plan: &Plan) -> Outcome {
    chaos::run(plan, Periods::sparse()).unwrap_or_else(|e| panic!("{e}: {}", plan.to_line()))
}

fn planned(at: u64, lasts: u64, fault: Fault) -> Planned {
    Planned { at, lasts, fault, remedied: true }
}

/// Three faults within an hour that heal.
fn plan() -> Plan {
    let host = || "cp1".to_owned();
    Plan {
        seed: 5,
        hours: 1,
        nodes: 1,
        signed_hours: 24,
        faults: vec![
            planned(120, 0, Fault::Crash { host: host(), component: Component::KubeApiserver }),
            planned(600, 40, Fault::Partition { a: "node1".to_owned(), b: host() }),
            planned(1200, 30, Fault::Step { host: host(), seconds: -700 }),
        ],
    }
}

/// `CHRONOPLANE_SEEDS=A..B` plays others.
#[test]
fn seeds_hold() {
    let seeds = std::env::var("CHRONOPLANE_SEEDS").unwrap_or_else(|_| "0..3".to_owned());
    let (from, to) = seeds.split_once("..").expect("A..B");
    for seed in from.parse::<u64>().expect("a number")..to.parse().expect("a number") {
        let plan = Plan::seeded(seed, &Shape::default());
        let outcome = play(&plan);
        let tally = &outcome.tally;
        assert!(outcome.held(), "{:#?}\n{}", outcome.violations, plan.to_line());
        // It was not idle: each part of the load had something to compare.
        assert!(tally.acknowledged > 50 && tally.watched > 50, "{tally:?}");
        assert!(tally.accepted > 20 && tally.refused > 10 && tally.terms > 0, "{tally:?}");
        assert!(tally.forbidden > 0, "{tally:?}");
        assert!(tally.simulated_seconds >= 24 * 3600 && tally.requests > 500, "{tally:?}");
        assert_eq!(tally.faults.values().sum::<u64>(), plan.faults.len() as u64, "{tally:?}");
    }
}

/// Lines of the trace with all of these words.
fn lines(outcome: &Outcome, words: &[&str]) -> usize {
    let lines = outcome.events.iter().map(ToString::to_string);
    lines.filter(|line| words.iter().all(|word| line.contains(word))).count()
}

/// One fault within an hour. It is seen to have happened by what it did to the cluster (`words`), heals, and breaks no
/// promise; the control is the hour without it.
#[track_caller]
fn happens_and_heals(lasts: u64, fault: Fault, words: &[&str]) {
    let calm = Plan { faults: Vec::new(), ..plan() };
    let shaken = Plan { faults: vec![planned(600, lasts, fault)], ..plan() };
    let (control, outcome) = std::thread::scope(|scope| {
        let control = scope.spawn(|| play(&calm));
        (control.join().expect("it ran"), play(&shaken))
    });
    assert!(control.held(), "{:?}", control.violations);
    assert_eq!(lines(&control, words), 0, "without the fault: {words:?}");
    assert!(outcome.held(), "{:?}: {}", outcome.violations, shaken.to_line());
    assert!(lines(&outcome, words) > 0, "no line with {words:?}: {}", shaken.to_line());
}

#[test]
fn networks_that_fail_in_part_heal() {
    let (node, cp) = (|| "node1".to_owned(), || "cp1".to_owned());
    let unknown = ["name=node1", "state=unknown"];
    happens_and_heals(400, Fault::OneWay { from: node(), to: cp() }, &unknown);
    happens_and_heals(400, Fault::OneWay { from: cp(), to: node() }, &unknown);
    for resolves in [Resolves::Elsewhere, Resolves::Unknown, Resolves::Silence] {
        happens_and_heals(400, Fault::NameWrong { host: node(), resolves }, &unknown);
    }
    let weather = |latency_ms, loss_per_mille, rate| Weather {
        latency_ms,
        jitter_ms: latency_ms / 2,
        loss_per_mille,
        messages_per_second: NonZeroU32::new(rate),
    };
    for weather in [weather(2000, 100, 0), weather(10, 0, 2)] {
        let fault = Fault::BadNetwork { a: "workstation".to_owned(), b: cp(), weather };
        happens_and_heals(200, fault, &["conditions=workstation->cp1"]);
    }
    for (from, port) in [(cp(), 2379), (cp(), 6443), ("workstation".to_owned(), 6443)] {
        let was = format!("half_open={from}->cp1:{port}");
        happens_and_heals(0, Fault::HalfOpen { from, to: cp(), port }, &[was.as_str()]);
    }
}

#[test]
fn disks_and_power_that_fail_heal_and_lose_what_they_may() {
    let host = || "cp1".to_owned();
    happens_and_heals(200, Fault::SlowFsync { host: host(), milliseconds: 5000 }, &["fsync_takes=5s"]);
    happens_and_heals(30, Fault::PowerFailure { host: host() }, &["cp1", "power", "failure"]);
    happens_and_heals(30, Fault::PowerFailure { host: "node1".to_owned() }, &["node1", "power", "failure"]);
    happens_and_heals(200, Fault::LyingFsync, &["fault", "lost="]);
    // An honest disk loses nothing: the same without what the lie allows.
    let lost = |fault, lasts| {
        let outcome = play(&Plan { faults: vec![planned(600, lasts, fault)], ..plan() });
        lines(&outcome, &["fault", "lost="]) - lines(&outcome, &["fault", "lost=0"])
    };
    assert_eq!((lost(Fault::PowerFailure { host: host() }, 30), lost(Fault::LyingFsync, 200)), (0, 1));
    happens_and_heals(200, Fault::SecretDeleted, &["verb=delete", "secrets/web-config"]);
}

/// Every kind that is planned without being asked for, one after the other: none of them hinders another, each leaves
/// its mark, and all heals.
#[test]
fn every_kind_happens() {
    let faults = chaos::every_kind(7, 600, 1800);
    let kinds: Vec<&str> = faults.iter().map(|planned| planned.fault.kind().name).collect();
    let expected: Vec<&str> = KINDS.iter().filter(|kind| kind.weight > 0).map(|kind| kind.name).collect();
    assert_eq!(kinds, expected);
    let hours = 1 + faults.len() as u64 / 2;
    let plan = Plan { seed: 7, hours, faults, ..plan() };
    let outcome = play(&plan);
    assert!(outcome.held(), "{:?}: {}", outcome.violations, plan.to_line());
    let hindered: Vec<String> = outcome
        .events
        .iter()
        .filter(|event| event.kind == "fault")
        .map(ToString::to_string)
        .filter(|line| line.contains("failed="))
        .collect();
    assert_eq!((outcome.tally.hindered, hindered), (0, Vec::new()), "{}", plan.to_line());
    assert_eq!(outcome.tally.faults.len(), expected.len(), "{:?}", outcome.tally.faults);
}

#[test]
fn one_plan_has_one_trace_and_another_seed_another() {
    let lines = |outcome: Outcome| outcome.events.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| lines(play(&plan())));
        let two = scope.spawn(|| lines(play(&plan())));
        (one.join().expect("it ran"), two.join().expect("it ran"))
    });
    let differing = one.iter().zip(&two).position(|(a, b)| a != b);
    let shown = differing.map(|at| (at, &one[at], &two[at]));
    assert_eq!(shown, None, "the first difference between two runs of one plan");
    assert_eq!(one.len(), two.len());
    assert_ne!(one, lines(play(&Plan { seed: 6, ..plan() })), "another seed is another world");
}

#[test]
fn what_nobody_remedies_is_found_and_made_small() {
    let mut plan = plan();
    let away = Fault::Stop { host: "node1".to_owned(), component: Component::Kubelet };
    plan.faults.push(Planned { at: 1800, lasts: 60, fault: away.clone(), remedied: false });
    let outcome = play(&plan);
    let found: Vec<&str> = outcome.violations.iter().map(|v| v.invariant.name).collect();
    assert_eq!(found, ["healthy-again"], "{:?}", outcome.violations);
    let small = chaos::shrink(&plan, outcome, Periods::sparse(), 40);
    let left: Vec<&Fault> = small.plan.faults.iter().map(|planned| &planned.fault).collect();
    assert_eq!(left, [&away], "{} tries", small.tries);
    assert!(small.outcome.violations[0].seen.contains("node1"), "{:?}", small.outcome.violations);
    // The same with the remedy: nothing else is wrong.
    small.plan.check().expect("it can be played");
    let mut remedied = small.plan.clone();
    remedied.faults[0].remedied = true;
    assert!(play(&remedied).held(), "{:?}", play(&remedied).violations);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("page.html");
    let html = ["--output", "html", "--out", path.to_str().unwrap()];
    let output = chronoplane(&[&html[..], &["--no-shrink", "--replay", &small.plan.to_line()]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in
        ["✗ seed 5: healthy-again: ", "timeline", "chronoplane chaos --replay '{\"seed\":5", "1 failed"]
    {
        assert!(said.contains(words), "{words:?} is missing in\n{said}");
    }
    assert!(said.contains(&small.plan.to_line()), "the replay is the plan:\n{said}");
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.contains("\"healthy-again: ") && page.contains("\"held\":false"), "what did not hold");
}

fn chronoplane(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chronoplane"))
        .arg("chaos")
        .args(args)
        .output()
        .expect("the program starts")
}

#[test]
fn the_summary_says_what_was_played() {
    let output = chronoplane(&["--replay", &plan().to_line(), "--output", "json"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["held"], true);
    assert_eq!(said["tally"]["faults"], serde_json::json!({"crash": 1, "partition": 1, "step": 1}));
    assert!(said["tally"]["certificates"].as_u64() > Some(8), "{}", said["tally"]);
    let tables = chronoplane(&["--list"]);
    let tables = String::from_utf8_lossy(&tables.stdout).into_owned();
    let names = KINDS.iter().map(|kind| kind.name).chain(INVARIANTS.iter().map(|i| i.name));
    let page = include_str!("../../docs/chaos.md");
    for name in names {
        assert!(tables.contains(name), "--list lacks {name}");
        assert!(page.contains(&format!("\n| `{name}` |")), "docs/chaos.md has no row for {name}");
    }
    for mutant in MUTANTS {
        let row = format!("\n| `{}` | {} |", mutant.name, mutant.breaks);
        assert!(page.contains(&row), "docs/chaos.md has no row {row}");
    }
}

/// Where nothing failed, the page shows the last world.
#[test]
fn a_world_is_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("page.html");
    let html = ["--output", "html", "--out", path.to_str().unwrap()];
    let output = chronoplane(&[&html[..], &["--replay", &plan().to_line()]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("page.html: seed 5, "), "{said}");
    let page = std::fs::read_to_string(&path).unwrap();
    for words in
        ["<title>chaos, seed 5", "a fault begins: ", "kube-apiserver", "3 faults over a working cluster"]
    {
        assert!(page.contains(words), "{words}");
    }
}

#[track_caller]
fn refused(args: &[&str], words: &[&str]) {
    let output = chronoplane(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    words.iter().for_each(|w| assert!(said.contains(w), "{args:?} lacks {w:?}: {said}"));
}

#[test]
fn what_cannot_be_played_is_refused() {
    refused(&["--seeds", "9..3"], &["9..3 has no seed in it"]);
    refused(&["--seeds", "x"], &["\"x\" is no seed", "0..1000"]);
    refused(&["--faults", "step,flood"], &["there is no fault \"flood\"", "partition"]);
    refused(&["--nodes", "0"], &["needs a worker"]);
    refused(&["--hours", "0"], &["1 to 200 hours"]);
    refused(&["--faults", "outlive"], &["outlive needs --stretch 6 or less"]);
    refused(&["--seeds", "1", "--out", "page.html"], &["--output html", "leave --out away"]);
    refused(&["--replay", "{}"], &["this is no plan: missing field"]);
    refused(&["--plan", "/no/such/plan.json"], &["cannot read the plan /no/such/plan.json"]);
    refused(&["--replay", "{}", "--seeds", "1"], &["cannot be used with"]);
}
