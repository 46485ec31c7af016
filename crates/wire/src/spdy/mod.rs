//! SPDY/3.1, as much of it as Kubernetes' exec, attach and port-forward speak.
//!
//! ```text
//!   Session::accept ◄─ incoming ◄─┐                        ┌─► reading task ◄─ io
//!   Session::open ──► orders ─────┼── shared: streams ─────┤
//!   Stream (Reader, Writer) ──────┘                        └─► writing task ─► io
//! ```
//!
//! The other ends (spdystream, below kubectl and kubelets) know no windows and never grant any:
//! what holds a fast sender back is the connection itself. So a reader that does not read holds up
//! all streams of its connection, as there.

mod dictionary;
mod frame;
mod headers;
mod session;

pub use session::{Closed, Reader, Session, Side, Stream, Writer};

/// What is wrong with what the other end sends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct Broken(String);

impl Broken {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}
