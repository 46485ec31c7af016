//! Carries out cases: each in a namespace of its own, step by step, until one does not hold.

use std::{collections::BTreeMap, io::Read, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD as STANDARD};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, json};
use world::Host;

use super::{
    case::{Case, Step},
    pattern::{self, Variables},
    transport::{As, Chunks, Incoming, Outgoing, Transport},
};

/// How long an answer, or the next event of a watch, may take: longer than from one bookmark to the next.
const PATIENCE: Duration = Duration::from_secs(90);
/// Letters and digits that tell one case from another.
const ID: usize = 8;
/// Between two tries of a step that is sent until it holds.
const AGAIN: Duration = Duration::from_millis(100);
/// So many seconds such a step has at least in the real gear: how soon it holds there is no fact of the server alone.
const BUSY: u64 = 60;

/// Before what a [`Step::capture`] takes from a header.
const HEADER: &str = "header:";
/// Before the JSON pointer of text that is remembered decoded.
const BASE64: &str = "base64:";

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every step held.
    Held,
    /// It cannot be carried out here, and why.
    Skipped(String),
    /// Which step did not hold, and why.
    Failed(String),
}

/// A server under test, seen from a host.
#[derive(Clone)]
pub struct Runner {
    host: Host,
    transport: Arc<dyn Transport>,
    /// What the server is said to have been started with.
    assumed: Vec<String>,
}

impl Runner {
    /// Sends through `transport` and waits on `host`'s clock.
    pub fn new(host: &Host, transport: Arc<dyn Transport>) -> Self {
        Self { host: host.clone(), transport, assumed: Vec::new() }
    }

    /// Carries out the cases too that need these flags.
    #[must_use]
    pub fn assuming(self, flags: Vec<String>) -> Self {
        Self { assumed: flags, ..self }
    }

    /// Carries out one case and removes what it made, as far as deleting its namespace does.
    pub async fn run(&self, case: &Case) -> Outcome {
        if case.moves_time && self.host.gear() == world::Gear::Real {
            return Outcome::Skipped("it moves time".to_owned());
        }
        let missing: Vec<&str> =
            case.needs.iter().filter(|flag| !self.assumed.contains(flag)).map(String::as_str).collect();
        if !missing.is_empty() {
            return Outcome::Skipped(format!("it needs a server with {}", missing.join(" ")));
        }
        let id = self.host.entropy().name_suffix(ID);
        let variables = [
            ("id", id.clone()),
            ("ns", format!("case-{id}")),
            // As bootstrap tokens have them.
            ("id6", id.chars().take(6).collect()),
            ("id16", id.repeat(2)),
        ];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut course = Course { runner: self, variables, watches: BTreeMap::new() };
        if !case.bare
            && let Err(why) = course.prepare().await
        {
            return Outcome::Failed(format!("its namespace could not be made: {why}"));
        }
        let mut outcome = Outcome::Held;
        for (n, step) in case.steps.iter().enumerate() {
            if let Err(why) = course.step(step).await {
                let what = step.send.as_deref().or(step.from.as_deref()).unwrap_or("time passes");
                outcome = Outcome::Failed(format!(
                    "step {}, {}: {why}",
                    n + 1,
                    pattern::fill(what, &course.variables)
                ));
                break;
            }
        }
        if !case.bare {
            course.clean().await;
        }
        outcome
    }
}

struct Course<'r> {
    runner: &'r Runner,
    variables: Variables,
    watches: BTreeMap<String, Frames>,
}

impl Course<'_> {
    async fn prepare(&mut self) -> Result<(), String> {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "$ns"}});
        let namespace = Step {
            send: Some("POST /api/v1/namespaces".into()),
            body: Some(body),
            status: Some(201),
            ..Step::default()
        };
        self.step(&namespace).await?;
        // Pods need it. Where controllers run, theirs may be there first.
        let body = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        let account = Step {
            send: Some("POST /api/v1/namespaces/$ns/serviceaccounts".into()),
            body: Some(body),
            ..Step::default()
        };
        self.step(&account).await
    }

    async fn clean(&mut self) {
        self.watches.clear();
        let gone = Step { send: Some("DELETE /api/v1/namespaces/$ns".into()), ..Step::default() };
        // It fails where the case has deleted it.
        let _ = self.step(&gone).await;
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        let clock = self.runner.host.clock().clone();
        if let Some(seconds) = step.pass {
            clock.sleep(Duration::from_secs(seconds)).await;
            return Ok(());
        }
        if let Some(name) = &step.from {
            let mut frames =
                self.watches.remove(name).ok_or_else(|| format!("no watch {name:?} was kept"))?;
            self.follow(step, &mut frames).await?;
            if !step.ends {
                self.watches.insert(name.clone(), frames);
            }
            return Ok(());
        }
        if let Some(seconds) = step.until {
            let real = self.runner.host.gear() == world::Gear::Real;
            let end = clock.monotonic() + Duration::from_secs(if real { seconds.max(BUSY) } else { seconds });
            loop {
                match self.exchange(step).await {
                    Err(_) if clock.monotonic() < end => clock.sleep(AGAIN).await,
                    outcome => return outcome,
                }
            }
        }
        for n in 1..=step.times.unwrap_or(1) {
            self.variables.insert("n".into(), n.to_string());
            self.exchange(step).await?;
        }
        Ok(())
    }

    async fn exchange(&mut self, step: &Step) -> Result<(), String> {
        let request = self.request(step)?;
        let clock = self.runner.host.clock().clone();
        let sent = clock.timeout(PATIENCE, self.runner.transport.send(request)).await;
        let answer = match sent {
            _ if step.breaks_off => return Ok(()),
            Err(_) => return Err(format!("no answer within {} s", PATIENCE.as_secs())),
            Ok(Err(why)) => return Err(why),
            Ok(Ok(answer)) => answer,
        };
        if step.events.is_some() || step.keep.is_some() {
            return self.watch(step, answer).await;
        }
        let Incoming { status, headers, chunks } = answer;
        let body = match clock.timeout(PATIENCE, whole(chunks)).await {
            Ok(body) => body?,
            Err(_) => return Err(format!("the answer's body is not there after {} s", PATIENCE.as_secs())),
        };
        let body = unzip(&headers, body)?;
        self.compare(step, status, &headers, &body)
            .map_err(|why| format!("{why}; the answer was {status}: {}", head_of(&body)))
    }

    fn request(&self, step: &Step) -> Result<Outgoing, String> {
        let line = pattern::fill(step.send.as_deref().unwrap_or_default(), &self.variables);
        let (method, path) = line.split_once(' ').ok_or_else(|| format!("{line:?} is no request"))?;
        let mut headers = HeaderMap::new();
        if step.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &step.headers {
            let value = pattern::fill(value, &self.variables);
            let name: HeaderName = name.parse().map_err(|e| format!("{name}: {e}"))?;
            headers.insert(name, value.parse().map_err(|e| format!("{value}: {e}"))?);
        }
        let body: Bytes = if let Some(body) = &step.body {
            pattern::fill_value(body, &self.variables).to_string().into()
        } else if let Some(text) = &step.text {
            pattern::fill(text, &self.variables).into()
        } else if let Some(hex) = &step.hex {
            from_hex(hex)?.into()
        } else if let Some(long) = &step.fill {
            let head = pattern::fill(&long.head, &self.variables);
            format!("{head}{}{}", long.unit.repeat(long.times), long.tail).into()
        } else {
            Bytes::new()
        };
        let method = method.parse().map_err(|e| format!("{method}: {e}"))?;
        let sender = match &step.bearer {
            Some(token) => As::Bearer(pattern::fill(token, &self.variables)),
            None if step.nobody => As::Nobody,
            None => As::Admin,
        };
        Ok(Outgoing { method, path: path.to_owned(), sender, headers, body, breaks_off: step.breaks_off })
    }

    fn compare(&mut self, step: &Step, status: u16, headers: &HeaderMap, body: &Bytes) -> Result<(), String> {
        self.compare_head(step, status, headers)?;
        if let Some(says) = &step.says {
            let text = Value::from(String::from_utf8_lossy(body).into_owned());
            pattern::check(&pattern::fill_value(says, &self.variables), Some(&text), "the body")?;
        }
        let pointers = step.capture.values().any(|from| !from.starts_with(HEADER));
        if step.expect.is_none() && !pointers {
            return self.capture(step, headers, &Value::Null);
        }
        let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let value: Value = if kind.starts_with("application/yaml") {
            serde_saphyr::from_slice(body).map_err(|e| format!("the body is no YAML: {e}"))?
        } else {
            serde_json::from_slice(body).map_err(|e| format!("the body is no JSON: {e}"))?
        };
        if let Some(expected) = &step.expect {
            pattern::check(&pattern::fill_value(expected, &self.variables), Some(&value), "")?;
        }
        self.capture(step, headers, &value)
    }

    fn compare_head(&self, step: &Step, status: u16, headers: &HeaderMap) -> Result<(), String> {
        if let Some(expected) = step.status.filter(|expected| *expected != status) {
            return Err(format!("the code should be {expected}"));
        }
        for (name, expected) in &step.has {
            let mut all: Vec<Value> = headers
                .get_all(name)
                .iter()
                .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned().into())
                .collect();
            let actual = match all.len() {
                0 => None,
                1 if !expected.is_array() => all.pop(),
                _ => Some(Value::Array(all)),
            };
            let expected = pattern::fill_value(expected, &self.variables);
            pattern::check(&expected, actual.as_ref(), &format!("header {name}"))?;
        }
        Ok(())
    }

    fn capture(&mut self, step: &Step, headers: &HeaderMap, body: &Value) -> Result<(), String> {
        for (name, from) in &step.capture {
            let found = if let Some(header) = from.strip_prefix(HEADER) {
                headers.get(header).and_then(|v| v.to_str().ok()).map(str::to_owned)
            } else if let Some(pointer) = from.strip_prefix(BASE64) {
                let text = body.pointer(pointer).and_then(Value::as_str);
                text.and_then(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok())
            } else {
                body.pointer(from).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
            };
            let value = found.ok_or_else(|| format!("there is no {from} to remember"))?;
            self.variables.insert(name.clone(), value);
        }
        Ok(())
    }

    async fn watch(&mut self, step: &Step, answer: Incoming) -> Result<(), String> {
        if let Err(why) = self.compare_head(step, answer.status, &answer.headers) {
            // A watch that should have been refused goes on for half an hour.
            let clock = self.runner.host.clock().clone();
            let body = clock.timeout(PATIENCE, whole(answer.chunks)).await;
            let body = body.ok().and_then(Result::ok).unwrap_or_default();
            return Err(format!("{why}; the answer was {}: {}", answer.status, head_of(&body)));
        }
        let mut frames = Frames { chunks: answer.chunks, held: BytesMut::new() };
        self.follow(step, &mut frames).await?;
        if let Some(name) = &step.keep {
            self.watches.insert(name.clone(), frames);
        }
        Ok(())
    }

    async fn follow(&mut self, step: &Step, frames: &mut Frames) -> Result<(), String> {
        let clock = self.runner.host.clock().clone();
        for (n, expected) in step.events.iter().flatten().enumerate() {
            let place = format!("event {}", n + 1);
            let event = match clock.timeout(PATIENCE, frames.next()).await {
                Err(_) => return Err(format!("{place} is not there after {} s", PATIENCE.as_secs())),
                Ok(event) => event?.ok_or_else(|| format!("the watch ended before {place}"))?,
            };
            pattern::check(&pattern::fill_value(expected, &self.variables), Some(&event), &place)?;
            self.capture(step, &HeaderMap::new(), &event)?;
        }
        if step.ends {
            match clock.timeout(PATIENCE, frames.next()).await {
                Err(_) => return Err(format!("the watch has not ended after {} s", PATIENCE.as_secs())),
                Ok(event) => {
                    if let Some(event) = event? {
                        return Err(format!("the watch should have ended, and says {event}"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The events of a watch, one a line.
struct Frames {
    chunks: Chunks,
    held: BytesMut,
}

impl Frames {
    async fn next(&mut self) -> Result<Option<Value>, String> {
        loop {
            if let Some(end) = self.held.iter().position(|b| *b == b'\n') {
                let line = self.held.split_to(end + 1);
                let event = serde_json::from_slice(&line).map_err(|e| format!("an event is no JSON: {e}"))?;
                return Ok(Some(event));
            }
            match self.chunks.next().await {
                None if self.held.is_empty() => return Ok(None),
                None => return Err("the watch ended within an event".into()),
                Some(chunk) => self.held.extend_from_slice(&chunk?),
            }
        }
    }
}

async fn whole(mut chunks: Chunks) -> Result<Bytes, String> {
    let mut all = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all.freeze())
}

fn unzip(headers: &HeaderMap, body: Bytes) -> Result<Bytes, String> {
    if headers.get(header::CONTENT_ENCODING).is_none_or(|v| v != "gzip") || body.is_empty() {
        return Ok(body);
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body.as_ref())
        .read_to_end(&mut plain)
        .map_err(|e| format!("the body is not what gzip writes: {e}"))?;
    Ok(plain.into())
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u32>> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|d| d.len() % 2 == 0).ok_or_else(|| format!("{text:?} is not hexadecimal"))?;
    let pairs = digits.chunks_exact(2);
    Ok(pairs.map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8)).collect())
}

fn head_of(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(600).collect()
}
