//! The command that `chronoplane up --exec` runs: a test suite in any language, say.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitCode, ExitStatus},
};

use tokio::process::Command;

use crate::cli::Refusal;

/// Runs `line` in a shell with the cluster's kubeconfig in `KUBECONFIG`; the exit code is its own. It does not outlive
/// whoever drops this.
///
/// # Errors
/// There is no shell.
pub(super) async fn run(line: &str, kubeconfig: &Path) -> Result<ExitCode, Refusal> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(line).env("KUBECONFIG", kubeconfig).kill_on_drop(true);
    let status = shell.status().await.map_err(|e| Refusal(format!("cannot run `sh -c {line:?}`: {e}")))?;
    Ok(code(status))
}

/// As a shell has it: 128 and the number of the signal for a command that was killed.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
