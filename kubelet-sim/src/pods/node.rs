//! What all pods of a kubelet share: its options, its way to the apiserver, the runtime it asks.

use std::sync::{Arc, OnceLock};

use client::{Rest, recorder::Recorder};
use world::Host;

use super::resize::Grants;
use crate::{launcher::Launcher, options::Options, runtime::Runtime};

/// See the module.
pub(crate) struct Node {
    pub(crate) options: Arc<Options>,
    pub(super) launcher: Arc<dyn Launcher>,
    /// Static pods run before there is an apiserver.
    api: OnceLock<(Rest, Recorder)>,
    pub(super) runtime: Arc<Runtime>,
    pub(super) grants: Grants,
}

impl Node {
    pub(super) fn new(host: &Host, options: Arc<Options>, launcher: Arc<dyn Launcher>) -> Self {
        Self {
            options,
            launcher,
            api: OnceLock::new(),
            runtime: Runtime::of(host),
            grants: Grants::default(),
        }
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
}
