//! Pages that are made from chapters, stories and help are as these are now.

use chronoplane_cli::book;

use crate::root;

#[test]
fn generated_pages_are_as_they_would_be_written() {
    let pages = book::pages(&root().join("e2e/src/scenarios"), &root().join("docs"));
    let pages = pages.unwrap_or_else(|refusal| panic!("{}", refusal.0));
    let there = |path: &str| std::fs::read_to_string(root().join("docs").join(path)).unwrap_or_default();
    let stale: Vec<_> =
        pages.iter().filter(|(path, text)| there(path) != **text).map(|(path, _)| path).collect();
    assert!(stale.is_empty(), "run `cargo run -- book` at the root, and commit what it writes: {stale:#?}");
    let made = |dir: &str| pages.keys().filter(|path| path.starts_with(dir)).count();
    assert_eq!(made("course/en/"), made("course/zh/"));
    let stories = chronoplane_cli::scenarios::all().count();
    assert_eq!(made("stories/"), stories + 1, "a page for each and their list");
}

/// A page of a story or a chapter that is no more.
#[test]
fn no_generated_page_is_left_over() {
    let summary = crate::read("docs/SUMMARY.md");
    let pages = crate::pages();
    let inner =
        pages.iter().filter_map(|path| path.strip_prefix("docs/")).filter(|path| *path != "SUMMARY.md");
    let lost: Vec<_> = inner.filter(|path| !summary.contains(&format!("({path})"))).collect();
    assert!(lost.is_empty(), "not in SUMMARY.md: {lost:#?}");
}
