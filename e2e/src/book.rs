//! `chronoplane book`: the pages of the book that nobody writes by hand, so that nothing is told twice.
//!
//! The course comes from the chapters, each run once; a page for each story from the head of its source and its place in
//! the catalogue; the commands from their own help. What is written by hand stands beside them in `docs`, and
//! `SUMMARY.md` (the order of mdBook) names all.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Command};

use crate::{
    catalogue::Entry,
    cli::{self, Refusal},
    components,
    progress::Progress,
    scenarios,
    teach::{Language, chapters, markdown},
};

/// `chronoplane book`.
#[derive(Args)]
pub struct BookArgs {
    /// The book's directory
    #[arg(default_value = "docs")]
    directory: PathBuf,
    /// Where the sources of the stories are
    #[arg(long, value_name = "DIR", default_value = "e2e/src/scenarios")]
    stories: PathBuf,
    /// Write nothing; exit code 1 if a page is not as it would be written
    #[arg(long)]
    check: bool,
}

/// Pages by their path in the book.
pub type Pages = BTreeMap<String, String>;

const GENERATED: &str =
    "<!-- Written by `chronoplane book`: change what it is made from, and run that again. -->\n";

/// Pages written by hand that stand before what is generated, and behind it.
const BEFORE: &[(&str, &str)] = &[
    ("Introduction", "introduction.md"),
    ("How to reproduce an incident", "how-to-reproduce.md"),
    ("How to test a controller", "how-to-test.md"),
    ("How to teach, and to learn", "how-to-teach.md"),
];
const BEHIND: &[(&str, &str)] = &[
    ("The loopback certificate", "loopback.md"),
    ("Ways to meet an expiry", "ways-to-meet-an-expiry.md"),
    ("The timeline page", "timeline.md"),
    ("Chaos", "chaos.md"),
    ("Durability", "durability.md"),
    ("Figures", "figures.md"),
    ("Exit codes and output for programs", "output.md"),
    ("Limits", "limits.md"),
    ("Questions", "faq.md"),
    ("Glossary", "glossary.md"),
];

/// Writes the pages, or compares them.
///
/// # Errors
/// A chapter does not run, a story has no source, or a file cannot be written.
pub fn run(args: &BookArgs) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    let progress = Progress::of("playing the chapters");
    let pages = pages(&args.stories, &args.directory)?;
    drop(progress);
    let mut changed = 0;
    for (path, text) in &pages {
        let file = args.directory.join(path);
        if std::fs::read_to_string(&file).is_ok_and(|there| there == *text) {
            continue;
        }
        changed += 1;
        outln!("{}", file.display());
        if !args.check {
            write(&file, text)?;
        }
    }
    let what = if args.check { "would change" } else { "changed" };
    outln!("{changed} of {} pages {what}", pages.len());
    Ok(if args.check && changed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn write(file: &Path, text: &str) -> Result<(), Refusal> {
    let failed = |e: std::io::Error| Refusal(format!("cannot write {}: {e}", file.display()));
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    std::fs::write(file, text).map_err(failed)
}

/// All generated pages. `directory`: the book's, for pages by hand that others have added.
///
/// # Errors
/// As [`run`].
pub fn pages(stories: &Path, directory: &Path) -> Result<Pages, Refusal> {
    let mut pages = Pages::new();
    for lang in [Language::En, Language::Zh] {
        for chapter in chapters::all() {
            let text = markdown::of(&chapter.steady(lang)?);
            pages.insert(format!("course/{}/{}.md", lang.code(), chapter.id), format!("{GENERATED}\n{text}"));
        }
        pages.insert(format!("course/{}/README.md", lang.code()), course(lang)?);
    }
    let heads = heads(stories)?;
    for entry in scenarios::all() {
        let head = heads.get(entry.id).ok_or_else(|| {
            Refusal(format!(
                "no source below {} begins with `//! {}: …`; name the directory with --stories",
                stories.display(),
                entry.id
            ))
        })?;
        pages.insert(format!("stories/{}.md", entry.id), story(entry, head));
    }
    pages.insert("stories/README.md".into(), catalogue());
    pages.insert("commands.md".into(), commands(cli::command()));
    let summary = summary(directory)?;
    pages.insert("SUMMARY.md".into(), summary);
    Ok(pages)
}

/// The course's first page.
fn course(lang: Language) -> Result<String, Refusal> {
    let words = lang.words();
    let mut page = format!("{GENERATED}\n# {}\n\n{}\n\n", words.contents, words.about);
    for (n, chapter) in chapters::all().iter().enumerate() {
        page += &format!("{}. [{}]({}.md)\n", n + 1, chapter.text(lang)?.title, chapter.id);
    }
    page += &format!("\n[{}](../{}/README.md)\n", words.other, lang.other().code());
    Ok(page)
}

/// Each source's head by the story's name, without the name.
fn heads(directory: &Path) -> Result<BTreeMap<String, String>, Refusal> {
    let mut found = BTreeMap::new();
    let mut todo = vec![directory.to_owned()];
    while let Some(at) = todo.pop() {
        let entries = std::fs::read_dir(&at).map_err(|e| {
            Refusal(format!(
                "cannot read the stories' sources in {}: {e}; name them with --stories",
                at.display()
            ))
        })?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path)?;
                let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
                let head =
                    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n");
                if let Some((id, rest)) = head.split_once(": ") {
                    found.insert(id.to_owned(), rest.to_owned());
                }
            }
        }
    }
    Ok(found)
}

fn story(entry: &Entry, head: &str) -> String {
    let symptoms: String = entry.symptoms.iter().map(|symptom| format!("{symptom}\n")).collect();
    let seen = match symptoms.is_empty() {
        true => String::new(),
        false => format!(
            "\n## What people saw\n\n`…` stands for what differs from case to case.\n\n```text\n{symptoms}```\n"
        ),
    };
    let mut head = head.trim().to_owned();
    if let Some(first) = head.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!(
        "{GENERATED}\n# {}\n\n{}\n\n{}\n\n* Releases: {}\n* Met in: {}\n{seen}\n## Play it\n\n```sh\nchronoplane run {}\n```\n",
        entry.id,
        prose(entry.sentence),
        prose(&unlinked(&head)),
        entry.releases(),
        entry.reference,
        entry.id,
    )
}

/// rustdoc's links to code lead nowhere in a book: their text stays.
fn unlinked(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`")
}

/// Words of a terminal like `<invalid>` are not markup.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(n, part)| if n % 2 == 0 { part.replace('<', "\\<") } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("`")
}

fn catalogue() -> String {
    let mut page = format!(
        "{GENERATED}\n# Stories\n\nEach is an incident that people have met, played in a simulated world and checked word for word.\n"
    );
    for family in scenarios::FAMILIES {
        page += &format!("\n## {}\n\n| story | releases | |\n|---|---|---|\n", family.title);
        for entry in family.entries {
            page += &format!(
                "| [{0}]({0}.md) | {1} | {2} |\n",
                entry.id,
                entry.releases(),
                prose(entry.sentence)
            );
        }
    }
    page
}

fn commands(mut program: Command) -> String {
    program.build();
    let mut page = format!("{GENERATED}\n# Commands\n\nWhat `--help` says, command by command.\n");
    let mut todo = vec![program];
    while let Some(mut command) = todo.pop() {
        let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
        page += &format!("\n## {name}\n\n```text\n{}\n```\n", command.render_help().to_string().trim_end());
        let inner: Vec<Command> = command.get_subcommands().filter(|c| !c.is_hide_set()).cloned().collect();
        todo.extend(inner.into_iter().rev().filter(|c| c.get_name() != "help"));
    }
    page
}

/// mdBook's order of pages.
fn summary(directory: &Path) -> Result<String, Refusal> {
    let mut page = "# Summary\n\n".to_owned();
    let mut line = |indent: usize, title: &str, path: &str| {
        page += &format!("{:indent$}- [{title}]({path})\n", "");
    };
    let mut named: Vec<&str> = Vec::new();
    for (title, path) in BEFORE {
        line(0, title, path);
        named.push(path);
    }
    for (lang, title) in [(Language::En, "The course"), (Language::Zh, "课程")] {
        line(0, title, &format!("course/{}/README.md", lang.code()));
        for chapter in chapters::all() {
            line(2, &chapter.text(lang)?.title, &format!("course/{}/{}.md", lang.code(), chapter.id));
        }
    }
    line(0, "Stories", "stories/README.md");
    for entry in scenarios::all() {
        line(2, entry.id, &format!("stories/{}.md", entry.id));
    }
    line(0, "Commands", "commands.md");
    for (title, path) in BEHIND {
        line(0, title, path);
        named.push(path);
    }
    // A page that somebody adds is in the book at once, by its own title.
    let mut others = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let known = named.contains(&name.as_str())
            || ["SUMMARY.md", "README.md", "commands.md"].contains(&name.as_str());
        if name.ends_with(".md") && !known {
            others.push(name);
        }
    }
    others.sort();
    for name in others {
        let text = std::fs::read_to_string(directory.join(&name))?;
        let title = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or(&name).to_owned();
        line(0, &title, &name);
    }
    Ok(page)
}
