//! A kubelet's certificates and its node, in a cluster that kubeadm made.

mod absence;
mod common;

mod bootstrap;
mod ending;
mod node;
mod resize;
mod serving;
mod volumes;
