//! What can be said of blocks in other languages without their libraries: Python compiles, Go is Go, and a cluster takes
//! the manifests.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use chronoplane::{ControlPlane, Manifests};
use serde_json::Value;

use crate::blocks::{self, Block};

fn blocks_in(language: &str) -> Vec<Block> {
    blocks::all().into_iter().filter(|block| block.language == language).collect()
}

/// What `program` says of a text that it reads from standard input; `None` where there is no such program.
fn said_of(program: &str, args: &[&str], text: &str) -> Option<Result<(), String>> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let ran = child.wait_with_output().expect("it ends");
    Some(match ran.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&ran.stderr).into_owned()),
    })
}

/// Every block of that language, and something that is none, for the program to complain of.
fn check(language: &str, program: &str, args: &[&str], nonsense: &str) {
    let Some(verdict) = said_of(program, args, nonsense) else {
        eprintln!("SKIPPED: the pages' {language}: there is no {program} on this machine");
        return;
    };
    assert!(verdict.is_err(), "{program} takes {nonsense:?}");
    let blocks = blocks_in(language);
    assert!(!blocks.is_empty(), "no page has {language} any more");
    for Block { page, text, .. } in blocks {
        if let Some(Err(why)) = said_of(program, args, &text) {
            panic!("{page}: {why}{text}");
        }
    }
}

#[test]
fn python_compiles() {
    let compile = "import sys; compile(sys.stdin.read(), 'page', 'exec')";
    check("python", "python3", &["-c", compile], "def nothing(:\n");
}

/// Its packages are not here: no more than its syntax is looked at.
#[test]
fn go_can_be_read() {
    check("go", "gofmt", &["-e"], "func nothing( {\n");
}

/// Those of the blocks that are objects, each refused by the cluster, with its words.
async fn refused(plane: &ControlPlane, blocks: &[Block]) -> Vec<String> {
    let mut wrong = Vec::new();
    for Block { page, text, .. } in blocks {
        let objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_default();
        if !objects.iter().any(|object| object.get("apiVersion").is_some() && object.get("kind").is_some()) {
            continue;
        }
        let applied = match Manifests::yaml(text) {
            Ok(manifests) => plane.apply(&manifests).await.map(|_| ()),
            Err(error) => Err(error),
        };
        wrong.extend(applied.err().map(|why| format!("{page}: {why}\n{text}")));
    }
    wrong
}

#[chronoplane::test]
async fn a_cluster_takes_the_manifests_of_the_pages(plane: ControlPlane) {
    let block = |text: &str| Block {
        page: "a page".into(),
        language: "yaml".into(),
        ignored: false,
        text: text.into(),
    };
    let (right, wrong) = (
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: words}, data: {a: b}}",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: Words}, data: {a: b}}",
    );
    let found = refused(&plane, &[block(right), block(wrong), block("no: object")]).await;
    assert!(found.len() == 1 && found[0].contains("Words"), "{found:?}");
    let found = refused(&plane, &[blocks_in("yaml"), blocks_in("json")].concat()).await;
    assert!(found.is_empty(), "{found:#?}");
}
