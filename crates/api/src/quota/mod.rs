//! What a quota counts: admission asks before a write, the quota controller adds up what is there.

pub mod amounts;
pub mod usage;
