//! `matchConditions`: which questions a webhook is asked, as rules in CEL about `request`, the review's spec.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use api::status::FieldError;
use serde_json::{Value, json};

use super::review::{self, ReviewVersion};
use crate::{
    authz::Attributes,
    cel::{
        self, Decl, Environment, Program, Type, Variables,
        decl::{DeclKind, Field, ListKind},
    },
};

const MOST: usize = 64;

/// Rules that must all hold.
#[derive(Debug, Default)]
pub(in crate::authz) struct Conditions {
    rules: Vec<(String, Program)>,
}

impl Conditions {
    /// Reads the expressions; `at` is the path of their list in the configuration.
    pub(in crate::authz) fn parse(at: &str, expressions: &[&str], errors: &mut Vec<FieldError>) -> Self {
        if expressions.len() > MOST {
            errors.push(FieldError::too_many(at, expressions.len(), MOST));
            return Self::default();
        }
        let mut rules: Vec<(String, Program)> = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for (number, source) in expressions.iter().enumerate() {
            let field = format!("{at}[{number}].expression");
            if source.trim().is_empty() {
                errors.push(FieldError::required(field, ""));
                continue;
            }
            if seen.contains(source) {
                errors.push(FieldError::duplicate(field, *source));
                continue;
            }
            seen.push(source);
            match compile(source) {
                Ok(program) => rules.push(((*source).to_owned(), program)),
                Err(why) => errors.push(FieldError::invalid(field, *source, why)),
            }
        }
        Self { rules }
    }

    /// Whether all hold. One that is false decides, whatever others there are that cannot be evaluated.
    pub(super) fn hold(&self, request: &Attributes<'_>) -> Result<bool, String> {
        if self.rules.is_empty() {
            return Ok(true);
        }
        let spec = spec(request);
        let mut errors = Vec::new();
        for (source, program) in &self.rules {
            let mut variables = Variables::new();
            variables.insert("request", cel::Value::read(&spec, &REQUEST));
            match program.evaluate(&variables).0 {
                Ok(cel::Value::Bool(true)) => {}
                Ok(cel::Value::Bool(false)) => return Ok(false),
                Ok(_) => errors.push(format!(
                    "cel evaluation error: expression '{source}' eval result type should be bool"
                )),
                Err(why) => {
                    errors.push(format!(
                        "cel evaluation error: expression '{source}' resulted in error: {why}"
                    ));
                }
            }
        }
        if errors.is_empty() { Ok(true) } else { Err(crate::authz::rbac::aggregate(&errors)) }
    }
}

fn compile(source: &str) -> Result<Program, String> {
    let environment = Environment::default().with("request", &REQUEST);
    let program = environment.compile(source).map_err(|why| format!("compilation failed: {why}"))?;
    match program.ty() {
        Type::Bool => Ok(program),
        other => Err(format!("must evaluate to bool but got {other}")),
    }
}

/// The spec as rules see it: every text is there, empty or not.
fn spec(request: &Attributes<'_>) -> Value {
    let mut spec = review::spec(request, ReviewVersion::V1);
    let user = request.user;
    spec["user"] = json!(user.name);
    spec["groups"] = json!(user.groups);
    spec["uid"] = json!(user.uid);
    spec["extra"] = json!(user.extra);
    let (key, names): (&str, &[&str]) = match request.resource_request {
        true => ("resourceAttributes", RESOURCE),
        false => ("nonResourceAttributes", PATH),
    };
    if let Some(attributes) = spec[key].as_object_mut() {
        for name in names {
            attributes.entry(*name).or_insert_with(|| "".into());
        }
    }
    spec
}

const RESOURCE: &[&str] = &["namespace", "verb", "group", "version", "resource", "subresource", "name"];
const PATH: &[&str] = &["path", "verb"];

static REQUEST: LazyLock<Arc<Decl>> = LazyLock::new(|| {
    let text = || decl("string", DeclKind::String);
    let list = |of: Arc<Decl>| decl("list", DeclKind::List(of));
    let texts = |names: &[&'static str]| names.iter().map(|name| (*name, text())).collect::<Vec<_>>();
    let requirement = object(
        "kubernetes.SelectorRequirement",
        vec![("key", text()), ("operator", text()), ("values", list(text()))],
    );
    let selector =
        |name: &str| object(name, vec![("rawSelector", text()), ("requirements", list(requirement.clone()))]);
    let mut resource = texts(RESOURCE);
    resource.push(("fieldSelector", selector("kubernetes.FieldSelectorAttributes")));
    resource.push(("labelSelector", selector("kubernetes.LabelSelectorAttributes")));
    object(
        "kubernetes.SubjectAccessReviewSpec",
        vec![
            ("resourceAttributes", object("kubernetes.ResourceAttributes", resource)),
            ("nonResourceAttributes", object("kubernetes.NonResourceAttributes", texts(PATH))),
            ("user", text()),
            ("groups", list(text())),
            ("extra", decl("map", DeclKind::Map(list(text())))),
            ("uid", text()),
        ],
    )
});

/// The largest body of a request, which bounds what is in it.
const LARGEST: u64 = 3 * 1024 * 1024;

fn decl(name: &str, kind: DeclKind) -> Arc<Decl> {
    Arc::new(Decl {
        name: name.to_owned(),
        kind,
        most: LARGEST,
        least_bytes: 2,
        nullable: false,
        list: ListKind::Atomic,
    })
}

fn object(name: &str, fields: Vec<(&'static str, Arc<Decl>)>) -> Arc<Decl> {
    let fields =
        fields.into_iter().map(|(name, decl)| (name.to_owned(), Field { json: name.to_owned(), decl }));
    decl(name, DeclKind::Object(fields.collect::<BTreeMap<_, _>>()))
}
