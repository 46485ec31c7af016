//! The versions that a kind is served in, with their types.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use api::{
    fields::{Root, Versions},
    kinds,
    object::{ObjectExt, group_of, version_of},
};
use parking_lot::Mutex;
use serde_json::Value;

use crate::{
    catalog::{self, CustomKind, Nature},
    context::Ctx,
    openapi,
};

/// The version of `scale`.
pub(super) const SCALE: &str = "autoscaling/v1";

/// Types of custom resources, made once for each schema.
#[derive(Default)]
pub struct Schemas {
    made: Mutex<BTreeMap<String, Made>>,
}

/// The types with what they were made of: a definition that changes is another one.
struct Made {
    from: Arc<dyn CustomKind>,
    types: Root,
}

impl Schemas {
    fn of(&self, served: &catalog::Served, custom: &Arc<dyn CustomKind>) -> Root {
        let name = format!("{}/{}/{}", served.group, served.version, served.plural);
        let same = |made: &&Made| std::ptr::addr_eq(Arc::as_ptr(&made.from), Arc::as_ptr(custom));
        if let Some(made) = self.made.lock().get(&name).filter(same) {
            return made.types.clone();
        }
        let types = Root::structural(custom.schema());
        self.made.lock().insert(name, Made { from: custom.clone(), types: types.clone() });
        types
    }
}

/// All versions of the kind of one of them.
pub(super) struct Served<'a> {
    ctx: &'a Ctx,
    served: &'a Arc<catalog::Served>,
    version: String,
}

impl<'a> Served<'a> {
    pub(super) fn new(ctx: &'a Ctx, served: &'a Arc<catalog::Served>) -> Self {
        Self { ctx, served, version: served.api_version() }
    }

    /// The kind in another version, if it is served in that.
    fn in_version(&self, api_version: &str) -> Option<Arc<catalog::Served>> {
        if api_version == self.version {
            return Some(self.served.clone());
        }
        let other =
            self.ctx.catalog.find(group_of(api_version), version_of(api_version), &self.served.plural)?;
        (other.storage == self.served.storage && other.kind == self.served.kind).then_some(other)
    }
}

impl Versions for Served<'_> {
    fn schema(&self, api_version: &str) -> Option<Root> {
        let served = self.in_version(api_version)?;
        match &served.nature {
            Nature::BuiltIn(kind) => openapi::field_types(kind.group, kind.version, kind.kind),
            Nature::Custom(custom) => Some(self.ctx.schemas.of(&served, custom)),
        }
    }

    fn convert<'v>(&self, object: &'v Value, api_version: &str) -> Option<Cow<'v, Value>> {
        let have = match object.api_version() {
            "" => self.version.as_str(),
            version => version,
        };
        if have == api_version {
            return Some(Cow::Borrowed(object));
        }
        let served = self.in_version(api_version)?;
        let mut other = object.clone();
        match served.builtin() {
            Some(to) => {
                let from = kinds::by_kind(group_of(have), version_of(have), to.kind)?;
                kinds::convert(from, to, &mut other);
            }
            None => served.present(&mut other),
        }
        Some(Cow::Owned(other))
    }
}

/// The one version of `scale`.
pub(super) struct Scales;

impl Versions for Scales {
    fn schema(&self, api_version: &str) -> Option<Root> {
        (api_version == SCALE).then(|| openapi::field_types("autoscaling", "v1", "Scale")).flatten()
    }

    fn convert<'v>(&self, object: &'v Value, api_version: &str) -> Option<Cow<'v, Value>> {
        (api_version == SCALE).then_some(Cow::Borrowed(object))
    }
}
