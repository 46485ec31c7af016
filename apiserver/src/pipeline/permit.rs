//! May they: the one maker of [`Permitted`], without which nothing reads and nothing writes.

use api::selector::{FieldSelector, LabelSelector};

use super::{Framed, Note, Refusal, RequestInfo, Seated, seat::Held};
use crate::{
    authz::{Attributes, Authz, Verdict, escaped, rbac::aggregate},
    context::Ctx,
    identity::User,
};

/// What a request for a collection selects, as authorizers see it.
pub(super) struct Selected {
    fields: Option<FieldSelector>,
    labels: Option<LabelSelector>,
}

impl Selected {
    /// A selector that cannot be read is none.
    pub(super) fn of(framed: &Framed, info: &RequestInfo) -> Self {
        let collection = matches!(info.verb.as_str(), "list" | "watch" | "deletecollection");
        let selector = |key: &str| framed.query.get(key).filter(|_| collection).filter(|s| !s.is_empty());
        Self {
            fields: selector("fieldSelector").and_then(|s| FieldSelector::parse(s).ok()),
            labels: selector("labelSelector").and_then(|s| LabelSelector::parse(s).ok()),
        }
    }

    /// The question that the request is to the authorizers.
    pub(super) fn attributes<'a>(
        &'a self,
        framed: &'a Framed,
        info: &'a RequestInfo,
        user: &'a User,
    ) -> Attributes<'a> {
        Attributes {
            user,
            verb: &info.verb,
            group: &info.group,
            version: &info.version,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
            path: &framed.path,
            resource_request: info.resource_request,
            field_selector: self.fields.as_ref(),
            label_selector: self.labels.as_ref(),
        }
    }
}

/// A request that its user may make.
#[derive(Debug)]
pub struct Permitted {
    framed: Framed,
    info: RequestInfo,
    user: User,
    _seat: Option<Held>,
}

impl Permitted {
    /// The request.
    pub fn request(&self) -> &Framed {
        &self.framed
    }

    /// The request, to take its body.
    pub fn request_mut(&mut self) -> &mut Framed {
        &mut self.framed
    }

    /// What it asks for.
    pub fn info(&self) -> &RequestInfo {
        &self.info
    }

    /// Who asks.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Whether the user may do the same by another verb.
    ///
    /// # Errors
    /// 403 in the words of that other verb; 500 when an authorizer failed.
    pub async fn also_by(&self, ctx: &Ctx, verb: &str) -> Result<(), Refusal> {
        let (info, framed) = (&self.info, &self.framed);
        if info.verb == verb {
            return Ok(());
        }
        let attributes = Attributes {
            verb,
            group: &info.group,
            version: &info.version,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
            path: &framed.path,
            resource_request: true,
            ..Attributes::of(&self.user)
        };
        let verdict = ctx.authz.authorize(&attributes).await;
        decide(framed, &attributes, &verdict)
    }
}

/// What follows from a verdict: who is not allowed is refused, and where an authorizer failed nobody knows.
pub(super) fn decide(framed: &Framed, attributes: &Attributes<'_>, verdict: &Verdict) -> Result<(), Refusal> {
    if verdict.is_allowed() {
        return Ok(());
    }
    if !verdict.errors.is_empty() {
        let (target, why) = (escaped(&framed.target), aggregate(&verdict.errors));
        return Err(Refusal::plain(500, format!("Internal Server Error: {target:?}: {why}\n")));
    }
    Err(Authz::forbidden(attributes, verdict).into())
}

impl Seated {
    /// Asks the authorizers.
    ///
    /// # Errors
    /// 403; 500 in plain text when an authorizer failed.
    pub async fn permit(self, ctx: &Ctx, note: &mut Note) -> Result<Permitted, Refusal> {
        let Seated { acting, seat } = self;
        let (framed, info, user) = (acting.parsed.framed, acting.parsed.info, acting.user);
        let selected = Selected::of(&framed, &info);
        let attributes = selected.attributes(&framed, &info, &user);
        let began = ctx.host.clock().monotonic();
        let verdict = ctx.authz.authorize(&attributes).await;
        ctx.authz.counts().attempt(&verdict, ctx.host.clock().monotonic().since(began));
        if let Some(draft) = &mut note.audit {
            draft.authorized(verdict.is_allowed(), &verdict.reason);
        }
        decide(&framed, &attributes, &verdict)?;
        Ok(Permitted { framed, info, user, _seat: seat })
    }
}
