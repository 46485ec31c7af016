//! One run of a container: from its start to its end, whoever looks.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;
use world::{Host, Mono, rfc3339};

use crate::{
    launcher::{Container, Launcher, Running},
    logs::Log,
};

/// What containerd says of a container of which it only knows that it does not run any more.
const UNKNOWN: (i32, &str) = (255, "Unknown");

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub code: i32,
    pub reason: &'static str,
    /// Its last words.
    pub words: String,
    /// When, as labels have it.
    pub finished: String,
}

impl End {
    pub(crate) fn new(code: i32, words: String, finished: String) -> Self {
        Self { code, reason: if code == 0 { "Completed" } else { "Error" }, words, finished }
    }
}

/// An end that does not come from the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// So long after the start.
    pub after: Duration,
    pub code: i32,
    /// If it is no ordinary end.
    pub reason: Option<&'static str>,
}

/// See the module.
pub(crate) struct Instance {
    pub id: String,
    /// The container's name in the pod.
    pub name: String,
    pub image: String,
    /// How often the container was started before.
    pub attempt: u64,
    /// Of the sandbox in which it was started.
    pub sandbox: u32,
    pub began: Mono,
    /// When it began, as labels have it.
    pub started: String,
    pub log: Arc<Log>,
    pub running: Arc<dyn Running>,
    host: Host,
    end: Mutex<Option<End>>,
    told: Notify,
    resize: Notify,
}

impl Instance {
    pub(super) async fn start(
        host: &Host,
        launcher: Arc<dyn Launcher>,
        mut container: Container,
        attempt: u64,
        sandbox: u32,
    ) -> Result<Arc<Self>, String> {
        let log = Arc::new(Log::new(host));
        container.log = Some(log.clone());
        let (began, started) = (host.clock().monotonic(), rfc3339(host.clock().wall()));
        let running = launcher.launch(host, &container).await?.into();
        Ok(Arc::new(Self {
            id: format!("chronoplane://{}", host.entropy().uuid().replace('-', "")),
            name: container.name,
            image: container.image,
            attempt,
            sandbox,
            began,
            started,
            log,
            running,
            host: host.clone(),
            end: Mutex::default(),
            told: Notify::new(),
            resize: Notify::new(),
        }))
    }

    /// Until its end, which may be one of `fates`.
    pub(super) async fn watch(&self, fates: Vec<Fate>) {
        let first = fates.into_iter().min_by_key(|fate| fate.after);
        let doom = async {
            match first {
                Some(fate) => {
                    self.host.clock().sleep_until(self.began + fate.after).await;
                    fate
                }
                None => std::future::pending().await,
            }
        };
        let now = || rfc3339(self.host.clock().wall());
        let end = tokio::select! {
            biased;
            (code, words) = self.running.wait() => End::new(code, words, now()),
            fate = doom => {
                self.running.kill().await;
                let end = End::new(fate.code, String::new(), now());
                End { reason: fate.reason.unwrap_or(end.reason), ..end }
            }
        };
        self.set(end);
    }

    /// The host was switched off below it.
    pub(super) fn lose(&self, now: &str) {
        let (code, reason) = UNKNOWN;
        self.log.close();
        self.set(End { code, reason, words: String::new(), finished: now.to_owned() });
    }

    fn set(&self, end: End) {
        self.end.lock().get_or_insert(end);
        self.told.notify_waiters();
    }

    /// Its resources change in a way that it does not survive.
    pub(crate) fn resize_by_restart(&self) {
        self.resize.notify_one();
    }

    /// Waits for [`Instance::resize_by_restart`].
    pub(crate) async fn to_be_resized(&self) {
        self.resize.notified().await;
    }

    /// How it ended, if it has.
    pub(crate) fn end(&self) -> Option<End> {
        self.end.lock().clone()
    }

    /// Waits for its end.
    pub(crate) async fn wait(&self) -> End {
        loop {
            let told = self.told.notified();
            if let Some(end) = self.end() {
                return end;
            }
            told.await;
        }
    }
}
