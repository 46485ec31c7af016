//! Writers of ConfigMaps: counters that several raise with compare-and-write, and objects with one life.

use std::{collections::VecDeque, sync::Arc};

use client::{ClientError, DeleteParams, Rest};
use serde_json::{Value, json};
use world::Host;

use super::super::{
    history::{History, Known, count},
    scene::{CONFIG_MAPS, NS, Scene, is_open},
};
use crate::HarnessError;

/// Counters that all writers share.
const COUNTERS: u64 = 3;
/// Objects of one writer that are there at a time.
const ALIVE: usize = 3;

/// See the module.
pub(super) struct Writer {
    scene: Arc<Scene>,
    host: Host,
    rest: Rest,
    name: String,
    /// How many writes were tried.
    tries: u64,
    alive: VecDeque<String>,
}

impl Writer {
    pub(super) fn new(scene: &Arc<Scene>, n: usize) -> Result<Self, HarnessError> {
        let (host, name) = (scene.workstation(), format!("writer{n}"));
        let rest = scene.administrator(&host, &name)?;
        Ok(Self { scene: scene.clone(), host, rest, name, tries: 0, alive: VecDeque::new() })
    }

    pub(super) async fn run(mut self) {
        while self.scene.tempo.turn(&self.host).await {
            let counter = format!("counter{}", self.host.entropy().below(COUNTERS));
            self.raise(&counter).await;
            if self.host.entropy().below(2) == 0 {
                continue;
            }
            self.create().await;
            if self.alive.len() > ALIVE
                && let Some(oldest) = self.alive.pop_front()
            {
                self.delete(&oldest).await;
            }
        }
    }

    fn history(&self) -> &History {
        &self.scene.history
    }

    fn stamp(&mut self) -> String {
        self.tries += 1;
        format!("{}-{}", self.name, self.tries)
    }

    /// Reads a counter and raises it by one, if nobody else is faster.
    async fn raise(&mut self, name: &str) {
        let (sent, least) = (self.history().sent(), self.history().counter(name));
        let read = match self.rest.get_opt(&CONFIG_MAPS, NS, name).await {
            Ok(read) => read,
            Err(_) => return,
        };
        self.history().read(sent, name, least, read.as_ref());
        let stamp = self.stamp();
        let sent = self.history().sent();
        let written = match read {
            None => {
                let first = json!({"metadata": {"name": name}, "data": {"n": "1", "by": stamp}});
                self.rest.create(&CONFIG_MAPS, NS, &first).await
            }
            Some(mut object) => {
                object["data"] = json!({"n": (count(&object) + 1).to_string(), "by": stamp});
                self.rest.update(&CONFIG_MAPS, NS, name, &object).await
            }
        };
        if let Ok(stored) = written {
            self.history().counted(sent, &stored);
        }
    }

    async fn create(&mut self) {
        let stamp = self.stamp();
        let name = format!("item-{stamp}");
        let object = json!({"metadata": {"name": name}, "data": {"by": stamp}});
        let sent = self.history().sent();
        // A name of which nobody knows whether it is taken is not used again.
        if let Ok(stored) = self.rest.create(&CONFIG_MAPS, NS, &object).await {
            self.history().acknowledged(sent, &stored);
            self.history().item(sent, &name, Some(Known::Present));
            self.alive.push_back(name);
        }
    }

    async fn delete(&self, name: &str) {
        let (sent, known) = (self.history().sent(), self.history().known(name));
        if let Ok(found) = self.rest.get_opt(&CONFIG_MAPS, NS, name).await {
            self.history().looked(sent, name, known, found.is_some());
        }
        let deleted: Result<Value, ClientError> =
            self.rest.delete(&CONFIG_MAPS, NS, name, &DeleteParams::default()).await;
        match deleted {
            Ok(_) => self.history().item(sent, name, Some(Known::Absent)),
            Err(e) if is_open(&e) => self.history().item(sent, name, None),
            // Refused: it stays.
            Err(_) => {}
        }
    }
}
