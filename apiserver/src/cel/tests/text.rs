//! Functions of text against a model that counts characters one by one.

use proptest::prelude::*;

use super::{Environment, Value, Variables};

fn run(source: &str, text: &str, other: &str, a: i64, b: i64) -> Result<String, String> {
    let any = std::sync::Arc::new(crate::cel::Decl::dynamic());
    let names = ["t", "o", "a", "b"];
    let environment = names.into_iter().fold(Environment::default(), |env, name| env.with(name, &any));
    let program = environment.compile(source).unwrap();
    let values =
        [serde_json::json!(text), serde_json::json!(other), serde_json::json!(a), serde_json::json!(b)];
    let mut variables = Variables::new();
    for (name, value) in names.into_iter().zip(&values) {
        variables.insert(name, Value::dynamic(value));
    }
    match program.evaluate(&variables).0 {
        Ok(Value::String(text)) => Ok(text.to_string()),
        Ok(Value::Int(i)) => Ok(i.to_string()),
        Ok(other) => Ok(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

fn begins(text: &[char], at: usize, other: &[char]) -> bool {
    text.get(at..at + other.len()) == Some(other)
}

fn index(text: &[char], other: &[char], from: i64, last: bool) -> Result<i64, String> {
    if other.is_empty() {
        return Ok(from);
    }
    let Ok(from) = usize::try_from(from) else { return Err(format!("index out of range: {from}")) };
    if from >= text.len() {
        return Ok(-1);
    }
    let found = if last {
        (0..=from).rev().find(|at| begins(text, *at, other))
    } else {
        (from..text.len()).find(|at| begins(text, *at, other))
    };
    Ok(found.map_or(-1, |at| i64::try_from(at).unwrap()))
}

fn part(text: &[char], from: i64, to: i64) -> Result<String, String> {
    if from > to {
        return Err(format!("invalid substring range. start: {from}, end: {to}"));
    }
    for place in [from, to] {
        if usize::try_from(place).map_or(true, |place| place > text.len()) {
            return Err(format!("index out of range: {place}"));
        }
    }
    Ok(text[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()].iter().collect())
}

/// Few letters of one to four bytes, so that what is looked for is there often.
fn letters(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!['a', 'ä', '€', '😀', '\u{301}', 'b']), 0..most)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn places_are_those_of_characters(text in letters(12), other in letters(3), a in -2_i64..14, b in -2_i64..14) {
        let (chars, wanted): (Vec<char>, Vec<char>) = (text.chars().collect(), other.chars().collect());
        let count = i64::try_from(chars.len()).unwrap();
        let check = |source: &str, expected: Result<String, String>| {
            assert_eq!(run(source, &text, &other, a, b), expected, "{source} {text:?} {other:?} {a} {b}");
        };
        let shown = |found: Result<i64, String>| found.map(|at| at.to_string());
        check("t.indexOf(o)", shown(index(&chars, &wanted, 0, false)).or_else(|_: String| Ok("0".into())));
        check("t.indexOf(o, a)", shown(index(&chars, &wanted, a, false)));
        check("t.lastIndexOf(o, a)", shown(index(&chars, &wanted, a, true)));
        let end = if wanted.is_empty() { count } else { (count - 1).max(0) };
        check("t.lastIndexOf(o)", shown(index(&chars, &wanted, end, true)));
        check("t.substring(a)", part(&chars, a, count).map_err(|_| format!("index out of range: {a}")));
        check("t.substring(a, b)", part(&chars, a, b));
        let at = if a == count { Ok(String::new()) } else { part(&chars, a, a + 1).map_err(|_| format!("index out of range: {a}")) };
        check("t.charAt(a)", at);
        check("t.size()", Ok(count.to_string()));
        check("t.reverse()", Ok(chars.iter().rev().collect()));
        check("t.replace(o, 'x', a).split('').join() == t.replace(o, 'x', a)", Ok("Bool(true)".into()));
        if !wanted.is_empty() {
            check("t.split(o).join(o)", Ok(text.clone()));
        }
        check("t.split('', b).join()", Ok(if b == 0 { String::new() } else { text.clone() }));
    }

    #[test]
    fn any_text_is_fine(text in ".*", other in ".{0,3}", a in any::<i64>(), b in any::<i64>()) {
        for source in [
            "t.indexOf(o, a)", "t.lastIndexOf(o, a)", "t.lastIndexOf(o)", "t.substring(a, b)", "t.substring(a)", "t.charAt(a)",
            "t.replace(o, t, a)", "t.split(o, a)", "t.split(o)", "t.trim()", "t.lowerAscii()", "strings.quote(t)", "t.format([o, a, b])",
            "t.matches(o)", "t.find(o)", "t.findAll(o, a)", "url(t)", "quantity(t)", "semver(t)", "ip(t)", "cidr(t)", "timestamp(t)",
            "duration(t)", "int(t)", "double(t)", "timestamp(a).getHours(t)", "timestamp(a) + duration(b)", "t.upperAscii()",
        ] {
            let _ = run(source, &text, &other, a, b);
        }
    }
}
