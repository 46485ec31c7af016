//! The part of kubectl's JSONPath that printer columns may use: fields, indices, wildcards, filters.
//!
//! `.status.conditions[?(@.type=="Ready")].status`, `.spec['odd.name'][0]`, `.a\.b`. Recursive
//! descent, slices and unions are not part of it: upstream refuses such columns as well.

use std::cmp::Ordering;

use serde_json::Value;

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath(Vec<Step>);

/// Why a path could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why} at character {at}")]
pub struct JsonPathError {
    /// The whole path.
    pub path: String,
    /// What is wrong.
    pub why: &'static str,
    /// Where, counted from 0.
    pub at: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    Filter { path: Vec<Step>, test: Option<(Operator, Value)> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Parses a path, with or without the braces of a template and the leading dot.
    pub fn parse(path: &str) -> Result<JsonPath, JsonPathError> {
        let trimmed = path.trim();
        let inner = trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(trimmed);
        let mut parser = Parser { chars: inner.chars().collect(), at: 0 };
        let steps = parser.steps(true).and_then(|steps| match parser.peek() {
            None => Ok(steps),
            Some(_) => Err("unexpected character"),
        });
        steps.map(JsonPath).map_err(|why| JsonPathError { path: path.into(), why, at: parser.at })
    }

    /// Everything that the path leads to.
    pub fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        walk(&self.0, value)
    }

    /// The first value that the path leads to.
    pub fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.find(value).into_iter().next()
    }
}

fn walk<'a>(steps: &[Step], value: &'a Value) -> Vec<&'a Value> {
    steps.iter().fold(vec![value], |found, step| {
        let mut next = Vec::new();
        for value in found {
            match (step, value) {
                (Step::Field(name), Value::Object(map)) => next.extend(map.get(name)),
                (Step::Index(index), Value::Array(list)) => next.extend(at(list, *index)),
                (Step::All, Value::Array(list)) => next.extend(list),
                (Step::All, Value::Object(map)) => next.extend(map.values()),
                (Step::Filter { path, test }, Value::Array(list)) => {
                    next.extend(list.iter().filter(|item| passes(path, test.as_ref(), item)));
                }
                _ => {}
            }
        }
        next
    })
}

fn at(list: &[Value], index: i64) -> Option<&Value> {
    let from_start = if index < 0 { index + i64::try_from(list.len()).ok()? } else { index };
    list.get(usize::try_from(from_start).ok()?)
}

fn passes(path: &[Step], test: Option<&(Operator, Value)>, item: &Value) -> bool {
    let Some(got) = walk(path, item).into_iter().next() else { return false };
    let Some((operator, wanted)) = test else { return true };
    let ordering = match (got, wanted) {
        (Value::String(got), Value::String(wanted)) => got.partial_cmp(wanted),
        (Value::Number(got), Value::Number(wanted)) => got.as_f64().partial_cmp(&wanted.as_f64()),
        (Value::Bool(got), Value::Bool(wanted)) => got.partial_cmp(wanted),
        _ => None,
    };
    match operator {
        Operator::Equal => ordering == Some(Ordering::Equal),
        Operator::NotEqual => ordering != Some(Ordering::Equal),
        Operator::Less => ordering == Some(Ordering::Less),
        Operator::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        Operator::Greater => ordering == Some(Ordering::Greater),
        Operator::GreaterOrEqual => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn eat(&mut self, wanted: &str) -> bool {
        let found = wanted.chars().enumerate().all(|(i, c)| self.chars.get(self.at + i) == Some(&c));
        if found {
            self.at += wanted.chars().count();
        }
        found
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(' ') {
            self.at += 1;
        }
    }

    /// Steps up to something that is none. Only a whole path may begin without a dot.
    fn steps(&mut self, mut bare: bool) -> Result<Vec<Step>, &'static str> {
        let mut steps = Vec::new();
        if bare && self.eat("$") {
            bare = false;
        }
        loop {
            match self.peek() {
                Some('.') => {
                    self.at += 1;
                    match self.peek() {
                        Some('.') => return Err("recursive descent is not supported"),
                        Some('[') | None => {}
                        Some('*') => {
                            self.at += 1;
                            steps.push(Step::All);
                        }
                        Some(_) => steps.push(self.field()?),
                    }
                }
                Some('[') => {
                    self.at += 1;
                    steps.push(self.bracket()?);
                }
                Some(_) if bare => steps.push(self.field()?),
                _ => return Ok(steps),
            }
            bare = false;
        }
    }

    fn field(&mut self) -> Result<Step, &'static str> {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            match c {
                '\\' => {
                    self.at += 1;
                    name.push(self.peek().ok_or("nothing to escape")?);
                }
                '.' | '[' | ']' | ')' | '=' | '!' | '<' | '>' | ' ' | '}' | '{' => break,
                c => name.push(c),
            }
            self.at += 1;
        }
        if name.is_empty() { Err("a field name is missing") } else { Ok(Step::Field(name)) }
    }

    fn bracket(&mut self) -> Result<Step, &'static str> {
        let step = match self.peek() {
            Some('*') => {
                self.at += 1;
                Step::All
            }
            Some(quote @ ('\'' | '"')) => Step::Field(self.quoted(quote)?),
            Some('?') => self.filter()?,
            _ => {
                let digits: String = self
                    .chars
                    .iter()
                    .skip(self.at)
                    .take_while(|c| c.is_ascii_digit() || **c == '-')
                    .collect();
                self.at += digits.len();
                Step::Index(
                    digits.parse().map_err(|_| "an index, a name in quotes, * or a filter is missing")?,
                )
            }
        };
        if self.eat("]") { Ok(step) } else { Err("a closing bracket is missing") }
    }

    fn filter(&mut self) -> Result<Step, &'static str> {
        if !self.eat("?(@") {
            return Err("a filter begins with ?(@");
        }
        let path = self.steps(false)?;
        self.skip_spaces();
        let operator = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ]
        .into_iter()
        .find(|(words, _)| self.eat(words));
        let test = match operator {
            None => None,
            Some((_, operator)) => Some((operator, self.literal()?)),
        };
        self.skip_spaces();
        if self.eat(")") { Ok(Step::Filter { path, test }) } else { Err("a closing parenthesis is missing") }
    }

    fn literal(&mut self) -> Result<Value, &'static str> {
        self.skip_spaces();
        if let Some(quote @ ('\'' | '"')) = self.peek() {
            return Ok(self.quoted(quote)?.into());
        }
        let word: String = self
            .chars
            .iter()
            .skip(self.at)
            .take_while(|c| c.is_alphanumeric() || "+-.".contains(**c))
            .collect();
        self.at += word.chars().count();
        match serde_json::from_str::<Value>(&word) {
            Ok(value @ (Value::Bool(_) | Value::Number(_))) => Ok(value),
            _ => Err("a text in quotes, a number or a boolean is missing"),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err("a closing quote is missing"),
                Some(c) if c == quote => {
                    self.at += 1;
                    return Ok(text);
                }
                Some('\\') => {
                    self.at += 1;
                    text.push(self.peek().ok_or("nothing to escape")?);
                }
                Some(c) => text.push(c),
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn rows() {
        #[track_caller]
        fn check(path: &str, expected: &[Value]) {
            let object = json!({
                "spec": {"size": 3, "odd.name": "x", "list": [1, 2, 3], "map": {"a": 1, "b": 2}},
                "status": {"conditions": [
                    {"type": "Ready", "status": "True", "since": 5},
                    {"type": "Stalled", "status": "False", "since": 9, "reason": "y"},
                ]},
            });
            let found = JsonPath::parse(path).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(found.find(&object).into_iter().cloned().collect::<Vec<_>>(), expected, "{path}");
        }
        check(".spec.size", &[json!(3)]);
        check("{.spec.size}", &[json!(3)]);
        check("spec.size", &[json!(3)]);
        check("$.spec.size", &[json!(3)]);
        check(".spec.missing.size", &[]);
        check(".spec['odd.name']", &[json!("x")]);
        check(r".spec.odd\.name", &[json!("x")]);
        check(".spec.list[1]", &[json!(2)]);
        check(".spec.list[-1]", &[json!(3)]);
        check(".spec.list[7]", &[]);
        check(".spec.list[*]", &[json!(1), json!(2), json!(3)]);
        check(".spec.map.*", &[json!(1), json!(2)]);
        check(r#".status.conditions[?(@.type=="Ready")].status"#, &[json!("True")]);
        check(".status.conditions[?(@.type == 'Stalled')].since", &[json!(9)]);
        check(r#".status.conditions[?(@.type!="Ready")].type"#, &[json!("Stalled")]);
        check(".status.conditions[?(@.since>=6)].type", &[json!("Stalled")]);
        check(".status.conditions[?(@.since<6)].type", &[json!("Ready")]);
        check(".status.conditions[?(@.reason)].type", &[json!("Stalled")]);
        check(
            ".",
            &[json!({
                "spec": {"size": 3, "odd.name": "x", "list": [1, 2, 3], "map": {"a": 1, "b": 2}},
                "status": {"conditions": [
                    {"type": "Ready", "status": "True", "since": 5},
                    {"type": "Stalled", "status": "False", "since": 9, "reason": "y"},
                ]},
            })],
        );
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for (path, why) in [
            ("..name", "recursive descent is not supported"),
            (".a[", "an index, a name in quotes, * or a filter is missing"),
            (".a[1", "a closing bracket is missing"),
            (".a['b]", "a closing quote is missing"),
            (".a[?(@.b==c)]", "a text in quotes, a number or a boolean is missing"),
            (".a[?(@.b=='c']", "a closing parenthesis is missing"),
            (".a[1:2]", "a closing bracket is missing"),
            (".a b", "unexpected character"),
        ] {
            assert_eq!(JsonPath::parse(path).map_err(|error| error.why), Err(why), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(path in r#"[.\[\]?@()='"*0-9a-c\\ <>!$-]{0,16}"#) {
            if let Ok(path) = JsonPath::parse(&path) {
                path.find(&json!({"a": [{"b": 1}], "b": {"c": "x"}}));
            }
        }
    }
}
