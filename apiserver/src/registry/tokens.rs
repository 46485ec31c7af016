//! `serviceaccounts/token`: a token for an account, bound to what the request names.

use std::sync::Arc;

use api::status::Status;
use http::Response;
use wire::Body;

use super::{fetch, wanted};
use crate::{
    catalog::Served,
    context::Ctx,
    pipeline::{Permitted, Refusal, WriteOptions, read_object, write::Scope},
};

pub(super) async fn request(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let options = WriteOptions::parse(&permitted.request().query, "CreateOptions")?;
    let mut request = read_object(ctx, &permitted, "authentication.k8s.io/v1", "TokenRequest").await?;
    let now = permitted.request().received_at;
    let scope = Scope::new(&permitted, served, options);
    let account = fetch(ctx, &scope.served, &scope.namespace, &scope.name).await?;
    scope.admit_posted(ctx, &mut request).await?;
    let bound = match bound_object(&request) {
        Some((plural, namespaced, name)) => {
            let kind = ctx.catalog.find("", "v1", plural).ok_or_else(Status::no_such_resource)?;
            let namespace = if namespaced { scope.namespace.as_str() } else { "" };
            Some(fetch(ctx, &kind, namespace, name).await?.object)
        }
        None => None,
    };
    let warnings = ctx.authn.issue_token(&ctx.host, &mut request, &account.object, bound.as_deref(), now)?;
    warnings.into_iter().for_each(|w| scope.warn(w));
    Ok(wanted.value(201, &request))
}

/// Plural, scope and name of what the token is to be bound to.
fn bound_object(request: &serde_json::Value) -> Option<(&'static str, bool, &str)> {
    use api::object::ObjectExt;
    let name = request.str_at("/spec/boundObjectRef/name");
    let (plural, namespaced) = match request.str_at("/spec/boundObjectRef/kind") {
        "Pod" => ("pods", true),
        "Secret" => ("secrets", true),
        "Node" => ("nodes", false),
        _ => return None,
    };
    Some((plural, namespaced, name))
}
