//! What a review says of the selectors of the request that it asks about: its validation, and what can be read of it.
//!
//! Selectors only narrow. A part that cannot be read is passed over, which asks about more, never about less.

use api::{
    names,
    object::ObjectExt as _,
    selector::{FieldSelector, LabelSelector},
    status::FieldError,
};
use serde_json::Value;

const AT: &str = "spec.resourceAttributes";

/// The two kinds of selector.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Field,
    Label,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Field => "fieldSelector",
            Self::Label => "labelSelector",
        }
    }

    fn of(self, review: &Value) -> Option<&Value> {
        review
            .at(&format!("/spec/resourceAttributes/{}", self.name()))
            .filter(|selector| selector.is_object())
    }
}

/// What is wrong with the selectors of a review.
pub(super) fn validate(review: &Value, errors: &mut Vec<FieldError>) {
    for kind in [Kind::Field, Kind::Label] {
        let Some(selector) = kind.of(review) else { continue };
        let at = format!("{AT}.{}", kind.name());
        let (raw, requirements) = (selector.str_at("/rawSelector"), selector.list_at("/requirements"));
        if !raw.is_empty() && !requirements.is_empty() {
            let why = "may not specified at the same time as requirements";
            errors.push(FieldError::invalid(format!("{at}.rawSelector"), raw, why));
        }
        if raw.is_empty() && requirements.is_empty() {
            let why = format!("when {at} is specified, requirements or rawSelector is required");
            errors.push(FieldError::required(format!("{at}.requirements"), why));
        }
        for (number, requirement) in requirements.iter().enumerate() {
            validate_requirement(kind, &format!("{at}.requirements[{number}]"), requirement, errors);
        }
    }
}

fn validate_requirement(kind: Kind, at: &str, requirement: &Value, errors: &mut Vec<FieldError>) {
    let (key, values) = (requirement.str_at("/key"), texts(requirement));
    if kind == Kind::Field && key.is_empty() {
        errors.push(FieldError::required(format!("{at}.key"), "must be specified"));
    }
    let at_values = || format!("{at}.values");
    // An operator that is not known yet is no mistake of the asker.
    match (requirement.str_at("/operator"), values.is_empty()) {
        ("In" | "NotIn", true) => {
            let why = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(at_values(), why));
        }
        ("Exists" | "DoesNotExist", false) => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(at_values(), why));
        }
        _ => {}
    }
    if kind == Kind::Field {
        return;
    }
    let wrong_key = names::qualified_name(key).into_iter();
    errors.extend(wrong_key.map(|why| FieldError::invalid(format!("{at}.key"), key, why)));
    for (number, value) in values.iter().enumerate() {
        let wrong = names::label_value(value).into_iter();
        errors.extend(wrong.map(|why| FieldError::invalid(format!("{at}.values[{number}]"), *value, why)));
    }
}

fn texts(requirement: &Value) -> Vec<&str> {
    requirement.list_at("/values").iter().filter_map(Value::as_str).collect()
}

/// The selectors of a review, as far as they can be read, and what is to be told about the rest.
#[derive(Default)]
pub(super) struct Selectors {
    pub(super) fields: Option<FieldSelector>,
    pub(super) labels: Option<LabelSelector>,
    pub(super) ignored: Vec<String>,
}

impl Selectors {
    pub(super) fn read(review: &Value) -> Self {
        let mut this = Self::default();
        this.fields = this.one(review, Kind::Field, |text| FieldSelector::parse(text).ok());
        this.labels = this.one(review, Kind::Label, |text| LabelSelector::parse(text).ok());
        this
    }

    fn one<S>(&mut self, review: &Value, kind: Kind, parse: impl Fn(&str) -> Option<S>) -> Option<S> {
        let selector = kind.of(review)?;
        let at = format!("{AT}.{}", kind.name());
        let (raw, requirements) = (selector.str_at("/rawSelector"), selector.list_at("/requirements"));
        if requirements.is_empty() {
            let read = parse(raw);
            if read.is_none() {
                self.ignored.push(format!("{at} ignored due to parse error"));
            }
            return read;
        }
        let readable: Vec<String> = requirements
            .iter()
            .filter_map(|r| written(kind, r))
            .filter(|text| parse(text).is_some())
            .collect();
        let read = (!readable.is_empty()).then(|| parse(&readable.join(","))).flatten();
        if readable.len() < requirements.len() {
            let part = if read.is_some() { "partially " } else { "" };
            self.ignored.push(format!("{at} {part}ignored due to parse error"));
        }
        read
    }
}

/// A requirement as it stands in the text of a selector; none for one that has no such form.
fn written(kind: Kind, requirement: &Value) -> Option<String> {
    let (key, operator, values) =
        (requirement.str_at("/key"), requirement.str_at("/operator"), texts(requirement));
    match (kind, operator, values.as_slice()) {
        (Kind::Field, "In", [value]) => Some(format!("{key}={}", escaped(value))),
        (Kind::Field, "NotIn", [value]) => Some(format!("{key}!={}", escaped(value))),
        (Kind::Field, ..) => None,
        (Kind::Label, "In", values) => Some(format!("{key} in ({})", values.join(","))),
        (Kind::Label, "NotIn", values) => Some(format!("{key} notin ({})", values.join(","))),
        (Kind::Label, "Exists", _) => Some(key.to_owned()),
        (Kind::Label, "DoesNotExist", _) => Some(format!("!{key}")),
        (Kind::Label, ..) => None,
    }
}

/// A value of a field selector in which nothing is special.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=")
}
