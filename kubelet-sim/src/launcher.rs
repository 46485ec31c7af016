//! The seam between a pod and what really runs: the container runtime's part.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use world::Host;

use crate::{
    logs::Log,
    shell::{self, Knows, Mount},
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
    /// The image's name without registry and path, and its tag: `kube-apiserver`, `v1.32.0`.
    pub fn program(&self) -> (&str, &str) {
        let last = self.image.rsplit('/').next().unwrap_or(&self.image);
        last.split_once(':').unwrap_or((last, ""))
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
        Knows::Nothing => Box::new(Idle::default()),
    }
}

/// A container with nothing behind it: it runs until it is stopped, and stops at once.
#[derive(Default)]
pub struct Idle {
    code: Mutex<Option<i32>>,
    told: Notify,
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
    }
}
