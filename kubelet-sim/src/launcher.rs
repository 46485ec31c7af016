//! The seam between a pod and what really runs: the container runtime's part.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use world::Host;

use crate::{
    logs::Log,
    shell::{self, Beside, Knows, Mount, Pipe},
};

/// What is to be started.
#[derive(Clone, Debug, Default)]
pub struct Container {
    /// The pod's name, as in the API.
    pub pod_name: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The container's name in the pod.
    pub name: String,
    /// Its image reference.
    pub image: String,
    /// Entry point and arguments; empty means the image's own.
    pub command: Vec<String>,
    /// Whether `command` is only arguments of the image's own entry point.
    pub own_entrypoint: bool,
    /// Its environment, in order.
    pub env: Vec<(String, String)>,
    /// Its volumes.
    pub mounts: Vec<Mount>,
    /// Where it starts; empty for the root.
    pub working_dir: String,
    /// The file in which it leaves its last words (terminationMessagePath).
    pub termination_message: String,
    /// What it takes for its host's name.
    pub hostname: String,
    /// Where its output goes.
    pub log: Option<Arc<Log>>,
    /// Whether it shares the host's network.
    pub host_network: bool,
    /// Whether its standard input stays open for whoever attaches.
    pub stdin: bool,
    /// Whether it has a terminal.
    pub tty: bool,
}

/// The streams of a command that is run beside a container.
#[derive(Clone, Debug, Default)]
pub struct Stdio {
    /// What it reads.
    pub input: Arc<Pipe>,
    /// What it prints.
    pub out: Arc<Pipe>,
    /// What it complains about; with a terminal that goes to `out`.
    pub err: Arc<Pipe>,
    /// Whether it has a terminal.
    pub tty: bool,
}

/// Starts containers.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Starts `container` on `host`, in a process of its own.
    ///
    /// # Errors
    /// Why it cannot start, for the pod's status (`CreateContainerError`).
    async fn launch(&self, host: &Host, container: &Container) -> Result<Box<dyn Running>, String>;
}

impl Container {
    /// The image's name without registry, path and architecture, and its tag: `kube-apiserver`, `v1.32.0`.
    /// An image of all components at once is the one that its command names.
    pub fn program(&self) -> (&str, &str) {
        let last = self.image.rsplit('/').next().unwrap_or(&self.image);
        let (name, tag) = last.split_once(':').unwrap_or((last, ""));
        match (name.strip_suffix("-amd64").unwrap_or(name), self.command.first()) {
            ("hyperkube", Some(component)) => (component, tag),
            (name, _) => (name, tag),
        }
    }

    /// The command without its program, for one that reads the host's own disk: a path in a volume is where
    /// the host has it.
    pub fn arguments(&self) -> Vec<String> {
        self.command.iter().skip(1).map(|word| self.on_host(word)).collect()
    }

    fn on_host(&self, word: &str) -> String {
        let Some((flag, path)) = word.split_once('=') else { return word.to_owned() };
        let mounts = self.mounts.iter().filter_map(|mount| {
            let below = path.strip_prefix(mount.path.trim_end_matches('/'))?;
            (below.is_empty() || below.starts_with('/')).then_some((mount, below))
        });
        // Of nested mounts the innermost counts.
        match mounts.max_by_key(|(mount, _)| mount.path.len()) {
            Some((mount, below)) => format!("{flag}={}{below}", mount.source),
            None => word.to_owned(),
        }
    }
}

/// A started container.
#[async_trait]
pub trait Running: Send + Sync {
    /// Waits for its end: the exit code and its last words.
    async fn wait(&self) -> (i32, String);
    /// SIGKILL.
    async fn kill(&self);
    /// SIGTERM; what does not know it is killed.
    async fn terminate(&self) {
        self.kill().await;
    }
    /// What would answer a probe.
    fn behind(&self) -> Behind;
    /// Runs a command beside it, as probes and hooks do: its exit code and output. `None` where
    /// nothing can be run.
    async fn exec(&self, _command: &[String]) -> Option<(i32, String)> {
        None
    }
    /// Runs a command beside it with streams of its own, as `kubectl exec` does: its exit code.
    ///
    /// # Errors
    /// It could not be started, in a runtime's words. Without an interpreter behind it there is no
    /// program but the container's own, as in an image without a shell.
    async fn stream(&self, command: &[String], _stdio: &Stdio) -> Result<i32, String> {
        Err(not_found(command))
    }
    /// Its standard input, if that stays open.
    fn stdin(&self) -> Option<Arc<Pipe>> {
        None
    }
}

/// What runc says of a program that is not there, as containerd passes it on.
pub(crate) fn not_found(command: &[String]) -> String {
    let program = command.first().map_or("", String::as_str);
    let why = if program.contains('/') {
        format!("stat {program}: no such file or directory")
    } else {
        "executable file not found in $PATH".to_owned()
    };
    format!(
        "OCI runtime exec failed: exec failed: unable to start container process: exec: {program:?}: {why}: unknown"
    )
}

/// What is behind a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// A program that may listen on the network.
    Program,
    /// An interpreted script: commands can be run beside it, and it listens nowhere.
    Script,
    /// Nothing: probes of it count as passed.
    Nothing,
}

/// Runs a container that is no component of ours: its command is interpreted, and an image of which
/// nothing is known idles.
pub fn interpret(host: &Host, container: &Container) -> Box<dyn Running> {
    match shell::knows(container) {
        Knows::Command(words) => Box::new(shell::start(host, container, words)),
        Knows::Nothing => Box::new(Idle { beside: Some(Beside::new(host, container)), ..Idle::default() }),
    }
}

/// A container with nothing behind it: it runs until it is stopped, and stops at once.
#[derive(Default)]
pub struct Idle {
    code: Mutex<Option<i32>>,
    told: Notify,
    beside: Option<Beside>,
}

impl Idle {
    fn end(&self, code: i32) {
        self.code.lock().get_or_insert(code);
        self.told.notify_waiters();
    }
}

#[async_trait]
impl Running for Idle {
    async fn wait(&self) -> (i32, String) {
        loop {
            let told = self.told.notified();
            if let Some(code) = *self.code.lock() {
                return (code, String::new());
            }
            told.await;
        }
    }

    async fn kill(&self) {
        self.end(137);
    }

    async fn terminate(&self) {
        self.end(0);
    }

    fn behind(&self) -> Behind {
        Behind::Nothing
    }

    async fn stream(&self, command: &[String], stdio: &Stdio) -> Result<i32, String> {
        let Some(beside) = &self.beside else { return Err(not_found(command)) };
        tokio::select! {
            biased;
            _ = self.wait() => Ok(137),
            code = beside.streamed(command, stdio) => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_a_name_and_a_tag() {
        let check = |image: &str, parts: (&str, &str)| {
            let container = Container { image: image.into(), ..Container::default() };
            assert_eq!(container.program(), parts, "{image}");
        };
        check("registry.k8s.io/kube-apiserver:v1.32.0", ("kube-apiserver", "v1.32.0"));
        check("localhost:5000/a/nginx", ("nginx", ""));
        check("etcd:3.6", ("etcd", "3.6"));
        check("k8s.gcr.io/kube-scheduler-amd64:v1.10.0", ("kube-scheduler", "v1.10.0"));
    }

    #[test]
    fn one_image_of_all_components_runs_what_its_command_names() {
        let container = Container {
            image: "k8s.gcr.io/hyperkube:v1.10.0".into(),
            command: ["kube-apiserver", "--a=/etc/pki/ca.crt", "--b=/etc/pkis", "--c"]
                .map(str::to_owned)
                .to_vec(),
            mounts: vec![Mount { path: "/etc/pki".into(), source: "/var/v".into(), read_only: true }],
            ..Container::default()
        };
        assert_eq!(container.program(), ("kube-apiserver", "v1.10.0"));
        assert_eq!(container.arguments(), ["--a=/var/v/ca.crt", "--b=/etc/pkis", "--c"]);
    }
}
