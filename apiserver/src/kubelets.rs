//! The server's way to kubelets: connections with its own client certificate, kept per kubelet.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use api::{object::ObjectExt, status::Status};
use parking_lot::Mutex;
use pki::{ClientTls, FileIdentity, Roots};
use serde_json::Value;
use wire::{HttpClient, follow_certificate};
use world::Host;

use crate::{Options, informers::Informers};

/// Where a kubelet listens whose node does not say.
const PORT: i64 = 10250;
/// Upstream's order of preference (`--kubelet-preferred-address-types`).
const ADDRESS_TYPES: [&str; 5] = ["Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"];

/// By node, with the address that the node had.
type Clients = Arc<Mutex<BTreeMap<String, (String, HttpClient)>>>;

/// See the module.
pub struct Kubelets {
    host: Host,
    options: Arc<Options>,
    informers: Arc<Informers>,
    clients: Clients,
    /// What the server shows kubelets, once it has shown it.
    identity: OnceLock<Option<Arc<FileIdentity>>>,
}

impl Kubelets {
    /// Nothing is read or dialled before the first use.
    pub fn new(host: &Host, options: &Arc<Options>, informers: Arc<Informers>) -> Self {
        let (clients, identity) = (Arc::default(), OnceLock::new());
        Self { host: host.clone(), options: options.clone(), informers, clients, identity }
    }

    /// The client for the kubelet of `node`, an object.
    ///
    /// # Errors
    /// The node has no usable address, or the authority's file cannot be used.
    pub fn of(&self, node: &Value) -> Result<HttpClient, Status> {
        let url = self.url(node)?;
        let mut clients = self.clients.lock();
        if let Some((_, client)) = clients.get(node.name()).filter(|(of, _)| *of == url) {
            return Ok(client.clone());
        }
        let client = HttpClient::new(&self.host, &url, Some(self.tls()?))
            .map_err(|e| Status::unclassified(format!("cannot reach the kubelet at {url}: {e}")))?;
        // Nobody asks for the kubelet of a node that is gone.
        clients.retain(|name, _| self.informers.nodes.get(None, name).is_some());
        clients.insert(node.name().to_owned(), (url, client.clone()));
        Ok(client)
    }

    fn url(&self, node: &Value) -> Result<String, Status> {
        let given = &self.options.kubelet_preferred_address_types;
        let preferred: Vec<&str> = if given.is_empty() {
            ADDRESS_TYPES.to_vec()
        } else {
            given.iter().map(String::as_str).collect()
        };
        let addresses = node.list_at("/status/addresses");
        let found = preferred.iter().find_map(|kind| addresses.iter().find(|a| a.str_at("/type") == *kind));
        let Some(address) = found.map(|a| a.str_at("/address")) else {
            let words = format!("no preferred addresses found; known addresses: {}", Value::from(addresses));
            return Err(Status::unclassified(words));
        };
        let port = node.i64_at("/status/daemonEndpoints/kubeletEndpoint/Port").unwrap_or(PORT);
        // An address of IPv6 stands in brackets.
        let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        Ok(format!("https://{address}:{port}"))
    }

    fn tls(&self) -> Result<ClientTls, Status> {
        let options = &self.options;
        let mut tls = ClientTls::new(&self.host, options.profile.go());
        tls = match &options.kubelet_certificate_authority {
            // Kubelets sign their serving certificates themselves unless told otherwise.
            None => tls.insecure(),
            Some(path) => {
                let shown = path.display();
                let pem = self.host.disk().read(path);
                let pem =
                    pem.map_err(|e| Status::unclassified(format!("cannot read the CA bundle {shown}: {e}")))?;
                tls.roots(Roots::from_pem(&pem).map_err(|e| Status::unclassified(format!("{shown}: {e}")))?)
            }
        };
        if let Some(identity) = self.identity.get_or_init(|| self.identity()) {
            tls = tls.identity(identity.clone());
        }
        Ok(tls)
    }

    /// Each handshake reads the files again. Connections from before are kept, or closed, as the release has it.
    fn identity(&self) -> Option<Arc<FileIdentity>> {
        let files =
            self.options.kubelet_client_certificate.as_ref().zip(self.options.kubelet_client_key.as_ref());
        let identity = files.map(|(crt, key)| Arc::new(FileIdentity::new(self.host.disk(), crt, key)))?;
        if self.options.profile.kubelet_connections_follow_certificate() {
            let (host, identity, clients) = (self.host.clone(), identity.clone(), self.clients.clone());
            self.host.spawn(async move {
                let close = || clients.lock().values().for_each(|(_, client)| client.close_connections());
                follow_certificate(&host, &*identity, close).await
            });
        }
        Some(identity)
    }
}

#[cfg(test)]
mod tests {
    use client::Informer;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_client_is_kept_while_its_node_is_there() {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let host = sim.host("cp");
            let options = Arc::new(Options::parse(["--storage-backend=memory"]).unwrap());
            let node = |n: u32, address: u32| json!({ "metadata": { "name": format!("n{n}") },
                "status": { "addresses": [{ "type": "InternalIP", "address": format!("10.0.0.{address}") }] } });
            let mut kubelets = Kubelets::new(&host, &options, Arc::new(Informers::empty()));
            let kept = |kubelets: &Kubelets| -> Vec<String> {
                kubelets.clients.lock().iter().map(|(name, (url, _))| format!("{name} {url}")).collect()
            };
            for n in 0..3 {
                let nodes = Informer::fixed(vec![node(n, n), node(n + 1, 99)]);
                kubelets.informers = Arc::new(Informers { nodes, ..Informers::empty() });
                kubelets.of(&node(n, n)).unwrap();
                kubelets.of(&node(n + 1, 99)).unwrap();
            }
            // The second node of each round is the first of the next, with another address.
            assert_eq!(kept(&kubelets), ["n2 https://10.0.0.2:10250", "n3 https://10.0.0.99:10250"]);
        })
        .unwrap();
    }
}
