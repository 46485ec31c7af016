//! Values at run time: scalars by value, lists and objects where they lie in the JSON.

use std::{net::IpAddr, sync::Arc};

use api::quantity::Quantity;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Number, Value as Json};

use super::{
    Decl,
    decl::{DeclKind, escape},
    eval::EvalError,
    library::{Access, Cidr, Semver, Url},
    message::{JSON_PATCH, Made, OBJECT},
    session::{Session, work},
    table::Table,
    text::Text,
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
    String(Text<'a>),
    Bytes(Arc<[u8]>),
    Duration(SignedDuration),
    Timestamp(Timestamp),
    /// A list that an expression made.
    List(Arc<Vec<Value<'a>>>),
    /// A map that an expression made.
    Map(Arc<Table<'a>>),
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
    /// An object of a named type.
    Message(Arc<Made<'a>>),
    /// Who is asked what a user may do, and what is asked.
    Access(Arc<Access<'a>>),
}

/// Of values whose schema is not known.
static DYNAMIC: std::sync::LazyLock<Decl> = std::sync::LazyLock::new(Decl::dynamic);

impl<'a> Value<'a> {
    /// JSON as its schema types it; what does not fit is read as what it is.
    pub fn read(json: &'a Json, decl: &'a Decl) -> Value<'a> {
        work(1);
        match (json, &decl.kind) {
            (Json::Null, _) => Value::Null,
            (Json::Bool(b), _) => Value::Bool(*b),
            (Json::Number(n), DeclKind::Double) => Value::Double(n.as_f64().unwrap_or(f64::NAN)),
            (Json::Number(n), DeclKind::Int) => whole(n),
            (Json::Number(n), _) => number(n),
            (Json::String(s), kind) => match kind {
                DeclKind::Bytes => {
                    work(s.len());
                    api::object::unbase64(s).map(|b| Value::Bytes(b.into()))
                }
                DeclKind::Duration => super::library::time::duration(s).ok().map(Value::Duration),
                DeclKind::Timestamp => super::library::time::timestamp(s).ok().map(Value::Timestamp),
                _ => None,
            }
            .unwrap_or(Value::String(Text::Lent(s))),
            (Json::Array(list), _) => Value::Items(list, decl),
            (Json::Object(map), _) => Value::Fields(map, decl),
        }
    }

    /// JSON without a schema.
    pub fn dynamic(json: &'a Json) -> Value<'a> {
        Self::read(json, &DYNAMIC)
    }

    pub(super) fn text(text: impl Into<String>) -> Value<'a> {
        let text: String = text.into();
        work(text.len());
        Value::String(Text::Made(text.into()))
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
            Value::Items(list, decl) => Some(Items::Read(list, Value::element_of(decl))),
            _ => None,
        }
    }

    /// The entries of a map or the fields of an object, by their names in JSON.
    pub(super) fn entries(&self) -> Option<Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + '_>> {
        match self {
            Value::Map(map) => Some(Box::new(map.iter().cloned().inspect(|_| work(1)))),
            Value::Fields(map, decl) => {
                let decl: &'a Decl = decl;
                let entry = move |(key, json): (&'a String, &'a Json)| {
                    (Value::String(Text::Lent(key)), Value::read(json, element(decl, key)))
                };
                let map: &'a Map<String, Json> = map;
                Some(Box::new(map.iter().map(entry)))
            }
            _ => None,
        }
    }

    /// What one of the [`Value::entries`] holds.
    pub(super) fn entry(&self, key: &Value<'a>) -> Option<Value<'a>> {
        match (self, key) {
            (Value::Fields(map, decl), Value::String(key)) => {
                map.get(&**key).map(|json| Value::read(json, element(decl, key)))
            }
            _ => self.get(key),
        }
    }

    /// What the elements of a list of the object are.
    pub(super) fn element_of(decl: &'a Decl) -> &'a Decl {
        decl.element().map_or(&DYNAMIC, |d| d.as_ref())
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
            (Value::Map(map), key) => map.get(key).cloned(),
            (Value::Fields(map, decl), Value::String(key)) => field(map, decl, key),
            (Value::Message(made), Value::String(key)) => made.get(key).cloned(),
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
            Value::Message(made) if made.name == JSON_PATCH => JSON_PATCH,
            Value::Message(_) => OBJECT,
            Value::Access(access) => access.type_name(),
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
            let field = fields.get(json_name).filter(|f| f.json == json_name);
            let field = field.or_else(|| fields.get(&escape(json_name)?));
            field.map_or(&DYNAMIC, |f| f.decl.as_ref())
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
        work(1);
        match self {
            Items::Made(list) => list.get(index).cloned(),
            Items::Read(list, decl) => list.get(index).map(|json| Value::read(json, decl)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'_, 'v, 'a> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// All of them; bytes lie in an object as text, and are read anew.
    pub(super) fn to_vec(&self, session: &Session<'_>) -> Result<Vec<Value<'a>>, EvalError> {
        let paid = |item: Value<'a>| {
            if let Value::Bytes(bytes) = &item {
                session.walk_bytes(bytes.len())?;
            }
            Ok(item)
        };
        self.iter().map(paid).collect()
    }
}
