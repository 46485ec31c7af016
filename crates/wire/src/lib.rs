//! HTTP over a [`world::Host`]'s network, both ends, in either gear.
//!
//! ```text
//!   Handler ◄── Server ◄── TLS ◄── world::Listener        one side
//!                           ▲
//!                     world::Net (streams)
//!                           ▼
//!   Response ◄─ HttpClient ─► TLS ─► world::Net::dial     the other
//! ```
//!
//! * [`Body`], [`body`]: what both directions carry; streamed, collected only up to a limit.
//! * [`Server`], [`ServeOptions`], [`Handler`], [`Peer`]: HTTP/1.1 and HTTP/2 on one listener.
//! * [`HttpClient`]: one endpoint, one HTTP/2 connection, dialled again when it is gone.
//! * [`Error`], [`Cause`], [`Ends`]: what went wrong, with evidence, in the words of Go's client.
//! * [`grpc`]: tonic services on a [`Server`], tonic clients on an [`HttpClient`].
//! * [`upgrade`]: HTTP/1.1 connections that turn into byte streams; [`spdy`] and [`websocket`] over them.
//!
//! Every wait is on the host's clock, every task belongs to the host's process, every `Date` is the
//! host's wall clock: a connection freezes with its host, dies with its process, and two runs of
//! one seed agree.

pub mod body;
mod server;

pub use body::{Body, BoxError};
pub use server::{Handler, Peer, ServeOptions, Server, TlsSource};

mod client;
mod error;
mod gather;

pub use client::{HttpClient, Resolve, follow_certificate, note_rotation};
pub use error::{Cause, Error};
pub use stream::Ends;

pub mod grpc;
pub mod spdy;
pub mod upgrade;
pub mod websocket;

mod activity;
mod runtime;
mod stream;
