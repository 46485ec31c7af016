//! Commands beside a container, and the container itself.

use chronoplane::Cluster;
use serde_json::json;
use wire::websocket::Message;

use crate::clients::{ALL, LIMIT, Speaks, exec_path, run, socket, talk, workstation};

#[chronoplane::test(nodes = 1)]
async fn commands_run_beside_a_container_and_tell_how_they_ended(cluster: Cluster) {
    let env = json!([{"name": "WHO", "value": "world"}]);
    run(&cluster, "p", json!({"command": ["sleep", "1d"], "env": env})).await;
    for speaks in ALL {
        let exec = async |command: &[&str], stdin: Option<&str>| {
            talk(&cluster, speaks, &exec_path("p", command, ""), stdin, None).await.expect("granted")
        };
        let said = exec(&["sh", "-c", "echo hello $WHO; echo oops >&2; exit 3"], None).await;
        assert_eq!((said.out.as_str(), said.err.as_str()), ("hello world\n", "oops\n"), "{speaks:?}");
        assert_eq!(said.status["reason"], "NonZeroExitCode", "{speaks:?}");
        assert_eq!(said.code(), "3", "{speaks:?}");

        let said = exec(&["hostname"], None).await;
        assert_eq!((said.out.as_str(), said.code()), ("p\n", "0"), "{speaks:?}: the control run");

        // The shell reads command by command: an exit in the middle leaves the rest unread.
        let said = exec(&["sh"], Some("X=1\nif true; then\necho $X two\nfi\nexit 4\necho never\n")).await;
        assert_eq!((said.out.as_str(), said.code()), ("1 two\n", "4"), "{speaks:?}");

        let said = exec(&["foo"], None).await;
        let words = "Internal error occurred: error executing command in container: failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: exec: \"foo\": executable file not found in $PATH: unknown";
        assert_eq!(said.status["message"], words, "{speaks:?}");
        assert_eq!(said.status["code"], 500, "{speaks:?}");
    }
    // Without a way to close standard input `cat` would wait: only these two have one.
    for speaks in [Speaks::V5, Speaks::Spdy] {
        let said =
            talk(&cluster, speaks, &exec_path("p", &["cat"], ""), Some("a\nb"), None).await.expect("granted");
        assert_eq!((said.out.as_str(), said.code()), ("a\nb", "0"), "{speaks:?}");
    }
}

#[chronoplane::test(nodes = 1)]
async fn a_container_is_named_where_there_are_several(cluster: Cluster) {
    let container = |name: &str| json!({"name": name, "image": "busybox:1.36", "command": ["sleep", "1d"]});
    let pod = json!({"metadata": {"name": "two"}, "spec": {"containers": [container("a"), container("b")]}});
    cluster.admin().create(&crate::clients::PODS, Some("default"), &pod).await.expect("accepted");
    let refused = async |path: &str| talk(&cluster, Speaks::V5, path, None, None).await.expect_err("refused");
    let words = "a container name must be specified for pod two, choose one of: [a b]";
    assert_eq!(refused(&exec_path("two", &["true"], "")).await, (400, words.to_owned()));
    let words = "container c is not valid for pod two";
    assert_eq!(refused(&exec_path("two", &["true"], "container=c&")).await, (400, words.to_owned()));
    let words = "pods \"none\" not found";
    assert_eq!(refused(&exec_path("none", &["true"], "")).await, (404, words.to_owned()));
}

#[chronoplane::test(nodes = 1)]
async fn who_attaches_sees_what_is_said_from_then_on_and_is_read(cluster: Cluster) {
    for (name, speaks) in [("first", Speaks::V5), ("second", Speaks::V4), ("third", Speaks::Spdy)] {
        let script = "echo early; while read line; do [ $line = end ] && exit 0; echo heard $line; done";
        run(&cluster, name, json!({"command": ["sh", "-c", script], "stdin": true, "stdinOnce": true})).await;
        let path = format!("/api/v1/namespaces/default/pods/{name}/attach?");
        let said = talk(&cluster, speaks, &path, Some("one\ntwo\nend\n"), None).await.expect("granted");
        assert_eq!(said.out, "heard one\nheard two\n", "{speaks:?}");
        assert_eq!(said.code(), "0", "{speaks:?}");
    }
}

#[chronoplane::test(nodes = 1)]
async fn at_a_terminal_a_shell_prompts_and_shows_what_is_typed(cluster: Cluster) {
    run(&cluster, "p", json!({"command": ["sleep", "1d"]})).await;
    let (host, client) = workstation(&cluster).await;
    let path = format!("{}stdin=true&stdout=true&tty=true", exec_path("p", &["sh"], ""));
    let (mut sender, mut receiver) =
        socket(&client, &path, "v5.channel.k8s.io", None).await.expect("granted").split();
    let mut channels = [const { Vec::<u8>::new() }; 5];
    let mut shown_until = async |end: Option<&str>| {
        loop {
            if end.is_some_and(|end| channels[1].ends_with(end.as_bytes())) {
                break;
            }
            let Ok(Some(Message::Binary(bytes))) = receiver.next().await else { break };
            let (channel, rest) = bytes.split_first().expect("a channel");
            channels[usize::from(*channel)].extend_from_slice(rest);
        }
        [1, 3].map(|i: usize| String::from_utf8_lossy(&channels[i]).into_owned())
    };
    let talking = async {
        shown_until(Some("/ # ")).await;
        sender.send(Message::Binary(b"\x00echo hx\x7fi\r".as_slice().into())).await.expect("sent");
        shown_until(Some("hi\r\n/ # ")).await;
        sender.send(Message::Binary(b"\x00exit 5\r".as_slice().into())).await.expect("sent");
        shown_until(None).await
    };
    let [shown, status] = host.clock().timeout(LIMIT, talking).await.expect("in time");
    assert_eq!(shown, "/ # echo hx\u{8} \u{8}i\r\nhi\r\n/ # exit 5\r\n");
    assert!(status.contains("\"message\":\"5\""), "{status}");
}
