//! Who owns which field of the objects that are written: `api::fields` at work on what is served.
//!
//! Every write of a client passes `update` or `apply` after it is decoded and before admission, as
//! upstream's. What the server itself changes in passing (a binding, an eviction, a deletion) is not
//! tracked.

mod reset;
mod versions;

use api::{
    fields::{self, Applying, Updating},
    object::ObjectExt,
    status::Status,
};
use serde_json::Value;

pub use versions::Schemas;
use versions::{Scales, Served as ServedVersions};

use crate::{context::Ctx, pipeline::write::Scope};

/// Enters a write into the object's managed fields. `live` absent: it is created.
pub(crate) fn update(ctx: &Ctx, scope: &Scope<'_>, live: Option<&Value>, new: &mut Value) {
    let request = scope.permitted.request();
    let with = Updating {
        versions: &ServedVersions::new(ctx, &scope.served),
        api_version: &scope.served.api_version(),
        manager: &scope.options.manager(request),
        subresource: &scope.subresource,
        now: &world::rfc3339(request.received_at),
        reset: reset::of(&scope.served, &scope.subresource),
    };
    fields::update(&with, live, new);
}

/// The object after a configuration is applied to it, or to nothing.
///
/// # Errors
/// 409 for what others own; upstream's words for a configuration that does not fit.
pub(crate) fn apply(
    ctx: &Ctx,
    scope: &Scope<'_>,
    live: Option<&Value>,
    config: &Value,
) -> Result<Value, Status> {
    let with = Applying {
        versions: &ServedVersions::new(ctx, &scope.served),
        api_version: &scope.served.api_version(),
        manager: &scope.options.field_manager,
        subresource: &scope.subresource,
        now: &world::rfc3339(scope.permitted.request().received_at),
        reset: reset::of(&scope.served, &scope.subresource),
        force: scope.options.force,
    };
    Ok(fields::apply(&with, live, config)?)
}

/// The entries of a parent as its scale has them, and back.
pub(crate) struct ScaleFields<'a> {
    versions: ServedVersions<'a>,
    /// Where the parent keeps its replicas.
    path: Vec<fields::Element>,
    version: String,
}

impl<'a> ScaleFields<'a> {
    /// Of a kind that keeps its replicas at a JSON pointer.
    pub(crate) fn new(ctx: &'a Ctx, scope: &'a Scope<'_>, pointer: &str) -> Self {
        Self {
            versions: ServedVersions::new(ctx, &scope.served),
            path: pointer.split('/').skip(1).map(fields::Element::field).collect(),
            version: scope.served.api_version(),
        }
    }

    /// Puts the parent's entries into its scale.
    pub(crate) fn show(&self, parent: &Value, scale: &mut Value) {
        let list = parent.list_at("/metadata/managedFields");
        let shown = fields::scale_view(list, &self.path, |version| self.known(version));
        if !shown.is_empty() {
            scale.set_at("/metadata/managedFields", shown);
        }
    }

    /// Enters an update of the scale.
    pub(crate) fn update(&self, scope: &Scope<'_>, live: &Value, new: &mut Value) {
        let request = scope.permitted.request();
        let with = Updating {
            versions: &Scales,
            api_version: versions::SCALE,
            manager: &scope.options.manager(request),
            subresource: "scale",
            now: &world::rfc3339(request.received_at),
            reset: reset::of(&scope.served, "scale"),
        };
        fields::update(&with, Some(live), new);
    }

    /// Applies a configuration to the scale.
    ///
    /// # Errors
    /// As [`apply`].
    pub(crate) fn apply(&self, scope: &Scope<'_>, live: &Value, config: &Value) -> Result<Value, Status> {
        let with = Applying {
            versions: &Scales,
            api_version: versions::SCALE,
            manager: &scope.options.field_manager,
            subresource: "scale",
            now: &world::rfc3339(scope.permitted.request().received_at),
            reset: reset::of(&scope.served, "scale"),
            force: scope.options.force,
        };
        Ok(fields::apply(&with, Some(live), config)?)
    }

    /// Puts a scale's entries back into its parent.
    pub(crate) fn settle(&self, scale: &Value, parent: &mut Value) {
        const LIST: &str = "/metadata/managedFields";
        let after = fields::scale_to_parent(
            parent.list_at(LIST),
            scale.list_at(LIST),
            &self.path,
            &self.version,
            |version| self.known(version),
        );
        if after.is_empty() {
            parent.remove_at(LIST);
        } else {
            parent.set_at(LIST, after);
        }
    }

    fn known(&self, version: &str) -> bool {
        use fields::Versions as _;
        self.versions.schema(version).is_some()
    }
}
