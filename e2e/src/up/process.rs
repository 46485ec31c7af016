//! `up --processes`: kubelets as processes, and each component that a kubelet runs as well.
//!
//! A child ends when its parent does, however that ends: it reads its standard input, and nobody
//! else holds the other end.

use std::{path::PathBuf, process::Stdio};

use async_trait::async_trait;
use chronoplane::{Machinery, machinery::kubelet_args};
use kubelet_sim::{Container, Launcher, Running};
use parking_lot::Mutex;
use tokio::{
    process::{Child, Command},
    sync::Notify,
};
use world::{Exit, Host, Unit};

use crate::components::{Component, ENDS_WITH_PARENT, PLACE, Place};

/// Kubelets as child processes; `dir` holds the hosts' files.
pub fn machinery(dir: PathBuf) -> Machinery {
    Machinery::units(move |profile| {
        let dir = dir.clone();
        Unit::new(move |host: Host| {
            let dir = dir.clone();
            async move {
                let args = match kubelet_args(&host, profile) {
                    Ok(args) => args,
                    Err(why) => return Exit::Failure(why),
                };
                let address = match host.net().address() {
                    std::net::IpAddr::V4(address) => address,
                    std::net::IpAddr::V6(_) => {
                        return Exit::Failure("a host of the real gear has an IPv4 address".into());
                    }
                };
                let place = Place { name: host.name().to_owned(), address, root: dir.join(host.name()) };
                match spawn(&place, Component::Kubelet, "kubelet", args) {
                    Ok(mut child) => match child.wait().await {
                        Ok(status) if status.success() => Exit::Success,
                        Ok(status) => Exit::Failure(format!(
                            "kubelet ended with {status}; see {}",
                            log_of(&place, "kubelet").display()
                        )),
                        Err(e) => Exit::Failure(e.to_string()),
                    },
                    Err(why) => Exit::Failure(why),
                }
            }
        })
    })
}

fn log_of(place: &Place, name: &str) -> PathBuf {
    place.root.join("var/log").join(format!("{name}.log"))
}

fn spawn(place: &Place, component: Component, name: &str, args: Vec<String>) -> Result<Child, String> {
    let log = log_of(place, name);
    let open = || -> std::io::Result<std::fs::File> {
        if let Some(dir) = log.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::OpenOptions::new().create(true).append(true).open(&log)
    };
    let out = open().map_err(|e| format!("cannot write {}: {e}", log.display()))?;
    let err = out.try_clone().map_err(|e| format!("cannot write {}: {e}", log.display()))?;
    let program = std::env::current_exe().map_err(|e| format!("cannot find this program again: {e}"))?;
    let place = serde_json::to_string(place).map_err(|e| e.to_string())?;
    Command::new(program)
        .arg(component.command())
        .arg("--")
        .args(args)
        .env(PLACE, place)
        .env(ENDS_WITH_PARENT, "1")
        .stdin(Stdio::piped())
        .stdout(out)
        .stderr(err)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("cannot start {name}: {e}"))
}

/// Runs the components that it knows by their image as processes; everything else idles.
pub struct ProcessLauncher {
    place: Place,
}

impl ProcessLauncher {
    /// For the kubelet of the host at `place`.
    pub fn new(place: Place) -> Self {
        Self { place }
    }
}

#[async_trait]
impl Launcher for ProcessLauncher {
    async fn launch(&self, host: &Host, container: &Container) -> Result<Box<dyn Running>, String> {
        let last = container.image.rsplit('/').next().unwrap_or(&container.image);
        let (name, tag) = last.split_once(':').unwrap_or((last, ""));
        let component = match name {
            "etcd" => Component::Etcd,
            "kube-apiserver" => Component::Apiserver,
            "kube-controller-manager" => Component::Controllers,
            "kube-scheduler" => Component::Scheduler,
            _ => return Ok(Box::new(Idle::default())),
        };
        let mut args: Vec<String> = container.command.iter().skip(1).cloned().collect();
        if component != Component::Etcd && !tag.is_empty() {
            args.push(format!("--kubernetes-version={tag}"));
        }
        let mut child = spawn(&self.place, component, name, args)?;
        let (kill, killed) = tokio::sync::oneshot::channel::<()>();
        let (tell, ended) = tokio::sync::oneshot::channel();
        let log = log_of(&self.place, name);
        host.spawn(async move {
            let outcome = tokio::select! {
                biased;
                _ = killed => {
                    // Its standard input closes: it ends by itself, or is killed after a while.
                    drop(child.stdin.take());
                    let _ = child.wait().await;
                    (137, String::new())
                }
                status = child.wait() => match status {
                    Ok(status) => (status.code().unwrap_or(137), format!("see {}", log.display())),
                    Err(e) => (1, e.to_string()),
                },
            };
            let _ = tell.send(outcome);
        });
        Ok(Box::new(Program { kill: Mutex::new(Some(kill)), ended: tokio::sync::Mutex::new(Some(ended)) }))
    }
}

struct Program {
    kill: Mutex<Option<tokio::sync::oneshot::Sender<()>>>,
    ended: tokio::sync::Mutex<Option<tokio::sync::oneshot::Receiver<(i32, String)>>>,
}

#[async_trait]
impl Running for Program {
    async fn wait(&self) -> (i32, String) {
        match self.ended.lock().await.take() {
            Some(ended) => ended.await.unwrap_or((137, String::new())),
            None => std::future::pending().await,
        }
    }

    async fn kill(&self) {
        if let Some(kill) = self.kill.lock().take() {
            let _ = kill.send(());
        }
    }

    fn serves(&self) -> bool {
        true
    }
}

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
