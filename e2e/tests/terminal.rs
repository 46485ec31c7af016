//! What a terminal, a shell and a program see of `chronoplane`: colours, completions, man pages, JSON, exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    collections::BTreeSet,
    process::{Command, Output},
};

use serde_json::Value;

fn program(args: &[&str]) -> Output {
    with(args, &[])
}

fn with(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronoplane"));
    command.args(args).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").envs(variables.iter().copied());
    command.output().expect("the program starts")
}

fn said(ran: &Output) -> String {
    String::from_utf8(ran.stdout.clone()).expect("UTF-8")
}

fn json(args: &[&str]) -> (Option<i32>, Value) {
    let ran = program(args);
    let value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {ran:?}"));
    assert!(ran.stderr.is_empty(), "a program that reads JSON wants nothing else: {ran:?}");
    (ran.status.code(), value)
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// At least these fields: more may come, none may go.
#[track_caller]
fn check_fields(value: &Value, wanted: &[&str]) {
    let missing: Vec<_> = wanted.iter().filter(|field| !keys(value).contains(**field)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing in {value}");
}

const STORY: &[&str] = &["story", "sentence", "reference", "symptoms", "from", "to"];

#[test]
fn json_has_the_fields_that_its_page_promises() {
    let (code, list) = json(&["list", "--output", "json"]);
    assert_eq!(code, Some(0));
    check_fields(&list["families"][0], &["family", "stories"]);
    check_fields(&list["families"][0]["stories"][0], STORY);

    let text = "x509: certificate has expired or is not yet valid: current time 2027 is after 2026";
    let (code, found) = json(&["explain", text, "--output", "json"]);
    assert_eq!(code, Some(0));
    check_fields(&found["stories"][0], &[STORY, &["symptom", "fit"]].concat());
    let (code, nothing) = json(&["explain", "all is well with everything", "--output", "json"]);
    assert_eq!((code, nothing["stories"].as_array().map(Vec::len)), (Some(1), Some(0)));

    let (code, run) = json(&["run", "wrong-pin", "--output", "json"]);
    assert_eq!(code, Some(0));
    let fields = ["story", "kubernetesVersion", "seed", "held", "checks", "events", "traceDigest", "text"];
    check_fields(&run, &fields);
    check_fields(&run["checks"][0], &["what", "seen", "held"]);

    let (_, doctor) = json(&["doctor", "--output", "json"]);
    check_fields(&doctor, &["usable", "findings"]);
    check_fields(&doctor["findings"][0], &["name", "state", "seen", "neededFor", "advice"]);

    let (code, course) = json(&["teach", "--output", "json"]);
    assert_eq!(code, Some(0));
    check_fields(&course["chapters"][0], &["number", "chapter", "title", "steps"]);
    let (_, chapter) = json(&["teach", "list-watch", "--output", "json"]);
    check_fields(&chapter, &["chapter", "lang", "seed", "title", "intro", "steps"]);
    check_fields(&chapter["steps"][1]["question"], &["text", "choices", "answer"]);

    let (code, chaos) = json(&["chaos", "--seeds", "0..1", "--output", "json"]);
    assert_eq!(code, Some(0));
    check_fields(&chaos, &["held", "tally", "realSeconds", "failures", "shrunk"]);
    let page = include_str!("../../docs/output.md");
    for field in ["traceDigest", "neededFor", "symptom", "fit", "markdown"] {
        assert!(page.contains(&format!("`{field}`")), "docs/output.md says nothing of {field}");
    }
}

#[test]
fn the_commands_that_print_results_have_json() {
    let program = chronoplane_cli::cli::command();
    for name in ["list", "explain", "run", "teach", "chaos", "bench", "store", "doctor", "conformance"] {
        let command = program.find_subcommand(name).unwrap_or_else(|| panic!("no command {name}"));
        let output = command.get_arguments().find(|arg| arg.get_id() == "output");
        let values = output.unwrap_or_else(|| panic!("{name} has no --output")).get_possible_values();
        assert!(values.iter().any(|value| value.get_name() == "json"), "{name}");
    }
}

/// NO_COLOR has the last word: with colours forced it shows that it is it that took them away.
#[test]
fn colours_respect_what_is_not_a_terminal_and_no_color() {
    let colourful = |ran: &Output| said(ran).contains("\u{1b}[");
    for args in [&["run", "wrong-pin"][..], &["teach"], &["doctor"]] {
        assert!(!colourful(&program(args)), "{args:?}");
    }
    let forced = [("CLICOLOR_FORCE", "1")];
    assert!(colourful(&with(&["doctor"], &forced)), "there are colours to leave away");
    assert!(colourful(&with(&["run", "wrong-pin"], &forced)));
    assert!(!colourful(&with(&["doctor"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")])));
}

#[test]
fn completions_know_the_commands_in_each_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = program(&["completions", shell]);
        let script = said(&ran);
        assert!(
            ran.status.success() && script.contains("teach") && script.contains("kubernetes-version"),
            "{shell}"
        );
    }
    // The shell that reads it has the last word.
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("completions");
    std::fs::write(&file, said(&program(&["completions", "bash"]))).expect("written");
    let read = Command::new("bash").arg("-n").arg(&file).output().expect("bash");
    assert!(read.status.success(), "{read:?}");
}

#[test]
fn each_command_has_a_man_page() {
    let place = tempfile::tempdir().expect("a directory");
    let ran = program(&["man", place.path().to_str().expect("UTF-8")]);
    assert!(ran.status.success(), "{ran:?}");
    for command in chronoplane_cli::cli::command().get_subcommands() {
        let file = place.path().join(format!("chronoplane-{}.1", command.get_name()));
        let page = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(page.contains(".TH"), "{page}");
    }
    let top = std::fs::read_to_string(place.path().join("chronoplane.1")).expect("there");
    assert!(top.contains("Exit codes"), "{top}");
    let ran = program(&["man", "/proc/nowhere"]);
    assert_eq!(ran.status.code(), Some(2));
}

#[test]
fn exit_codes_are_as_help_and_page_say() {
    let code = |args: &[&str]| program(args).status.code();
    assert!(said(&program(&["--help"])).contains("Exit codes"));
    assert_eq!(code(&["list"]), Some(0));
    assert_eq!(code(&["run", "wrong-pin"]), Some(0));
    assert_eq!(
        code(&["run", "loopback-expiry", "--ignore-certificate-dates"]),
        Some(1),
        "a check does not hold"
    );
    assert_eq!(code(&["explain", "all is well with everything"]), Some(1));
    assert_eq!(code(&["run", "no-such-story"]), Some(2));
    assert_eq!(code(&["run", "wrong-pin", "--out", "x"]), Some(2));
    assert_eq!(code(&["no-such-command"]), Some(2));
}

#[test]
fn the_doctor_says_what_a_missing_program_is_needed_for() {
    let ran = with(&["doctor", "--output", "json"], &[("PATH", "/nowhere")]);
    let found: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    let row = |name: &str| {
        let rows = found["findings"].as_array().into_iter().flatten();
        rows.clone().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {found}"))
    };
    for name in ["kubectl", "etcd", "openssl", "chromium", "docker"] {
        assert_eq!(row(name)["state"], "missing");
        assert!(row(name)["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{name}");
    }
    assert_eq!(row("addresses")["state"], "well", "tests listen there");
    let ran = program(&["doctor", "--data-dir", "/nowhere/at/all"]);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
}
