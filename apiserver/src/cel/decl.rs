//! Schemas as types: what a rule sees of an object, how large it can be, and how JSON is read.

use std::{collections::BTreeMap, sync::Arc};

use api::object::ObjectExt;
use serde_json::Value as Json;

use super::Type;

/// What a schema says of a value.
#[derive(Debug)]
pub struct Decl {
    /// How messages name an object of this type.
    pub name: String,
    /// Its shape.
    pub kind: DeclKind,
    /// The most elements or bytes that fit into a request.
    pub most: u64,
    /// The fewest bytes that a value takes as JSON.
    pub least_bytes: u64,
    /// Whether null may stand for it.
    pub nullable: bool,
    /// How two lists compare and add up.
    pub list: ListKind,
}

/// The shape of a value.
#[derive(Debug)]
#[allow(missing_docs, reason = "the language's own names")]
pub enum DeclKind {
    Dyn,
    Bool,
    Int,
    Double,
    String,
    Bytes,
    Duration,
    /// With the time of day, or without.
    Timestamp,
    List(Arc<Decl>),
    Map(Arc<Decl>),
    /// Fields by the names they have in rules.
    Object(BTreeMap<String, Field>),
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListKind {
    /// One value.
    Atomic,
    /// Scalars, each once, in any order.
    Set,
    /// Objects by these keys, in any order.
    Map(Vec<String>),
}

/// A field of an object.
#[derive(Debug)]
pub struct Field {
    /// Its name in JSON.
    pub json: String,
    /// What it holds.
    pub decl: Arc<Decl>,
}

/// The largest body of a request.
const REQUEST: u64 = 3 * 1024 * 1024;
const ANY_STRING: u64 = REQUEST - 2;

/// The name of a property in rules; `None` for one that rules cannot name.
pub fn escape(name: &str) -> Option<String> {
    let first = name.chars().next()?;
    let inner = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if first.is_ascii_digit() || !name.chars().all(inner) {
        return None;
    }
    if api::names::is_expression_word(name) {
        return Some(format!("__{name}__"));
    }
    let escaped = name.replace("__", "__underscores__");
    Some(escaped.replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__"))
}

impl Decl {
    fn of(kind: DeclKind, most: u64, least_bytes: u64) -> Decl {
        Decl { name: String::new(), kind, most, least_bytes, nullable: false, list: ListKind::Atomic }
    }

    /// Anything at all.
    pub fn dynamic() -> Decl {
        Decl::of(DeclKind::Dyn, ANY_STRING, 1)
    }

    /// Of a kind, without a schema.
    pub fn typed(name: &str, kind: DeclKind) -> Decl {
        let most = match kind {
            DeclKind::Bool | DeclKind::Int | DeclKind::Double | DeclKind::Object(_) => 1,
            DeclKind::Duration | DeclKind::Timestamp => 37,
            _ => ANY_STRING,
        };
        Decl { name: name.to_owned(), ..Decl::of(kind, most, 1) }
    }

    /// An object of a named type, whose fields have their own names in rules.
    pub fn object_of(name: &str, fields: Vec<(&str, Decl)>) -> Decl {
        let field = |(name, decl): (&str, Decl)| {
            (name.to_owned(), Field { json: name.to_owned(), decl: Arc::new(decl) })
        };
        Decl::typed(name, DeclKind::Object(fields.into_iter().map(field).collect()))
    }

    fn string() -> Decl {
        Decl::of(DeclKind::String, ANY_STRING, 2)
    }

    /// What a structural schema declares; `None` where rules see nothing, for its type is open.
    /// `root`: the schema of a whole object, which has a name and a kind.
    pub fn new(schema: &Json, root: bool, name: &str) -> Option<Decl> {
        let mut decl = Self::shape(schema, root, name)?;
        decl.nullable = schema.bool_at("/nullable");
        decl.name = name.to_owned();
        Some(decl)
    }

    fn shape(schema: &Json, root: bool, name: &str) -> Option<Decl> {
        if schema.bool_at("/x-kubernetes-int-or-string") {
            return Some(Decl::of(DeclKind::Dyn, ANY_STRING, 1));
        }
        let bound = |pointer: &str| schema.i64_at(pointer).map(|n| u64::try_from(n).unwrap_or(0));
        match schema.str_at("/type") {
            "array" => {
                let of = Self::child(schema.get("items")?, &format!("{name}.@idx"))?;
                let most = bound("/maxItems").unwrap_or((REQUEST - 2) / (of.least_bytes + 1));
                let list = match schema.str_at("/x-kubernetes-list-type") {
                    "set" => ListKind::Set,
                    "map" => {
                        let keys = schema.list_at("/x-kubernetes-list-map-keys").iter();
                        ListKind::Map(keys.filter_map(Json::as_str).map(str::to_owned).collect())
                    }
                    _ => ListKind::Atomic,
                };
                Some(Decl { list, ..Decl::of(DeclKind::List(Arc::new(of)), most, 2) })
            }
            "object" => match schema.get("additionalProperties").filter(|of| of.is_object()) {
                Some(of) => {
                    let of = Self::child(of, &format!("{name}.@elem"))?;
                    let most = bound("/maxProperties").unwrap_or((REQUEST - 2) / (of.least_bytes + 6));
                    Some(Decl::of(DeclKind::Map(Arc::new(of)), most, 2))
                }
                None => Some(Self::object(schema, root, name)),
            },
            "string" => Some(match schema.str_at("/format") {
                "byte" => Decl::of(DeclKind::Bytes, bound("/maxLength").unwrap_or(ANY_STRING), 2),
                "duration" => Decl::of(DeclKind::Duration, 32, 4),
                "date" => Decl::of(DeclKind::Timestamp, 12, 12),
                "date-time" => Decl::of(DeclKind::Timestamp, 37, 22),
                _ => {
                    // A character takes four bytes at most.
                    let most = bound("/maxLength").map_or(ANY_STRING, |n| n.saturating_mul(4));
                    Decl::of(DeclKind::String, most, 2)
                }
            }),
            "boolean" => Some(Decl::of(DeclKind::Bool, 1, 4)),
            "number" => Some(Decl::of(DeclKind::Double, 1, 1)),
            "integer" => Some(Decl::of(DeclKind::Int, 1, 1)),
            _ => None,
        }
    }

    fn child(schema: &Json, name: &str) -> Option<Decl> {
        Self::new(schema, schema.bool_at("/x-kubernetes-embedded-resource"), name)
    }

    fn object(schema: &Json, root: bool, name: &str) -> Decl {
        let required = schema.list_at("/required");
        let mut fields = BTreeMap::new();
        let mut least = 2;
        for (property, inner) in schema.map_at("/properties").into_iter().flatten() {
            if root && matches!(property.as_str(), "apiVersion" | "kind" | "metadata") {
                continue;
            }
            let Some(decl) = Self::child(inner, &format!("{name}.{property}")) else { continue };
            let wanted = required.iter().any(|r| r.as_str() == Some(property));
            if wanted && inner.get("default").is_none() {
                least += u64::try_from(property.len()).unwrap_or(0) + decl.least_bytes + 4;
            }
            if let Some(escaped) = escape(property) {
                fields.insert(escaped, Field { json: property.clone(), decl: Arc::new(decl) });
            }
        }
        if root {
            let field = |json: &str, decl: Decl| {
                (json.to_owned(), Field { json: json.to_owned(), decl: Arc::new(decl) })
            };
            let names =
                BTreeMap::from([field("name", Decl::string()), field("generateName", Decl::string())]);
            let metadata =
                Decl { name: format!("{name}.metadata"), ..Decl::of(DeclKind::Object(names), 1, 2) };
            fields.extend([
                field("apiVersion", Decl::string()),
                field("kind", Decl::string()),
                field("metadata", metadata),
            ]);
        }
        Decl::of(DeclKind::Object(fields), 1, least)
    }

    /// The type of such a value.
    pub fn ty(self: &Arc<Decl>) -> Type {
        match &self.kind {
            DeclKind::Dyn => Type::Dyn,
            DeclKind::Bool => Type::Bool,
            DeclKind::Int => Type::Int,
            DeclKind::Double => Type::Double,
            DeclKind::String => Type::String,
            DeclKind::Bytes => Type::Bytes,
            DeclKind::Duration => Type::Duration,
            DeclKind::Timestamp => Type::Timestamp,
            DeclKind::List(of) => Type::list(of.ty()),
            DeclKind::Map(of) => Type::map(Type::String, of.ty()),
            DeclKind::Object(_) => Type::Object(self.clone()),
        }
    }

    /// A field of an object, by its name in rules.
    pub fn field(&self, name: &str) -> Option<&Field> {
        match &self.kind {
            DeclKind::Object(fields) => fields.get(name),
            _ => None,
        }
    }

    /// What a list or map holds.
    pub fn element(&self) -> Option<&Arc<Decl>> {
        match &self.kind {
            DeclKind::List(of) | DeclKind::Map(of) => Some(of),
            _ => None,
        }
    }
}
