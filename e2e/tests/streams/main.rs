//! Exec, attach and port-forward through the apiserver, with clients of both protocols.

mod clients;

mod copy;
mod debug;
mod exec;
mod faults;
mod forward;
mod pages;
