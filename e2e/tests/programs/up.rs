//! `chronoplane up --exec`: a command with a cluster around it.

use std::{
    path::Path,
    process::{Command, Output},
};

fn up(command: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chronoplane"))
        .args(["up", "--nodes", "0", "--exec", command])
        .output()
        .expect("the program starts")
}

/// The command alone has standard output, its exit code is passed on, and nothing is left of the cluster.
fn a_command_runs_with_a_cluster_around_it() {
    let ran = up(r#"grep -c "server: https://127" "$KUBECONFIG"; echo "$KUBECONFIG"; exit 7"#);
    assert_eq!(ran.status.code(), Some(7), "{ran:?}");
    let said = String::from_utf8(ran.stdout).unwrap();
    let [servers, kubeconfig] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert_eq!(servers, "1");
    assert!(kubeconfig.ends_with("cp1/etc/kubernetes/admin.conf"), "{kubeconfig}");
    let data = Path::new(kubeconfig).ancestors().nth(4).unwrap();
    assert!(!data.exists(), "{} is left", data.display());
}

fn a_command_that_is_killed_counts_as_in_a_shell() {
    assert_eq!(up("kill -TERM $$").status.code(), Some(128 + 15));
}

pub const TESTS: &[(&str, fn())] = &[
    ("up::a_command_runs_with_a_cluster_around_it", a_command_runs_with_a_cluster_around_it),
    ("up::a_command_that_is_killed_counts_as_in_a_shell", a_command_that_is_killed_counts_as_in_a_shell),
];
