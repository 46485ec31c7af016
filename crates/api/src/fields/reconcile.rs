//! Sets that were written under an older schema.

use serde_json::Value;

use super::{
    compare::said,
    element::Element,
    schema::{ListType, Ref, Schema, Type},
    set::{Node, Set},
};

impl Set {
    /// The set as the schema would have it written: what is one value now is owned as one, what came
    /// apart is owned part by part.
    #[must_use]
    pub(super) fn reconciled(&self, schema: &Schema, of: Ref, object: Option<&Value>) -> Set {
        below(self, schema, of, object)
    }
}

fn below(set: &Set, schema: &Schema, of: Ref, value: Option<&Value>) -> Set {
    let mut out = Set::default();
    for (element, node) in set.nodes() {
        let (at, inner) = match (schema.get(of), element) {
            (Type::Map(map), Element::Field(name)) => (map.entry(name), value.and_then(|v| v.get(&**name))),
            (Type::List(list), element) => {
                let items = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let found = items.iter().find(|item| list.identify(item).is_ok_and(|e| e == *element));
                (Some(list.element), found)
            }
            _ => (None, None),
        };
        let node = match at {
            Some(at) => reconciled(node, schema, at, inner),
            None => node.clone(),
        };
        out.put(element.clone(), node);
    }
    out
}

fn reconciled(node: &Node, schema: &Schema, of: Ref, value: Option<&Value>) -> Node {
    let whole = node.member && node.below.is_empty();
    let (atomic, parts) = match schema.get(of) {
        Type::List(list) => (matches!(list.of, ListType::Atomic), true),
        Type::Map(map) => (map.atomic, true),
        Type::Simple(_) | Type::Deduced => (false, false),
    };
    match value {
        _ if !parts || atomic && whole => node.clone(),
        _ if atomic => Node::leaf(),
        Some(value) if whole => Node { member: true, below: said(schema, of, value).below },
        _ => Node { member: node.member, below: below(&node.below, schema, of, value) },
    }
}
