//! A cluster whose network, disks and power fail, and the promises that hold all the same.

mod common;

mod network;
mod power;
mod promises;
