//! The seam between a pod and what really runs: the container runtime's part.

use async_trait::async_trait;
use world::Host;

/// What is to be started.
#[derive(Clone, Debug)]
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

/// A started container.
#[async_trait]
pub trait Running: Send + Sync {
    /// Waits for its end: the exit code and its last words.
    async fn wait(&self) -> (i32, String);
    /// SIGKILL.
    async fn kill(&self);
    /// Whether a program behind it answers probes.
    fn serves(&self) -> bool;
}
