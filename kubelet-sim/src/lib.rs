//! A node as the API sees it: a kubelet that bootstraps, rotates, heartbeats, and runs pods.
//!
//! ```text
//! run ─ options, configuration
//!   ├─ bootstrap     which kubeconfig will do, and the first credentials, before or after the start
//!   ├─ certificates  template (what), request and wait (CSR), store (files and their symlink),
//!   │                manager (when to rotate), transport (connections follow, or the kubelet ends)
//!   ├─ node, lease   registration, status, heartbeats
//!   ├─ pods          static pods from files, pods bound to this node; their life, probes, status
//!   ├─ runtime       the host's containers, which outlive the kubelet
//!   ├─ shell, logs   the interpreter of what test pods do, and what they say
//!   └─ server        healthz on 10248, the kubelet's own port 10250: pages, logs, streams
//! ```
//!
//! What a container *is* the kubelet does not know: a [`Launcher`] starts it. A launcher may run a
//! real component for an image it knows and hand all others to [`interpret`], which runs commands
//! that the interpreter knows and lets images idle of which nothing is known; probes of these count
//! as passed, because there is no program behind them that could answer.

mod bootstrap;
mod certificates;
mod kubelet;
mod launcher;
mod lease;
mod logs;
mod node;
mod options;
mod pods;
mod runtime;
mod server;
mod shell;

pub use kubelet::run;
pub use launcher::{Behind, Container, Idle, Launcher, Running, Stdio, interpret};
pub use logs::{Line, Log, Stream, Wanted};
pub use options::{Options, OptionsError, help};
pub use shell::{Mount, Pipe};
