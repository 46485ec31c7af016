//! Containers as tasks of this process: a table from image to component.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::FutureExt as _;
use kubelet_sim::{Behind, Container, Launcher, Running, interpret};
use parking_lot::Mutex;
use world::{Exit, Host, Process, Task};

/// Runs the components that it knows by their image and interprets every other container.
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

#[async_trait]
impl Launcher for TaskLauncher {
    async fn launch(&self, host: &Host, container: &Container) -> Result<Box<dyn Running>, String> {
        let (name, tag) = container.program();
        let mut args = container.arguments();
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
            _ => return Ok(interpret(host, container)),
        };
        host.local().get::<Programs>().0.lock().insert(name.to_owned(), process.clone());
        Ok(Box::new(Component { process, task: Mutex::new(Some(task)) }))
    }
}

/// The last process of each component on a host, by the component's name.
#[derive(Default)]
struct Programs(Mutex<BTreeMap<String, Process>>);

/// SIGKILL to the process of that component on `host`; whether there was one.
pub(crate) async fn kill(host: &Host, name: &str) -> bool {
    let programs: Arc<Programs> = host.local().get();
    let process = programs.0.lock().remove(name);
    match process {
        // One that has ended by itself is not there any more.
        Some(process) if process.ended().now_or_never().is_none() => {
            host.record("power", vec![("killed", name.to_owned())]);
            process.kill().await;
            true
        }
        _ => false,
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

    fn behind(&self) -> Behind {
        Behind::Program
    }
}
