//! The container runtime of a host. Containers are its own: a kubelet asks it to start them, finds them again
//! after a restart, and has it forget a pod; without a kubelet they go on.
//!
//! ```text
//!   Runtime   one per host, in Host::local      images, addresses
//!     └─ Sandbox   one per pod                  its slice of the host's processes, its address
//!          └─ Instance   one run of a container the program, its log, how it ended
//! ```
//!
//! A pod's processes are a slice of the host's init (`kubepods-pod<uid>.slice`). Switching the host off ends
//! them, which the runtime finds out at its next look, as containerd does; whoever removes the slice (`kubeadm
//! reset`) removes the pod.

mod instance;
mod sandbox;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use api::object::ObjectExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use world::Host;

pub(crate) use instance::{End, Fate, Instance};
pub(crate) use sandbox::Sandbox;

/// See the module.
#[derive(Default)]
pub(crate) struct Runtime {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the pod's UID.
    sandboxes: BTreeMap<String, Arc<Sandbox>>,
    images: BTreeSet<String>,
    /// How many addresses were given out.
    addresses: u32,
}

impl Runtime {
    /// The runtime of `host`, which outlives whoever asks.
    pub(crate) fn of(host: &Host) -> Arc<Self> {
        host.local().get()
    }

    /// The sandboxes that are there, ready or not.
    pub(crate) fn sandboxes(&self, host: &Host) -> Vec<Arc<Sandbox>> {
        let mut state = self.state.lock();
        state.sandboxes.retain(|_, sandbox| sandbox.is_there(host));
        let all: Vec<_> = state.sandboxes.values().cloned().collect();
        drop(state);
        all.iter().for_each(|sandbox| sandbox.look(host));
        all
    }

    /// The sandbox of pod `uid`, if there is one, ready or not.
    pub(crate) fn find(&self, host: &Host, uid: &str) -> Option<Arc<Sandbox>> {
        self.sandboxes(host).into_iter().find(|sandbox| sandbox.uid() == uid)
    }

    /// A sandbox that is ready for `pod`: the one that is there, or a new one. A new one takes over what is
    /// known of the containers of one that the host's end has ended.
    pub(crate) fn sandbox(&self, host: &Host, pod: &Arc<Value>, node: IpAddr) -> Arc<Sandbox> {
        let before = self.find(host, pod.uid());
        if let Some(ready) = before.as_ref().filter(|sandbox| sandbox.is_ready(host)) {
            return ready.clone();
        }
        let address = match pod.bool_at("/spec/hostNetwork") {
            true => node.to_string(),
            false => self.address(node),
        };
        let sandbox = Arc::new(Sandbox::new(host, pod.clone(), address, before.as_deref()));
        self.state.lock().sandboxes.insert(pod.uid().to_owned(), sandbox.clone());
        sandbox
    }

    /// Ends whatever runs in the pod's sandbox, and forgets it.
    pub(crate) async fn remove(&self, host: &Host, uid: &str) {
        let found = self.state.lock().sandboxes.get(uid).cloned();
        if let Some(sandbox) = found {
            sandbox.remove(host).await;
            self.state.lock().sandboxes.remove(uid);
        }
    }

    /// Addresses from the range of a node's own bridge, told apart by the node's last octet.
    fn address(&self, node: IpAddr) -> String {
        let mut state = self.state.lock();
        state.addresses += 1;
        let next = state.addresses + 1;
        let node = match node {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(ip) => ip.octets()[15],
        };
        format!("10.{}.{node}.{}", 244 - (next / 254) % 16, next % 254 + 1)
    }

    pub(crate) fn has_image(&self, image: &str) -> bool {
        self.state.lock().images.contains(image)
    }

    /// Names of the images that are on the host, sorted.
    pub(crate) fn images(&self) -> Vec<String> {
        self.state.lock().images.iter().cloned().collect()
    }

    pub(crate) fn add_image(&self, image: &str) {
        self.state.lock().images.insert(image.to_owned());
    }
}
