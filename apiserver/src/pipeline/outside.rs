//! How a write and its objects look to those whom admission asks: in other versions, through `scale`,
//! with the options that the client gave.

use api::{
    object::ObjectExt,
    status::{FieldError, Status},
    strategy,
};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::write::Scope;
use crate::{
    admission::{self, Form, Operation},
    catalog::{Nature, Served},
    context::Ctx,
    crd::convert,
    openapi,
    registry::scale,
};

/// See the module.
pub(super) struct Outside<'a> {
    ctx: &'a Ctx,
    scope: &'a Scope<'a>,
    operation: Operation,
    /// The options in a body.
    given: Option<&'a Value>,
}

impl<'a> Outside<'a> {
    pub(super) fn new(
        ctx: &'a Ctx,
        scope: &'a Scope<'a>,
        operation: Operation,
        given: Option<&'a Value>,
    ) -> Self {
        Self { ctx, scope, operation, given }
    }

    /// The version that a form is of, if it is not the request's.
    fn other(&self, form: &Form) -> Option<std::sync::Arc<Served>> {
        let own = &self.scope.served;
        if own.group == form.group && own.version == form.version {
            return None;
        }
        self.ctx.catalog.find(&form.group, &form.version, &form.resource)
    }

    fn is_scale(&self) -> bool {
        self.scope.subresource == "scale"
    }

    /// Whether the object is one of the kind that the resource stores.
    fn is_stored_kind(&self) -> bool {
        let served = &self.scope.served;
        self.operation != Operation::Connect
            && served.subresource(&self.scope.subresource).is_none_or(|sub| sub.kind == served.kind)
    }
}

#[async_trait]
impl admission::Outside for Outside<'_> {
    fn options(&self) -> Value {
        let kind = match self.operation {
            Operation::Create => "CreateOptions",
            Operation::Update => "UpdateOptions",
            Operation::Delete => "DeleteOptions",
            Operation::Connect => return Value::Null,
        };
        let mut options = json!({ "kind": kind, "apiVersion": "meta.k8s.io/v1" });
        let query = &self.scope.permitted.request().query;
        for (key, value) in self.given.and_then(Value::as_object).into_iter().flatten() {
            if !matches!(key.as_str(), "kind" | "apiVersion") {
                options[key] = value.clone();
            }
        }
        if self.scope.options.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        for key in ["fieldManager", "fieldValidation"] {
            if let Some(value) =
                query.get(key).filter(|v| !v.is_empty() && self.operation != Operation::Delete)
            {
                options[key] = value.into();
            }
        }
        options
    }

    async fn show(&self, object: &Value, form: &Form) -> Result<Option<Value>, Status> {
        if self.is_scale() {
            return Ok(scale::shown(&self.scope.served, object));
        }
        match self.other(form).filter(|_| self.is_stored_kind()) {
            Some(served) => convert::in_version(self.ctx, &served, object).await.map(Some),
            None => Ok(None),
        }
    }

    fn read(&self, shown: &mut Value, form: &Form) -> Result<(), String> {
        if !self.is_stored_kind() {
            return Ok(());
        }
        let other = self.other(form);
        let served = other.as_deref().unwrap_or(&self.scope.served);
        api::meta::check_types(shown).map_err(|status| status.message)?;
        let (version, kind) = (served.api_version(), &served.kind);
        if (shown.api_version(), shown.kind()) != (version.as_str(), kind) {
            let words = FieldError::invalid("kind", shown.kind(), format!("must be {kind} in {version}"));
            return Err(words.to_string());
        }
        match &served.nature {
            Nature::BuiltIn(kind) => {
                openapi::normalise(kind, shown)?;
                strategy::default(kind, shown);
            }
            Nature::Custom(custom) => {
                custom.normalise(shown);
            }
        }
        Ok(())
    }

    async fn take_back(&self, shown: Value, form: &Form, object: &mut Value) -> Result<(), Status> {
        if self.is_scale() {
            scale::taken_back(&self.scope.served, &shown, object);
            return Ok(());
        }
        *object = match self.other(form) {
            Some(_) => convert::in_version(self.ctx, &self.scope.served, &shown).await?,
            None => shown,
        };
        Ok(())
    }
}
