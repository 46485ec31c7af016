//! kubeadm's command line on a cluster in the simulated gear: what it changes, and what that means for the
//! cluster one second before and one second after.

mod certificates;
mod commands;
mod common;
mod control_planes;
mod decoded;
mod openssl;
mod tokens;
mod transcripts;
mod upgrade;
