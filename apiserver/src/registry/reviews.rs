//! Kinds that are answered and not stored: access reviews, token reviews, bindings by collection.

use std::sync::Arc;

use api::status::Status;
use http::Response;
use wire::Body;

use super::{rules, wanted};
use crate::{
    authz::review,
    catalog::Served,
    context::Ctx,
    pipeline::{Permitted, Refusal, WriteOptions, read_checked_object, write::Scope},
};

pub(super) async fn review(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let options = WriteOptions::parse(&permitted.request().query, "CreateOptions")?;
    let version = served.api_version();
    let (mut object, duplicates) =
        read_checked_object(ctx, &permitted, &version, &served.kind, options.validation).await?;
    let now = permitted.request().received_at;
    let scope = Scope::new(&permitted, served, options).with_duplicates(duplicates);
    rules::default(&scope, &mut object)?;
    scope.admit_posted(ctx, &mut object).await?;
    let user = permitted.user();
    match &*scope.served.plural {
        "selfsubjectaccessreviews" => review::self_subject_access(&ctx.authz, user, &mut object).await?,
        "subjectaccessreviews" => review::subject_access(&ctx.authz, &mut object).await?,
        "localsubjectaccessreviews" => {
            review::local_subject_access(&ctx.authz, &scope.namespace, &mut object).await?
        }
        "selfsubjectrulesreviews" => review::self_subject_rules(&ctx.authz, user, &mut object)?,
        "selfsubjectreviews" => {
            review::self_subject(user, &mut object);
            use api::object::ObjectExt;
            object.set_at("/metadata/creationTimestamp", world::rfc3339(now));
        }
        "tokenreviews" => ctx.authn.review_token(&mut object, now).await?,
        _ => return Err(Status::no_such_resource().into()),
    }
    Ok(wanted.object(201, &scope.served, &object, now))
}
