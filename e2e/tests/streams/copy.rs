//! `kubectl cp`: tar at both ends of exec.

use std::io::Read as _;

use chronoplane::Cluster;
use serde_json::json;

use crate::clients::{Said, Speaks, exec_path, run, talk};

/// What kubectl packs: names below the destination's directory.
fn packed(files: &[(&str, &str)]) -> String {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, contents) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, contents.as_bytes()).expect("packed");
    }
    String::from_utf8(builder.into_inner().expect("ended")).expect("headers are ASCII")
}

fn unpacked(archive: &str) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(archive.as_bytes());
    let entries = archive.entries().expect("an archive");
    entries
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let name = entry.path().expect("a name").to_string_lossy().into_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            (name, text)
        })
        .collect()
}

#[chronoplane::test(nodes = 1)]
async fn files_are_copied_into_a_container_and_out_of_it(cluster: Cluster) {
    run(&cluster, "p", json!({"command": ["sleep", "1d"]})).await;
    for (n, speaks) in [Speaks::V5, Speaks::Spdy].into_iter().enumerate() {
        let exec = async |command: &[&str], stdin: Option<&str>| -> Said {
            talk(&cluster, speaks, &exec_path("p", command, ""), stdin, None).await.expect("granted")
        };
        let long = "x".repeat(200_000);
        let dir = format!("dir{n}");
        let (one, two) = (format!("{dir}/one"), format!("{dir}/sub/two"));
        let archive = packed(&[(&one, "hello\n"), (&two, &long)]);
        // First kubectl asks whether the destination is a directory.
        assert_eq!(exec(&["test", "-d", "/tmp"], None).await.code(), "0", "{speaks:?}");
        let said = exec(&["tar", "-xmf", "-", "-C", "/tmp"], Some(&archive)).await;
        assert_eq!((said.code(), said.err.as_str()), ("0", ""), "{speaks:?}");
        let path = format!("/tmp/{one}");
        assert_eq!(exec(&["cat", &path], None).await.out, "hello\n", "{speaks:?}");
        let path = format!("/tmp/{dir}");
        let said = exec(&["tar", "cf", "-", &path], None).await;
        assert_eq!(said.err, "tar: removing leading '/' from member names\n");
        let entry = |name: &str, text: &str| (format!("tmp/{name}"), text.to_owned());
        let whole = [
            entry(&format!("{dir}/"), ""),
            entry(&one, "hello\n"),
            entry(&format!("{dir}/sub/"), ""),
            entry(&two, &long),
        ];
        assert_eq!(unpacked(&said.out), whole, "{speaks:?}");

        let said = exec(&["tar", "cf", "-", "/none"], None).await;
        assert_eq!(said.code(), "1");
        assert!(said.err.contains("tar: /none: No such file or directory\n"), "{}", said.err);
        let said = exec(&["tar", "-xmf", "-", "-C", "/none"], Some(&archive)).await;
        assert_eq!(said.err, "tar: can't change directory to '/none': No such file or directory\n");
        let said = exec(&["tar", "-xmf", "-"], Some(&"no archive ".repeat(100))).await;
        assert_eq!((said.code(), said.err.as_str()), ("1", "tar: invalid tar magic\n"), "{speaks:?}");
    }
}
