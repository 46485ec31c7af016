//! The commands of the pages that are not executed by this test: what executes each instead, and why.

use chronoplane_cli::{scenarios, teach::chapters};

use crate::{commands::Found, read};

/// See [`TABLE`].
pub struct Row {
    /// The whole line, as the page has it, with `chronoplane` for every way to start it.
    line: &'static str,
    /// What executes it.
    file: &'static str,
    /// What stands there.
    words: &'static str,
    /// Why not here.
    why: &'static str,
}

const fn of(line: &'static str, file: &'static str, words: &'static str, why: &'static str) -> Row {
    Row { line, file, words, why }
}

const CI: &str = ".ci/run";
const REAL: &str = "e2e/tests/programs/stories.rs";
const BY_HAND: &str = "for a machine that does nothing else; compiled in CI, and run by hand for the figures";
const RELEASE: &str = "it publishes, or compares with what was published; done by hand at a release";

/// Every line that has its place elsewhere.
const TABLE: &[Row] = &[
    of("cargo test --workspace", CI, "  cargo test --workspace\n", "this test is part of it"),
    of(
        "cargo test --test containers",
        CI,
        "cargo test --workspace --test containers",
        "it needs a Docker Engine",
    ),
    of("cargo test --test scenarios", CI, "  cargo test --workspace\n", "another test"),
    of(
        "cargo new --lib sessions",
        "scripts/outside",
        "sessions",
        "its files are written as the page has them",
    ),
    of("cargo install --path e2e", "scripts/nightly", "scripts/package --install", "a release build"),
    of("scripts/package --install", "scripts/nightly", "scripts/package --install", "a release build"),
    of("cargo bench -p chronoplane -- --quick", CI, "--all-targets", BY_HAND),
    of("cargo bench --workspace --bench authorize --bench admission", CI, "--all-targets", BY_HAND),
    of("cargo publish --workspace", "scripts/package", "cargo package --workspace", RELEASE),
    of(
        "cargo install cargo-semver-checks",
        "docs/releasing.md",
        "nothing to compare before the first one",
        RELEASE,
    ),
    of(
        "cargo semver-checks --package chronoplane --baseline-rev v0.1.0",
        "docs/releasing.md",
        "nothing to compare before the first one",
        RELEASE,
    ),
    of("chronoplane chaos --seeds 0..100", CI, "chaos --seeds 0..100", "minutes"),
    of("chronoplane chaos --seeds 0..1000", "scripts/nightly", "chaos --seeds 0..1000", "half an hour"),
    of(
        "chronoplane chaos --seeds 0..50 --faults partition,step --hours 72 --nodes 2",
        CI,
        "chaos --seeds",
        "minutes: fifty worlds of three days; other seeds are played there",
    ),
    of(
        "chronoplane matrix --tell single/suspend/1y/30d",
        "scripts/matrix",
        "matrix",
        "many simulated hours; told there with all sixty cells",
    ),
    of(
        "chronoplane matrix --tell ha/suspend/1y/30d",
        "scripts/matrix",
        "matrix",
        "many simulated hours; told there with all sixty cells",
    ),
    of("chronoplane up --page", "scripts/timeline-story", "up --nodes 1 --page", "it needs a browser"),
    of("pip install kubernetes pytest", "scripts/python-story", "docs/python.md", "it needs PyPI"),
    of(
        "chronoplane up --nodes 1 --exec 'pytest -q .'",
        "scripts/python-story",
        "docs/python.md",
        "it needs PyPI",
    ),
    of(
        "chronoplane up --exec 'pytest tests'",
        "scripts/python-story",
        "pytest",
        "the same, by another folder's name",
    ),
    of("scripts/api --write", "scripts/package", "scripts/api", "it writes the list that is compared there"),
    of("kubectl cp --retries", "scripts/kubectl-streams", "cp --retries", "with a pod that has files"),
];

/// What executes the line, if it is not executed here.
pub fn row(line: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.line == line)
}

/// Whether it is one of those of which a test plays all: each story at its newest release with the first seed, a handful
/// of them among real processes, each chapter in both languages.
pub fn played(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["chronoplane", "run", story] => scenarios::all().any(|entry| entry.id == *story),
        ["chronoplane", "run", story, "--gear", "real"] => handful().contains(&format!("{story:?}")),
        ["chronoplane", "teach", chapter] | ["chronoplane", "teach", chapter, "--lang", "zh" | "en"] => {
            chapters::all().iter().any(|known| known.id == *chapter)
        }
        _ => false,
    }
}

/// The stories that every run of the tests tells among real processes, as its source names them.
fn handful() -> String {
    let source = read(REAL);
    let names = source.split_once("HANDFUL").and_then(|(_, rest)| rest.split_once("= ["));
    names.and_then(|(_, rest)| rest.split_once(']')).map(|(names, _)| names.to_owned()).unwrap_or_default()
}

/// Of each row: a page has the line, and what is said to execute it is there.
pub fn check(all: &[Found]) {
    let mut wrong = Vec::new();
    for Row { line, file, words, why } in TABLE {
        if !all.iter().any(|found| found.line == *line) {
            wrong.push(format!("{line}: no page has this any more; take the row away"));
        }
        if !read(file).contains(words) {
            wrong.push(format!("{line}: {file} is said to execute it, and has no {words:?}"));
        }
        if why.is_empty() {
            wrong.push(format!("{line}: why is it not executed here?"));
        }
    }
    for (file, words) in [
        ("e2e/tests/scenarios.rs", "scenarios::all()"),
        ("e2e/tests/scenarios.rs", "entry.newest()"),
        ("e2e/tests/teach.rs", "chapters::all()"),
        (REAL, "HANDFUL.contains(&entry.id)"),
    ] {
        if !read(file).contains(words) {
            wrong.push(format!("{file} plays no longer all: there is no {words} in it"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
