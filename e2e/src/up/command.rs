//! The command that `chronoplane up --exec` runs: a test suite in any language, say.

use std::{
    io::IsTerminal as _,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{ExitCode, ExitStatus},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::process::{Child, Command};
use world::Clock;

use crate::cli::Refusal;

/// After a signal the command and what it started have so long to end before they are killed, and after that to be gone.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often one looks whether they have.
const LOOK: Duration = Duration::from_millis(20);

/// Runs `line` in a shell with the cluster's kubeconfig in `KUBECONFIG`; the exit code is its own, or 128 and the number
/// of the signal that ended it. The signal that `told` gives is passed on to the command and to everything that it
/// started; `clock` tells how long these may take.
///
/// # Errors
/// There is no shell.
pub(super) async fn run(
    line: &str,
    kubeconfig: &Path,
    clock: &Clock,
    told: impl Future<Output = Signal>,
) -> Result<ExitCode, Refusal> {
    let refused = |e: std::io::Error| Refusal(format!("cannot run `sh -c {line:?}`: {e}"));
    // A group of its own is what a signal reaches as a whole. At a terminal it would be one in the background, which may
    // not read what is typed; there Ctrl-C comes to the command by itself.
    let grouped = !std::io::stdin().is_terminal();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(line).env("KUBECONFIG", kubeconfig).kill_on_drop(true);
    if grouped {
        shell.process_group(0);
    }
    let mut child = shell.spawn().map_err(refused)?;
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let signal = tokio::select! {
        biased;
        status = child.wait() => return Ok(code(status.map_err(refused)?)),
        signal = told => signal,
    };
    let Some(pid) = pid else { return Ok(ended_by(signal)) };
    let ended = if grouped {
        // Who is gone already needs no signal.
        let _ = kill_process_group(pid, signal);
        let ended = clock.timeout(FAREWELL, all_gone(&mut child, pid, clock)).await;
        let _ = kill_process_group(pid, Signal::KILL);
        ended
    } else {
        if signal != Signal::INT {
            let _ = kill_process(pid, signal);
        }
        clock.timeout(FAREWELL, child.wait()).await
    };
    match ended {
        Ok(status) => Ok(code(status.map_err(refused)?)),
        Err(_) => {
            let _ = child.start_kill();
            // It may have ended by itself, and only what it started be left.
            let status = child.wait().await.map_err(refused)?;
            if grouped {
                // And no longer: one whose end nobody asks for stays in its group.
                let _ = clock.timeout(FAREWELL, nobody_left(pid, clock)).await;
            }
            Ok(code(status))
        }
    }
}

/// Until the command has ended, and everybody of its group.
async fn all_gone(child: &mut Child, group: Pid, clock: &Clock) -> std::io::Result<ExitStatus> {
    let status = child.wait().await?;
    nobody_left(group, clock).await;
    Ok(status)
}

/// Until everybody of a group has ended.
async fn nobody_left(group: Pid, clock: &Clock) {
    while test_kill_process_group(group).is_ok() {
        clock.sleep(LOOK).await;
    }
}

/// The exit code of one that `signal` ended, as a shell has it.
pub(super) fn ended_by(signal: Signal) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal.as_raw()).unwrap_or(1))
}

/// As a shell has it: 128 and the number of the signal for a command that was killed.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
