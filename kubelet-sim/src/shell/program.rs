//! A container whose program is interpreted.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use world::{Host, Process};

use super::{
    beside::{Beside, machine},
    commands,
    evaluate::Shell,
    machine::Signals,
    pipe::Pipe,
    streams::{Output, Streams},
};
use crate::{
    launcher::{Behind, Container, Running, Stdio},
    logs::{Log, Stream},
};

/// What the interpreter makes of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Knows {
    /// It runs these words.
    Command(Vec<String>),
    /// The program of an image, of which nothing is known.
    Nothing,
}

/// Images that are a shell and nothing else.
const SHELLS: &[&str] = &["alpine", "bash", "busybox", "debian", "ubuntu"];

/// What `container` does, as far as one can know.
pub(crate) fn knows(container: &Container) -> Knows {
    let (image, tag) = container.program();
    let shell = SHELLS.contains(&image);
    match container.command.split_first() {
        // Without a terminal a shell has nothing to read, and ends.
        None if shell => Knows::Command(vec!["sh".into()]),
        None => Knows::Nothing,
        // The one flag of pause: it tells its version and ends. kubeadm's upgrade looks whether a Job can.
        Some((flag, [])) if image == "pause" && flag == "-v" => {
            Knows::Command(vec!["echo".into(), format!("pause.c {tag}")])
        }
        Some((program, _)) if commands::is_known(program) => Knows::Command(container.command.clone()),
        // Arguments of an entry point that only the image knows.
        Some(_) if container.own_entrypoint && !shell => Knows::Nothing,
        // The image's own program, named: `nginx -g …` in nginx.
        Some((program, _)) if program.rsplit('/').next() == Some(image) => Knows::Nothing,
        Some(_) => Knows::Command(container.command.clone()),
    }
}

/// Runs `words` in a process of its own on `host`.
pub(crate) fn start(host: &Host, container: &Container, words: Vec<String>) -> Interpreted {
    let process = host.process(&container.name);
    let machine = Arc::new(machine(process.host(), container));
    let input = if container.stdin { Pipe::new() } else { Pipe::holding("") };
    let (signals, ended) = (Arc::<Signals>::default(), Arc::<Ended>::default());
    let mut shell = Shell::new(machine.clone(), signals.clone(), &container.env);
    shell.start_in(&container.working_dir);
    let log = container.log.clone();
    let streams = match &log {
        Some(log) => Streams {
            input: input.clone(),
            out: Output::Log(log.clone(), Stream::Out),
            err: Output::Log(log.clone(), Stream::Err),
            tty: container.stdin && container.tty,
        },
        None => Streams { input: input.clone(), out: Output::Nowhere, err: Output::Nowhere, tty: false },
    };
    let tell = ended.clone();
    process.host().spawn(async move {
        if let Some((program, args)) = words.split_first() {
            shell.call(program, args, &streams).await;
        }
        tell.set(shell.status);
    });
    let (stdin, last_words) = (container.stdin.then_some(input), container.termination_message.clone());
    let beside = Beside::within(machine, container);
    Interpreted { process, beside, signals, ended, log, stdin, last_words }
}

/// See the module.
pub(crate) struct Interpreted {
    process: Process,
    beside: Beside,
    signals: Arc<Signals>,
    ended: Arc<Ended>,
    log: Option<Arc<Log>>,
    stdin: Option<Arc<Pipe>>,
    /// The file with its termination message.
    last_words: String,
}

/// As much of a termination message as is kept: its end.
const LAST_WORDS: usize = 4096;

fn tail(text: &str) -> String {
    let start = (text.len().saturating_sub(LAST_WORDS)..=text.len()).find(|at| text.is_char_boundary(*at));
    text.get(start.unwrap_or_default()..).unwrap_or_default().to_owned()
}

/// The exit code, once there is one.
#[derive(Default)]
struct Ended {
    code: Mutex<Option<i32>>,
    told: Notify,
}

impl Ended {
    fn set(&self, code: i32) {
        self.code.lock().get_or_insert(code);
        self.told.notify_waiters();
    }

    async fn wait(&self) -> i32 {
        loop {
            let told = self.told.notified();
            if let Some(code) = *self.code.lock() {
                return code;
            }
            told.await;
        }
    }
}

#[async_trait]
impl Running for Interpreted {
    async fn wait(&self) -> (i32, String) {
        let code = self.ended.wait().await;
        if let Some(log) = &self.log {
            log.close();
        }
        (code, self.beside.file(&self.last_words).map(|text| tail(&text)).unwrap_or_default())
    }

    async fn kill(&self) {
        self.process.kill().await;
        self.ended.set(137);
    }

    async fn terminate(&self) {
        self.signals.raise();
    }

    fn behind(&self) -> Behind {
        Behind::Script
    }

    async fn exec(&self, command: &[String]) -> Option<(i32, String)> {
        self.beside.captured(command).await
    }

    async fn stream(&self, command: &[String], stdio: &Stdio) -> Result<i32, String> {
        tokio::select! {
            biased;
            // With the container everything in it is killed.
            _ = self.ended.wait() => Ok(137),
            code = self.beside.streamed(command, stdio) => code,
        }
    }

    fn stdin(&self) -> Option<Arc<Pipe>> {
        self.stdin.clone()
    }
}
