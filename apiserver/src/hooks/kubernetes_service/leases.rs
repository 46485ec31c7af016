//! Who serves, by keys in the store that end by themselves: `/registry/masterleases/<address>`.

use std::time::Duration;

use api::object::ObjectExt;
use serde_json::{Value, json};
use store::{ListOptions, Outcome, Range, StoreError};

use crate::{context::Ctx, watch_cache::encode};

const PREFIX: &str = "/registry/masterleases/";
/// A server that does not renew for so long has gone.
const TTL: Duration = Duration::from_secs(15);

/// Adds an address, or renews it. As upstream's, the record is Endpoints of which nothing but the generation changes.
pub(super) async fn renew(ctx: &Ctx, address: &str) -> Result<(), StoreError> {
    let key = format!("{PREFIX}{address}");
    // A grace of recurring work: it stretches with the work.
    let lease = ctx.store.lease_grant(0, ctx.host.periods().of(TTL)).await?.id;
    loop {
        let (found, _) = ctx.store.get(key.as_bytes(), None).await?;
        let revision = found.as_ref().map_or(0, |kv| kv.mod_revision);
        let before: Value =
            found.and_then(|kv| serde_json::from_slice(&kv.value).ok()).unwrap_or(Value::Null);
        let record = json!({
            "kind": "Endpoints",
            "apiVersion": "v1",
            "metadata": { "generation": before.generation() + 1 },
            "subsets": [{ "addresses": [{ "ip": address }] }],
        });
        let written = ctx.store.put_if(key.clone().into(), encode(&record), revision, lease).await?;
        if matches!(written, Outcome::Committed(_)) {
            return Ok(());
        }
    }
}

/// Takes an address out.
pub(super) async fn remove(ctx: &Ctx, address: &str) -> Result<(), StoreError> {
    ctx.store.delete(Range::key(format!("{PREFIX}{address}"))).await.map(drop)
}

/// The addresses whose time is not over.
pub(super) async fn list(ctx: &Ctx) -> Result<Vec<String>, StoreError> {
    let listing = ctx.store.list(Range::prefix(PREFIX), ListOptions::default()).await?;
    let records = listing.kvs.iter().filter_map(|kv| serde_json::from_slice::<Value>(&kv.value).ok());
    let addresses = records.map(|record| record.str_at("/subsets/0/addresses/0/ip").to_owned());
    Ok(addresses.filter(|address| !address.is_empty()).collect())
}
