//! A store over another one: what it does not do itself it passes on.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Kv, Lease, LeaseStatus, ListOptions, Listing, Range, Revision, Status, Store, StoreError, Txn, TxnResult,
    Watch, WatchOptions,
};

/// See the module. Whoever has this is a [`Store`]; of a store's requests a layer may want to see those that carry
/// keys.
#[async_trait]
pub trait Layer: Send + Sync + 'static {
    /// The store below.
    fn below(&self) -> &dyn Store;

    /// As [`Store::get`].
    async fn get(&self, key: &[u8], at: Option<Revision>) -> Result<(Option<Kv>, Revision), StoreError> {
        self.below().get(key, at).await
    }

    /// As [`Store::list`].
    async fn list(&self, range: Range, options: ListOptions) -> Result<Listing, StoreError> {
        self.below().list(range, options).await
    }

    /// As [`Store::txn`].
    async fn txn(&self, txn: Txn) -> Result<TxnResult, StoreError> {
        self.below().txn(txn).await
    }
}

#[async_trait]
impl<L: Layer> Store for L {
    async fn get(&self, key: &[u8], at: Option<Revision>) -> Result<(Option<Kv>, Revision), StoreError> {
        Layer::get(self, key, at).await
    }

    async fn list(&self, range: Range, options: ListOptions) -> Result<Listing, StoreError> {
        Layer::list(self, range, options).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResult, StoreError> {
        Layer::txn(self, txn).await
    }

    async fn watch(&self, range: Range, from: Revision, options: WatchOptions) -> Result<Watch, StoreError> {
        self.below().watch(range, from, options).await
    }

    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        self.below().compact(at).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.below().revision().await
    }

    async fn lease_grant(&self, id: i64, ttl: Duration) -> Result<Lease, StoreError> {
        self.below().lease_grant(id, ttl).await
    }

    async fn lease_revoke(&self, id: i64) -> Result<Revision, StoreError> {
        self.below().lease_revoke(id).await
    }

    async fn lease_keepalive(&self, id: i64) -> Result<Duration, StoreError> {
        self.below().lease_keepalive(id).await
    }

    async fn lease_status(&self, id: i64) -> Result<LeaseStatus, StoreError> {
        self.below().lease_status(id).await
    }

    async fn status(&self) -> Result<Status, StoreError> {
        self.below().status().await
    }
}
