//! Commands in pages, in blocks and in sentences: the program knows each, and each is executed as it stands, here or
//! where a table says.

use clap::error::ErrorKind;
use pulldown_cmark::{Event, Options, Parser};

use crate::{blocks, elsewhere, pages, read, root};

/// One command of a page.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where.
    pub page: String,
    /// What is to be typed, with `chronoplane` for every way to start it.
    pub line: String,
    /// It stands in a sentence, which may only name it.
    pub told: bool,
}

/// What becomes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// `executed` runs it.
    Here,
    /// `executed` runs it while `up` serves a cluster.
    Beside,
    /// A row of `elsewhere` says what runs it.
    Elsewhere,
    /// A test plays all of its kind.
    Played,
    /// It is named, and nobody is told to type it as it is.
    Named,
}

/// What is run while `up` serves a cluster: its clocks, and what a sentence says of any cluster.
const BESIDE: &[&str] =
    &["chronoplane clock ", "kubectl get apiservices", "kubectl create deployment web --image=nginx"];
/// What a line in a block may begin with to be run here.
const HERE: &[&str] = &["chronoplane ", "export KUBEBUILDER_ASSETS=", "go test "];

/// Every command of every page.
pub fn all() -> Vec<Found> {
    let of_blocks = blocks::all().into_iter().flat_map(|block| {
        let found = match block.language.as_str() {
            "sh" | "bash" => lines(&block.text),
            "text" | "console" | "" => prompted(&block.text),
            _ => Vec::new(),
        };
        found.into_iter().map(move |line| Found { page: block.page.clone(), line: plain(&line), told: false })
    });
    let of_sentences = pages().into_iter().flat_map(|page| {
        let told = told(&read(&page));
        told.into_iter().map(move |line| Found { page: page.clone(), line, told: true })
    });
    of_blocks.chain(of_sentences).collect()
}

/// The lines of a block of commands, without comments, continued lines as one.
pub fn lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let line = |line: &str| {
        let line = line.trim().trim_start_matches("$ ");
        // A comment behind a command stands off from it.
        let line = line.split("  #").next().unwrap_or_default().split(" # ").next().unwrap_or_default();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    joined.lines().map(line).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// The commands in what a terminal showed.
pub fn prompted(text: &str) -> Vec<String> {
    let typed = text.lines().filter(|line| line.starts_with("$ "));
    lines(&typed.map(|line| format!("{line}\n")).collect::<String>())
}

/// The commands in a page's sentences.
pub fn told(text: &str) -> Vec<String> {
    let code = Parser::new_ext(text, Options::ENABLE_TABLES).filter_map(|event| match event {
        Event::Code(code) => Some(plain(&code.split_whitespace().collect::<Vec<_>>().join(" "))),
        _ => None,
    });
    let programs = ["chronoplane ", "cargo ", "kubectl ", "scripts/"];
    code.filter(|line| programs.iter().any(|program| line.starts_with(program))).collect()
}

/// `cargo run --release -- list` is `chronoplane list`.
fn plain(line: &str) -> String {
    let ways = [
        "cargo run --release -- ",
        "cargo run -- ",
        "target/release/chronoplane ",
        "target/debug/chronoplane ",
    ];
    for way in ways {
        if let Some(args) = line.strip_prefix(way) {
            return format!("chronoplane {args}");
        }
    }
    line.to_owned()
}

/// What becomes of it.
///
/// # Errors
/// The program does not know it, or nothing executes it.
pub fn fate(found: &Found) -> Result<Fate, String> {
    let Found { line, told, .. } = found;
    let failed = |why: &str| Err(format!("{}: {line}: {why}", found.page));
    if *told && names_something(line) {
        return match chosen(line).iter().find_map(|one| known(one, true).err()) {
            Some(why) => failed(&why),
            None => Ok(Fate::Named),
        };
    }
    if let Err(why) = known(line, *told) {
        return failed(&why);
    }
    if let Some(script) = line.split(' ').next().filter(|word| word.starts_with("scripts/"))
        && !root().join(script).exists()
    {
        return failed("there is no such script");
    }
    if elsewhere::row(line).is_some() {
        return Ok(Fate::Elsewhere);
    }
    if elsewhere::played(line) {
        return Ok(Fate::Played);
    }
    if BESIDE.iter().any(|known| line.starts_with(known)) {
        return Ok(Fate::Beside);
    }
    if *told && is_name(line) {
        return Ok(Fate::Named);
    }
    match HERE.iter().any(|known| line.starts_with(known)) {
        true => Ok(Fate::Here),
        false => failed("nothing executes this; say what does in e2e/tests/pages/elsewhere.rs"),
    }
}

/// Words for which a reader puts something else: FILE, A..B, `<story>`, `init|join`, `…`.
fn stands_for(word: &str) -> bool {
    let capital = word.chars().any(|c| c.is_ascii_uppercase());
    word.contains(['…', '<', '|']) || capital && word.chars().all(|c| c.is_ascii_uppercase() || c == '.')
}

fn names_something(line: &str) -> bool {
    words(line).is_ok_and(|words| words.iter().any(|word| stands_for(word)))
}

/// The line with something in those places; once for each of `init|join`.
fn chosen(line: &str) -> Vec<String> {
    let words = words(line).unwrap_or_default();
    let choices = words.iter().find(|word| word.contains('|')).map_or(1, |word| word.split('|').count());
    let put = |word: &str, choice: usize| match word {
        "…" => None,
        "N" => Some("1".to_owned()),
        "A..B" => Some("0..1".to_owned()),
        "<story>" => Some("wrong-pin".to_owned()),
        "<chapter>" => Some("join".to_owned()),
        word if word.contains('|') => word.split('|').nth(choice).map(str::to_owned),
        word if stands_for(word) => Some("x".to_owned()),
        word => Some(word.to_owned()),
    };
    let one = |choice| words.iter().filter_map(|word| put(word, choice)).collect::<Vec<_>>().join(" ");
    (0..choices).map(one).collect()
}

/// Whether the program takes it; a sentence may leave away what it needs besides.
fn known(line: &str, told: bool) -> Result<(), String> {
    if line.split(' ').next() != Some("chronoplane") {
        return Ok(());
    }
    match chronoplane_cli::cli::command().try_get_matches_from(words(line)?) {
        Ok(_) => Ok(()),
        Err(e) => match e.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(()),
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                if told =>
            {
                Ok(())
            }
            _ => Err(e.to_string().lines().next().unwrap_or_default().to_owned()),
        },
    }
}

/// Nothing but a program and its command: spoken of, and not meant to be typed.
fn is_name(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    let plain = words.iter().all(|word| word.chars().all(|c| c.is_ascii_lowercase() || "-/_".contains(c)));
    let flag = words.iter().any(|word| word.starts_with('-'));
    let most = match words.first() {
        Some(&"chronoplane") => {
            let mut command = chronoplane_cli::cli::command();
            let depth = words.iter().skip(1).take_while(|word| {
                let inner = command.find_subcommand(word).cloned();
                inner.map(|inner| command = inner).is_some()
            });
            1 + depth.count()
        }
        Some(&"kubectl") => 3,
        _ => 2,
    };
    plain && !flag && words.len() <= most
}

/// A shell's words, as far as pages need it: quotes, and nothing behind `>`.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None => match c {
                '"' | '\'' => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                ' ' => found.extend(word.take()),
                '>' => break,
                c => word.get_or_insert_default().push(c),
            },
        }
    }
    found.extend(word);
    match quote {
        Some(q) => Err(format!("no closing {q}")),
        None => Ok(found),
    }
}

#[test]
fn every_command_is_executed_here_or_where_the_table_says() {
    let all = all();
    let fates: Vec<_> = all.iter().map(fate).collect();
    let wrong: Vec<_> = fates.iter().filter_map(|fate| fate.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let count = |fate| fates.iter().filter(|known| **known == Ok(fate)).count();
    assert!(count(Fate::Here) >= 12 && count(Fate::Beside) >= 6 && count(Fate::Played) >= 50, "{fates:?}");
    elsewhere::check(&all);
}

/// The check itself sees what is wrong.
#[test]
fn a_command_that_nothing_executes_is_found() {
    let fate = |line: &str, told| {
        let fate = fate(&Found { page: "README.md".into(), line: plain(line), told });
        fate.map_err(|why| why.split(": ").last().unwrap_or_default().to_owned())
    };
    let nothing = Err("nothing executes this; say what does in e2e/tests/pages/elsewhere.rs".to_owned());
    assert_eq!(fate("cargo test --workspace --release", false), nothing);
    assert_eq!(fate("cargo test --workspace --release", true), nothing);
    assert_eq!(fate("scripts/nothing", true), Err("there is no such script".into()));
    assert!(fate("chronoplane clock step node1 an-hour", true).is_err());
    assert!(fate("chronoplane no-such-command", true).is_err());
    assert!(fate("chronoplane run", false).is_err(), "a block is to be typed");
    assert_eq!(fate("chronoplane run", true), Ok(Fate::Named));
    assert_eq!(fate("chronoplane bench bootstrap --nodes N", true), Ok(Fate::Named));
    assert!(fate("chronoplane bench bootstrap --knots N", true).is_err());
    assert!(fate("chronoplane store check|no-such DIR", true).is_err());
    assert_eq!(fate("cargo run -- list", false), Ok(Fate::Here));
    assert_eq!(fate("chronoplane clock step node1 -1h", true), Ok(Fate::Beside));
    assert_eq!(fate("chronoplane run wrong-pin", false), Ok(Fate::Played));
    assert!(fate("chronoplane run wrong-pins --seed 1", false) == Ok(Fate::Here), "and it fails there");
}
