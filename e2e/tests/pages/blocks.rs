//! Every fenced block is of a kind that something checks: Rust is compiled, commands are known and executed
//! (`commands`), other languages are theirs (`syntax`), data can be read. `text` is what was printed, and holds no promise but for its lines that begin with `$`.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::{pages, read, root};

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Where.
    pub page: String,
    /// What stands behind the fence, up to a comma.
    pub language: String,
    /// Whether the documentation's tests pass it over.
    pub ignored: bool,
    /// What is in it.
    pub text: String,
}

pub fn all() -> Vec<Block> {
    pages().iter().flat_map(|page| of(page, &read(page))).collect()
}

fn of(page: &str, text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let info = match kind {
                    CodeBlockKind::Fenced(info) => info.into_string(),
                    CodeBlockKind::Indented => "text".to_owned(),
                };
                let (language, rest) = info.split_once([',', ' ']).unwrap_or((&info, ""));
                let (page, language) = (page.to_owned(), language.to_owned());
                open = Some(Block { page, language, ignored: rest.contains("ignore"), text: String::new() });
            }
            Event::Text(part) => {
                if let Some(block) = &mut open {
                    block.text.push_str(&part);
                }
            }
            Event::End(TagEnd::CodeBlock) => found.extend(open.take()),
            _ => {}
        }
    }
    found
}

/// Pages whose blocks of a language a script runs as they stand.
const RUN_WHOLE: &[(&str, &str, &str)] = &[
    ("README.md", "toml", "scripts/outside"),
    ("README.md", "rust", "scripts/outside"),
    ("docs/how-to-test.md", "toml", "scripts/outside"),
    ("docs/python.md", "python", "scripts/python-story"),
];

/// Pages with blocks that nothing compiles here, and the words in which they say so.
const UNCOMPILED: &[(&str, &str, &str)] =
    &[("docs/go.md", "go", "the Go code of this page is not compiled by this repository's tests")];

/// What is wrong with a block.
fn complaints(block: &Block) -> Vec<String> {
    let at = |what: String| format!("{}: {what}", block.page);
    let wrong: Vec<String> = match block.language.as_str() {
        // Their commands are looked at in `commands`.
        "text" | "console" | "" | "sh" | "bash" => Vec::new(),
        "rust" if block.ignored => held_by_a_file(block).err().into_iter().collect(),
        "rust" => compiled(block).err().into_iter().collect(),
        "yaml" => match serde_saphyr::from_multiple::<serde_json::Value>(&block.text) {
            Ok(_) => Vec::new(),
            Err(e) => vec![format!("YAML that cannot be read: {e}")],
        },
        "json" => match serde_json::from_str::<serde_json::Value>(&block.text) {
            Ok(_) => Vec::new(),
            Err(e) => vec![format!("JSON that cannot be read: {e}")],
        },
        // What is in a program that a script runs cannot be wrong in the page alone.
        "python" | "go" | "toml" => held_by_a_file(block).err().into_iter().collect(),
        other => vec![format!("nobody checks blocks of {other:?}")],
    };
    wrong.into_iter().map(at).collect()
}

/// The page is part of some crate's documentation, whose examples are compiled.
fn compiled(block: &Block) -> Result<(), String> {
    let name = format!("{}\")]", block.page);
    let included =
        sources("rs").into_iter().any(|text| text.contains("include_str!") && text.contains(&name));
    match included {
        true => Ok(()),
        false => Err("Rust that no #[doc = include_str!(…)] compiles; see `pages` in e2e/src/lib.rs".into()),
    }
}

/// Each of its lines stands in one file of the repository that is run or read.
fn held_by_a_file(block: &Block) -> Result<(), String> {
    let listed =
        |(page, language, _): &&(&str, &str, &str)| *page == block.page && *language == block.language;
    if let Some((page, _, script)) = RUN_WHOLE.iter().find(listed) {
        return match read(script).contains(page) {
            true => Ok(()),
            false => Err(format!("{script} is said to run this, and does not name {page}")),
        };
    }
    if let Some((page, _, words)) = UNCOMPILED.iter().find(listed) {
        let said = read(page).split_whitespace().collect::<Vec<_>>().join(" ");
        return match said.contains(words) {
            true => Ok(()),
            false => Err(format!("nothing compiles this, and the page does not say so: {words}")),
        };
    }
    let lines: Vec<&str> = block.text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let endings: &[&str] = match block.language.as_str() {
        "python" => &["py"],
        "go" => &["go"],
        "rust" => &["rs"],
        _ => &["toml"],
    };
    let all = endings.iter().flat_map(|ending| sources(ending));
    match all.into_iter().any(|text| lines.iter().all(|line| text.contains(line))) {
        true => Ok(()),
        false => Err(format!("no .{} file of the repository has these lines: {}", endings[0], block.text)),
    }
}

fn sources(ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![root()];
    while let Some(at) = todo.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "target" && name != ".git" {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                found.extend(std::fs::read_to_string(&path));
            }
        }
    }
    found
}

#[test]
fn every_block_is_checked_by_something() {
    let blocks = all();
    assert!(blocks.len() > 200, "found only {} blocks", blocks.len());
    let wrong: Vec<_> = blocks.iter().flat_map(complaints).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The check itself sees what is wrong.
#[test]
fn a_block_of_an_unknown_kind_or_that_cannot_be_read_is_found() {
    let wrong = |markdown: &str| of("README.md", markdown).iter().flat_map(complaints).count();
    assert_eq!(wrong("```cobol\nx\n```"), 1);
    assert_eq!(wrong("```yaml\na: [\n```"), 1);
    assert_eq!(wrong("```python\nno_script_has_this()\n```"), 1);
    // Not as one piece: this file is a source too.
    let rust = format!("```rust,ignore\n{}(this);\n```", "nobody_compiles");
    assert_eq!(of("docs/faq.md", &rust).iter().flat_map(complaints).count(), 1);
    assert_eq!(wrong("```text\nanything\n```\n\n```sh\n# a comment\nchronoplane list\n```"), 0);
}
