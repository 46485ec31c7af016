//! Static types, and which of them goes where.

use std::{fmt, sync::Arc};

use super::Decl;

/// The type of an expression.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the language's own names")]
pub enum Type {
    /// Anything: checked when it is evaluated.
    Dyn,
    /// Of something that was complained of already.
    Error,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    /// An object with known fields.
    Object(Arc<Decl>),
    Optional(Arc<Type>),
    /// The type of a type.
    Meta,
    /// One of Kubernetes' own.
    Opaque(&'static str),
    /// Of an object that an expression makes.
    Message(Arc<str>),
    /// A parameter of a signature.
    Param(u8),
}

impl Type {
    pub(super) fn list(of: Type) -> Type {
        Type::List(Arc::new(of))
    }

    pub(super) fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new(key), Arc::new(value))
    }

    pub(super) fn optional(of: Type) -> Type {
        Type::Optional(Arc::new(of))
    }

    /// Whether null goes where this type goes.
    fn takes_null(&self) -> bool {
        matches!(
            self,
            Type::Null
                | Type::Object(_)
                | Type::Duration
                | Type::Timestamp
                | Type::Optional(_)
                | Type::Opaque(_)
                | Type::Message(_)
        )
    }

    /// As it is known of a variable that is an expression itself.
    pub(super) fn composed(&self) -> Type {
        match self {
            Type::List(of) => Type::list(of.composed()),
            Type::Map(key, value) => Type::map(key.composed(), value.composed()),
            Type::Bool
            | Type::Int
            | Type::Uint
            | Type::Double
            | Type::String
            | Type::Bytes
            | Type::Null
            | Type::Duration
            | Type::Timestamp => self.clone(),
            _ => Type::Dyn,
        }
    }

    pub(super) fn same(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => a.same(b),
            (Type::Map(a, b), Type::Map(c, d)) => a.same(c) && b.same(d),
            (Type::Object(a), Type::Object(b)) => a.name == b.name,
            (Type::Opaque(a), Type::Opaque(b)) => a == b,
            (Type::Message(a), Type::Message(b)) => a == b,
            (Type::Param(a), Type::Param(b)) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dyn => f.write_str("dyn"),
            Type::Error => f.write_str("!error!"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::String => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Duration => f.write_str("duration"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::List(of) => write!(f, "list({of})"),
            Type::Map(key, value) => write!(f, "map({key}, {value})"),
            Type::Object(decl) => f.write_str(&decl.name),
            Type::Optional(of) => write!(f, "optional_type({of})"),
            Type::Meta => f.write_str("type"),
            Type::Opaque(name) => f.write_str(name),
            Type::Message(name) => f.write_str(name),
            Type::Param(n) => write!(f, "{}", char::from(b'A' + n)),
        }
    }
}

/// What the parameters of a signature stand for in one call.
#[derive(Default)]
pub(super) struct Bindings([Option<Type>; 3]);

impl Bindings {
    /// Whether a value of type `given` goes where `wanted` is asked for.
    pub(super) fn accepts(&mut self, wanted: &Type, given: &Type) -> bool {
        match (wanted, given) {
            (Type::Param(n), given) => {
                let slot = usize::from(*n);
                match self.0.get(slot).cloned().flatten() {
                    None => {
                        if let Some(place) = self.0.get_mut(slot) {
                            *place = Some(given.clone());
                        }
                        true
                    }
                    Some(Type::Dyn) => true,
                    Some(bound) => {
                        let mut inner = Bindings::default();
                        if inner.accepts(&bound, given) {
                            // What is known of an empty list's elements is less than of the other's.
                            if matches!(bound, Type::Null) || is_vague(&bound) {
                                self.0[slot] = Some(given.clone());
                            }
                            return true;
                        }
                        false
                    }
                }
            }
            (Type::Dyn | Type::Error, _) | (_, Type::Dyn | Type::Error) => true,
            (Type::Null, given) => given.takes_null(),
            (wanted, Type::Null) => wanted.takes_null(),
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.accepts(a, b),
            (Type::Map(a, b), Type::Map(c, d)) => self.accepts(a, c) && self.accepts(b, d),
            _ => wanted.same(given),
        }
    }

    /// A type with its parameters put in; what stayed open is dyn.
    pub(super) fn settle(&self, ty: &Type) -> Type {
        match ty {
            Type::Param(n) => self.0.get(usize::from(*n)).cloned().flatten().unwrap_or(Type::Dyn),
            Type::List(of) => Type::list(self.settle(of)),
            Type::Optional(of) => Type::optional(self.settle(of)),
            Type::Map(key, value) => Type::map(self.settle(key), self.settle(value)),
            other => other.clone(),
        }
    }
}

/// Whether nothing is known of a part of it.
fn is_vague(ty: &Type) -> bool {
    match ty {
        Type::Dyn => true,
        Type::List(of) | Type::Optional(of) => is_vague(of),
        Type::Map(key, value) => is_vague(key) || is_vague(value),
        _ => false,
    }
}
