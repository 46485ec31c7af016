//! From the source to the tree: the parser is asked, macros are told from calls, and what is too long
//! or too deep for everybody after this one is refused.

use ::cel::Env;
use ::cel::common::ast::{EntryExpr, Expr as Parsed, IdedExpr, LiteralValue, SourceInfo};

use super::ast::{
    Bind, BindKind, Element, Entry, Expr, Fold, FoldKind, Literal, Message, MessageField, Node, Select,
};

/// Something wrong at a place of the source.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) at: usize,
    pub(super) message: String,
}

/// Functions whose names have a namespace, by it.
const NAMESPACES: [&str; 8] = ["optional", "lists", "sets", "strings", "format", "ip", "cel", "jsonpatch"];

/// Deeper nested sources are refused: everybody after this one walks the tree down to its leaves.
const DEEPEST: usize = 250;

/// Longer sources are refused before anybody parses them.
const LONGEST: usize = 1 << 20;

/// Reads a source.
///
/// # Errors
/// All complaints, in the form in which upstream prints them.
pub(super) fn parse(source: &str) -> Result<(Expr, usize), String> {
    if source.len() > LONGEST {
        return Err(format!(
            "ERROR: <input>:-1:0: expression code point size exceeds limit: size: {}, limit {LONGEST}",
            source.len()
        ));
    }
    if deepest(source) > DEEPEST {
        return Err(format!("ERROR: <input>:-1:0: expression recursion limit exceeded: {DEEPEST}"));
    }
    let parser = Env::default().parser().enable_ident_escape_syntax(true).max_recursion_depth(u16::MAX);
    match parser.parse_with_source_info(source) {
        Ok((parsed, info)) => {
            let mut lower = Lower { info, next: 0, complaints: Vec::new() };
            let expr = lower.expr(parsed);
            if lower.complaints.is_empty() {
                Ok((expr, lower.next))
            } else {
                Err(shown(source, &mut lower.complaints))
            }
        }
        Err(errors) => {
            let mut seen: Vec<String> = Vec::new();
            for error in &errors.errors {
                let line = usize::try_from(error.pos.0).unwrap_or(1).max(1);
                let column = usize::try_from(error.pos.1).unwrap_or(1).max(1);
                let text = place(source, line, column, &error.msg);
                if !seen.contains(&text) {
                    seen.push(text);
                }
            }
            Err(seen.join("\n"))
        }
    }
}

/// Complaints by their places, each with the line it is about.
pub(super) fn shown(source: &str, complaints: &mut [Complaint]) -> String {
    complaints.sort_by_key(|c| c.at);
    let texts: Vec<String> = complaints
        .iter()
        .map(|complaint| {
            let before = source.get(..complaint.at).unwrap_or(source);
            let line = before.matches('\n').count() + 1;
            let start = before.rfind('\n').map_or(0, |at| at + 1);
            let column = before.get(start..).unwrap_or_default().chars().count() + 1;
            place(source, line, column, &complaint.message)
        })
        .collect();
    texts.join("\n")
}

fn place(source: &str, line: usize, column: usize, message: &str) -> String {
    let text = source.lines().nth(line - 1).unwrap_or_default().replace('\t', " ");
    let dots = ".".repeat(column - 1);
    format!("ERROR: <input>:{line}:{column}: {message}\n | {text}\n | {dots}^")
}

/// What stands in one pair of brackets.
#[derive(Clone, Copy, Default)]
struct Row {
    /// Operators and brackets in a row: each may have all before it below itself.
    chain: usize,
    /// Conjunctions: the parser makes a balanced tree of them.
    junctions: usize,
}

impl Row {
    fn depth(self) -> usize {
        let balanced = self.junctions.checked_ilog2().map_or(0, |log| log + 1);
        self.chain + usize::try_from(balanced).unwrap_or(0)
    }
}

/// No less than the depth of a source's tree: brackets that are open, and operators within each.
fn deepest(source: &str) -> usize {
    let bytes = source.as_bytes();
    let (mut at, mut deepest, mut outside) = (0, 0, 0);
    let mut rows: Vec<Row> = Vec::new();
    let mut row = Row::default();
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let mut width = 1;
        match byte {
            b'\'' | b'"' => width = string_length(source, at),
            b'/' if rest.starts_with(b"//") => {
                width = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            }
            b'(' | b'[' | b'{' => {
                row.chain += 1;
                outside += row.depth();
                rows.push(row);
                row = Row::default();
            }
            b')' | b']' | b'}' => {
                if let Some(outer) = rows.pop() {
                    outside -= outer.depth();
                    row = outer;
                }
            }
            // What comes next begins as shallow as what came before.
            b',' => row = Row::default(),
            b'&' | b'|' => {
                width = 2;
                row = Row { chain: 0, junctions: row.junctions + 1 };
            }
            b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'!' | b'.' | b'?' | b':' => {
                row.chain += 1
            }
            b'i' if rest.starts_with(b"in") => row.chain += 1,
            _ => {}
        }
        deepest = deepest.max(outside + row.depth());
        at += width;
    }
    deepest
}

/// How many bytes of the source a string literal that begins at `at` takes.
fn string_length(source: &str, at: usize) -> usize {
    let rest = source.get(at..).unwrap_or_default();
    let quote = rest.get(..1).unwrap_or("'");
    let fence = quote.repeat(3);
    let raw = source.get(..at).is_some_and(|before| before.ends_with(['r', 'R']));
    let (open, close) = if rest.starts_with(&fence) { (3, fence.as_str()) } else { (1, quote) };
    let mut place = open;
    while let Some(inner) = rest.get(place..).filter(|inner| !inner.is_empty()) {
        if inner.starts_with(close) {
            return place + close.len();
        }
        let escaped = usize::from(!raw && inner.starts_with('\\'));
        place += inner.chars().take(1 + escaped).map(char::len_utf8).sum::<usize>();
    }
    rest.len()
}

struct Lower {
    info: SourceInfo,
    next: usize,
    complaints: Vec<Complaint>,
}

impl Lower {
    fn at(&self, id: u64) -> usize {
        let offset = self.info.offset_for(id).map_or(0, |(start, _)| start);
        usize::try_from(offset).unwrap_or(0)
    }

    fn complain(&mut self, at: usize, message: impl Into<String>) {
        self.complaints.push(Complaint { at, message: message.into() });
    }

    fn make(&mut self, at: usize, node: Node) -> Expr {
        let id = self.next;
        self.next += 1;
        Expr { id, at, node }
    }

    fn expr(&mut self, parsed: IdedExpr) -> Expr {
        let at = self.at(parsed.id);
        let node = match parsed.expr {
            Parsed::Ident(name) => Node::Ident(name.trim_start_matches('.').to_owned()),
            Parsed::Literal(literal) => Node::Literal(match literal {
                LiteralValue::Null => Literal::Null,
                LiteralValue::Boolean(b) => Literal::Bool(*b.inner()),
                LiteralValue::Int(i) => Literal::Int(*i.inner()),
                LiteralValue::UInt(u) => Literal::Uint(*u.inner()),
                LiteralValue::Double(d) => Literal::Double(*d.inner()),
                LiteralValue::String(s) => Literal::String(s.inner().to_owned()),
                LiteralValue::Bytes(b) => Literal::Bytes(b.inner().into()),
            }),
            Parsed::Select(select) => {
                let operand = Box::new(self.expr(*select.operand));
                let how = if select.test { Select::Test } else { Select::Plain };
                Node::Select { operand, field: select.field, how }
            }
            Parsed::List(list) => {
                let optional = list.optional_indices;
                let elements = list.elements.into_iter().enumerate();
                Node::List(
                    elements
                        .map(|(i, e)| Element { value: self.expr(e), optional: optional.contains(&i) })
                        .collect(),
                )
            }
            Parsed::Map(map) => {
                let mut entries = Vec::new();
                for entry in map.entries {
                    if let EntryExpr::MapEntry(entry) = entry.expr {
                        let (key, value) = (self.expr(entry.key), self.expr(entry.value));
                        entries.push(Entry { key, value, optional: entry.optional });
                    }
                }
                Node::Map(entries)
            }
            Parsed::Struct(of) => {
                let mut fields = Vec::new();
                for entry in of.entries {
                    if let EntryExpr::StructField(field) = entry.expr {
                        let (at, value) = (self.at(entry.id), self.expr(field.value));
                        fields.push(MessageField { at, name: field.field, value, optional: field.optional });
                    }
                }
                Node::Message(Message { name: of.type_name.trim_start_matches('.').to_owned(), fields })
            }
            Parsed::Call(call) => return self.call(at, call.func_name, call.target, call.args),
            Parsed::Comprehension(_) | Parsed::Unspecified => {
                self.complain(at, "unsupported expression");
                Node::Literal(Literal::Null)
            }
        };
        self.make(at, node)
    }

    fn call(
        &mut self,
        at: usize,
        name: String,
        target: Option<Box<IdedExpr>>,
        mut args: Vec<IdedExpr>,
    ) -> Expr {
        if let (None, "has", 1) = (&target, name.as_str(), args.len()) {
            let given = args.remove(0);
            let place = self.at(given.id);
            return match given.expr {
                Parsed::Select(select) if !select.test => {
                    let operand = Box::new(self.expr(*select.operand));
                    self.make(at, Node::Select { operand, field: select.field, how: Select::Test })
                }
                _ => {
                    self.complain(place, "invalid argument to has() macro");
                    self.make(at, Node::Literal(Literal::Bool(false)))
                }
            };
        }
        if name == "_?._" && args.len() == 2 {
            let field = args.pop().map(|field| field.expr);
            let operand = args.pop().map(|operand| Box::new(self.expr(operand)));
            if let (Some(operand), Some(Parsed::Literal(LiteralValue::String(field)))) = (operand, field) {
                let field = field.inner().to_owned();
                return self.make(at, Node::Select { operand, field, how: Select::Optional });
            }
            self.complain(at, "unsupported optional field selection");
            return self.make(at, Node::Literal(Literal::Null));
        }
        let Some(target) = target else {
            let args = args.into_iter().map(|a| self.expr(a)).collect();
            return self.make(at, Node::Call { name, target: None, args });
        };
        if let Parsed::Ident(namespace) = &target.expr
            && NAMESPACES.contains(&namespace.as_str())
        {
            if namespace == "cel" && name == "bind" && args.len() == 3 {
                return self.bind(at, BindKind::Bind, None, args);
            }
            let name = format!("{namespace}.{name}");
            let args = args.into_iter().map(|a| self.expr(a)).collect();
            return self.make(at, Node::Call { name, target: None, args });
        }
        if let (BindKind::OptMap | BindKind::OptFlatMap, 2) = (bind_kind(&name), args.len()) {
            return self.bind(at, bind_kind(&name), Some(*target), args);
        }
        if let Some((kind, variables, predicated)) = fold_kind(&name, args.len(), &args) {
            return self.fold(at, kind, variables, predicated, *target, args);
        }
        let target = Some(Box::new(self.expr(*target)));
        let args = args.into_iter().map(|a| self.expr(a)).collect();
        self.make(at, Node::Call { name, target, args })
    }

    /// The name of a variable that a macro declares.
    fn variable(&mut self, given: &IdedExpr, words: &str) -> String {
        match &given.expr {
            Parsed::Ident(name) if !name.starts_with('.') => name.clone(),
            _ => {
                let at = self.at(given.id);
                self.complain(at, words);
                String::new()
            }
        }
    }

    fn bind(&mut self, at: usize, kind: BindKind, target: Option<IdedExpr>, args: Vec<IdedExpr>) -> Expr {
        let mut args = args.into_iter();
        let words = match kind {
            BindKind::Bind => "cel.bind() variable names must be simple identifiers",
            BindKind::OptMap => "optMap() variable name must be a simple identifier",
            BindKind::OptFlatMap => "optFlatMap() variable name must be a simple identifier",
        };
        let var = args.next().map(|v| self.variable(&v, words)).unwrap_or_default();
        let value = target.or_else(|| args.next()).unwrap_or_default();
        let (value, body) = (self.expr(value), self.expr(args.next().unwrap_or_default()));
        self.make(at, Node::Bind(Box::new(Bind { kind, var, value, body })))
    }

    fn fold(
        &mut self,
        at: usize,
        kind: FoldKind,
        variables: usize,
        predicated: bool,
        target: IdedExpr,
        args: Vec<IdedExpr>,
    ) -> Expr {
        let range = self.expr(target);
        let mut args = args.into_iter();
        let words =
            if variables == 1 { "argument must be a simple name" } else { "argument is not an identifier" };
        let var = args.next().map(|v| self.variable(&v, words)).unwrap_or_default();
        let value_var = if variables == 2 { args.next().map(|v| self.variable(&v, words)) } else { None };
        let predicate = if predicated { args.next().map(|p| self.expr(p)) } else { None };
        let transform = args.next().map(|t| self.expr(t));
        self.make(at, Node::Fold(Box::new(Fold { kind, range, var, value_var, predicate, transform })))
    }
}

fn bind_kind(name: &str) -> BindKind {
    match name {
        "optMap" => BindKind::OptMap,
        "optFlatMap" => BindKind::OptFlatMap,
        _ => BindKind::Bind,
    }
}

/// Which loop a call is: its kind, its number of variables, whether it has a predicate.
fn fold_kind(name: &str, count: usize, args: &[IdedExpr]) -> Option<(FoldKind, usize, bool)> {
    let two_names = count > 1 && args.iter().take(2).all(|a| matches!(a.expr, Parsed::Ident(_)));
    Some(match (name, count) {
        ("all", 2) => (FoldKind::All, 1, true),
        ("exists", 2) => (FoldKind::Exists, 1, true),
        ("exists_one" | "existsOne", 2) => (FoldKind::ExistsOne, 1, true),
        ("all", 3) => (FoldKind::All, 2, true),
        ("exists", 3) => (FoldKind::Exists, 2, true),
        ("exists_one" | "existsOne", 3) => (FoldKind::ExistsOne, 2, true),
        ("map", 2) => (FoldKind::Map, 1, false),
        ("map", 3) => (FoldKind::Map, 1, true),
        ("filter", 2) => (FoldKind::Filter, 1, true),
        ("sortBy", 2) => (FoldKind::SortBy, 1, false),
        ("transformList", 3) if two_names => (FoldKind::TransformList, 2, false),
        ("transformList", 4) => (FoldKind::TransformList, 2, true),
        ("transformMap", 3) if two_names => (FoldKind::TransformMap, 2, false),
        ("transformMap", 4) => (FoldKind::TransformMap, 2, true),
        ("transformMapEntry", 3) if two_names => (FoldKind::TransformMapEntry, 2, false),
        ("transformMapEntry", 4) => (FoldKind::TransformMapEntry, 2, true),
        _ => return None,
    })
}
