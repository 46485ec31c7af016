//! How our components speak to an API server: as JSON, over `wire`, on the host's clock.
//!
//! ```text
//!   Rest ── one request, one answer           Resource names what, Auth says who
//!    ├── watch() ── WatchStream               frames become events
//!    └── Informer ── list, watch, resume      a store that follows the server
//!            │ on(Change)
//!         WorkQueue ── run_workers            a key is in one worker's hands at a time
//!
//!   discovery                what the server serves
//!   leader::LeaderElector    one of several candidates acts
//!   recorder::Recorder       what a component tells people: events
//!   kube_client              the same connection for users: a `kube::Client`
//!   Faults                   what goes wrong with a user's requests, one by one
//! ```
//!
//! Objects are `serde_json::Value`; caches hand out `Arc<Value>`. Upstream's behaviour is kept where
//! somebody can see it: query parameters, words of errors and logs, back-off times.

mod error;
mod params;
mod resource;

pub mod answer;
mod auth;
mod exchange;
mod list;
mod rest;
mod retry;
mod tally;
mod untracked;
mod watch;

mod backoff;
mod informer;

mod limiter;
mod queue;
mod throttle;
mod workers;

pub mod discovery;
pub mod leader;
pub mod recorder;

mod connect;
mod faults;
mod kube;

pub use auth::{Auth, ServiceAccountToken, Token, TokenSource};
pub use backoff::Backoff;
pub use connect::{connection, credentials, kube_client};
pub use error::ClientError;
pub use faults::{Fault, Faults, Planned, Requests};
pub use informer::{Change, Index, Informer, InformerOptions, key_of, split_key};
pub use kube::{authorize, faulty_kube_client, kube_client_over};
pub use limiter::{Bucket, RateLimiter};
pub use list::List;
pub use params::{DeleteParams, ListParams, Patch, WatchParams};
pub use queue::{QueueOptions, WorkQueue};
pub use resource::Resource;
pub use rest::Rest;
pub use tally::Tally;
pub use watch::{EventKind, WatchEvent, WatchStream};
pub use workers::{Next, run_workers};
