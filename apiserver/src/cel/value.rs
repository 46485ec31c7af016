//! Values at run time: scalars by value, lists and objects where they lie in the JSON.

use std::{borrow::Cow, cmp::Ordering, net::IpAddr, sync::Arc};

use api::quantity::Quantity;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Number, Value as Json};

use super::{
    Decl,
    decl::{DeclKind, ListKind},
    library::{Cidr, Semver, Url},
};

/// A value.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the language's own names")]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Cow<'a, str>),
    Bytes(Arc<[u8]>),
    Duration(SignedDuration),
    Timestamp(Timestamp),
    /// A list that an expression made.
    List(Arc<Vec<Value<'a>>>),
    /// A map that an expression made, in the order in which it was made.
    Map(Arc<Vec<(Value<'a>, Value<'a>)>>),
    /// A list of the object.
    Items(&'a [Json], &'a Decl),
    /// An object or map of the object.
    Fields(&'a Map<String, Json>, &'a Decl),
    Optional(Option<Arc<Value<'a>>>),
    Type(&'static str),
    Quantity(Quantity),
    Ip(IpAddr),
    Cidr(Cidr),
    Url(Arc<Url>),
    Semver(Arc<Semver>),
    Format(&'static str),
}

/// Of values whose schema is not known.
static DYNAMIC: std::sync::LazyLock<Decl> = std::sync::LazyLock::new(Decl::dynamic);

impl<'a> Value<'a> {
    /// JSON as its schema types it; what does not fit is read as what it is.
    pub fn read(json: &'a Json, decl: &'a Decl) -> Value<'a> {
        match (json, &decl.kind) {
            (Json::Null, _) => Value::Null,
            (Json::Bool(b), _) => Value::Bool(*b),
            (Json::Number(n), DeclKind::Double) => Value::Double(n.as_f64().unwrap_or(f64::NAN)),
            (Json::Number(n), DeclKind::Int) => whole(n),
            (Json::Number(n), _) => number(n),
            (Json::String(s), kind) => match kind {
                DeclKind::Bytes => api::object::unbase64(s).map(|b| Value::Bytes(b.into())),
                DeclKind::Duration => super::library::time::duration(s).ok().map(Value::Duration),
                DeclKind::Timestamp => super::library::time::timestamp(s).ok().map(Value::Timestamp),
                _ => None,
            }
            .unwrap_or(Value::String(Cow::Borrowed(s))),
            (Json::Array(list), _) => Value::Items(list, decl),
            (Json::Object(map), _) => Value::Fields(map, decl),
        }
    }

    /// JSON without a schema.
    pub fn dynamic(json: &'a Json) -> Value<'a> {
        Self::read(json, &DYNAMIC)
    }

    pub(super) fn text(text: impl Into<String>) -> Value<'a> {
        Value::String(Cow::Owned(text.into()))
    }

    pub(super) fn list(items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(Arc::new(items))
    }

    pub(super) fn some(value: Value<'a>) -> Value<'a> {
        Value::Optional(Some(Arc::new(value)))
    }

    pub(super) fn size(len: usize) -> Value<'a> {
        Value::Int(i64::try_from(len).unwrap_or(i64::MAX))
    }

    /// The elements of a list.
    pub(super) fn items(&self) -> Option<Items<'_, 'a>> {
        match self {
            Value::List(list) => Some(Items::Made(list)),
            Value::Items(list, decl) => {
                Some(Items::Read(list, decl.element().map_or(&DYNAMIC, |d| d.as_ref())))
            }
            _ => None,
        }
    }

    /// The entries of a map or the fields of an object.
    pub(super) fn entries(&self) -> Option<Vec<(Value<'a>, Value<'a>)>> {
        match self {
            Value::Map(map) => Some(map.as_ref().clone()),
            Value::Fields(map, decl) => {
                let entry = |(key, json): (&'a String, &'a Json)| {
                    (Value::String(Cow::Borrowed(key)), Value::read(json, element(decl, key)))
                };
                let map: &'a Map<String, Json> = map;
                Some(map.iter().map(entry).collect())
            }
            _ => None,
        }
    }

    /// Number of entries.
    pub(super) fn count(&self) -> Option<usize> {
        match self {
            Value::Map(map) => Some(map.len()),
            Value::Fields(map, _) => Some(map.len()),
            other => other.items().map(|items| items.len()),
        }
    }

    /// What stands under a key of a map, or in a field of an object.
    pub(super) fn get(&self, key: &Value<'a>) -> Option<Value<'a>> {
        match (self, key) {
            (Value::Map(map), key) => map.iter().find(|(k, _)| k.equals(key)).map(|(_, v)| v.clone()),
            (Value::Fields(map, decl), Value::String(key)) => field(map, decl, key),
            _ => None,
        }
    }

    /// How messages call its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::List(_) | Value::Items(..) => "list",
            Value::Map(_) | Value::Fields(..) => "map",
            Value::Optional(_) => "optional_type",
            Value::Type(_) => "type",
            Value::Quantity(_) => "kubernetes.Quantity",
            Value::Ip(_) => "net.IP",
            Value::Cidr(_) => "net.CIDR",
            Value::Url(_) => "kubernetes.URL",
            Value::Semver(_) => "kubernetes.Semver",
            Value::Format(_) => "kubernetes.NamedFormat",
        }
    }

    /// Numbers compare across their types, lists of schemas that are sets or maps in any order.
    pub(super) fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (
                Value::Int(_) | Value::Uint(_) | Value::Double(_),
                Value::Int(_) | Value::Uint(_) | Value::Double(_),
            ) => self.compare(other) == Some(Ordering::Equal),
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Value::Type(a), Value::Type(b)) => a == b,
            (Value::Quantity(a), Value::Quantity(b)) => a.nanos() == b.nanos(),
            (Value::Ip(a), Value::Ip(b)) => a == b,
            (Value::Cidr(a), Value::Cidr(b)) => a == b,
            (Value::Url(a), Value::Url(b)) => a.text == b.text,
            (Value::Semver(a), Value::Semver(b)) => a == b,
            (Value::Format(a), Value::Format(b)) => a == b,
            (Value::Optional(a), Value::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => a.equals(b),
                (a, b) => a.is_none() && b.is_none(),
            },
            (Value::Items(a, decl), Value::Items(b, other)) => same_lists(a, decl, b, other),
            (Value::Fields(..) | Value::Map(_), Value::Fields(..) | Value::Map(_)) => {
                match (self.entries(), other.entries()) {
                    (Some(mine), Some(theirs)) => {
                        mine.len() == theirs.len()
                            && mine.iter().all(|(key, value)| {
                                theirs.iter().any(|(k, v)| key.equals(k) && value.equals(v))
                            })
                    }
                    _ => false,
                }
            }
            _ => match (self.items(), other.items()) {
                (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(&b)),
                _ => false,
            },
        }
    }

    /// `None` for what has no order.
    pub(super) fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
            (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Value::Int(a), Value::Double(b)) => compare_float(i128::from(*a), *b),
            (Value::Uint(a), Value::Double(b)) => compare_float(i128::from(*a), *b),
            (Value::Double(a), Value::Int(b)) => compare_float(i128::from(*b), *a).map(Ordering::reverse),
            (Value::Double(a), Value::Uint(b)) => compare_float(i128::from(*b), *a).map(Ordering::reverse),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
            (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
            (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
            (Value::Quantity(a), Value::Quantity(b)) => Some(a.nanos().cmp(&b.nanos())),
            (Value::Semver(a), Value::Semver(b)) => Some(a.compare(b)),
            _ => None,
        }
    }

    /// For costs: bytes of text, elements of a list, one for anything else.
    pub(super) fn weight(&self) -> u64 {
        let size = match self {
            Value::String(s) => s.len(),
            Value::Bytes(b) => b.len(),
            other => other.count().unwrap_or(1),
        };
        u64::try_from(size).unwrap_or(u64::MAX)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "what lies beyond a double's precision is far from any other double"
)]
fn compare_float(whole: i128, float: f64) -> Option<Ordering> {
    (whole as f64).partial_cmp(&float)
}

/// JSON knows no difference between 1 and 1.0.
#[expect(clippy::cast_possible_truncation, reason = "whole and within the range")]
fn whole<'a>(n: &Number) -> Value<'a> {
    match n.as_f64() {
        Some(float) if n.is_f64() && float.fract() == 0.0 && float.abs() < 9e18 => Value::Int(float as i64),
        _ => number(n),
    }
}

fn number<'a>(n: &Number) -> Value<'a> {
    match (n.as_i64(), n.as_u64(), n.as_f64()) {
        (Some(i), ..) => Value::Int(i),
        (_, Some(u), _) => Value::Uint(u),
        (.., Some(f)) => Value::Double(f),
        _ => Value::Null,
    }
}

fn element<'d>(decl: &'d Decl, json_name: &str) -> &'d Decl {
    match &decl.kind {
        DeclKind::Map(of) => of,
        DeclKind::Object(fields) => {
            fields.values().find(|f| f.json == json_name).map_or(&DYNAMIC, |f| f.decl.as_ref())
        }
        _ => &DYNAMIC,
    }
}

/// A field by the name that it has in rules.
fn field<'a>(map: &'a Map<String, Json>, decl: &'a Decl, name: &str) -> Option<Value<'a>> {
    if let DeclKind::Object(_) = decl.kind {
        let field = decl.field(name)?;
        return map.get(&field.json).map(|json| Value::read(json, &field.decl));
    }
    map.get(name).map(|json| Value::read(json, element(decl, name)))
}

fn same_lists(a: &[Json], decl: &Decl, b: &[Json], other: &Decl) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (of, other_of) =
        (decl.element().map_or(&*DYNAMIC, |d| d.as_ref()), other.element().map_or(&*DYNAMIC, |d| d.as_ref()));
    let same = |x: &Json, y: &Json| Value::read(x, of).equals(&Value::read(y, other_of));
    match &decl.list {
        ListKind::Atomic => a.iter().zip(b).all(|(x, y)| same(x, y)),
        ListKind::Set => a.iter().all(|x| b.iter().any(|y| same(x, y))),
        ListKind::Map(keys) => a.iter().all(|x| {
            let partner = b.iter().find(|y| keys.iter().all(|k| x.get(k) == y.get(k)));
            partner.is_some_and(|y| same(x, y))
        }),
    }
}

/// The elements of a list, wherever they lie.
pub(super) enum Items<'v, 'a> {
    Made(&'v Arc<Vec<Value<'a>>>),
    Read(&'a [Json], &'a Decl),
}

impl<'v, 'a> Items<'v, 'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Items::Made(list) => list.len(),
            Items::Read(list, _) => list.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Items::Made(list) => list.get(index).cloned(),
            Items::Read(list, decl) => list.get(index).map(|json| Value::read(json, decl)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'_, 'v, 'a> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    pub(super) fn to_vec(&self) -> Vec<Value<'a>> {
        self.iter().collect()
    }
}
