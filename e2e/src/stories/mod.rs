//! The stories, one folder or file each, named as their ids.

pub mod loopback_expiry;
