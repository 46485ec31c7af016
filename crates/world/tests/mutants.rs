//! The table of mutants, and the choice of one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{collections::BTreeSet, path::Path, process::Command};

use world::mutants::{MUTANTS, MutantError, chosen, mutant};

const CHILD: &str = "WORLD_MUTANTS_CHILD";

/// The child half of [`one_mutant_is_chosen_by_the_environment`].
#[test]
fn child() {
    let Ok(expected) = std::env::var(CHILD) else { return };
    let found = match chosen() {
        Ok(None) => "none".to_owned(),
        Ok(Some(chosen)) => {
            let lives: Vec<_> = MUTANTS.iter().filter(|m| mutant(m.name)).map(|m| m.name).collect();
            assert_eq!(lives, [chosen.name], "it and no other");
            chosen.name.to_owned()
        }
        Err(MutantError::Unknown(_)) => "unknown".to_owned(),
        Err(MutantError::NotBuilt(_)) => {
            assert!(!MUTANTS.iter().any(|m| mutant(m.name)));
            "not built".to_owned()
        }
    };
    assert_eq!(found, expected);
}

#[test]
fn one_mutant_is_chosen_by_the_environment() {
    let built = if cfg!(feature = "mutants") { "skip-compare" } else { "not built" };
    for (asked, expected) in
        [(None, "none"), (Some("skip-compare"), built), (Some("skip-comparing"), "unknown")]
    {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child"]).env(CHILD, expected).env_remove("CHRONOPLANE_MUTANT");
        if let Some(asked) = asked {
            command.env("CHRONOPLANE_MUTANT", asked);
        }
        let out = command.output().unwrap();
        assert!(out.status.success(), "{asked:?}: {}", String::from_utf8_lossy(&out.stdout));
    }
}

/// Each is at exactly one place, and none is there that the table does not have.
#[test]
fn every_mutant_of_the_table_is_in_product_code_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut todo: Vec<_> = ["crates", "apiserver", "kubelet-sim", "kubeadm-sim", "store", "e2e"]
        .iter()
        .map(|folder| root.join(folder))
        .collect();
    let mut found = Vec::new();
    while let Some(at) = todo.pop() {
        if at.is_dir() {
            let skipped = at.ends_with("target") || at.ends_with("tests");
            todo.extend(std::fs::read_dir(&at).unwrap().flatten().map(|e| e.path()).filter(|_| !skipped));
        } else if at.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&at).unwrap();
            let calls = text.split("mutant(\"").skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(calls.map(str::to_owned));
        }
    }
    let names: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(names.len(), found.len(), "one is asked for twice: {found:?}");
    assert_eq!(names, MUTANTS.iter().map(|m| m.name.to_owned()).collect());
    assert!(names.len() >= 18);
}
