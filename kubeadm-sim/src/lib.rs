//! kubeadm as a program on a simulated host: its phases, its files, its words.
//!
//! ```text
//! run ─ cli ─┬─ init   preflight → certs → kubeconfig → etcd → control-plane → kubelet-start →
//!            │         wait-control-plane → upload-config → upload-certs → mark-control-plane →
//!            │         bootstrap-token → kubelet-finalize → addon → show-join-command
//!            ├─ join   preflight → discovery → kubelet-start → kubelet-wait-bootstrap
//!            ├─ alpha  phase selfhosting convert-from-staticpods, where a release has it
//!            ├─ token  generate, create, list, delete
//!            ├─ reset
//!            ├─ config      print, images, validate
//!            ├─ kubeconfig  user
//!            └─ certs  check-expiration, renew, generate-csr, certificate-key
//! ```
//!
//! It starts nothing itself: it writes manifests, and the kubelet runs them. It speaks HTTP to the
//! apiserver like anybody. Facts are kubeadm 1.36's (`cmd/kubeadm/app`). What older releases did
//! otherwise, the order of these phases among it, is asked of `api::profile`: no minor is compared here.

mod addons;
mod alpha;
mod api_wait;
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
mod dynamic_kubelet;
mod expiration;
mod external_ca;
mod external_etcd;
mod features;
mod fields;
mod generate_csr;
mod init;
mod init_args;
mod join;
mod join_args;
mod join_command;
mod join_control_plane;
mod kube_dns;
mod kubeconfigs;
mod kubelet;
mod managed;
mod manifests;
mod master_fields;
mod objects;
mod old_join;
mod paths;
mod phases;
mod preflight;
mod renew;
mod reset;
mod schema;
mod self_hosted_secrets;
mod self_hosting;
mod session;
mod stored;
mod subject_names;
mod token;
mod upload;
mod upload_certs;
mod user;
mod v1alpha1;
mod v1alpha2;
mod wait;

pub use cli::run;
pub use config::{ClusterConfig, ControlPlaneJoin, InitConfig, JoinConfig};
pub use documents::ConfigError;
pub use external_etcd::ExternalEtcd;
pub use features::FeatureGates;
pub use master_fields::{HostPathMount, MasterFields};
pub use session::Failure;
