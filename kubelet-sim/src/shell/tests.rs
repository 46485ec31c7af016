//! Facts about the interpreter as rows: a script, what it prints, how it ends, how long it takes.

use std::{sync::Arc, time::Duration};

use world::sim;

use super::*;
use crate::{
    launcher::{Container, Running},
    logs::{Log, Wanted},
};

/// Runs `script` with `sh -c` at 2026-01-02 03:04:05 UTC.
#[track_caller]
fn check(script: &str, output: &str, code: i32, seconds: f64) {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    assert_eq!(run(command), (output.to_owned(), code, seconds), "{script}");
}

fn run(command: Vec<String>) -> (String, i32, f64) {
    let start = "2026-01-02T03:04:05Z".parse().expect("a time");
    let outcome = sim::run(sim::Config { start, ..sim::Config::default() }, async |sim| {
        let host = sim.host("n1");
        host.disk().write("/vol/cfg/key", "value\n", 0o644).expect("written");
        let log = Arc::new(Log::new(&host));
        let container = Container {
            name: "c".into(),
            image: "busybox".into(),
            command,
            hostname: "p".into(),
            env: vec![("WHO".into(), "world".into())],
            mounts: vec![Mount { path: "/cfg".into(), source: "/vol/cfg".into(), read_only: true }],
            log: Some(log.clone()),
            ..Container::default()
        };
        let began = host.clock().monotonic();
        let Knows::Command(words) = knows(&container) else { panic!("is not interpreted") };
        let (code, _) = start_and_wait(&host, &container, words).await;
        let took = host.clock().monotonic().since(began);
        (log.read(Wanted::default()).0, code, took.as_secs_f64())
    });
    outcome.expect("a runtime")
}

async fn start_and_wait(host: &world::Host, container: &Container, words: Vec<String>) -> (i32, String) {
    let limit = Duration::from_secs(86_400);
    host.clock().timeout(limit, start(host, container, words).wait()).await.expect("ends within a day")
}

#[test]
fn words_are_expanded_and_split() {
    check("echo hello $WHO", "hello world\n", 0, 0.0);
    check("echo '$WHO' \"$WHO\" ${WHO}s", "$WHO world worlds\n", 0, 0.0);
    check("A='a  b'; echo $A \"$A\"", "a b a  b\n", 0, 0.0);
    check("echo ${X:-none} ${WHO:-none} ${WHO:+some} ${#WHO}", "none world some 5\n", 0, 0.0);
    check("echo $(echo one; echo two) \"$(printf '%s\\n' x y)\"", "one two x\ny\n", 0, 0.0);
    check("echo $((1 + 2 * 3)) $(( (1 + 2) * 3 % 4 ))", "7 1\n", 0, 0.0);
    check("echo a#b # not said", "a#b\n", 0, 0.0);
    check("echo \"a \\\"b\\\" \\$c\" d\\ e", "a \"b\" $c d e\n", 0, 0.0);
    check("set -- a 'b c'; for x in \"$@\"; do echo \"<$x>\"; done; echo $#", "<a>\n<b c>\n2\n", 0, 0.0);
    check("x=; echo ${x:?gone}; echo never", "sh: x: gone\n", 2, 0.0);
}

#[test]
fn commands_are_strung_together() {
    check("true && echo yes || echo no; false && echo never || echo no", "yes\nno\n", 0, 0.0);
    check("if [ 1 -gt 2 ]; then echo a; elif test -n x; then echo b; else echo c; fi", "b\n", 0, 0.0);
    check("for i in $(seq 3); do echo $i; done", "1\n2\n3\n", 0, 0.0);
    check("i=0; while [ $i -lt 3 ]; do i=$((i+1)); [ $i = 2 ] && continue; echo $i; done", "1\n3\n", 0, 0.0);
    check("for i in 1 2; do for j in a b; do echo $i$j; break 2; done; done; echo end", "1a\nend\n", 0, 0.0);
    check("until false; do echo once; break; done", "once\n", 0, 0.0);
    check("! false; echo $?; (exit 3); echo $?", "0\n3\n", 0, 0.0);
    check("{ echo a; echo b; } | while read l; do echo \"[$l]\"; done | tail -n 1", "[b]\n", 0, 0.0);
    check("set -e; false || true; if false; then :; fi; false; echo never", "", 1, 0.0);
    check("A=1; (A=2; echo $A); echo $A; A=3 env | cat", "2\n1\nA=3\nWHO=world\n", 0, 0.0);
    check("sh -c 'echo $0 $1 $A' x y; A=1 sh -c 'echo $A'", "x y\n1\n", 0, 0.0);
    check("trap 'echo bye' EXIT; echo hi; exit 4", "hi\nbye\n", 4, 0.0);
}

#[test]
fn exit_codes_and_words_are_a_shells() {
    check("exit 7", "", 7, 0.0);
    check("nginx -t; echo $?", "sh: nginx: not found\n127\n", 0, 0.0);
    check("nginx -t", "sh: nginx: not found\n", 127, 0.0);
    check("echo (", "sh: syntax error: unexpected \"(\"\n", 2, 0.0);
    check("if true; then", "sh: syntax error: unexpected end of file\n", 2, 0.0);
    check("sleep 1 & wait", "sh: syntax error: background jobs (&) are not simulated\n", 2, 0.0);
    check("[ a -eq 1 ]", "a: bad number\n", 2, 0.0);
    check("cat /none", "cat: can't open '/none': No such file or directory\n", 1, 0.0);
    assert_eq!(run(vec!["sleep".into(), "5".into()]), (String::new(), 0, 5.0));
    assert_eq!(run(vec!["/bin/echo".into(), "$WHO".into()]), ("$WHO\n".into(), 0, 0.0));
    assert_eq!(run(vec!["serve".into()]), ("sh: serve: not found\n".into(), 127, 0.0));
    assert_eq!(run(Vec::new()), (String::new(), 0, 0.0));
}

#[test]
fn time_is_the_hosts() {
    check("sleep 90; date -u", "Fri Jan  2 03:05:35 UTC 2026\n", 0, 90.0);
    check("sleep 0.5; sleep 1m", "", 0, 60.5);
    check(
        "date +%s; date '+%F %T'; date -Iseconds",
        "1767323045\n2026-01-02 03:04:05\n2026-01-02T03:04:05+00:00\n",
        0,
        0.0,
    );
    check("date -d @86400 +%Y-%m-%dT%H:%M:%SZ", "1970-01-02T00:00:00Z\n", 0, 0.0);
    check("for i in 1 2 3; do date +%H:%M; sleep 1h; done", "03:04\n04:04\n05:04\n", 0, 10_800.0);
    check("end=$(($(date +%s) + 5)); until [ $(date +%s) -ge $end ]; do sleep 1; done", "", 0, 5.0);
}

#[test]
fn files_are_the_containers_own() {
    check("echo a > /tmp/x; echo b >> /tmp/x; cat /tmp/x; cat < /tmp/x | wc -l", "a\nb\n2\n", 0, 0.0);
    check("cat /cfg/key; ls /cfg; [ -f /cfg/key ] && [ -d /cfg ]", "value\nkey\n", 0, 0.0);
    check("echo x > /cfg/key", "sh: can't create /cfg/key: Read-only file system\n", 1, 0.0);
    check("cat /cfg/../etc/hostname; hostname", "p\np\n", 0, 0.0);
    check("cat /vol/cfg/key 2>/dev/null || echo hidden", "hidden\n", 0, 0.0);
    check("cd /tmp; mkdir -p a/b; echo 1 > a/b/c; ls a; rm -rf a; ls", "b\n", 0, 0.0);
    check("ls /none 2>&1 | cat", "ls: /none: No such file or directory\n", 0, 0.0);
}

#[test]
fn printf_fills_and_repeats() {
    check("printf '%s=%03d\\n' a 7 b 42", "a=007\nb=042\n", 0, 0.0);
    check("printf '[%-4s|%4s|%x]%%\\n' ab cd 255", "[ab  |  cd|ff]%\n", 0, 0.0);
    check("echo -n a; echo -e 'b\\tc'", "ab\tc\n", 0, 0.0);
}

#[test]
fn nothing_grows_without_a_limit() {
    check("seq 30000", "seq: more than 20000 numbers\n", 1, 0.0);
    check(
        &format!("{}true{}", "(".repeat(100), ")".repeat(100)),
        "sh: syntax error: more than 24 constructs within each other\n",
        2,
        0.0,
    );
}

#[test]
fn a_pipe_is_read_while_it_is_written() {
    check("yes | head -n 2", "y\ny\n", 0, 0.001);
    check("yes a b | head -1; echo $?", "a b\n0\n", 0, 0.001);
    check("while true; do echo 0123456789; done | head -n 1", "0123456789\n", 0, 0.001);
    check("while true; do date +%S; sleep 1; done | head -n 3", "05\n06\n07\n", 0, 3.0);
    check("(echo a; sleep 2) | while read x; do echo $x; date +%S; done", "a\n05\n", 0, 2.0);
    // The last one's status; all are waited for, and what nobody reads is not said.
    check("(sleep 5; exit 3) | true; echo $?", "0\n", 0, 5.0);
    check("true | (exit 3)", "", 3, 0.0);
    check("(sleep 1; echo late; echo never >&2) | true", "", 0, 1.0);
    // So much may wait to be read; more is not written before.
    check("yes | (sleep 60; head -n 1)", "y\n", 0, 60.0);
}

#[test]
fn parts_of_a_stream_are_lines_or_bytes() {
    check("echo abcdef | head -c 2; echo; printf abcdef | tail -c2", "ab\nef\n", 0, 0.0);
    check("seq 5 | tail -n +4; seq 5 | tail -n 1; seq 5 | head -2", "4\n5\n5\n1\n2\n", 0, 0.0);
    check("printf 'abcdef' | tail -c +3; printf ' %s' | tail -c+0; echo x | tail -c+9", "cdef \n", 0, 0.0);
    check(
        "cd /tmp; printf abc > x; tail -c +3 x; echo; tail -n +2 /none",
        "c\ntail: /none: No such file or directory\n",
        1,
        0.0,
    );
    // What `kubectl cp --retries` asks for, from the first byte and after 512 of them.
    check(
        "cd /tmp; echo a > x; tar cf - x | tail -c+1 > t; tar tf t; tar cf - x | tail -c+513 | head -c 2",
        "x\na\n",
        0,
        0.0,
    );
}

#[test]
fn a_signal_ends_every_part_of_a_pipe() {
    let outcome = sim::run(sim::Config::default(), async |sim| {
        let host = sim.host("n1");
        let log = Arc::new(Log::new(&host));
        let container = Container { name: "c".into(), log: Some(log.clone()), ..Container::default() };
        let words = ["sh", "-c", "(echo begun; sleep infinity) | cat; echo never"].map(str::to_owned);
        let running = start(&host, &container, words.to_vec());
        sim.elapse(Duration::from_secs(1)).await;
        let said = log.read(Wanted::default()).0;
        running.terminate().await;
        let (code, _) = running.wait().await;
        (said, code, log.read(Wanted::default()).0)
    });
    assert_eq!(outcome.expect("a runtime"), ("begun\n".to_owned(), 143, "begun\n".to_owned()));
}

#[test]
fn a_busy_loop_lets_the_world_move_on_and_ends_by_a_signal() {
    let outcome = sim::run(sim::Config::default(), async |sim| {
        let host = sim.host("n1");
        let container = Container { name: "c".into(), ..Container::default() };
        let busy = ["sh", "-c", "trap 'exit 5' TERM; while true; do :; done"].map(str::to_owned);
        let running = start(&host, &container, busy.to_vec());
        sim.elapse(Duration::from_secs(600)).await;
        let probe = ["sh", "-c", "echo alive; exit 3"].map(str::to_owned);
        assert_eq!(running.exec(&probe).await, Some((3, "alive\n".into())), "commands run beside it");
        let asked = host.clock().monotonic();
        running.terminate().await;
        let (code, _) = running.wait().await;
        (code, host.clock().monotonic().since(asked) < Duration::from_millis(1))
    });
    assert_eq!(outcome.expect("a runtime"), (5, true));
}

#[test]
fn archives_are_made_listed_and_unpacked() {
    check(
        "cd /tmp; echo a > x; mkdir d; echo b > d/y; tar cf t.tar x d; tar tf t.tar",
        "x\nd/\nd/y\n",
        0,
        0.0,
    );
    check("cd /tmp; echo a > x; tar cf t.tar x; rm x; tar -xvf t.tar; cat x", "x\na\n", 0, 0.0);
    check(
        "cd /tmp; tar cf t.tar /cfg/key; tar xf t.tar -C /home; cat /home/cfg/key",
        "tar: removing leading '/' from member names\nvalue\n",
        0,
        0.0,
    );
    check(
        "cd /tmp; echo a > x; tar cf t.tar x; tar xf t.tar -C /cfg",
        "tar: can't open 'x': Read-only file system\n",
        1,
        0.0,
    );
    check("tar czf - x", "tar: invalid option -- 'z'\n", 1, 0.0);
}
