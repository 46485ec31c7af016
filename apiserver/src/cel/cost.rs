//! What an expression may cost at worst, from the bounds that the schema sets.
//!
//! The units are upstream's: a name, a field and a plain call cost one; text costs a tenth per byte
//! that is looked at; a loop costs its body times the most elements that its range can have.

use std::sync::Arc;

use super::{
    Decl, Type, Value,
    ast::{BindKind, Expr, Fold, FoldKind, Literal, Node, Select},
    check::Types,
    decl::DeclKind,
};

const UNKNOWN: u64 = u64::MAX;
pub(super) const LIST: u64 = 10;
pub(super) const MAP: u64 = 30;
pub(super) const MESSAGE: u64 = 40;
/// Asking an authorizer, which may have to ask somebody else.
const ACCESS: u64 = 350_000;

/// What looking at so many bytes of text costs.
pub(super) fn text(bytes: u64) -> u64 {
    scale(bytes, 10)
}

/// A regular expression of so many bytes.
pub(super) fn pattern(bytes: u64) -> u64 {
    scale(bytes, 4)
}

fn scale(size: u64, per: u64) -> u64 {
    if size == UNKNOWN { UNKNOWN } else { size.div_ceil(per) }
}

/// The most that one evaluation can cost.
pub(super) fn estimate(expr: &Expr, types: &Types) -> u64 {
    let mut estimator = Estimator { types, scopes: Vec::new() };
    estimator.expr(expr).cost
}

/// Cost and size of an expression, and the size of what it holds.
#[derive(Clone, Copy)]
struct Estimate {
    cost: u64,
    size: u64,
    inner: u64,
}

impl Estimate {
    fn scalar(cost: u64) -> Estimate {
        Estimate { cost, size: 1, inner: UNKNOWN }
    }
}

struct Estimator<'t> {
    types: &'t Types,
    /// Sizes of what loops and bindings declare.
    scopes: Vec<(String, u64, u64)>,
}

fn sum(costs: impl IntoIterator<Item = u64>) -> u64 {
    costs.into_iter().fold(0, u64::saturating_add)
}

fn size_of_type(ty: &Type) -> u64 {
    match ty {
        Type::Bool
        | Type::Int
        | Type::Uint
        | Type::Double
        | Type::Duration
        | Type::Timestamp
        | Type::Null
        | Type::Meta
        | Type::Object(_) => 1,
        _ => UNKNOWN,
    }
}

fn inner_of(decl: Option<&Arc<Decl>>) -> u64 {
    decl.and_then(|d| d.element()).map_or(UNKNOWN, |inner| inner.most)
}

impl Estimator<'_> {
    fn sizes(&self, expr: &Expr) -> (u64, u64) {
        match self.types.get(expr.id) {
            Some(known) => match &known.decl {
                Some(decl) if !matches!(decl.kind, DeclKind::Object(_)) => (decl.most, inner_of(Some(decl))),
                _ => (size_of_type(&known.ty), UNKNOWN),
            },
            None => (UNKNOWN, UNKNOWN),
        }
    }

    fn expr(&mut self, expr: &Expr) -> Estimate {
        match &expr.node {
            Node::Literal(literal) => {
                let size = match literal {
                    Literal::String(text) => text.len(),
                    Literal::Bytes(bytes) => bytes.len(),
                    _ => 1,
                };
                Estimate { cost: 0, size: u64::try_from(size).unwrap_or(UNKNOWN), inner: UNKNOWN }
            }
            Node::Ident(name) => {
                let (mut size, mut inner) = self.sizes(expr);
                if let Some((_, s, i)) = self.scopes.iter().rev().find(|(var, ..)| var == name) {
                    (size, inner) = (size.min(*s), inner.min(*i));
                }
                Estimate { cost: 1, size, inner }
            }
            Node::Select { operand, how, .. } => {
                let cost = self.expr(operand).cost.saturating_add(1);
                if *how == Select::Test {
                    return Estimate::scalar(cost);
                }
                let (size, inner) = self.sizes(expr);
                Estimate { cost, size, inner }
            }
            Node::List(elements) => {
                let parts: Vec<Estimate> = elements.iter().map(|e| self.expr(&e.value)).collect();
                Estimate {
                    cost: sum(parts.iter().map(|p| p.cost).chain([LIST])),
                    size: u64::try_from(parts.len()).unwrap_or(UNKNOWN),
                    inner: parts.iter().map(|p| p.size).max().unwrap_or(0),
                }
            }
            Node::Map(entries) => {
                let mut cost = MAP;
                let mut inner = 0;
                for entry in entries {
                    let (key, value) = (self.expr(&entry.key), self.expr(&entry.value));
                    cost = sum([cost, key.cost, value.cost]);
                    inner = inner.max(value.size);
                }
                Estimate { cost, size: u64::try_from(entries.len()).unwrap_or(UNKNOWN), inner }
            }
            Node::Message(message) => {
                let parts = message.fields.iter().map(|field| self.expr(&field.value).cost);
                Estimate::scalar(sum(parts.chain([MESSAGE]).collect::<Vec<_>>()))
            }
            Node::Fold(fold) => self.fold(fold),
            Node::Bind(bind) => {
                let value = self.expr(&bind.value);
                self.scopes.push((bind.var.clone(), value.size, value.inner));
                let body = self.expr(&bind.body);
                self.scopes.pop();
                let own = if bind.kind == BindKind::Bind { LIST } else { LIST + 2 };
                Estimate { cost: sum([value.cost, body.cost, own]), ..body }
            }
            Node::Call { name, target, args } => {
                let target = target.as_deref().map(|t| self.expr(t));
                let parts: Vec<Estimate> = args.iter().map(|a| self.expr(a)).collect();
                let before = sum(target.iter().chain(&parts).map(|p| p.cost));
                let all: Vec<Estimate> = target.into_iter().chain(parts).collect();
                let (size, inner) = self.sizes(expr);
                call(name, before, &all, size, inner)
            }
        }
    }

    fn fold(&mut self, fold: &Fold) -> Estimate {
        let range = self.expr(&fold.range);
        let depth = self.scopes.len();
        match &fold.value_var {
            Some(second) => {
                self.scopes.push((fold.var.clone(), UNKNOWN, UNKNOWN));
                self.scopes.push((second.clone(), range.inner, UNKNOWN));
            }
            None => self.scopes.push((fold.var.clone(), range.inner, UNKNOWN)),
        }
        let predicate = fold.predicate.as_ref().map(|p| self.expr(p));
        let transform = fold.transform.as_ref().map(|t| self.expr(t));
        self.scopes.truncate(depth);
        let body = sum(predicate.iter().chain(&transform).map(|p| p.cost));
        let (start, step, end) = overhead(fold.kind);
        let loops = range.size.saturating_mul(body.saturating_add(step));
        let cost = sum([range.cost, start, loops, end]);
        match fold.kind {
            FoldKind::All | FoldKind::Exists | FoldKind::ExistsOne => Estimate::scalar(cost),
            FoldKind::Filter | FoldKind::SortBy => Estimate { cost, size: range.size, inner: range.inner },
            _ => Estimate { cost, size: range.size, inner: transform.map_or(UNKNOWN, |t| t.size) },
        }
    }
}

/// What a loop costs beside its body: at its start, for each element, at its end.
pub(super) fn overhead(kind: FoldKind) -> (u64, u64, u64) {
    match kind {
        FoldKind::All => (0, 3, 1),
        FoldKind::Exists => (0, 4, 1),
        FoldKind::ExistsOne => (0, 2, 2),
        FoldKind::Map => (LIST, LIST + 2, 1),
        FoldKind::Filter => (LIST, LIST + 3, 1),
        FoldKind::TransformList => (LIST, LIST + 2, 1),
        FoldKind::TransformMap | FoldKind::TransformMapEntry => (MAP, 2, 1),
        FoldKind::SortBy => (LIST, LIST + 4, 2),
    }
}

fn call(name: &str, before: u64, all: &[Estimate], size: u64, inner: u64) -> Estimate {
    let part = |n: usize| all.get(n).copied().unwrap_or(Estimate::scalar(0));
    let (first, second, third) = (part(0), part(1), part(2));
    let own = match name {
        "_&&_" | "_||_" => 0,
        "_?_:_" => {
            let cost = first.cost.saturating_add(second.cost.max(third.cost));
            return Estimate {
                cost,
                size: second.size.max(third.size),
                inner: second.inner.max(third.inner),
            };
        }
        "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" => text(first.size.min(second.size)),
        "startsWith" | "endsWith" => text(second.size),
        "@in" => second.size,
        "matches" | "find" | "findAll" => {
            text(first.size.saturating_add(1)).saturating_mul(pattern(second.size))
        }
        "contains" => text(first.size).saturating_mul(text(second.size)),
        "sets.contains" | "sets.equivalent" | "sets.intersects" => first.size.saturating_mul(second.size),
        "isSorted" | "sum" | "min" | "max" | "indexOf" | "lastIndexOf" | "sort" | "distinct" | "flatten" => {
            let each = if first.inner == UNKNOWN { 1 } else { text(first.inner).max(1) };
            first.size.saturating_mul(each)
        }
        name if passes_over(name) => text(first.size.max(second.size)).max(1),
        "join" => text(first.size.saturating_mul(first.inner)).max(1),
        "check" => ACCESS,
        "_+_" if size == UNKNOWN => {
            let size = first.size.saturating_add(second.size);
            let cost = if first.inner != UNKNOWN || second.inner != UNKNOWN { 1 } else { text(size) };
            return Estimate {
                cost: before.saturating_add(cost),
                size,
                inner: first.inner.max(second.inner),
            };
        }
        _ => 1,
    };
    let size = match name {
        "lowerAscii" | "upperAscii" | "trim" | "substring" | "find" | "split" | "findAll" | "sort"
        | "distinct" | "slice" | "dyn" | "string" | "reverse" | "charAt" => size.min(first.size.max(32)),
        _ => size,
    };
    let inner = if matches!(name, "split" | "findAll") { inner.min(first.size) } else { inner };
    Estimate { cost: before.saturating_add(own), size, inner }
}

/// Whether a function goes once over the longer of its texts.
fn passes_over(name: &str) -> bool {
    matches!(
        name,
        "lowerAscii"
            | "upperAscii"
            | "trim"
            | "substring"
            | "split"
            | "replace"
            | "reverse"
            | "strings.quote"
            | "format"
            | "url"
            | "isURL"
            | "quantity"
            | "isQuantity"
            | "semver"
            | "isSemver"
            | "ip"
            | "isIP"
            | "ip.isCanonical"
            | "cidr"
            | "isCIDR"
            | "bytes"
            | "validate"
            | "jsonpatch.escapeKey"
    )
}

/// What a call costs with these arguments.
pub(super) fn price(name: &str, values: &[Value<'_>]) -> u64 {
    let size = |n: usize| values.get(n).map_or(0, Value::weight);
    match name {
        "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" => text(size(0).min(size(1))).max(1),
        "startsWith" | "endsWith" => text(size(1)),
        "@in" => size(1),
        "matches" | "find" | "findAll" => text(size(0).saturating_add(1)).saturating_mul(pattern(size(1))),
        "contains" => text(size(0)).saturating_mul(text(size(1))),
        "_+_" => match values {
            [Value::String(_) | Value::Bytes(_), _] => text(size(0).saturating_add(size(1))),
            // Lists are copied: what is made again and again must not be free.
            [a, _] if a.items().is_some() => size(0).saturating_add(size(1)).div_ceil(100).max(1),
            _ => 1,
        },
        "sets.contains" | "sets.equivalent" | "sets.intersects" | "distinct" => {
            size(0).saturating_mul(size(values.len() - 1)).max(1)
        }
        "isSorted" | "sum" | "min" | "max" | "indexOf" | "lastIndexOf" | "sort" | "flatten" | "join"
        | "slice" => size(0).max(1),
        "check" => ACCESS,
        "lists.range" => match values {
            // Beyond that it fails at once.
            [Value::Int(n)] => u64::try_from(*n).unwrap_or(0).clamp(1, 100_000),
            _ => 1,
        },
        name if passes_over(name) => text(size(0).max(size(1))).max(1),
        _ => 1,
    }
}
