//! The tree that is checked and evaluated: the parser's, with macros told from calls.
//!
//! The parser leaves macros as the calls they are written as ([`super::parse`] names them). Expanding them into loops, as
//! upstream does, would only make the tree harder to read for everybody after it: a [`Fold`] says
//! what is meant, and its cost is counted as the loop's.

use std::sync::Arc;

/// A place in the tree; numbers are dense and index what the checker found out.
#[derive(Debug)]
pub(super) struct Expr {
    pub(super) id: usize,
    /// Byte offset into the source.
    pub(super) at: usize,
    pub(super) node: Node,
}

#[derive(Debug)]
pub(super) enum Node {
    Literal(Literal),
    Ident(String),
    /// `a.b`, `has(a.b)`, `a.?b`.
    Select {
        operand: Box<Expr>,
        field: String,
        how: Select,
    },
    /// Operators, functions and methods.
    Call {
        name: String,
        target: Option<Box<Expr>>,
        args: Vec<Expr>,
    },
    List(Vec<Element>),
    Map(Vec<Entry>),
    /// `Object.spec{replicas: 1}`.
    Message(Message),
    Fold(Box<Fold>),
    /// `cel.bind`, `optMap`, `optFlatMap`.
    Bind(Box<Bind>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Select {
    Plain,
    Test,
    Optional,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Arc<[u8]>),
}

#[derive(Debug)]
pub(super) struct Element {
    pub(super) value: Expr,
    pub(super) optional: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Expr,
    pub(super) value: Expr,
    pub(super) optional: bool,
}

/// An object of a named type.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) fields: Vec<MessageField>,
}

#[derive(Debug)]
pub(super) struct MessageField {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) value: Expr,
    pub(super) optional: bool,
}

/// One of the loops.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) kind: FoldKind,
    pub(super) range: Expr,
    pub(super) var: String,
    /// The value's name in the forms with two variables.
    pub(super) value_var: Option<String>,
    /// What decides, or whether an element is taken.
    pub(super) predicate: Option<Expr>,
    /// What becomes of an element.
    pub(super) transform: Option<Expr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FoldKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    TransformList,
    TransformMap,
    TransformMapEntry,
    SortBy,
}

#[derive(Debug)]
pub(super) struct Bind {
    pub(super) kind: BindKind,
    pub(super) var: String,
    pub(super) value: Expr,
    pub(super) body: Expr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BindKind {
    Bind,
    OptMap,
    OptFlatMap,
}
