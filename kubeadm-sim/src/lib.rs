//! kubeadm as a program on a simulated host: its phases, its files, its words.
//!
//! ```text
//! run ─ cli ─┬─ init   preflight → certs → kubeconfig → etcd → control-plane → kubelet-start →
//!            │         wait-control-plane → upload-config → upload-certs → mark-control-plane →
//!            │         bootstrap-token → kubelet-finalize → addon → show-join-command
//!            ├─ join   preflight → discovery → kubelet-start → kubelet-wait-bootstrap
//!            ├─ token  generate, create, list, delete
//!            ├─ reset
//!            ├─ upgrade  plan, apply, node, diff
//!            ├─ config      print, images, validate
//!            ├─ kubeconfig  user
//!            └─ certs  check-expiration, renew, generate-csr, certificate-key
//! ```
//!
//! It starts nothing itself: it writes manifests, and the kubelet runs them. It speaks HTTP to the
//! apiserver like anybody. Facts are kubeadm 1.36's (`cmd/kubeadm/app`). What older releases did
//! otherwise, the order of these phases among it, is asked of `api::profile`: no minor is compared here.

mod addons;
mod bootstrap_token;
mod certificate_key;
mod certs;
mod certs_command;
mod cli;
mod columns;
mod config;
mod config_command;
mod discovery;
mod documents;
mod expiration;
mod external_etcd;
mod generate_csr;
mod init;
mod init_args;
mod join;
mod join_args;
mod join_command;
mod join_control_plane;
mod kubeconfigs;
mod kubelet;
mod managed;
mod manifests;
mod objects;
mod output;
mod paths;
mod phases;
mod preflight;
mod renew;
mod reset;
mod schema;
mod session;
mod stored;
mod subject_names;
mod token;
mod upgrade;
mod upload;
mod upload_certs;
mod user;
mod wait;

pub use cli::run;
pub use config::{ClusterConfig, ControlPlaneJoin, InitConfig, JoinConfig};
pub use documents::ConfigError;
pub use external_etcd::ExternalEtcd;
pub use session::Failure;
