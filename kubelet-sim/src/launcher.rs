//! The seam between a pod and what really runs: the container runtime's part.

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use world::Host;

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
    /// Whether a program behind it answers probes.
    fn serves(&self) -> bool;
}

/// A container with nothing behind it: it runs until it is killed.
#[derive(Default)]
pub struct Idle {
    killed: Mutex<bool>,
    told: Notify,
}

#[async_trait]
impl Running for Idle {
    async fn wait(&self) -> (i32, String) {
        loop {
            let told = self.told.notified();
            if *self.killed.lock() {
                return (137, String::new());
            }
            told.await;
        }
    }

    async fn kill(&self) {
        *self.killed.lock() = true;
        self.told.notify_waiters();
    }

    fn serves(&self) -> bool {
        false
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
