//! Where one field ends and the next begins: the part of a kind's schema that ownership needs.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map as JsonMap, Value};

/// A type in a [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ref(usize);

/// What plain values a type allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simple {
    /// Integers and others.
    Numeric,
    /// Text.
    Text,
    /// True and false.
    Boolean,
    /// Any.
    Any,
}

/// What a value of a type is.
#[derive(Clone, Debug)]
pub enum Type {
    /// One plain value.
    Simple(Simple),
    /// A list.
    List(List),
    /// A map or a struct.
    Map(Map),
    /// Anything: maps are owned entry by entry, lists as a whole.
    Deduced,
}

/// How the elements of a list are told apart.
#[derive(Clone, Debug)]
pub enum ListType {
    /// Not at all: the list is one value.
    Atomic,
    /// By their values.
    Set,
    /// By the values of some of their fields.
    Map(Vec<Key>),
}

/// A field that tells elements of a list apart.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name.
    pub name: Box<str>,
    /// What it is where it is left out.
    pub default: Option<Value>,
}

/// A list.
#[derive(Clone, Debug)]
pub struct List {
    /// Its elements.
    pub element: Ref,
    /// How they are told apart.
    pub of: ListType,
}

/// A map or a struct, or both.
#[derive(Clone, Debug, Default)]
pub struct Map {
    /// The fields that have names in the schema.
    pub fields: BTreeMap<Box<str>, Field>,
    /// All others; `None` if there may be none.
    pub element: Option<Ref>,
    /// Whether it is owned as a whole.
    pub atomic: bool,
}

/// A field of a struct.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its type.
    pub of: Ref,
    /// Whether typed clients always write it, empty or not: then it belongs to its struct.
    pub always: bool,
}

impl Map {
    /// The type of an entry.
    pub(super) fn entry(&self, name: &str) -> Option<Ref> {
        self.fields.get(name).map(|field| field.of).or(self.element)
    }
}

/// Types that refer to each other.
#[derive(Debug)]
pub struct Schema {
    types: Vec<Type>,
    /// Whether it may become another while objects of it live, as a definition's.
    pub may_change: bool,
}

/// A type with the schema that it is in.
#[derive(Clone, Debug)]
pub struct Root {
    /// The types.
    pub schema: Arc<Schema>,
    /// The one.
    pub root: Ref,
}

impl Root {
    pub(super) fn may_change(&self) -> bool {
        self.schema.may_change
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self { types: vec![Type::Deduced], may_change: false }
    }
}

impl Schema {
    /// The type for what nothing is known of.
    pub const DEDUCED: Ref = Ref(0);

    /// Adds a type.
    pub fn add(&mut self, of: Type) -> Ref {
        self.types.push(of);
        Ref(self.types.len() - 1)
    }

    /// Replaces a type, for those that refer to themselves.
    pub fn set(&mut self, at: Ref, of: Type) {
        if let Some(slot) = self.types.get_mut(at.0) {
            *slot = of;
        }
    }

    /// A type.
    pub fn get(&self, at: Ref) -> &Type {
        self.types.get(at.0).unwrap_or(&Type::Deduced)
    }

    /// The metadata that all objects have.
    pub fn object_meta(&mut self) -> Ref {
        let text = self.add(Type::Simple(Simple::Text));
        let number = self.add(Type::Simple(Simple::Numeric));
        let any = self.add(Type::Simple(Simple::Any));
        let boolean = self.add(Type::Simple(Simple::Boolean));
        let texts = Map { element: Some(text), ..Map::default() };
        let texts = self.add(Type::Map(texts));
        let finalizers = self.add(Type::List(List { element: text, of: ListType::Set }));
        let field = |of: Ref| Field { of, always: false };
        let owner: [(&str, Ref); 6] = [
            ("apiVersion", text),
            ("blockOwnerDeletion", boolean),
            ("controller", boolean),
            ("kind", text),
            ("name", text),
            ("uid", text),
        ];
        let owner = owner.into_iter().map(|(name, of)| (name.into(), field(of))).collect();
        let owner = self.add(Type::Map(Map { fields: owner, element: None, atomic: true }));
        let by_uid = ListType::Map(vec![Key { name: "uid".into(), default: Some("".into()) }]);
        let owners = self.add(Type::List(List { element: owner, of: by_uid }));
        let managed = self.add(Type::List(List { element: Self::DEDUCED, of: ListType::Atomic }));
        let fields: [(&str, Ref); 15] = [
            ("annotations", texts),
            ("creationTimestamp", any),
            ("deletionGracePeriodSeconds", number),
            ("deletionTimestamp", any),
            ("finalizers", finalizers),
            ("generateName", text),
            ("generation", number),
            ("labels", texts),
            ("managedFields", managed),
            ("name", text),
            ("namespace", text),
            ("ownerReferences", owners),
            ("resourceVersion", text),
            ("selfLink", text),
            ("uid", text),
        ];
        let fields = fields.into_iter().map(|(name, of)| (name.into(), field(of))).collect();
        self.add(Type::Map(Map { fields, element: None, atomic: false }))
    }
}

/// What one value of a type is, once the value is known.
pub(super) enum Shape<'s> {
    Simple(Simple),
    List(Option<&'s List>),
    Map(Option<&'s Map>),
}

impl Schema {
    /// The shape of a value: for anything but [`Type::Deduced`] the schema's word.
    pub(super) fn shape(&self, at: Ref, value: &Value) -> Shape<'_> {
        match self.get(at) {
            Type::Simple(simple) => Shape::Simple(*simple),
            Type::List(list) => Shape::List(Some(list)),
            Type::Map(map) => Shape::Map(Some(map)),
            Type::Deduced => match value {
                Value::Array(_) => Shape::List(None),
                Value::Object(_) => Shape::Map(None),
                _ => Shape::Simple(Simple::Any),
            },
        }
    }
}

/// The entries of a map; null and everything else has none.
pub(super) fn entries(value: Option<&Value>) -> Option<&JsonMap<String, Value>> {
    value.and_then(Value::as_object)
}

/// The elements of a list; null and everything else has none.
pub(super) fn elements(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

impl List {
    /// What tells an element from the others, or why nothing does, in upstream's words.
    pub(super) fn identify(&self, item: &Value) -> Result<super::Element, String> {
        use super::{Element, Scalar};
        match &self.of {
            ListType::Atomic => Err("atomic lists have no elements".to_owned()),
            ListType::Set => match item {
                Value::Object(_) => {
                    Err("associative list without keys has an element that's a map type".to_owned())
                }
                Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
                Value::Null => {
                    Err("associative list without keys has an element that's an explicit null".to_owned())
                }
                value => Scalar::of(value).map(Element::Value).ok_or_else(|| "no plain value".to_owned()),
            },
            ListType::Map(keys) => {
                let map = match item {
                    Value::Null => {
                        return Err("associative list with keys may not have a null element".to_owned());
                    }
                    Value::Object(map) => map,
                    _ => return Err("associative list with keys may not have non-map elements".to_owned()),
                };
                let mut found = Vec::with_capacity(keys.len());
                for key in keys {
                    let Some(value) = map.get(&*key.name).or(key.default.as_ref()) else { continue };
                    let value = Scalar::of(value)
                        .ok_or_else(|| format!("the key {:?} is no plain value", key.name))?;
                    found.push((key.name.clone(), value));
                }
                if found.is_empty() {
                    let names: Vec<String> = keys.iter().map(|key| format!("{:?}", key.name)).collect();
                    return Err(format!(
                        "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                        names.join(" ")
                    ));
                }
                Ok(Element::keys(found))
            }
        }
    }
}
