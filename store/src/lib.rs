//! etcd's contract: keys with revisions, compare-and-write, watches that never skip, leases.
//!
//! The map, in reading order:
//!
//! ```text
//!   Store ──┬── Mvcc<Engine> ──┬── memory   what was not synced is gone after a crash
//!           │                  └── sled     on disk; an acknowledged write survives
//!           └── etcd                        the v3 API of another process
//!
//!   server  serves the v3 API over any Store: the etcd pod
//! ```
//!
//! * [`Store`] is what callers hold; [`memory()`], [`sled()`] and [`etcd()`] make one.
//! * [`Range`], [`Txn`], [`Listing`], [`Batch`] are what goes in and comes out.
//! * [`Engine`] is what an engine must do: keep the newest state, atomically and durably.
//! * [`offline`] looks at a directory on disk that no store works in, and repairs it.
//!
//! One transaction, one revision, strictly increasing, the same for every reader. This crate parses
//! no object: values are bytes.

mod contract;
mod kv;
mod layer;
mod moved;
mod range;
mod txn;
mod watch;

mod engine;
mod memory;
mod mvcc;
mod sled;

mod etcd;
pub mod server;

mod convert;
mod error;
mod feed;
mod proto;

pub use self::etcd::{EtcdOptions, etcd};
pub use self::sled::{Sled, offline, sled, sled_with};
pub use contract::{Lease, LeaseStatus, Outcome, Status, Store};
pub use engine::{Engine, Image, Record};
pub use error::StoreError;
pub use kv::{Batch, Event, EventKind, Kv, Listing, Revision};
pub use layer::Layer;
pub use memory::{Medium, Memory, memory, memory_on};
pub use moved::moved;
pub use mvcc::{Limits, Mvcc};
pub use range::Range;
pub use txn::{Compare, ListOptions, Op, OpResult, Relation, Target, Txn, TxnResult};
pub use watch::{ProgressHandle, Watch, WatchOptions, WatchSource};
