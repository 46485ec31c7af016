//! Every case of the conformance suite, in both gears: over reqwest on real sockets, and over our own client
//! on the simulated network.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use chronoplane_cli::conformance::{
    As, Entry, Incoming, Outcome, Outgoing, Runner, Transport, Wire, all, carry_out, transport::broken,
};
use client::Auth;
use futures::StreamExt;

use crate::plane::{ADMIN, Plane, Setup, in_real_gear};

/// A client that shares nothing with the server under test but the standards.
struct Reqwest {
    client: reqwest::Client,
    url: String,
}

impl Reqwest {
    fn new(plane: &Plane) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // What the certificate says is the business of other tests.
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
        Self { client, url: plane.url.clone() }
    }
}

#[async_trait]
impl Transport for Reqwest {
    async fn send(&self, request: Outgoing) -> Result<Incoming, String> {
        let content = if request.breaks_off {
            reqwest::Body::wrap_stream(broken(&request.body))
        } else {
            request.body.into()
        };
        let call = self.client.request(request.method, format!("{}{}", self.url, request.path));
        let call = call.headers(request.headers).body(content);
        let call = match request.sender {
            As::Admin => call.bearer_auth(ADMIN),
            As::Bearer(token) => call.bearer_auth(token),
            As::Nobody => call,
        };
        let response = call.send().await.map_err(|e| format!("{e:?}"))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let chunks = response.bytes_stream().map(|chunk| chunk.map_err(|e| format!("{e:?}")));
        Ok(Incoming { status, headers, chunks: Box::pin(chunks) })
    }
}

#[track_caller]
fn check(entries: &[Entry], outcomes: &[Outcome], skipped: usize) {
    let failed: Vec<String> = entries
        .iter()
        .zip(outcomes)
        .filter_map(|(entry, outcome)| match outcome {
            Outcome::Failed(why) => {
                Some(format!("{}: {} [{}]\n    {why}", entry.file, entry.case.name, entry.case.fact))
            }
            _ => None,
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} cases:\n{}", failed.len(), entries.len(), failed.join("\n"));
    let unseen = outcomes.iter().filter(|o| matches!(o, Outcome::Skipped(_))).count();
    assert_eq!(unseen, skipped, "cases that were skipped");
}

/// Our client over the simulated network, as the administrator unless it is told otherwise.
fn wire(plane: &Plane) -> Arc<Wire> {
    Arc::new(Wire::new(plane.http(), Auth::bearer(ADMIN), plane.http()))
}

#[test]
fn every_case_holds_on_real_sockets() {
    in_real_gear(Setup::default(), |plane| async move {
        let entries = all().unwrap();
        let runner = Runner::new(&plane.client, Arc::new(Reqwest::new(&plane)));
        let outcomes = carry_out(&runner, &entries, 16).await;
        let not_here = entries.iter().filter(|e| e.case.moves_time || !e.case.needs.is_empty()).count();
        check(&entries, &outcomes, not_here);
    });
}

#[test]
fn every_case_holds_in_a_simulated_world() {
    world::sim::run(world::sim::Config::default(), |sim| async move {
        let plane = Plane::simulated(&sim, Setup::default()).await;
        let entries = all().unwrap();
        let runner = Runner::new(&plane.client, wire(&plane));
        let outcomes = carry_out(&runner, &entries, 1).await;
        check(&entries, &outcomes, entries.iter().filter(|e| !e.case.needs.is_empty()).count());
    })
    .unwrap();
}

/// The cases that need a server of their own, by what it must be started with.
fn with_needs() -> BTreeMap<Vec<String>, Vec<Entry>> {
    let mut groups: BTreeMap<Vec<String>, Vec<Entry>> = BTreeMap::new();
    for entry in all().unwrap() {
        if !entry.case.needs.is_empty() {
            groups.entry(entry.case.needs.clone()).or_default().push(entry);
        }
    }
    groups
}

#[test]
fn cases_with_needs_hold_on_real_sockets() {
    for (needs, entries) in with_needs() {
        let flags: Vec<&str> = needs.iter().map(String::as_str).collect();
        let files = entries[0].files.clone();
        in_real_gear(Setup { needs: &flags, files: Some(&files) }, |plane| async move {
            let runner = Runner::new(&plane.client, Arc::new(Reqwest::new(&plane)));
            let runner = runner.assuming(entries[0].case.needs.clone());
            check(&entries, &carry_out(&runner, &entries, 4).await, 0);
        });
    }
}

#[test]
fn cases_with_needs_hold_in_a_simulated_world() {
    for (needs, entries) in with_needs() {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let flags: Vec<&str> = needs.iter().map(String::as_str).collect();
            let files = entries[0].files.clone();
            let plane = Plane::simulated(&sim, Setup { needs: &flags, files: Some(&files) }).await;
            let runner = Runner::new(&plane.client, wire(&plane)).assuming(needs.clone());
            check(&entries, &carry_out(&runner, &entries, 1).await, 0);
        })
        .unwrap();
    }
}

fn program(kubeconfig: &std::path::Path, flags: &[&str]) -> std::process::Output {
    let command = std::process::Command::new(env!("CARGO_BIN_EXE_chronoplane"))
        .args(["conformance", "--kubeconfig"])
        .arg(kubeconfig)
        .args(flags)
        .output();
    command.unwrap()
}

#[test]
fn any_kubeconfigs_server_can_be_checked() {
    in_real_gear(Setup::default(), |plane| async move {
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = dir.path().join("admin.conf");
        let cluster = pki::kubeconfig::Cluster {
            server: plane.url.clone(),
            insecure_skip_tls_verify: true,
            ..pki::kubeconfig::Cluster::default()
        };
        let config =
            pki::kubeconfig::Kubeconfig::new("c", cluster, "u", pki::kubeconfig::User::with_token(ADMIN));
        std::fs::write(&kubeconfig, config.to_yaml()).unwrap();
        let check = |flags: &[&str], code: i32, words: &str| {
            let output = program(&kubeconfig, flags);
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(output.status.code() == Some(code) && said.contains(words), "{flags:?}: {said}");
        };
        check(&["--only", "what is not there is named"], 0, "1 held, 0 did not, 0 skipped");
        check(&["--only", "moves", "--only", "x"], 2, "--only");
        check(&["--only", "no such case"], 2, "no case is left");
        check(&["--only", "bookmarks come about", "--output", "json"], 0, r#""skipped":1"#);
        let needs_a_flag = ["--only", "where nobody may be anonymous", "--output", "text"];
        check(&needs_a_flag, 0, "it needs a server with --anonymous-auth=false");
        // This server lets anybody in: that the case does not hold shows that it was carried out.
        let assumed = ["--only", "where nobody may be anonymous", "--assume", "--anonymous-auth=false"];
        check(&assumed, 1, "step 1, GET /version: the code should be 401");
        let wrong = dir.path().join("wrong.yaml");
        let text = "about: x\ncases: [{name: n, fact: f, steps: [{send: GET /version, status: 404}]}]";
        std::fs::write(&wrong, text).unwrap();
        let wrong = wrong.to_str().unwrap();
        check(&["--cases", wrong], 1, "step 1, GET /version: the code should be 404");
        std::fs::write(wrong, "about: x\ncases: [{name: n, fat: f}]").unwrap();
        check(&["--cases", wrong], 2, "fat");
        std::fs::remove_file(&kubeconfig).unwrap();
        check(&[], 2, "admin.conf");
    });
}

#[test]
fn a_case_that_does_not_hold_says_where() {
    world::sim::run(world::sim::Config::default(), |sim| async move {
        let plane = Plane::simulated(&sim, Setup::default()).await;
        let runner = Runner::new(&plane.client, wire(&plane));
        let check = |steps: &'static str, words: &'static [&'static str]| {
            let runner = runner.clone();
            async move {
                let text = format!("about: x\ncases: [{{name: n, fact: f, steps: {steps}}}]");
                let subject = chronoplane_cli::conformance::case::parse("inline", &text).map_err(|e| e.0).unwrap();
                let Outcome::Failed(why) = runner.run(&subject.cases[0]).await else {
                    panic!("{steps} should not hold");
                };
                words.iter().for_each(|w| assert!(why.contains(w), "{steps} lacks {w:?}: {why}"));
            }
        };
        check("[{send: GET /version, status: 201}]", &["step 1, GET /version", "should be 201", "was 200"]).await;
        check("[{send: GET /version, expect: {major: '9'}}]", &[".major should be \"9\", is \"1\""]).await;
        check("[{send: GET /version, has: {x-none: z}}]", &["header x-none should be \"z\", is nothing"]).await;
        let watch = "[{send: 'GET /api/v1/namespaces/$ns/secrets?watch=1&timeoutSeconds=1', events: [{type: ADDED}]}]";
        check(watch, &["ended before event 1"]).await;
        check("[{from: w, events: []}]", &["no watch \"w\" was kept"]).await;
    })
    .unwrap();
}
