//! What all pods of a kubelet share: its options, its way to the apiserver, the images it has.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use client::{Rest, recorder::Recorder};
use parking_lot::Mutex;
use world::Host;

use crate::{launcher::Launcher, options::Options};

/// See the module.
pub(crate) struct Node {
    pub(crate) options: Arc<Options>,
    pub(super) launcher: Arc<dyn Launcher>,
    /// Static pods run before there is an apiserver.
    api: OnceLock<(Rest, Recorder)>,
    images: Mutex<BTreeSet<String>>,
}

impl Node {
    pub(super) fn new(options: Arc<Options>, launcher: Arc<dyn Launcher>) -> Self {
        Self { options, launcher, api: OnceLock::new(), images: Mutex::default() }
    }

    /// From now on there is an apiserver.
    pub(super) fn connect(&self, host: &Host, rest: &Rest) {
        let recorder = Recorder::on_node(host, rest, "kubelet", self.options.node_name.clone());
        // Only the first connection counts, and there is only one.
        let _ = self.api.set((rest.clone(), recorder));
    }

    pub(crate) fn rest(&self) -> Option<&Rest> {
        self.api.get().map(|(rest, _)| rest)
    }

    pub(super) fn recorder(&self) -> Option<&Recorder> {
        self.api.get().map(|(_, recorder)| recorder)
    }

    pub(super) fn has_image(&self, image: &str) -> bool {
        self.images.lock().contains(image)
    }

    pub(super) fn images(&self) -> Vec<String> {
        self.images.lock().iter().cloned().collect()
    }

    pub(super) fn add_image(&self, image: &str) {
        self.images.lock().insert(image.to_owned());
    }
}
