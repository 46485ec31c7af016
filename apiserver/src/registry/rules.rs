//! The strategy of a kind, wherever it comes from: `api::strategy` or a CustomResourceDefinition.

use api::{
    meta, names,
    object::ObjectExt,
    status::{FieldError, Status},
    strategy,
};
use serde_json::Value;
use world::Wall;

use super::signing_request;
use crate::{
    admission::{self, policy},
    catalog::{Nature, Served},
    context::Ctx,
    crd, openapi,
    pipeline::{FieldValidation, content_type, write::Scope},
};

/// Whom the loopback token stands for.
const LOOPBACK_USER: &str = "system:apiserver";

/// How metadata of a kind is treated.
fn rules_of(served: &Served) -> meta::Rules {
    match &served.nature {
        Nature::BuiltIn(kind) => meta::Rules::from(*kind),
        Nature::Custom(_) => meta::Rules::custom(served.namespaced),
    }
}

/// The namespace of a body must be the URL's; an empty one becomes it.
///
/// # Errors
/// 400 when they differ.
pub fn settle_namespace(object: &mut Value, served: &Served, namespace: &str) -> Result<(), Status> {
    meta::fill_namespace(object, &rules_of(served), namespace)
}

/// Defaults of a new or changed object. What the kind's schema does not know is dropped; the client
/// hears of it, and of keys that its body repeats, as it asked to.
///
/// # Errors
/// 400 in strict field validation.
pub fn default(scope: &Scope<'_>, object: &mut Value) -> Result<(), Status> {
    meta::check_types(object)?;
    let served = &scope.served;
    let unknown = match &served.nature {
        Nature::BuiltIn(kind) => {
            // Upstream's loopback client speaks protobuf, in which nothing can be unknown.
            let unknown = if scope.permitted.user().name == LOOPBACK_USER {
                Vec::new()
            } else {
                openapi::normalise(kind, object).map_err(|why| undecodable(scope, object, &why))?
            };
            strategy::default(kind, object);
            unknown
        }
        Nature::Custom(custom) => custom.normalise(object),
    };
    let mut wrong = scope.duplicates();
    wrong.extend(unknown.iter().map(|path| format!("unknown field \"{path}\"")));
    if wrong.is_empty() {
        return Ok(());
    }
    match scope.options.validation {
        FieldValidation::Ignore => Ok(()),
        FieldValidation::Warn => {
            wrong.into_iter().for_each(|text| scope.warn(text));
            Ok(())
        }
        FieldValidation::Strict => {
            Err(undecodable(scope, object, &format!("strict decoding error: {}", wrong.join(", "))))
        }
    }
}

/// What a body, or an object after its patch, is not.
fn undecodable(scope: &Scope<'_>, object: &Value, why: &str) -> Status {
    let (kind, version) = (&scope.served.kind, &scope.served.version);
    let media = content_type(scope.permitted.request());
    if scope.permitted.info().verb == "patch" && media != "application/apply-patch+yaml" {
        let complaint = FieldError::invalid("patch", object.to_string(), why);
        return Status::invalid("", "", vec![complaint]);
    }
    Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
}

/// What only the server may say about a new object: UID, creation time, a generated name.
///
/// # Errors
/// 500 for a resource version in a new object, as upstream.
pub fn fill_system_fields(scope: &Scope<'_>, object: &mut Value, ctx: &Ctx, now: Wall) -> Result<(), Status> {
    meta::refuse_version(object)?;
    meta::prepare_create(object, &rules_of(&scope.served), &ctx.host.entropy().uuid(), now);
    if !scope.served.generation {
        object.remove_at("/metadata/generation");
    }
    if object.name().is_empty() && !object.generate_name().is_empty() {
        let suffix = ctx.host.entropy().name_suffix(names::SUFFIX_LEN);
        let name = names::generate_name(object.generate_name(), &suffix);
        object.set_name(&name);
    }
    Ok(())
}

fn refuse(served: &Served, name: &str, errors: Vec<FieldError>) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&served.qualified_kind(), name, errors))
}

/// Strategy and validation of a create.
///
/// # Errors
/// 422 with all complaints.
pub fn before_create(scope: &Scope<'_>, object: &mut Value, now: Wall) -> Result<(), Status> {
    let served = &scope.served;
    match &served.nature {
        Nature::BuiltIn(kind) => {
            strategy::prepare_for_create(kind, object, now);
            if is_signing_request(served) {
                signing_request::stamp(object, scope.permitted.user());
            }
        }
        Nature::Custom(custom) if custom.has_status() => {
            object.remove_at("/status");
        }
        Nature::Custom(_) => {}
    }
    let mut errors = meta::validate_create(object, &rules_of(served));
    errors.extend(match &served.nature {
        Nature::BuiltIn(kind) => {
            strategy::warnings(kind, object, None).into_iter().for_each(|text| scope.warn(text));
            strategy::validate_create(kind, object)
        }
        Nature::Custom(custom) => warned(scope, |warnings| custom.validate(object, None, warnings)),
    });
    if is_signing_request(served) {
        errors.extend(signing_request::validate(object));
    }
    if is_definition(served) {
        errors.extend(crd::validate_definition(object, None));
    }
    if is_webhook_configuration(served) {
        errors.extend(admission::validate_webhooks(object, None));
    }
    if is_policy(served) {
        errors.extend(policy::violations(object, None));
    }
    refuse(served, object.name(), errors)
}

fn is_webhook_configuration(served: &Served) -> bool {
    served.group == "admissionregistration.k8s.io" && served.plural.ends_with("webhookconfigurations")
}

fn is_definition(served: &Served) -> bool {
    served.plural == "customresourcedefinitions" && served.group == "apiextensions.k8s.io"
}

fn is_policy(served: &Served) -> bool {
    served.group == "admissionregistration.k8s.io"
        && matches!(served.kind.as_ref(), "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy")
}

/// Passes on to the client what is warned about.
fn warned(scope: &Scope<'_>, check: impl FnOnce(&mut Vec<String>) -> Vec<FieldError>) -> Vec<FieldError> {
    let mut warnings = Vec::new();
    let errors = check(&mut warnings);
    warnings.into_iter().for_each(|warning| scope.warn(warning));
    errors
}

fn is_signing_request(served: &Served) -> bool {
    served.plural == "certificatesigningrequests" && served.group == "certificates.k8s.io"
}

/// Strategy and validation of an update, on the object itself or a subresource.
///
/// # Errors
/// 409 for a stale version or another UID, 422 with all complaints.
pub fn before_update(scope: &Scope<'_>, new: &mut Value, old: &Value, now: Wall) -> Result<(), Status> {
    let served = &scope.served;
    let rules = rules_of(served);
    let resource = served.qualified();
    meta::check_version(new, old, &rules, &resource, &served.qualified_kind())?;
    meta::check_uid(new, old, &resource, &served.key(old.namespace(), old.name()))?;
    meta::prepare_update(new, old);
    match &served.nature {
        Nature::BuiltIn(kind) => strategy::prepare_for_update(kind, new, old, &scope.subresource, now),
        Nature::Custom(custom) => restore_custom(new, old, &scope.subresource, custom.has_status()),
    }
    if served.generation && scope.subresource != "status" {
        meta::count_generation(new, old, served.builtin());
    }
    let mut errors = meta::validate_update(new, old, &rules);
    errors.extend(match &served.nature {
        Nature::BuiltIn(kind) => {
            strategy::warnings(kind, new, Some(old)).into_iter().for_each(|text| scope.warn(text));
            strategy::validate_update(kind, new, old, &scope.subresource)
        }
        Nature::Custom(custom) => warned(scope, |warnings| custom.validate(new, Some(old), warnings)),
    });
    if is_definition(served) && scope.subresource.is_empty() {
        errors.extend(crd::validate_definition(new, Some(old)));
    }
    if is_webhook_configuration(served) {
        errors.extend(admission::validate_webhooks(new, Some(old)));
    }
    if is_policy(served) && scope.subresource.is_empty() {
        errors.extend(policy::violations(new, Some(old)));
    }
    refuse(served, old.name(), errors)
}

/// `/status` of a custom resource writes nothing but the status; the main endpoint never writes it.
fn restore_custom(new: &mut Value, old: &Value, subresource: &str, has_status: bool) {
    if subresource == "status" {
        let status = new.get("status").cloned();
        let mut kept = old.clone();
        if let Some(fields) = new.remove_at("/metadata/managedFields") {
            kept.set_at("/metadata/managedFields", fields);
        }
        match status {
            Some(status) => kept.set_at("/status", status),
            None => {
                kept.remove_at("/status");
            }
        }
        *new = kept;
    } else if has_status {
        match old.get("status") {
            Some(status) => new.set_at("/status", status.clone()),
            None => {
                new.remove_at("/status");
            }
        }
    }
}

/// Whether an update leaves a terminating object without anything that holds it.
pub fn vanishes(served: &Served, object: &Value) -> bool {
    meta::only_waits_for_finalizers(object)
        && object.finalizers().next().is_none()
        && !holds_namespace(served, object)
}

/// Whether an object is a namespace that its own finalizers hold.
pub fn holds_namespace(served: &Served, object: &Value) -> bool {
    served.plural == "namespaces" && served.group.is_empty() && !object.list_at("/spec/finalizers").is_empty()
}
