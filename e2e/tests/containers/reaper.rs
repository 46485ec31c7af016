//! Who cleans up after a test that is killed: a process beside it, held by a pipe. When the test is gone, however that
//! came, the pipe is closed, and what the test has left is removed.
//!
//! It is this program once more, in a group of its own, so that a signal to the test's group spares it.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use crate::docker;

/// In the environment of a reaper: the owner after whom it cleans up.
const OWNER: &str = "CHRONOPLANE_TEST_REAPER";
/// What the owner had asked the engine for a moment before its end may be there only then: so often, and with such
/// pauses, nothing must be found before the work is done.
const LOOKS: usize = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// See the module. When this is dropped, it has nothing to do and ends.
pub struct Reaper(Child);

impl Reaper {
    /// Starts one for this process.
    ///
    /// # Errors
    /// The system has no process for it.
    pub fn start() -> io::Result<Self> {
        let owner = docker::owner(std::process::id()).ok_or_else(|| io::Error::other("no /proc"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.env(OWNER, owner).process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().map(Self)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        // All handles are dropped by now: there is nothing to wait for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whose reaper this process is, if it is one.
pub fn is_this() -> Option<String> {
    std::env::var(OWNER).ok()
}

/// Waits for the owner's end, and cleans up.
#[allow(clippy::disallowed_methods, reason = "waits for what other processes do, in the system's time")]
pub fn run(owner: &str) -> ExitCode {
    // Nothing is ever written there; an error is an end as well.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    let mut quiet = 0;
    while quiet < LOOKS {
        match docker::remove_all_of(owner) {
            Ok(0) => quiet += 1,
            Ok(_) => quiet = 0,
            // Something is going away by itself, or the engine is: the next process that comes sweeps again.
            Err(_) => quiet += 1,
        }
        thread::sleep(PAUSE);
    }
    ExitCode::SUCCESS
}
