//! Containers as tasks of this process: a table from image to component.

use async_trait::async_trait;
use kubelet_sim::{Container, Launcher, Running};
use parking_lot::Mutex;
use tokio::sync::Notify;
use world::{Exit, Host, Process, Task};

/// Runs the components that it knows by their image and lets every other container idle.
#[derive(Clone, Debug)]
pub struct TaskLauncher {
    /// The switch of a story's proof: without it no loopback certificate ever seems to end.
    pub check_certificate_dates: bool,
    /// Of the certificates that an apiserver makes for itself.
    pub key_algorithm: pki::KeyAlgorithm,
}

impl Default for TaskLauncher {
    fn default() -> Self {
        Self { check_certificate_dates: true, key_algorithm: pki::KeyAlgorithm::EcdsaP256 }
    }
}

/// `registry.k8s.io/kube-apiserver:v1.32.0` as name and tag.
pub(crate) fn image_parts(image: &str) -> (&str, &str) {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').unwrap_or((last, ""))
}

#[async_trait]
impl Launcher for TaskLauncher {
    async fn launch(&self, host: &Host, container: &Container) -> Result<Box<dyn Running>, String> {
        let (name, tag) = image_parts(&container.image);
        let mut args: Vec<String> = container.command.iter().skip(1).cloned().collect();
        if name.starts_with("kube-") && name != "kube-proxy" && !tag.is_empty() {
            args.push(format!("--kubernetes-version={tag}"));
        }
        let process = host.process(name);
        let inner = process.host().clone();
        let task = match name {
            "etcd" => process.host().spawn(store::server::run(inner, args)),
            "kube-apiserver" => process.host().spawn(apiserver(inner, args, self.clone())),
            "kube-controller-manager" => process.host().spawn(controllers::manager::run(inner, args)),
            "kube-scheduler" => process.host().spawn(controllers::scheduler::run(inner, args)),
            _ => return Ok(Box::new(Idle::default())),
        };
        Ok(Box::new(Component { process, task: Mutex::new(Some(task)) }))
    }
}

async fn apiserver(host: Host, args: Vec<String>, launcher: TaskLauncher) -> Exit {
    let mut options = match ::apiserver::Options::parse(&args) {
        Ok(options) => options,
        Err(e) => return Exit::Failure(e.to_string()),
    };
    options.check_certificate_dates = launcher.check_certificate_dates;
    options.key_algorithm = launcher.key_algorithm;
    match ::apiserver::Server::start(&host, options, None).await {
        Ok(server) => Exit::Failure(server.failed().await),
        Err(e) => Exit::Failure(e.to_string()),
    }
}

struct Component {
    process: Process,
    task: Mutex<Option<Task<Exit>>>,
}

#[async_trait]
impl Running for Component {
    async fn wait(&self) -> (i32, String) {
        let task = self.task.lock().take();
        let exit = match task {
            Some(task) => task.join().await,
            None => None,
        };
        self.process.kill().await;
        match exit {
            Some(Exit::Success) => (0, String::new()),
            Some(Exit::Failure(why)) => (1, why),
            None => (137, String::new()),
        }
    }

    async fn kill(&self) {
        self.process.kill().await;
    }

    fn serves(&self) -> bool {
        true
    }
}

/// A container with nothing behind it.
#[derive(Default)]
struct Idle {
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
        assert_eq!(image_parts("registry.k8s.io/kube-apiserver:v1.32.0"), ("kube-apiserver", "v1.32.0"));
        assert_eq!(image_parts("localhost:5000/a/nginx"), ("nginx", ""));
        assert_eq!(image_parts("etcd:3.6"), ("etcd", "3.6"));
    }
}
