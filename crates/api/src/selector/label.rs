//! Label selectors: grammar, validation, matching.

use std::fmt;

use serde_json::{Map, Value};

use super::{SelectorError, parser::Parser};
use crate::{
    names,
    object::ObjectExt,
    status::{FieldError, quoted},
};

/// How a requirement compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `in (…)`.
    In,
    /// `notin (…)`; objects without the label match.
    NotIn,
    /// `=`.
    Equals,
    /// `==`, the same as `=`.
    DoubleEquals,
    /// `!=`; objects without the label match.
    NotEquals,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
    /// The label's number is greater.
    GreaterThan,
    /// The label's number is less.
    LessThan,
}

/// One condition of a [`LabelSelector`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// The comparison.
    pub operator: Operator,
    /// What to compare with: sorted, each once.
    pub values: Vec<String>,
}

/// A conjunction of requirements. Without any it selects everything; one made from an absent
/// selector selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Selects every object.
    pub fn everything() -> LabelSelector {
        LabelSelector::default()
    }

    /// Selects no object.
    pub fn nothing() -> LabelSelector {
        LabelSelector { requirements: Vec::new(), nothing: true }
    }

    /// Reads `a=b,c in (d,e),!f,g>1`.
    pub fn parse(text: &str) -> Result<LabelSelector, SelectorError> {
        let mut requirements = Parser::new(text).selector().map_err(SelectorError)?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(LabelSelector { requirements, nothing: false })
    }

    /// Reads the `metav1.LabelSelector` of a workload. Null or absent selects nothing, `{}` everything.
    pub fn from_object(selector: &Value) -> Result<LabelSelector, SelectorError> {
        if !selector.is_object() {
            return Ok(LabelSelector::nothing());
        }
        let mut requirements = equalities(selector.map_at("/matchLabels"))?;
        for expression in selector.list_at("/matchExpressions") {
            let operator = match expression.str_at("/operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(SelectorError(format!(
                        "{} is not a valid label selector operator",
                        quoted(other)
                    )));
                }
            };
            let values = expression.list_at("/values").iter().filter_map(Value::as_str).map(str::to_owned);
            requirements.push(
                Requirement::new(expression.str_at("/key"), operator, values.collect())
                    .map_err(SelectorError)?,
            );
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(LabelSelector { requirements, nothing: false })
    }

    /// Reads a plain map of labels, as services and replication controllers have it. Null or absent
    /// selects nothing.
    pub fn from_map(labels: &Value) -> Result<LabelSelector, SelectorError> {
        let Some(map) = labels.as_object() else { return Ok(LabelSelector::nothing()) };
        let mut requirements = equalities(Some(map))?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(LabelSelector { requirements, nothing: false })
    }

    /// Whether an object's labels satisfy all requirements.
    pub fn matches(&self, object: &Value) -> bool {
        self.matches_labels(object.map_at("/metadata/labels"))
    }

    /// Whether a map of labels satisfies all requirements.
    pub fn matches_labels(&self, labels: Option<&Map<String, Value>>) -> bool {
        let get = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
        !self.nothing && self.requirements.iter().all(|r| r.matches(get(&r.key)))
    }

    /// Whether every object is selected.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether no object can be selected.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// The requirements, sorted by label.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// The one value that a label must have, if the selector says so.
    pub fn required_value(&self, key: &str) -> Option<&str> {
        let found = self.requirements.iter().find(|r| r.key == key)?;
        match (found.operator, found.values.as_slice()) {
            (Operator::In | Operator::Equals | Operator::DoubleEquals, [value]) => Some(value),
            _ => None,
        }
    }
}

impl Requirement {
    /// A checked requirement; the error is upstream's sentence.
    pub(super) fn new(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Requirement, String> {
        let mut errors = Vec::new();
        if let Some(complaint) = joined(names::qualified_name(key)) {
            errors.push(FieldError::invalid("key", key, complaint));
        }
        values.sort();
        values.dedup();
        let complaint = match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                Some("for 'in', 'notin' operators, values set can't be empty")
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                Some("exact-match compatibility requires one single value")
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                Some("values set must be empty for exists and does not exist")
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                Some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
            _ => None,
        };
        if let Some(complaint) = complaint {
            errors.push(FieldError::invalid("values", values.clone(), complaint));
        }
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            for (i, value) in values.iter().enumerate().filter(|(_, v)| integer(v).is_none()) {
                let complaint = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(FieldError::invalid(format!("values[{i}]"), value.as_str(), complaint));
            }
        }
        for (i, value) in values.iter().enumerate() {
            if let Some(complaint) = joined(names::label_value(value)) {
                errors.push(FieldError::invalid(format!("values[{i}][{key}]"), value.as_str(), complaint));
            }
        }
        match crate::status::aggregate(&errors) {
            Some(sentence) => Err(sentence),
            None => Ok(Requirement { key: key.into(), operator, values }),
        }
    }

    fn matches(&self, label: Option<&str>) -> bool {
        let listed = |label: &str| self.values.iter().any(|v| v == label);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => label.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !label.is_some_and(listed),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan => self.numbers(label).is_some_and(|(have, want)| have > want),
            Operator::LessThan => self.numbers(label).is_some_and(|(have, want)| have < want),
        }
    }

    fn numbers(&self, label: Option<&str>) -> Option<(i64, i64)> {
        Some((integer(label?)?, integer(self.values.first()?)?))
    }
}

/// A decimal integer as Go reads it: a sign is allowed.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn equalities(labels: Option<&Map<String, Value>>) -> Result<Vec<Requirement>, SelectorError> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    labels
        .into_iter()
        .flatten()
        .map(|(key, value)| Requirement::new(key, Operator::Equals, vec![text(value)]).map_err(SelectorError))
        .collect()
}

/// All complaints in one sentence.
pub(super) fn joined(complaints: Vec<String>) -> Option<String> {
    (!complaints.is_empty()).then(|| complaints.join("; "))
}

impl std::str::FromStr for LabelSelector {
    type Err = SelectorError;
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        LabelSelector::parse(text)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
