//! What every loop is given: the host, shared informers, and a client of its own identity.

use std::{collections::BTreeMap, sync::Arc};

use client::{
    Auth, Informer, InformerOptions, QueueOptions, Resource, Rest, ServiceAccountToken, recorder::Recorder,
};
use parking_lot::Mutex;
use world::Host;

use crate::options::ManagerOptions;

/// See the module. Clones share informers.
#[derive(Clone)]
pub(crate) struct Context {
    pub host: Host,
    pub options: Arc<ManagerOptions>,
    root: Rest,
    /// The same identity once more, with a limit of its own: asks for service accounts' tokens.
    accounts: Rest,
    /// A connection without a client certificate, for service accounts.
    plain: Rest,
    informers: Arc<Mutex<BTreeMap<String, Informer>>>,
}

impl Context {
    pub(crate) fn new(host: &Host, options: Arc<ManagerOptions>, root: Rest, plain: Rest) -> Self {
        let (qps, burst) = (options.kube_api_qps, options.kube_api_burst);
        let (root, accounts) = (root.with_rate(qps, burst), root.with_rate(qps, burst));
        Self { host: host.clone(), options, root, accounts, plain, informers: Arc::default() }
    }

    /// The informer of `resource` that all loops share, with the manager's own identity.
    pub(crate) fn informer(&self, resource: Resource) -> Informer {
        let mut informers = self.informers.lock();
        let key = resource.qualified();
        informers
            .entry(key)
            .or_insert_with(|| {
                // Signed within a second, then kept for an hour in which nobody asks for them.
                let packed = resource.plural == "certificatesigningrequests";
                let options = InformerOptions { packed, ..InformerOptions::default() };
                Informer::start(&self.host, &self.root, resource, options)
            })
            .clone()
    }

    /// The manager's own client: of the one loop that no service account can stand for.
    pub(crate) fn root(&self) -> Rest {
        self.root.clone()
    }

    /// The client of the loop whose service account is `kube-system/<name>`, within the manager's rate.
    pub(crate) fn rest(&self, name: &str) -> Rest {
        self.rest_at(name, 1, 1)
    }

    /// As [`Context::rest`], for the loops that may send so many times as much.
    pub(crate) fn rest_at(&self, name: &str, rate: u32, burst: u32) -> Rest {
        let (rate, burst) =
            (self.options.kube_api_qps * f64::from(rate), self.options.kube_api_burst.saturating_mul(burst));
        if !self.options.use_service_account_credentials {
            return self.root.with_rate(rate, burst);
        }
        let tokens = ServiceAccountToken::new(&self.host, &self.accounts, "kube-system", name);
        self.plain.with_auth(Auth::Token(Arc::new(tokens))).with_rate(rate, burst)
    }

    /// The limits of an ordinary loop's work queue.
    pub(crate) fn queue_options(&self) -> QueueOptions {
        let QueueOptions { base, max, .. } = QueueOptions::default();
        self.options.queue(base, max)
    }

    /// Tells people what a loop did.
    pub(crate) fn recorder(&self, rest: &Rest, component: &str) -> Recorder {
        Recorder::new(&self.host, rest, component)
    }
}
