//! `namespaces/finalize`: the one way in which a namespace's own finalizers change.

use std::sync::Arc;

use api::object::ObjectExt;
use http::Response;
use serde_json::Value;
use wire::Body;

use super::{update::change_tracked, wanted, written};
use crate::{
    catalog::Served,
    context::Ctx,
    pipeline::{Permitted, Refusal, WriteOptions, read_object, write::Scope},
};

pub(super) async fn finalize(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let options = WriteOptions::parse(&permitted.request().query, "UpdateOptions")?;
    let object = read_object(ctx, &permitted, "v1", "Namespace").await?;
    let scope = Scope::new(&permitted, served, options);
    let item = change_tracked(ctx, &scope, |stored| {
        let mut next = Value::clone(&stored.object);
        let finalizers = object.list_at("/spec/finalizers").to_vec();
        if finalizers.is_empty() {
            next.remove_at("/spec/finalizers");
        } else {
            next.set_at("/spec/finalizers", finalizers);
        }
        if !object.resource_version().is_empty() {
            next.set_resource_version(object.resource_version());
        }
        Ok(next)
    })
    .await?;
    written(&scope, wanted, 200, &item)
}
