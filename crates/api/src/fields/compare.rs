//! What one object has and another has not, field by field.

use std::collections::BTreeMap;

use serde_json::{Map as JsonMap, Value};

use super::{
    element::Element,
    schema::{List, ListType, Map, Ref, Root, Schema, Shape, Type, elements, entries},
    set::{Node, Set},
};

/// What changed from one object to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Only the new object has these.
    pub added: Set,
    /// Both have these, with different values.
    pub modified: Set,
    /// Only the old object has these.
    pub removed: Set,
}

impl Comparison {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }
}

/// From the old object to the new one.
pub fn compare(of: &Root, old: &Value, new: &Value) -> Comparison {
    let diff = Walk { schema: &of.schema }.value(of.root, Some(old), Some(new));
    Comparison { added: diff.added.below, modified: diff.modified.below, removed: diff.removed.below }
}

/// What changed at one path and below it.
#[derive(Default)]
struct Diff {
    added: Node,
    modified: Node,
    removed: Node,
}

impl Diff {
    fn put(&mut self, element: impl Fn() -> Element, inner: Diff) {
        for (whole, part) in [
            (&mut self.added, inner.added),
            (&mut self.modified, inner.modified),
            (&mut self.removed, inner.removed),
        ] {
            if !part.is_empty() {
                whole.below.put(element(), part);
            }
        }
    }
}

struct Walk<'s> {
    schema: &'s Schema,
}

static NULL: Value = Value::Null;

fn empty_map() -> &'static Value {
    static EMPTY: std::sync::OnceLock<Value> = std::sync::OnceLock::new();
    EMPTY.get_or_init(|| Value::Object(JsonMap::new()))
}

impl Walk<'_> {
    /// At least one of the two is there.
    fn value(&self, of: Ref, old: Option<&Value>, new: Option<&Value>) -> Diff {
        let Some(known) = new.or(old) else { return Diff::default() };
        let mut diff = match (self.schema.get(of), old, new) {
            // A value that became another kind of value: what was below it is gone, what is below it is new.
            (Type::Deduced, Some(old), Some(new)) if !alike(old, new) => {
                let mut diff = self.shaped(of, old, Some(old), None);
                let fresh = self.shaped(of, new, None, Some(new));
                diff.added = fresh.added;
                (diff.added.member, diff.removed.member) = (false, false);
                diff.modified.member = true;
                return diff;
            }
            _ => self.shaped(of, known, old, new),
        };
        // Whoever brings a field brings what it is in, too.
        match (old, new) {
            (None, _) => diff.added.member = true,
            (_, None) => diff.removed.member = true,
            _ => {}
        }
        diff
    }

    fn shaped(&self, of: Ref, known: &Value, old: Option<&Value>, new: Option<&Value>) -> Diff {
        match self.schema.shape(of, known) {
            Shape::Simple(_) | Shape::List(None) => leaf(old, new),
            Shape::List(Some(list)) => self.list(list, old, new),
            Shape::Map(map) => self.map(map, old, new),
        }
    }

    fn map(&self, of: Option<&Map>, old: Option<&Value>, new: Option<&Value>) -> Diff {
        let (before, after) = (entries(old), entries(new));
        let none = |map: Option<&JsonMap<String, Value>>| map.is_none_or(JsonMap::is_empty);
        let atomic = of.is_some_and(|map| map.atomic);
        let always = of.is_some_and(|map| map.fields.values().any(|field| field.always));
        if atomic || none(before) && none(after) && !always {
            return leaf(old, new);
        }
        let mut diff = Diff::default();
        let entry = |name: &str| match of {
            Some(map) => map.entry(name),
            None => Some(Schema::DEDUCED),
        };
        for (name, value) in before.into_iter().flatten() {
            let Some(at) = entry(name) else { continue };
            let there = after.and_then(|map| map.get(name)).or_else(|| self.always(of, name, new));
            if there.is_some_and(|there| value == there) {
                continue;
            }
            diff.put(|| Element::field(name), self.value(at, Some(value), there));
        }
        for (name, value) in after.into_iter().flatten() {
            if before.is_some_and(|map| map.contains_key(name)) {
                continue;
            }
            let Some(at) = entry(name) else { continue };
            let there = self.always(of, name, old);
            diff.put(|| Element::field(name), self.value(at, there, Some(value)));
        }
        if always {
            self.unwritten(of, (old, before), (new, after), &mut diff);
        }
        diff
    }

    /// Fields that neither side wrote out, though one of them has the struct and thereby the field.
    fn unwritten(
        &self,
        of: Option<&Map>,
        (old, before): (Option<&Value>, Option<&JsonMap<String, Value>>),
        (new, after): (Option<&Value>, Option<&JsonMap<String, Value>>),
        diff: &mut Diff,
    ) {
        if old.is_some() && new.is_some() {
            return;
        }
        let written = |name: &str| [before, after].into_iter().flatten().any(|map| map.contains_key(name));
        for (name, field) in of.into_iter().flat_map(|map| &map.fields) {
            if field.always && !written(name) {
                let sides = (self.always(of, name, old), self.always(of, name, new));
                diff.put(|| Element::Field(name.clone()), self.value(field.of, sides.0, sides.1));
            }
        }
    }

    /// The empty value of a field that a struct has even if it is not written out.
    fn always(&self, of: Option<&Map>, name: &str, holder: Option<&Value>) -> Option<&'static Value> {
        holder?;
        let field = of?.fields.get(name).filter(|field| field.always)?;
        Some(match self.schema.get(field.of) {
            Type::Map(map) if !map.fields.is_empty() && !map.atomic => empty_map(),
            _ => &NULL,
        })
    }

    fn list(&self, of: &List, old: Option<&Value>, new: Option<&Value>) -> Diff {
        let (before, after) = (elements(old), elements(new));
        if matches!(of.of, ListType::Atomic) || before.is_empty() && after.is_empty() {
            return leaf(old, new);
        }
        if before == after {
            return Diff::default();
        }
        let index = |list: &'_ [Value]| {
            let mut index: BTreeMap<Element, usize> = BTreeMap::new();
            for (place, item) in list.iter().enumerate() {
                if let Ok(element) = of.identify(item) {
                    index.entry(element).or_insert(place);
                }
            }
            index
        };
        let (was, is) = (index(before), index(after));
        let mut diff = Diff::default();
        for (element, place) in &was {
            let there = is.get(element).and_then(|place| after.get(*place));
            let inner = self.value(of.element, before.get(*place), there);
            diff.put(|| element.clone(), inner);
        }
        for (element, place) in is.iter().filter(|(element, _)| !was.contains_key(element)) {
            let inner = self.value(of.element, None, after.get(*place));
            diff.put(|| element.clone(), inner);
        }
        diff
    }
}

fn alike(a: &Value, b: &Value) -> bool {
    let kind = |value: &Value| match value {
        Value::Object(_) => 1,
        Value::Array(_) => 2,
        _ => 0,
    };
    kind(a) == kind(b)
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Diff {
    let mut diff = Diff::default();
    match (old, new) {
        (None, _) => diff.added.member = true,
        (_, None) => diff.removed.member = true,
        (Some(old), Some(new)) => diff.modified.member = !same(old, new),
    }
    diff
}

/// Equality that takes 1 and 1.0 for one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        _ => a == b,
    }
}

/// The fields that an object says something about: what somebody who applies it owns.
pub fn field_set(of: &Root, object: &Value) -> Set {
    said(&of.schema, of.root, object).below
}

pub(super) fn said(schema: &Schema, of: Ref, value: &Value) -> Node {
    match schema.shape(of, value) {
        Shape::Simple(_) | Shape::List(None) => Node::leaf(),
        Shape::List(Some(list)) if matches!(list.of, ListType::Atomic) => Node::leaf(),
        Shape::List(Some(list)) => {
            let mut node = Node::default();
            for item in elements(Some(value)) {
                let Ok(element) = list.identify(item) else { continue };
                let inner = said(schema, list.element, item);
                node.below.put(element, Node { member: true, ..inner });
            }
            node
        }
        Shape::Map(Some(map)) if map.atomic => Node::leaf(),
        Shape::Map(map) => {
            let mut node = Node::default();
            for (name, value) in entries(Some(value)).into_iter().flatten() {
                let at = map.map_or(Some(Schema::DEDUCED), |map| map.entry(name));
                let Some(at) = at else { continue };
                let named = map.is_some_and(|map| map.fields.contains_key(name.as_str()));
                let empty = value.is_null() || value.as_object().is_some_and(JsonMap::is_empty);
                let inner = said(schema, at, value);
                let member = inner.member || empty || !named;
                node.below.put(Element::field(name), Node { member, ..inner });
            }
            node
        }
    }
}

impl Set {
    /// The set with every struct field as a member that has members below it: removing such a field
    /// removes what holds it, too.
    #[must_use]
    pub(super) fn with_named_fields(&self, schema: &Schema, of: Option<Ref>) -> Set {
        let mut out = Set::default();
        for (element, node) in self.nodes() {
            let (below, named) = match (element, of.map(|of| schema.get(of))) {
                (Element::Field(name), Some(Type::Map(map))) => {
                    (map.entry(name), map.fields.contains_key(name))
                }
                (Element::Field(_), Some(Type::Deduced)) => (Some(Schema::DEDUCED), false),
                (_, Some(Type::List(list))) => (Some(list.element), false),
                _ => (None, false),
            };
            let member = node.member || named && !node.below.is_empty();
            out.put(element.clone(), Node { member, below: node.below.with_named_fields(schema, below) });
        }
        out
    }
}
