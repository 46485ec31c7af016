//! Commands that are run beside a container's program: probes, hooks, and what people type.

use std::sync::Arc;

use world::Host;

use super::{
    commands,
    evaluate::Shell,
    files::Files,
    machine::Machine,
    pipe::Pipe,
    streams::{Output, Streams},
};
use crate::launcher::{Container, Stdio, not_found};

/// A container as a command sees it: its files, its environment, where it starts.
pub(crate) struct Beside {
    machine: Arc<Machine>,
    env: Vec<(String, String)>,
    dir: String,
}

impl Beside {
    pub(super) fn within(machine: Arc<Machine>, container: &Container) -> Self {
        Self { machine, env: container.env.clone(), dir: container.working_dir.clone() }
    }

    /// For a container whose program is not interpreted.
    pub(crate) fn new(host: &Host, container: &Container) -> Self {
        Self::within(Arc::new(machine(host, container)), container)
    }

    /// What a file in the container holds, if it is there.
    pub(super) fn file(&self, path: &str) -> Option<String> {
        self.machine.files.read(path).ok()
    }

    fn shell(&self) -> Shell {
        let mut shell = Shell::new(self.machine.clone(), Arc::default(), &self.env);
        shell.start_in(&self.dir);
        shell
    }

    /// The exit code and everything that was said.
    pub(super) async fn captured(&self, command: &[String]) -> Option<(i32, String)> {
        let mut shell = self.shell();
        let none =
            Streams { input: Pipe::holding(""), out: Output::Nowhere, err: Output::Nowhere, tty: false };
        let (mut streams, buffer) = none.captured();
        streams.err = streams.out.clone();
        let (program, args) = command.split_first()?;
        shell.call(program, args, &streams).await;
        let output = std::mem::take(&mut *buffer.lock());
        Some((shell.status, output))
    }

    /// The exit code; input and output are streamed.
    ///
    /// # Errors
    /// Nothing of that name is there, in a runtime's words.
    pub(crate) async fn streamed(&self, command: &[String], stdio: &Stdio) -> Result<i32, String> {
        let Some((program, args)) = command.split_first().filter(|(p, _)| commands::is_executable(p)) else {
            return Err(not_found(command));
        };
        let mut shell = self.shell();
        let streams = Streams {
            input: stdio.input.clone(),
            out: Output::Pipe(stdio.out.clone()),
            err: Output::Pipe(if stdio.tty { stdio.out.clone() } else { stdio.err.clone() }),
            tty: stdio.tty,
        };
        shell.call(program, args, &streams).await;
        Ok(shell.status)
    }
}

/// What the scripts of `container` share.
pub(super) fn machine(host: &Host, container: &Container) -> Machine {
    Machine {
        host: host.clone(),
        hostname: container.hostname.clone(),
        files: Files::new(host.disk().clone(), container.mounts.clone(), &container.hostname),
    }
}
