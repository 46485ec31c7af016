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

const CELL: &[&str] =
    &["cell", "held", "checks", "certificates", "kubectl", "kubelets", "remedies", "wellAfterSeconds"];
const CLOCK: &[&str] = &["host", "wall", "ahead_seconds", "drift_ppm", "frozen"];
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
    let (code, tables) = json(&["chaos", "--list", "--output", "json"]);
    assert_eq!(code, Some(0));
    check_fields(&tables["faults"][0], &["fault", "does", "heals"]);
    check_fields(&tables["invariants"][0], &["invariant", "claim", "allowance"]);

    let (code, matrix) = json(&["matrix", "single/suspend/30d/30d", "--output", "json"]);
    assert_eq!(code, Some(0));
    check_fields(&matrix, &["kubernetesVersion", "seed", "cells"]);
    check_fields(&matrix["cells"][0], CELL);

    let (code, planes) = json(&["bench", "planes", "--count", "1", "--output", "json"]);
    assert_eq!((code, &planes["bench"]), (Some(0), &"planes".into()));

    let page = include_str!("../../docs/output.md");
    let others = ["traceDigest", "neededFor", "symptom", "fit", "markdown", "allowance", "exported"];
    for field in others.iter().chain(CELL).chain(CLOCK) {
        let named = [format!("`{field}`"), format!("`{field}[]`")].iter().any(|name| page.contains(name));
        assert!(named, "docs/output.md says nothing of {field}");
    }
}

/// `chronoplane clock` in JSON, host by host; a directory with a cluster is all that it needs.
#[test]
fn clocks_have_the_fields_that_their_page_promises() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = r#"{"format": 1, "kubernetes_version": "v1.36.0", "base": "127.64.0.0", "nodes": 1}"#;
    std::fs::write(dir.path().join("chronoplane.json"), kept).expect("written");
    let path = dir.path().to_str().expect("UTF-8");
    let (code, clocks) = json(&["clock", "step", "node1", "-1h", "--data-dir", path, "--output", "json"]);
    assert_eq!((code, clocks.as_array().map(Vec::len)), (Some(0), Some(2)), "{clocks}");
    check_fields(&clocks[1], CLOCK);
    assert_eq!((&clocks[1]["host"], &clocks[1]["ahead_seconds"]), (&"node1".into(), &(-3600.0).into()));
}

#[test]
fn the_commands_that_print_results_have_json() {
    let program = chronoplane_cli::cli::command();
    for name in [
        "list",
        "explain",
        "run",
        "up",
        "clock",
        "teach",
        "chaos",
        "matrix",
        "bench",
        "store",
        "doctor",
        "conformance",
    ] {
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

/// A line as somebody pastes it, and the story that comes first.
const PASTED: &[(&str, &str)] = &[
    ("x509: certificate has expired or is not yet valid", "loopback-expiry"),
    (
        r#"E0304 10:15:22.123456       1 reflector.go:138] k8s.io/client-go/informers/factory.go:134: Failed to watch *v1.Role: failed to list *v1.Role: Get "https://[::1]:6443/apis/rbac.authorization.k8s.io/v1/roles?limit=500&resourceVersion=0": x509: certificate has expired or is not yet valid: current time 2021-03-04T10:15:22Z is after 2021-03-04T09:00:00Z"#,
        "loopback-expiry",
    ),
    // As it was reported of 1.15, whose URLs stand without quotes.
    (
        "Error from server (InternalError): error when creating \"pod.yaml\": Internal error occurred: Get https://[::1]:6443/api/v1/namespaces/default: x509: certificate has expired or is not yet valid",
        "loopback-expiry",
    ),
    (
        r#"{"level":"error","ts":"2023-04-01T07:00:12Z","msg":"Reconciler error","error":"pods \"web-0\" is forbidden: Get \"https://127.0.0.1:6443/api/v1/namespaces/default/limitranges\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2023-04-01T07:00:12Z is after 2023-03-31T22:00:00Z"}"#,
        "loopback-expiry",
    ),
    (
        "Jan 03 08:15:02 node1 kubelet[912]: E0103 08:15:02.113366     912 bootstrap.go:265] part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired: 2020-01-02 08:00:00 +0000 UTC",
        "kubelet-off-overnight",
    ),
    (
        "Dec 19 06:01:44 cp1 kubelet[2133]: F1219 06:01:44.902713    2133 server.go:274] failed to run Kubelet: unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory",
        "kubelet-conf-embedded",
    ),
    (
        "E0612 12:01:37.104232       1 authentication.go:63] \"Unable to authenticate the request\" err=\"[x509: certificate has expired or is not yet valid: current time 2022-06-12T12:01:37Z is after 2022-06-12T11:00:00Z, verifying certificate SN=7211, SKID=, AKID=CF:00 failed: x509: certificate has expired or is not yet valid: current time 2022-06-12T12:01:37Z is after 2022-06-12T11:00:00Z]\"",
        "logs-fail-exec-works",
    ),
    (
        "Error from server: Get \"https://172.18.0.3:10250/containerLogs/kube-system/kube-proxy-x7q2b/kube-proxy\": remote error: tls: internal error",
        "serving-csr-unapproved",
    ),
    (
        "error execution phase preflight: couldn't validate the identity of the API Server: could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"\nTo see the stack trace of this error execute with --v=5 or higher",
        "join-token-expired",
    ),
    (
        "error execution phase control-plane-prepare/download-certs: error downloading certs: error downloading the secret: Secret \"kubeadm-certs\" was not found in the \"kube-system\" Namespace. This Secret might have expired. Please, run `kubeadm init phase upload-certs --upload-certs` on a control plane to generate a new one",
        "certificate-key-expired",
    ),
    (
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#,
        "renew-without-restart",
    ),
    (
        "Error from server (InternalError): error when creating \"STDIN\": Internal error occurred: failed calling webhook \"validate.nginx.ingress.kubernetes.io\": failed to call webhook: Post \"https://ingress-nginx-controller-admission.ingress-nginx.svc:443/networking/v1/ingresses?timeout=10s\": x509: certificate has expired or is not yet valid: current time 2022-11-23T09:12:51Z is after 2022-11-22T17:00:00Z",
        "webhook-cert-expired",
    ),
    // Before 1.22 there was no `failed to call webhook`: only like it, and nearer than the last words alone.
    (
        "Internal error occurred: failed calling webhook \"webhook.cert-manager.io\": Post https://cert-manager-webhook.cert-manager.svc:443/mutate?timeout=10s: x509: certificate has expired or is not yet valid",
        "webhook-cert-expired",
    ),
    (
        "Warning  FailedNeedsStart  3m (x12 over 5m)  cronjob-controller  Cannot determine if job needs to be started: too many missed start time (> 100). Set or decrease\n      .spec.startingDeadlineSeconds or check clock skew.",
        "cronjob-hundred-missed",
    ),
    ("F0930 03:12:08.771901       1 controllermanager.go:294] leaderelection lost", "two-leaders"),
];

#[test]
fn a_pasted_text_finds_the_story_that_is_most_likely_meant() {
    let wrong: Vec<_> = PASTED
        .iter()
        .filter_map(|(text, wanted)| {
            let found = chronoplane_cli::explain::explain(text);
            let ids: Vec<_> = found.iter().map(|found| found.entry.id).collect();
            (ids.first() != Some(wanted)).then(|| format!("{text}\n  wanted {wanted}, found {ids:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Nobody takes the first of many for the only one, and what nobody has met does not come first.
#[test]
fn where_many_stories_fit_it_says_so() {
    let ran = program(&["explain", "x509: certificate has expired or is not yet valid"]);
    let text = said(&ran);
    let (first, _) = text.split_once('\n').expect("a line");
    let (count, rest) = first.split_once(' ').expect("a number");
    assert!(count.parse::<usize>().is_ok_and(|n| n > 10) && rest.starts_with("stories fit"), "{first}");
    assert_eq!(text.matches("chronoplane run ").count(), 5, "{text}");
    let (_, others) = text.split_once("the others: ").expect("names");
    assert!(others.contains("ca-ten-years") && others.contains("loopback-boot-1970"), "{others}");
    let one = said(&program(&[
        "explain",
        "leases are fine, but: cipher: message authentication failed, error decoding secret data with provided key: cipher: message authentication failed",
    ]));
    assert!(one.starts_with("certificate-key-expired ("), "one story needs no such line: {one}");
}
