//! Every link within the repository leads somewhere: to a file, and to a heading of it.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::{pages, read, root};

fn links(text: &str) -> Vec<String> {
    let events = Parser::new_ext(text, Options::ENABLE_TABLES);
    events
        .filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url.into_string())
            }
            _ => None,
        })
        .collect()
}

/// As GitHub and mdBook name headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let text = heading.take().unwrap_or_default().to_lowercase();
                let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
                found.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
            }
            _ => {}
        }
    }
    found
}

/// What is wrong with a link of that page, if anything is.
fn complaint(page: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let folder = std::path::Path::new(page).parent().unwrap_or(std::path::Path::new(""));
    let target = match path {
        "" => root().join(page),
        path => root().join(folder).join(path),
    };
    if !target.exists() {
        return Some(format!("{page}: {link} leads nowhere"));
    }
    let missing = !anchor.is_empty()
        && !anchors(&std::fs::read_to_string(&target).unwrap_or_default()).contains(anchor);
    missing.then(|| format!("{page}: {link}: no such heading"))
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        for link in links(&read(&page)) {
            seen += 1;
            wrong.extend(complaint(&page, &link));
        }
    }
    assert!(seen > 150, "found only {seen} links");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Markup in a page other than comments and what unfolds: words of a terminal like `<invalid>` that nobody would see.
fn markup(text: &str) -> Vec<String> {
    const MEANT: &[&str] = &["<!--", "<details>", "</details>", "<summary>", "</summary>"];
    let events = Parser::new_ext(text, Options::ENABLE_TABLES);
    let html = events.filter_map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Some(html.trim().to_owned()),
        _ => None,
    });
    html.filter(|html| !html.is_empty() && !MEANT.iter().any(|tag| html.starts_with(tag))).collect()
}

#[test]
fn what_stands_in_angle_brackets_is_seen() {
    let wrong: Vec<_> = pages()
        .into_iter()
        .map(|page| (markup(&read(&page)), page))
        .filter(|(found, _)| !found.is_empty())
        .collect();
    assert!(wrong.is_empty(), "put it into backticks, or a backslash before it: {wrong:#?}");
    assert_eq!(markup("listed as <invalid>, or `<none>`\n<!-- a comment -->\n"), ["<invalid>"]);
}

/// The check itself sees what is wrong.
#[test]
fn a_link_to_nothing_is_found() {
    assert!(complaint("README.md", "docs/nothing.md").is_some());
    assert!(complaint("docs/limits.md", "glossary.md#no-such-word").is_some());
    assert_eq!(complaint("docs/limits.md", "../README.md"), None);
    assert_eq!(complaint("docs/limits.md", "#limits"), None);
}
