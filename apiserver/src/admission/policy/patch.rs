//! What one mutation makes of an object: an applied configuration, or a JSON patch.

use api::{
    fields::{self, Root},
    object::ObjectExt as _,
    patch,
    status::Status,
    strategy,
};
use serde_json::{Map, Value as Json};

use super::{
    super::{Form, Tools},
    compile::{Compiled, Mutation},
    request::Seen,
};
use crate::{
    catalog::{Nature, Served},
    cel::{self, Composition, Value},
    openapi,
};

/// Why there is no patched object.
pub(super) enum PatchError {
    /// The policy's fault: `failurePolicy` decides.
    Policy(String),
    /// The answer, whatever the policy says.
    Status(Box<Status>),
}

impl From<String> for PatchError {
    fn from(why: String) -> Self {
        PatchError::Policy(why)
    }
}

impl From<Status> for PatchError {
    fn from(status: Status) -> Self {
        PatchError::Status(Box::new(status))
    }
}

/// The object after a mutation, with its defaults.
pub(super) fn patched(
    tools: &Tools,
    compiled: &Compiled,
    mutation: &Mutation,
    target: &Form,
    seen: &Seen<'_>,
) -> Result<Json, PatchError> {
    let served = tools.catalog.find(&target.group, &target.version, &target.resource).ok_or_else(|| {
        Status::service_unavailable(format!(
            "Resource kind {}, Kind={} not found. There can be a delay between when CustomResourceDefinitions are created and when they are available.",
            target.api_version(), target.kind
        ))
    })?;
    let object = seen.object.unwrap_or(&Json::Null);
    if let Err(why) = &mutation.expression.program {
        return Err(why.clone().into());
    }
    let among = Composition::new(seen.variables(true), &compiled.variables);
    let mut budget = cel::OBJECT_BUDGET;
    let value = mutation.expression.evaluate(&among, &mut budget).map_err(|error| error.to_string())??;
    let mut made = if mutation.is_json_patch {
        match json_patched(object, &value)? {
            Some(made) => made,
            None => return Ok(object.clone()),
        }
    } else {
        applied(&served, target, object, &value)?
    };
    settle(&served, target, &mut made)?;
    Ok(made)
}

fn type_mismatch(wrong: Vec<String>) -> Result<(), String> {
    if wrong.is_empty() { Ok(()) } else { Err(format!("type mismatch: {}", wrong.join("\n"))) }
}

/// `None`: a test of the patch failed, and it is not to be applied.
fn json_patched(object: &Json, value: &Value<'_>) -> Result<Option<Json>, PatchError> {
    let Value::List(operations) = value else {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array".to_owned().into());
    };
    let mut list = Vec::new();
    for operation in operations.iter() {
        let Value::Message(operation) = operation else {
            let words = "type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch";
            return Err(words.to_owned().into());
        };
        let mut entry = Map::new();
        for (field, value) in &operation.fields {
            type_mismatch(value.misnamed())?;
            let json = value.to_json().map_err(|why| {
                format!("JSONPath valueExpression evaluated to a type that could not marshal to JSON: {why}")
            })?;
            if *field != "from" || json.as_str() != Some("") {
                entry.insert((*field).to_owned(), json);
            }
        }
        list.push(Json::Object(entry));
    }
    patch::tested_json_patch(object, &Json::Array(list)).map_err(|why| format!("JSONPath: {why}").into())
}

fn applied(served: &Served, target: &Form, object: &Json, value: &Value<'_>) -> Result<Json, PatchError> {
    type_mismatch(value.misnamed())?;
    let mut config = value.to_json()?;
    config["apiVersion"] = object.api_version().into();
    config["kind"] = object.kind().into();
    let root = types(served, target)
        .ok_or_else(|| "error applying patch: type converter must not be nil".to_owned())?;
    fields::validate(&root, &config).map_err(|why| {
        format!("error applying patch: failed to convert patch object to typed object: {why}")
    })?;
    let atomics = fields::atomics(&root, &config);
    if !atomics.is_empty() {
        return Err(format!(
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}",
            atomics.join(", ")
        )
        .into());
    }
    Ok(fields::merge(&root, object, &config))
}

/// What is known of the fields of a kind.
fn types(served: &Served, target: &Form) -> Option<Root> {
    match &served.nature {
        Nature::BuiltIn(_) => openapi::field_types(&target.kind_group, &target.kind_version, &target.kind),
        Nature::Custom(custom) => Some(Root::structural(custom.schema())),
    }
}

/// Refuses what the kind does not know, and fills in what was left out.
fn settle(served: &Served, target: &Form, object: &mut Json) -> Result<(), PatchError> {
    let unknown = match &served.nature {
        Nature::BuiltIn(_) => {
            let found = api::kinds::by_kind(&target.kind_group, &target.kind_version, &target.kind);
            let Some(kind) = found else { return Ok(()) };
            let unknown = openapi::normalise(kind, object).map_err(Status::internal)?;
            strategy::default(kind, object);
            unknown
        }
        Nature::Custom(custom) => {
            custom.normalise(object);
            Vec::new()
        }
    };
    if unknown.is_empty() {
        return Ok(());
    }
    let words: Vec<String> = unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
    Err(Status::internal(format!("strict decoding error: {}", words.join(", "))).into())
}
