//! What a pod asks for and may use: the arithmetic that admission shares with the quota controller.

pub(super) use api::quota::amounts::{Amounts, Side, add, of_container, of_pod, read};
