//! kubeadm as a program on a simulated host: its phases, its files, its words.
//!
//! ```text
//! run ─ cli ─┬─ init   preflight → certs → kubeconfig → etcd → control-plane → kubelet-start →
//!            │         wait-control-plane → upload-config → upload-certs → mark-control-plane →
//!            │         bootstrap-token → kubelet-finalize → addon → show-join-command
//!            ├─ join   preflight → control-plane-prepare → check-etcd → kubelet-start → etcd-join →
//!            │         kubelet-wait-bootstrap → control-plane-join → wait-control-plane
//!            ├─ alpha  phase selfhosting convert-from-staticpods, where a release has it
//!            ├─ token  generate, create, list, delete
//!            ├─ reset  preflight → remove-etcd-member → cleanup-node
//!            ├─ upgrade  plan, apply, node, diff
//!            ├─ config      print, images, migrate, validate
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
mod cert_rows;
mod certificate_key;
mod certs;
mod certs_command;
mod cli;
mod columns;
mod component_configs;
mod config;
mod config_command;
mod config_read;
mod config_write;
mod discovery;
mod documents;
mod dry_run;
mod dynamic_kubelet;
mod etcd_api;
mod etcd_join;
mod etcd_members;
mod etcd_version;
mod expiration;
mod external_ca;
mod external_etcd;
mod features;
mod fields;
mod formats;
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
mod machine;
mod managed;
mod manifests;
mod master_fields;
mod mixed_flags;
mod node_registration;
mod objects;
mod old_join;
mod output;
mod patches;
mod paths;
mod phases;
mod preflight;
mod proxy;
mod renew;
mod reset;
mod schema;
mod schema_alpha;
mod schema_components;
mod self_hosted_secrets;
mod self_hosting;
mod session;
mod stored;
mod subject_names;
mod system_verification;
mod timeouts;
mod token;
mod token_spec;
mod upgrade;
mod upload;
mod upload_certs;
mod user;
mod v1alpha1;
mod version;
mod wait;

pub use cli::run;
pub use config::{ClusterConfig, ControlPlaneJoin, ImageSource, InitConfig, JoinConfig};
pub use documents::ConfigError;
pub use external_etcd::ExternalEtcd;
pub use features::FeatureGates;
pub use master_fields::MasterFields;
pub use node_registration::NodeRegistration;
pub use session::Failure;
pub use timeouts::Timeouts;
pub use token_spec::TokenSpec;
