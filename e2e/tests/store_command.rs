//! `chronoplane store` as people and scripts use it: what it prints, and how it exits.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use world::real::{Block, Real};

/// A store with three hundred keys in `<root>/cp1/data`, closed.
async fn filled(root: &Path) -> std::path::PathBuf {
    let world = Real::new(root.to_owned(), Block::reserve().unwrap());
    let host = world.host("cp1").unwrap();
    let process = host.process("store");
    let store = store::sled(process.host(), "/data").await.unwrap();
    for n in 0..300 {
        store
            .put(format!("/registry/pods/default/p{n}").into(), vec![b'a' + n as u8 % 26; 700].into())
            .await
            .unwrap();
    }
    drop(store);
    process.kill().await;
    root.join("cp1/data")
}

fn chronoplane(args: &[&str], paths: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chronoplane")).arg("store").args(args).args(paths).output().unwrap()
}

/// Exit code, standard output, standard error.
fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_sound_store_goes_out_and_comes_in_again() {
    let root = tempfile::tempdir().unwrap();
    let dir = filled(root.path()).await;
    let (code, out, _) = said(&chronoplane(&["check"], &[&dir]));
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with(&format!("{}: sound\n", dir.display())), "{out}");
    assert!(out.contains("  keys      300\n") && out.contains("301 (all that was acknowledged)\n"), "{out}");

    let file = root.path().join("export");
    let exported = chronoplane(&["export", "--file"], &[&file, &dir]);
    assert_eq!(said(&exported).0, 0, "{:?}", said(&exported));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "secrets are in there");
    let piped = chronoplane(&["export"], &[&dir]);
    assert_eq!(fs::read(&file).unwrap(), piped.stdout, "the same on standard output");
    let (code, _, err) = said(&chronoplane(&["export", "--file"], &[&file, &dir]));
    assert_eq!(
        (code, err.contains("name a file that is not there")),
        (2, true),
        "nothing is overwritten: {err}"
    );

    let copy = root.path().join("copy");
    let imported = chronoplane(&["import", "--output=json", "--file"], &[&file, &copy]);
    assert_eq!(json(&imported)["keys"], 300);
    let again = chronoplane(&["export"], &[&copy]);
    assert_eq!(again.stdout, piped.stdout, "what came in goes out the same");
    let (code, _, err) = said(&chronoplane(&["import", "--file"], &[&file, &copy]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("holds a store already; give a directory that is empty"), "{err}");

    let cut = root.path().join("cut");
    fs::write(&cut, &piped.stdout[..piped.stdout.len() / 2]).unwrap();
    let (code, _, err) = said(&chronoplane(&["import", "--file"], &[&cut, &root.path().join("other")]));
    assert_eq!((code, err.contains("they were cut; export the store again")), (2, true), "{err}");
    assert!(!root.path().join("other").exists(), "half a store is none");
}

#[tokio::test]
async fn a_damaged_store_is_named_refused_and_repaired() {
    let root = tempfile::tempdir().unwrap();
    let dir = filled(root.path()).await;
    fs::remove_file(dir.join("high-water")).unwrap();
    let found = chronoplane(&["check", "--output=json"], &[&dir]);
    assert_eq!(said(&found).0, 1);
    let found = json(&found);
    assert_eq!((&found["sound"], &found["keys"]), (&false.into(), &300.into()), "{found}");
    assert_eq!(found["acknowledgedRevision"], Value::Null, "{found}");
    assert!(found["complaints"][0].as_str().unwrap().ends_with("high-water is missing"), "{found}");
    let (code, _, err) = said(&chronoplane(&["export"], &[&dir]));
    assert_eq!((code, err.contains("is damaged: its mark")), (2, true), "damage is never served: {err}");

    let repaired = chronoplane(&["repair"], &[&dir]);
    let (code, out, _) = said(&repaired);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains(": repaired\n") && out.contains("  kept      300 keys, 0 leases\n"), "{out}");
    // How far writes had come cannot be told, so who watches begins anew, further on than a lost journal could have come.
    assert!(out.contains("the store goes on after 65838; watches from before begin anew"), "{out}");
    assert_eq!(said(&chronoplane(&["check"], &[&dir])).0, 0);
    let (code, out, _) = said(&chronoplane(&["repair"], &[&dir]));
    assert_eq!((code, out.ends_with(": sound; there is nothing to repair\n")), (0, true), "{out}");
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let root = tempfile::tempdir().unwrap();
    let (code, _, err) = said(&chronoplane(&["check"], &[root.path()]));
    assert_eq!(code, 2);
    assert!(err.contains("holds no chronoplane store; name the directory with the file FORMAT"), "{err}");
    let dir = filled(root.path()).await;
    let world = Real::new(root.path().to_owned(), Block::reserve().unwrap());
    let store = store::sled(&world.host("cp1").unwrap(), "/data").await.unwrap();
    for what in ["check", "repair", "export"] {
        let (code, _, err) = said(&chronoplane(&[what], &[&dir]));
        assert_eq!(code, 2, "{what}");
        assert!(
            err.contains(&format!("is in use by process {}; stop the other one", std::process::id())),
            "{err}"
        );
    }
    drop(store);
    fs::write(dir.join("FORMAT"), "chronoplane store 0\n").unwrap();
    let (code, _, err) = said(&chronoplane(&["check"], &[&dir]));
    assert_eq!(code, 2);
    assert!(err.contains("holds a chronoplane store of format 0, and this program reads"), "{err}");
}
