//! How much a simulated node has, and how much of it pods may have.

use serde_json::{Value, json};

use crate::options::Options;

const CPU: &str = "8";
const STORAGE_KI: u64 = 100 << 20;
const MEMORY_KI: u64 = 32 << 20;
/// evictionHard's default, memory.available.
const MEMORY_KEPT_KI: u64 = 100 << 10;

/// `status.capacity`.
pub(super) fn capacity(options: &Options) -> Value {
    resources(options, format!("{MEMORY_KI}Ki"), format!("{STORAGE_KI}Ki"))
}

/// `status.allocatable`: without what evictionHard keeps free, 100Mi of memory and a tenth of the
/// storage.
pub(crate) fn allocatable(options: &Options) -> Value {
    let storage = (STORAGE_KI << 10) / 10 * 9;
    resources(options, format!("{}Ki", MEMORY_KI - MEMORY_KEPT_KI), storage.to_string())
}

fn resources(options: &Options, memory: String, storage: String) -> Value {
    json!({
        "cpu": CPU,
        "ephemeral-storage": storage,
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": memory,
        "pods": options.max_pods.to_string(),
    })
}
