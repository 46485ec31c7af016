//! The timeline page: a run as one HTML file that needs no network, to look at, to search and to print.
//!
//! ```text
//! Telling ── weave: events of each world ─┬─ lanes     who did something, and where
//!                                         ├─ arrows    who spoke to whom
//!                                         ├─ bars      what is valid until when
//!                                         └─ faults    what was done to clocks, network, disks and power
//!         └─ schema: one JSON document ── page/: HTML, style and scripts that draw it
//! ```

mod arrows;
mod bars;
mod faults;
mod lanes;
pub mod schema;
mod texts;
mod weave;

use std::net::IpAddr;

use api::profile::Profile;
use chronoplane::chaos::{Outcome, Plan};
use schema::{FORMAT, Line, Page};
use world::Event;

use crate::{
    catalogue::Entry,
    story::{Settings, Telling},
};

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// In the order in which they build on each other.
const SCRIPTS: &[&str] = &[
    include_str!("page/model.js"),
    include_str!("page/words.js"),
    include_str!("page/scale.js"),
    include_str!("page/layout.js"),
    include_str!("page/paint.js"),
    include_str!("page/marks.js"),
    include_str!("page/overview.js"),
    include_str!("page/panels.js"),
    include_str!("page/details.js"),
    include_str!("page/input.js"),
    include_str!("page/main.js"),
];

/// What a story's page shows.
pub fn of_story(entry: &Entry, settings: &Settings, telling: &Telling) -> Page {
    let mut texts = texts::Texts::default();
    let starts: Vec<_> =
        telling.worlds.iter().map(|w| weave::start(&telling.events[w.events.clone()])).collect();
    let lines: Vec<Line> = telling
        .lines
        .iter()
        .zip(&telling.said)
        .map(|(text, said)| Line {
            text: text.clone(),
            world: said.moment.map(|m| m.world).filter(|world| *world < starts.len()),
            t: said.moment.and_then(|m| Some(weave::micros(*starts.get(m.world)?, m.at))),
            event: said.moment.map(|m| m.event),
            held: said.check.and_then(|check| telling.checks.get(check)).map(|check| check.held),
        })
        .collect();
    let title = |world: usize| {
        let said =
            lines.iter().find(|l| l.world == Some(world) && l.held.is_none() && !l.text.trim().is_empty());
        said.map_or_else(|| format!("world {}", world + 1), |line| headline(&line.text))
    };
    let worlds = telling.worlds.iter().enumerate().map(|(at, played)| {
        weave::world(&mut texts, title(at), &played.hosts, &telling.events[played.events.clone()])
    });
    let worlds = worlds.collect();
    Page {
        format: FORMAT,
        title: entry.id.to_owned(),
        sentence: entry.sentence.to_owned(),
        reference: entry.reference.to_owned(),
        kubernetes_version: settings.profile.git_version(),
        seed: Some(settings.seed),
        held: telling.held(),
        lines,
        strings: texts.all(),
        worlds,
    }
}

/// What the page of a world of chaos shows: when each fault began and ended, and what did not hold.
pub fn of_plan(plan: &Plan, outcome: &Outcome) -> Page {
    let mut texts = texts::Texts::default();
    let title = format!("chaos, seed {}", plan.seed);
    let start = weave::start(&outcome.events);
    let line = |text: String, at: usize, held| Line {
        text,
        world: Some(0),
        t: outcome.events.get(at).map(|event| weave::micros(start, event.true_at)),
        event: Some(at),
        held,
    };
    let faults = outcome.events.iter().enumerate().filter(|(_, event)| event.kind == "fault");
    let mut lines: Vec<Line> = faults
        .flat_map(|(at, event)| {
            let told = event.fields.iter().map(move |(what, text)| (format!("a fault {what}: {text}"), at));
            told.map(|(text, at)| line(text, at, None))
        })
        .collect();
    // A run ends at the first.
    let last = outcome.events.len().saturating_sub(1);
    lines.extend(outcome.violations.iter().map(|violation| {
        let text = format!("{}: {}", violation.invariant.name, violation.seen);
        line(text, last, Some(false))
    }));
    let world = weave::world(&mut texts, title.clone(), &outcome.hosts, &outcome.events);
    Page {
        format: FORMAT,
        title,
        sentence: format!("{} faults over a working cluster.", plan.faults.len()),
        reference: String::new(),
        kubernetes_version: Profile::default().git_version(),
        seed: Some(plan.seed),
        held: outcome.held(),
        lines,
        strings: texts.all(),
        worlds: vec![world],
    }
}

/// The first words of a line, as far as they fit on a tab.
fn headline(line: &str) -> String {
    const LONGEST: usize = 64;
    let line = line.trim();
    let end = line.find([':', '.', '(']).unwrap_or(line.len());
    let head = line.get(..end).unwrap_or(line).trim();
    match head.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", head.get(..at).unwrap_or(head)),
        None => head.to_owned(),
    }
}

/// What the page of a world that runs shows: of its events the last ones, with how many are `gone`.
pub fn of_world(
    title: &str,
    kubernetes_version: &str,
    hosts: &[(String, IpAddr)],
    events: &[Event],
    gone: usize,
) -> Page {
    let mut texts = texts::Texts::default();
    let world = weave::world(&mut texts, title.to_owned(), hosts, events);
    Page {
        format: FORMAT,
        title: title.to_owned(),
        sentence: "A cluster that runs; what happens appears within two seconds.".to_owned(),
        reference: String::new(),
        kubernetes_version: kubernetes_version.to_owned(),
        seed: None,
        held: true,
        lines: Vec::new(),
        strings: texts.all(),
        worlds: vec![schema::World { gone, ..world }],
    }
}

/// The page as one HTML document that needs nothing else.
///
/// # Errors
/// The data is no JSON, which no data of ours can be.
pub fn html(page: &Page) -> serde_json::Result<String> {
    document(page, "'none'", "")
}

/// The page as [`html`] has it, which asks where it came from for news, and sets clocks there.
///
/// # Errors
/// As [`html`].
pub fn live_html(page: &Page) -> serde_json::Result<String> {
    document(page, "'self'", include_str!("page/live.js"))
}

fn document(page: &Page, connect: &str, more: &str) -> serde_json::Result<String> {
    // Within a script element only `<` can end or open something; in JSON it stands in texts alone.
    let data = serde_json::to_string(page)?.replace('<', "\\u003c");
    let (title, script) = (escape(&page.title), SCRIPTS.join("\n") + "\n" + more);
    let (title, script, data) = (title.as_str(), script.as_str(), data.as_str());
    let parts =
        [("connect", connect), ("title", title), ("style", STYLE), ("script", script), ("data", data)];
    Ok(fill(&parts))
}

/// The template with each `{{name}}` replaced, once: what stands in a replacement stays as it is.
fn fill(parts: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        out += before;
        let Some((name, after)) = after.split_once("}}") else { break };
        out += parts.iter().find(|(key, _)| *key == name).map_or("", |(_, text)| text);
        rest = after;
    }
    out + rest
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
