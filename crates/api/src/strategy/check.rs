//! The rules that many kinds share, and the list that complaints end up in.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::path::Path;
use crate::{
    meta, names, object::ObjectExt, quantity::Quantity, selector::LabelSelector, status::FieldError,
};

pub(super) const NON_NEGATIVE: &str = "must be greater than or equal to 0";
pub(super) const POSITIVE: &str = "must be greater than 0";
pub(super) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// Complaints in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Complaints(Vec<FieldError>);

impl From<Complaints> for Vec<FieldError> {
    fn from(complaints: Complaints) -> Self {
        complaints.0
    }
}

impl Complaints {
    pub(super) fn required(&mut self, at: Path<'_>, detail: &str) {
        self.0.push(FieldError::required(at.to_string(), detail));
    }

    pub(super) fn invalid(&mut self, at: Path<'_>, value: impl Into<Value>, detail: impl Into<String>) {
        self.0.push(FieldError::invalid(at.to_string(), value, detail));
    }

    pub(super) fn forbidden(&mut self, at: Path<'_>, detail: impl Into<String>) {
        self.0.push(FieldError::forbidden(at.to_string(), detail));
    }

    pub(super) fn duplicate(&mut self, at: Path<'_>, value: impl Into<Value>) {
        self.0.push(FieldError::duplicate(at.to_string(), value));
    }

    pub(super) fn not_found(&mut self, at: Path<'_>, value: impl Into<Value>) {
        self.0.push(FieldError::not_found(at.to_string(), value));
    }

    pub(super) fn not_supported(&mut self, at: Path<'_>, value: impl Into<Value>, supported: &[&str]) {
        self.0.push(FieldError::not_supported(at.to_string(), value, supported));
    }

    pub(super) fn too_long(&mut self, at: Path<'_>, limit: usize) {
        self.0.push(FieldError::too_long(at.to_string(), limit));
    }

    pub(super) fn too_many(&mut self, at: Path<'_>, actual: usize, limit: usize) {
        self.0.push(FieldError::too_many(at.to_string(), actual, limit));
    }

    /// Every complaint about one value.
    pub(super) fn each(&mut self, at: Path<'_>, value: &str, complaints: Vec<String>) {
        for complaint in complaints {
            self.invalid(at, value, complaint);
        }
    }

    /// All complaints about one value in one, as the CRD validation writes them.
    pub(super) fn joined(&mut self, at: Path<'_>, value: &str, complaints: Vec<String>) {
        if !complaints.is_empty() {
            self.invalid(at, value, complaints.join(","));
        }
    }

    /// A text that must be there; the rule is only asked if it is.
    pub(super) fn name(&mut self, at: Path<'_>, value: &str, rule: fn(&str) -> Vec<String>) {
        if value.is_empty() {
            self.required(at, "");
        } else {
            self.each(at, value, rule(value));
        }
    }

    /// A text that may be absent.
    pub(super) fn optional_name(&mut self, at: Path<'_>, value: &str, rule: fn(&str) -> Vec<String>) {
        if !value.is_empty() {
            self.each(at, value, rule(value));
        }
    }

    /// One of a few words, which must be there.
    pub(super) fn one_of(&mut self, at: Path<'_>, value: &str, words: &[&str]) {
        if value.is_empty() {
            self.required(at, "");
        } else {
            self.optional_one_of(at, value, words);
        }
    }

    /// One of a few words, or nothing.
    pub(super) fn optional_one_of(&mut self, at: Path<'_>, value: &str, words: &[&str]) {
        if !value.is_empty() && !words.contains(&value) {
            self.not_supported(at, value, words);
        }
    }

    /// Not below zero, if it is there.
    pub(super) fn non_negative(&mut self, at: Path<'_>, value: Option<i64>) {
        if let Some(value) = value.filter(|value| *value < 0) {
            self.invalid(at, value, NON_NEGATIVE);
        }
    }

    /// Above zero, if it is there.
    pub(super) fn positive(&mut self, at: Path<'_>, value: Option<i64>) {
        if let Some(value) = value.filter(|value| *value <= 0) {
            self.invalid(at, value, POSITIVE);
        }
    }

    /// A port number.
    pub(super) fn port(&mut self, at: Path<'_>, port: i64) {
        for complaint in names::port_number(port) {
            self.invalid(at, port, complaint);
        }
    }

    /// A port by number or name.
    pub(super) fn port_or_name(&mut self, at: Path<'_>, port: Option<&Value>) {
        match port {
            Some(Value::String(name)) => self.each(at, name, names::port_name(name)),
            Some(value) => self.port(at, value.as_i64().unwrap_or(0)),
            None => self.port(at, 0),
        }
    }

    /// A field that may not change.
    pub(super) fn immutable(&mut self, at: Path<'_>, new: &Value, old: &Value, pointer: &str) {
        let (new, old) = (new.at(pointer), old.at(pointer));
        if !meta::semantic_eq(new, old) {
            self.0.push(FieldError::immutable(at.to_string(), new.cloned().unwrap_or_default()));
        }
    }

    /// A map of amounts: none negative, all well-formed.
    pub(super) fn amounts(&mut self, at: Path<'_>, amounts: Option<&Map<String, Value>>) {
        for (name, value) in amounts.into_iter().flatten() {
            self.amount(at.key(name), value);
        }
    }

    /// An amount that is not negative.
    pub(super) fn amount(&mut self, at: Path<'_>, value: &Value) {
        match Quantity::from_value(value) {
            Ok(amount) if amount.is_negative() => self.invalid(at, amount.to_string(), NON_NEGATIVE),
            Ok(_) => {}
            Err(error) => self.invalid(at, value.clone(), error.to_string()),
        }
    }

    /// An amount above zero.
    pub(super) fn positive_amount(&mut self, at: Path<'_>, value: &Value) {
        match Quantity::from_value(value) {
            Ok(amount) if amount.is_negative() => self.invalid(at, amount.to_string(), NON_NEGATIVE),
            Ok(amount) if amount.is_zero() => {
                self.invalid(at, amount.to_string(), "must be greater than zero");
            }
            Ok(_) => {}
            Err(error) => self.invalid(at, value.clone(), error.to_string()),
        }
    }

    /// The labels of a template and similar maps.
    pub(super) fn labels(&mut self, at: Path<'_>, labels: Option<&Map<String, Value>>) {
        self.0.extend(meta::validate_labels(labels, &at.to_string()));
    }

    /// A `LabelSelector`.
    pub(super) fn label_selector(&mut self, at: Path<'_>, selector: Option<&Value>) {
        let Some(selector) = selector else { return };
        self.labels(at.child("matchLabels"), selector.map_at("/matchLabels"));
        let expressions = at.child("matchExpressions");
        for (index, expression) in selector.list_at("/matchExpressions").iter().enumerate() {
            let at = expressions.index(index);
            let values = expression.list_at("/values");
            match expression.str_at("/operator") {
                "In" | "NotIn" if values.is_empty() => {
                    self.required(at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
                }
                "In" | "NotIn" => {}
                "Exists" | "DoesNotExist" if !values.is_empty() => {
                    let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    self.forbidden(at.child("values"), detail);
                }
                "Exists" | "DoesNotExist" => {}
                other => self.invalid(at.child("operator"), other, "not a valid selector operator"),
            }
            let key = expression.str_at("/key");
            self.each(at.child("key"), key, names::qualified_name(key));
            let path = at.child("values");
            for (index, value) in values.iter().enumerate() {
                let value = value.as_str().unwrap_or_default();
                self.each(path.index(index), value, names::label_value(value));
            }
        }
    }

    /// The selector of a workload: there, not empty, and matching the labels of its template.
    /// `called` is how the complaint about an empty one names the kind.
    pub(super) fn workload_selector(&mut self, object: &Value, called: &str) {
        let at = Path::root("spec.selector");
        let Some(selector) = object.at("/spec/selector").filter(|selector| selector.is_object()) else {
            self.required(at, "");
            return;
        };
        self.label_selector(at, Some(selector));
        let parsed = match LabelSelector::from_object(selector) {
            Err(_) => return self.invalid(at, selector.clone(), "invalid label selector"),
            Ok(parsed) => parsed,
        };
        if parsed.is_everything() {
            self.invalid(at, selector.clone(), format!("empty selector is invalid for {called}"));
        }
        let labels = object.map_at("/spec/template/metadata/labels");
        if !parsed.is_everything() && !parsed.matches_labels(labels) {
            let labels = labels.cloned().map_or(Value::Null, Value::Object);
            let at = Path::root("spec.template.metadata.labels");
            self.invalid(at, labels, "`selector` does not match template `labels`");
        }
    }

    /// A number or a percentage that is not negative.
    pub(super) fn count_or_percent(&mut self, at: Path<'_>, value: Option<&Value>) {
        match value {
            None => {}
            Some(Value::Number(number)) => self.non_negative(at, number.as_i64()),
            Some(Value::String(text)) => {
                let digits = text.strip_suffix('%');
                if !digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit())) {
                    let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
                    self.invalid(at, text.as_str(), detail);
                }
            }
            Some(other) => self.invalid(at, other.clone(), "must be an integer or percentage (e.g '5%%')"),
        }
    }

    /// A percentage of no more than all.
    pub(super) fn at_most_all(&mut self, at: Path<'_>, value: Option<&Value>) {
        let Some(text) = value.and_then(Value::as_str) else { return };
        let percent = text.strip_suffix('%').and_then(|digits| digits.parse::<u64>().ok());
        if percent.is_some_and(|percent| percent > 100) {
            self.invalid(at, text, "must not be greater than 100%");
        }
    }

    /// Complains of every element whose key came before.
    pub(super) fn unique<'a>(&mut self, list: &'a [Value], key: &str, at: impl Fn(usize) -> String) {
        let mut seen: BTreeSet<&'a str> = BTreeSet::new();
        for (index, element) in list.iter().enumerate() {
            let value = element.str_at(key);
            if !value.is_empty() && !seen.insert(value) {
                self.0.push(FieldError::duplicate(at(index), value));
            }
        }
    }
}

/// Whether a value is 0 or `0%`, or absent.
pub(super) fn is_zero(value: Option<&Value>) -> bool {
    match value {
        None => true,
        Some(Value::Number(number)) => number.as_i64() == Some(0),
        Some(Value::String(text)) => text.trim_end_matches('%').parse::<i64>() == Ok(0),
        Some(_) => false,
    }
}
