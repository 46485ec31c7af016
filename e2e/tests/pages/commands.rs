//! Commands in pages: the program knows each, and each is executed, by this test, another test, a script or CI.

use std::process::Command;

use crate::{blocks, read, root};

/// Short enough to be executed here, in a directory that is thrown away.
const HERE: &[&str] = &[
    "chronoplane list",
    "chronoplane explain",
    "chronoplane teach",
    "chronoplane completions",
    "chronoplane man",
    "chronoplane doctor",
    "chronoplane run kubelet-jump-year",
    "chronoplane run loopback-expiry",
];

/// A command, or how it begins; the file that executes it, and what stands there.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    // Every story, at both ends of its range of releases.
    ("chronoplane run", "e2e/tests/scenarios.rs", "story::tell"),
    ("chronoplane up", "e2e/tests/up.rs", "\"up\""),
    ("chronoplane chaos", ".ci/run", "chaos --seeds"),
    ("chronoplane bench", ".ci/run", "bench "),
    ("chronoplane store", "e2e/tests/store_command.rs", "\"store\""),
    ("chronoplane conformance", "e2e/tests/api/conformance.rs", "conformance"),
    ("chronoplane webhook", "e2e/tests/pod_webhook.rs", "webhook"),
    ("chronoplane book", "e2e/tests/pages/generated.rs", "book::pages"),
    ("chronoplane clock", "e2e/tests/clock.rs", "\"clock\""),
    ("chronoplane envtest", "e2e/tests/envtest.rs", "envtest"),
    ("chronoplane matrix", "scripts/matrix", "matrix"),
    ("cargo test --workspace", ".ci/run", "cargo test --workspace"),
    ("pip install kubernetes pytest", "scripts/python-story", "pip\" install"),
    // What Go does with it is played in Rust.
    ("export KUBEBUILDER_ASSETS=", "e2e/tests/envtest.rs", "KUBEBUILDER_ASSETS"),
    ("go test", "docs/go.md", "the Go code of this page is not compiled"),
    ("scripts/", ".ci/run", "scripts/"),
];

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
    lines(
        &text
            .lines()
            .filter(|line| line.starts_with("$ "))
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )
}

/// What is wrong with a command.
pub fn complaint(line: &str) -> Option<String> {
    let command = plain(line);
    if let Some(args) = command.strip_prefix("chronoplane") {
        let words = match words(args) {
            Ok(words) => words,
            Err(why) => return Some(format!("{line}: {why}")),
        };
        if let Err(why) = chronoplane_cli::cli::parses(words.iter().map(String::as_str)) {
            return Some(format!("{line}: {}", why.lines().next().unwrap_or_default()));
        }
    }
    if let Some(script) = command.split_whitespace().next().filter(|word| word.starts_with("scripts/"))
        && !root().join(script).exists()
    {
        return Some(format!("{line}: there is no {script}"));
    }
    let executed = HERE.iter().any(|known| command.starts_with(known))
        || ELSEWHERE.iter().any(|(known, file, needle)| {
            command.starts_with(known) && root().join(file).exists() && read(file).contains(needle)
        })
        || by_a_script(&command);
    (!executed)
        .then(|| format!("{line}: nothing executes this; say what does in e2e/tests/pages/commands.rs"))
}

/// A script of the repository has the very line.
fn by_a_script(command: &str) -> bool {
    let scripts = std::fs::read_dir(root().join("scripts")).into_iter().flatten().flatten();
    let mut texts =
        scripts.filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).chain([read(".ci/run")]);
    command.len() > 8 && texts.any(|text| text.contains(command))
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

/// A shell's words, as far as pages need it: quotes, and nothing behind `>`.
fn words(args: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in args.chars() {
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

/// Those of [`HERE`], once each, in a directory that is thrown away.
#[test]
fn commands_of_the_pages_that_are_short_do_what_they_say() {
    let mut all: Vec<String> = Vec::new();
    for block in blocks::all() {
        let found = match block.language.as_str() {
            "sh" | "bash" => lines(&block.text),
            "text" | "console" | "" => prompted(&block.text),
            _ => continue,
        };
        all.extend(
            found
                .iter()
                .map(|line| plain(line))
                .filter(|line| HERE.iter().any(|known| line.starts_with(known))),
        );
    }
    all.sort();
    all.dedup();
    assert!(all.len() >= 12, "found only {all:#?}");
    let place = tempfile::tempdir().expect("a directory");
    for line in all {
        let script = line.replacen("chronoplane", env!("CARGO_BIN_EXE_chronoplane"), 1);
        let ran = Command::new("bash")
            .args(["-c", &script])
            .current_dir(place.path())
            .stdin(std::process::Stdio::null())
            .output()
            .expect("bash");
        assert!(ran.status.success(), "{line}: {ran:?}");
    }
}

/// All that is said to be executed elsewhere is, and nothing is listed twice over.
#[test]
fn what_executes_commands_is_there() {
    for (command, file, needle) in ELSEWHERE {
        assert!(read(file).contains(needle), "{file} does not execute {command}: no {needle} in it");
    }
}
