//! The config map `extension-apiserver-authentication`: how aggregated servers know our callers.

use std::{path::PathBuf, time::Duration};

use api::object::ObjectExt;
use client::{ClientError, Resource};
use serde_json::{Map, Value, json};

use crate::context::Ctx;

const NAME: &str = "extension-apiserver-authentication";
const NAMESPACE: &str = "kube-system";
const RESYNC: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(1);

pub(super) async fn run(ctx: Ctx) -> Result<(), String> {
    let writer = ctx.clone();
    ctx.host.spawn(async move {
        writer.informers.config_maps.synced().await;
        loop {
            match write(&writer).await {
                Ok(()) => writer.host.recur(RESYNC).await,
                Err(error) => {
                    tracing::warn!("unable to write configmap/{NAME}: {error}");
                    writer.host.clock().sleep(RETRY).await;
                }
            }
        }
    });
    Ok(())
}

fn data(ctx: &Ctx) -> Map<String, Value> {
    let mut data = Map::new();
    let mut file = |key: &str, path: &Option<PathBuf>| {
        let text = path.as_ref().and_then(|p| ctx.host.disk().read_to_string(p).ok());
        if let Some(text) = text {
            data.insert(key.to_owned(), text.into());
        }
    };
    file("client-ca-file", &ctx.options.client_ca_file);
    let front = &ctx.options.request_header;
    if front.client_ca_file.is_some() {
        file("requestheader-client-ca-file", &front.client_ca_file);
        for (key, list) in [
            ("requestheader-allowed-names", &front.allowed_names),
            ("requestheader-extra-headers-prefix", &front.extra_prefixes),
            ("requestheader-group-headers", &front.group_headers),
            ("requestheader-uid-headers", &front.uid_headers),
            ("requestheader-username-headers", &front.username_headers),
        ] {
            data.insert(key.to_owned(), json!(list).to_string().into());
        }
    }
    data
}

async fn write(ctx: &Ctx) -> Result<(), ClientError> {
    let data = data(ctx);
    if data.is_empty() {
        return Ok(());
    }
    let resource = Resource::core("configmaps");
    match ctx.informers.config_maps.get(NAMESPACE, NAME) {
        Some(there) if there.map_at("/data") == Some(&data) => Ok(()),
        Some(there) => {
            let mut next = Value::clone(&there);
            next.set_at("/data", data);
            ctx.rest.update(&resource, Some(NAMESPACE), NAME, &next).await.map(drop)
        }
        None => super::ensure_config_map(ctx, NAMESPACE, NAME, data).await,
    }
}
