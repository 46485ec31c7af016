//! A store at which a test steps in: between two steps of a request that nobody else could come between.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use store::{Kv, Layer, ListOptions, Listing, Range, Revision, Store, StoreError, Txn, TxnResult};

/// What the store was asked, by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Get(String),
    List(String),
    Write(String),
}

type Step = Arc<dyn Fn(Arc<dyn Store>, Asked) -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync>;

pub struct Staged {
    inner: Arc<dyn Store>,
    before: Mutex<Option<Step>>,
    after: Mutex<Option<Step>>,
}

impl Staged {
    pub fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, before: Mutex::default(), after: Mutex::default() })
    }

    /// Does this before anything is asked; an error of it is the answer.
    pub fn before<F>(&self, step: F)
    where
        F: Fn(Arc<dyn Store>, Asked) -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync + 'static,
    {
        *self.before.lock() = Some(Arc::new(step));
    }

    /// Does this before an answer is given.
    pub fn after<F>(&self, step: F)
    where
        F: Fn(Arc<dyn Store>, Asked) -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync + 'static,
    {
        *self.after.lock() = Some(Arc::new(step));
    }

    async fn stage<T>(
        &self,
        asked: Asked,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let before = self.before.lock().clone();
        if let Some(step) = before {
            step(self.inner.clone(), asked.clone()).await?;
        }
        let answer = answer.await;
        let after = self.after.lock().clone();
        if let Some(step) = after {
            step(self.inner.clone(), asked).await?;
        }
        answer
    }
}

fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

#[async_trait]
impl Layer for Staged {
    fn below(&self) -> &dyn Store {
        &*self.inner
    }

    async fn get(&self, key: &[u8], at: Option<Revision>) -> Result<(Option<Kv>, Revision), StoreError> {
        self.stage(Asked::Get(text(key)), self.inner.get(key, at)).await
    }

    async fn list(&self, range: Range, options: ListOptions) -> Result<Listing, StoreError> {
        let asked = Asked::List(text(range.start()));
        self.stage(asked, self.inner.list(range, options)).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResult, StoreError> {
        let key = match txn.success.first() {
            Some(store::Op::Put { key, .. }) => text(key),
            Some(store::Op::Delete { range } | store::Op::Get { range, .. }) => text(range.start()),
            None => String::new(),
        };
        self.stage(Asked::Write(key), self.inner.txn(txn)).await
    }
}
