//! What every loop is given: the host, shared informers, and a client of its own identity.

use std::{collections::BTreeMap, sync::Arc};

use client::{Auth, Informer, InformerOptions, Resource, Rest, ServiceAccountToken, recorder::Recorder};
use parking_lot::Mutex;
use world::Host;

use crate::options::ManagerOptions;

/// See the module. Clones share informers.
#[derive(Clone)]
pub(crate) struct Context {
    pub host: Host,
    pub options: Arc<ManagerOptions>,
    root: Rest,
    /// A connection without a client certificate, for service accounts.
    plain: Rest,
    informers: Arc<Mutex<BTreeMap<String, Informer>>>,
}

impl Context {
    pub(crate) fn new(host: &Host, options: Arc<ManagerOptions>, root: Rest, plain: Rest) -> Self {
        Self { host: host.clone(), options, root, plain, informers: Arc::default() }
    }

    /// The informer of `resource` that all loops share, with the manager's own identity.
    pub(crate) fn informer(&self, resource: Resource) -> Informer {
        let mut informers = self.informers.lock();
        let key = resource.qualified();
        informers
            .entry(key)
            .or_insert_with(|| Informer::start(&self.host, &self.root, resource, InformerOptions::default()))
            .clone()
    }

    /// The manager's own client: of the one loop that no service account can stand for.
    pub(crate) fn root(&self) -> Rest {
        self.root.clone()
    }

    /// The client of the loop whose service account is `kube-system/<name>`.
    pub(crate) fn rest(&self, name: &str) -> Rest {
        if !self.options.use_service_account_credentials {
            return self.root.clone();
        }
        let tokens = ServiceAccountToken::new(&self.host, &self.root, "kube-system", name);
        self.plain.with_auth(Auth::Token(Arc::new(tokens)))
    }

    /// Tells people what a loop did.
    pub(crate) fn recorder(&self, rest: &Rest, component: &str) -> Recorder {
        Recorder::new(&self.host, rest, component)
    }
}
