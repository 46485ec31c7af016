//! Expressions and what becomes of them: one row each.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Decl, Environment, Value, Variables, decl::escape};

mod effort;
mod equality;
mod text;

fn decl() -> Arc<Decl> {
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 63},
            "text": {"type": "string"},
            "count": {"type": "integer"},
            "ratio": {"type": "number"},
            "whole": {"type": "integer"},
            "on": {"type": "boolean"},
            "port": {"x-kubernetes-int-or-string": true},
            "when": {"type": "string", "format": "date-time"},
            "pause": {"type": "string", "format": "duration"},
            "raw": {"type": "string", "format": "byte"},
            "list": {"type": "array", "items": {"type": "integer"}},
            "words": {"type": "array", "items": {"type": "string"}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "items": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}}},
            "maybe": {"type": "string", "nullable": true},
            "foo.bar": {"type": "integer"},
            "x-y": {"type": "integer"},
            "namespace": {"type": "string"},
            "a__b": {"type": "string"},
            "open": {"x-kubernetes-preserve-unknown-fields": true},
            "absent": {"type": "string"},
        },
    });
    Arc::new(Decl::new(&schema, true, "object").unwrap())
}

fn object() -> Json {
    json!({
        "apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "it"},
        "name": "abc", "text": "Hällo", "count": 3, "ratio": 2, "whole": 4.0, "on": true, "port": "http",
        "when": "2024-02-29T12:30:45Z", "pause": "1h30m", "raw": "aGk=",
        "list": [3, 1, 2], "words": ["b", "a"], "set": ["x", "y"], "labels": {"k": "v", "a-b": "c"},
        "items": [{"name": "one", "n": 1}, {"name": "two", "n": 2}], "maybe": null,
        "foo.bar": 7, "x-y": 8, "namespace": "ns", "a__b": "u",
    })
}

fn evaluate(source: &str) -> Result<bool, String> {
    let (decl, object) = (decl(), object());
    let program = Environment::default().with("self", &decl).compile(source)?;
    let mut variables = Variables::new();
    variables.insert("self", Value::read(&object, &decl));
    match program.evaluate(&variables).0 {
        Ok(Value::Bool(found)) => Ok(found),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// One expression a line, all of them true.
const TRUE: &str = r#"
true && !false
self.count == 3 && self.count != 4
self.whole == 4 && self.ratio == 2.0 && double(self.count) > self.ratio
self.count + 1 == 4 && self.count - 5 == -2 && self.count * 2 == 6 && self.count / 2 == 1 && self.count % 2 == 1
1 + 2 * 3 == 7 && (1 + 2) * 3 == 9
self.name + 'd' == "abcd"
'a' < 'b' && b'a' < b'b'
1 < 2u && 1 <= 1.5
self.on ? self.count == 3 : self.absent == 'x'
has(self.name) && !has(self.absent) && has(self.metadata.name)
self.metadata.name == 'it' && self.kind == 'Foo'
self.foo__dot__bar == 7 && self.x__dash__y == 8 && self.__namespace__ == 'ns' && self.a__underscores__b == 'u'
self.port == 'http' && type(self.port) == string
self.maybe == null
self.list.all(x, x > 0) && self.list.exists(x, x == 2) && self.list.exists_one(x, x == 1)
self.list.map(x, x * 2) == [6, 2, 4] && self.list.filter(x, x > 1) == [3, 2]
self.list.map(x, x > 1, x + 1) == [4, 3]
self.labels.all(k, k.size() > 0) && 'k' in self.labels && self.labels.k == 'v' && self.labels['a-b'] == 'c'
self.list[0] == 3 && 2 in self.list && !(9 in self.list)
size(self.list) == 3 && self.name.size() == 3 && size(self.text) == 5 && self.labels.size() == 2
self.items.all(i, i.n > 0 && i.name.startsWith('o') || i.name == 'two')
self.set == ['y', 'x'] || self.set == ['x', 'y']
self.list.all(i, v, i >= 0 && v > 0) && self.labels.exists(k, v, v == 'c')
self.list.transformList(i, v, v + i) == [3, 2, 4] && self.labels.transformMap(k, v, v + '!')['k'] == 'v!'
self.labels.transformMapEntry(k, v, {v: k}) == {'v': 'k', 'c': 'a-b'}
cel.bind(n, self.count, n * n == 9)
self.?absent.orValue('d') == 'd' && self.?name.orValue('d') == 'abc' && !self.?absent.hasValue()
self.?labels.k.orValue('') == 'v' && self.list[?9].orValue(0) == 0 && self.labels[?'k'].value() == 'v'
optional.of(1).hasValue() && optional.none().orValue(2) == 2 && !optional.ofNonZeroValue('').hasValue()
self.?name.optMap(n, n + '!').orValue('') == 'abc!'
[?self.?absent, ?self.?name] == ['abc'] && {?'a': self.?absent, 'b': 'c'} == {'b': 'c'}
self.text.contains('ll') && self.name.startsWith('ab') && self.name.endsWith('bc') && self.name.matches('^[a-c]+$')
'abc'.charAt(1) == 'b' && 'abcabc'.indexOf('c') == 2 && 'abcabc'.indexOf('c', 3) == 5 && 'abcabc'.lastIndexOf('a') == 3
'ABC'.lowerAscii() == 'abc' && 'abc'.upperAscii() == 'ABC' && ' a '.trim() == 'a' && 'abc'.reverse() == 'cba'
'a-b-c'.replace('-', '+') == 'a+b+c' && 'a-b-c'.replace('-', '+', 1) == 'a+b-c'
'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'hello'.substring(1, 3) == 'el' && 'hello'.substring(2) == 'llo'
['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab' && strings.quote('a"b') == '"a\\"b"'
'%s is %d, %.2f, %x'.format(['a', 3, 1.5, 255]) == 'a is 3, 1.50, ff' && '%s'.format([[1, 2]]) == '[1, 2]'
[1, 2, 3].isSorted() && !self.list.isSorted() && self.list.sum() == 6 && self.list.min() == 1 && self.list.max() == 3
self.list.indexOf(1) == 1 && self.list.lastIndexOf(9) == -1 && [].sum() == 0
self.list.sort() == [1, 2, 3] && [1, 1].distinct() == [1] && [[1], [2]].flatten() == [1, 2] && [1, 2, 3].slice(1, 2) == [2] && [1, 2].reverse() == [2, 1]
lists.range(3) == [0, 1, 2] && self.items.sortBy(i, -i.n)[0].name == 'two' && [1, 2].first().value() == 1 && [1, 2].last().value() == 2
sets.contains([1, 2], [2]) && sets.equivalent([1, 2], [2, 1, 1]) && sets.intersects([1], [1, 2])
'abc123'.find('[0-9]+') == '123' && 'a1b2'.findAll('[0-9]') == ['1', '2'] && 'a1b2'.findAll('[0-9]', 1) == ['1']
url('https://user@example.com:80/a/b?x=1&y=%202&x=3').getHost() == 'example.com:80' && url('https://example.com:80/').getPort() == '80'
url('https://example.com:80/a%20b').getEscapedPath() == '/a%20b' && url('https://[::1]:80/').getHostname() == '::1' && url('/path').getScheme() == ''
url('https://a/?x=1&x=2').getQuery() == {'x': ['1', '2']} && isURL('https://a') && !isURL('a b')
quantity('1.5Gi').isGreaterThan(quantity('1G')) && isQuantity('100m') && !isQuantity('x') && quantity('1k').asInteger() == 1000
quantity('50k').add(quantity('20k')) == quantity('70k') && quantity('50k').sub(20000) == quantity('30k') && quantity('-1').sign() == -1
quantity('100m').isInteger() == false && quantity('1').compareTo(quantity('2')) == -1 && quantity('500m').asApproximateFloat() == 0.5
ip('10.0.0.1').family() == 4 && isIP('::1') && !isIP('::ffff:1.2.3.4') && ip('127.0.0.1').isLoopback() && ip.isCanonical('::1')
ip('fe80::1').isLinkLocalUnicast() && ip('8.8.8.8').isGlobalUnicast() && ip('0.0.0.0').isUnspecified() && ip('224.0.0.1').isLinkLocalMulticast() && string(ip('::1')) == '::1'
cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16')) && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')
isCIDR('::/0') && !isCIDR('10.0.0.0') && cidr('10.0.0.0/8').prefixLength() == 8 && cidr('10.0.0.1/8').ip() == ip('10.0.0.1')
!format.dns1123Label().value().validate('a-b').hasValue() && format.named('uri').value().validate(' ').hasValue() && !format.named('x').hasValue()
semver('1.2.3').major() == 1 && semver('1.2.3-rc.1').isLessThan(semver('1.2.3')) && isSemver('1.0.0') && !isSemver('v1.0') && isSemver('v1.0', true)
self.when < timestamp('2025-01-01T00:00:00Z') && self.when.getFullYear() == 2024 && self.when.getMonth() == 1 && self.when.getDate() == 29
self.when.getHours('+02:00') == 14 && self.when.getDayOfWeek() == 4 && self.when + duration('1s') > self.when && self.when - self.when == duration('0s')
self.when.getHours('America/New_York') == 7 && self.when.getHours('Europe/Berlin') == 13 && self.when.getMinutes('Asia/Kolkata') == 0 && timestamp('2024-07-01T12:00:00Z').getHours('America/New_York') == 8
self.when.getHours('UTC') == 12 && self.when.getHours('') == 12 && self.when.getHours('-05:30') == 7 && self.when.getHours('02:00') == 14
{1: 'a'}[dyn(1u)] == 'a' && {1: 'a'}[dyn(1.0)] == 'a' && {true: 1}[true] == 1 && {dyn(1): 2, dyn('a'): 3} == {dyn('a'): 3, dyn(1u): 2}
self.pause == duration('90m') && self.pause.getMinutes() == 90 && string(self.pause) == '5400s' && duration('-1s') < duration('0s')
self.raw == b'hi' && string(self.raw) == 'hi' && bytes('hi') == self.raw
int('3') == 3 && int(3.9) == 3 && uint(3) == 3u && double('1.5') == 1.5 && string(3) == '3' && string(1.5) == '1.5' && bool('true')
type(1) == int && type('') == string && type([]) == list && type({}) == map && type(null) == null_type && type(1) != type(1u)
dyn(1) == dyn(1.0) && {'a': 1}.a == 1 && {1: 'a'}[1] == 'a'
false && self.absent == 'x' || true
true || self.absent == 'x'
self.words + ['c'] == ['b', 'a', 'c']
r'\d' == '\\d' && '''multi''' == "multi" && 0x10 == 16
"#;

#[test]
fn expressions_have_the_values_that_upstream_gives_them() {
    let mut wrong = Vec::new();
    for source in TRUE.lines().filter(|line| !line.is_empty()) {
        match evaluate(source) {
            Ok(true) => {}
            other => wrong.push(format!("{source}\n    {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_cannot_be_evaluated_says_why() {
    #[track_caller]
    fn check(source: &str, why: &str) {
        assert_eq!(evaluate(source), Err(why.to_owned()), "{source}");
    }
    check("self.absent == 'x'", "no such key: absent");
    check("self.list[3] == 1", "index out of bounds: 3");
    check("self.labels['z'] == ''", "no such key: z");
    check("1 / 0 == 1", "division by zero");
    check("1 % 0 == 1", "modulus by zero");
    check("9223372036854775807 + 1 == 0", "integer overflow");
    check("self.port < 3", "no such overload");
    check("int('x') == 1", "strconv.ParseInt: parsing \"x\": invalid syntax");
    check("self.list.all(x, x > 0 && self.absent == '')", "no such key: absent");
    check("optional.none().value() == 1", "optional.none() dereference");
    check(
        "quantity('x').sign() == 1",
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
    check("lists.range(1000000000).size() > 0", "lists.range() size exceeds 100000");
    check("self.when.getHours('Europe/Nowhere') == 1", "unknown time zone Europe/Nowhere");
    check("self.when.getHours('europe/berlin') == 1", "unknown time zone europe/berlin");
    check("{'a': 1, self.name.substring(0, 1): 2}.size() == 1", "insert failed: key a already exists");
    check("{dyn([1]): 2}.size() == 1", "unsupported key type: list");
}

#[test]
fn mistakes_are_found_before_anything_is_evaluated() {
    #[track_caller]
    fn check(source: &str, words: &str) {
        let found = Environment::default().with("self", &decl()).compile(source).err().unwrap_or_default();
        assert_eq!(found, words, "{source}");
    }
    check("self.nope == 1", "ERROR: <input>:1:5: undefined field 'nope'\n | self.nope == 1\n | ....^");
    check(
        "self.count == 'a'",
        "ERROR: <input>:1:12: found no matching overload for '_==_' applied to '(int, string)'\n | self.count == 'a'\n | ...........^",
    );
    check("foo > 1", "ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo > 1\n | ^");
    check(
        "self.name.foo()",
        "ERROR: <input>:1:14: undeclared reference to 'foo' (in container '')\n | self.name.foo()\n | .............^",
    );
    check(
        "self.count.startsWith('a')",
        "ERROR: <input>:1:22: found no matching overload for 'startsWith' applied to 'int.(string)'\n | self.count.startsWith('a')\n | .....................^",
    );
    check(
        "self.count.all(x, x > 1)",
        "ERROR: <input>:1:5: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)\n | self.count.all(x, x > 1)\n | ....^",
    );
    check(
        "self.name.size().x == 1",
        "ERROR: <input>:1:17: type 'int' does not support field selection\n | self.name.size().x == 1\n | ................^",
    );
    check("has(self)", "ERROR: <input>:1:5: invalid argument to has() macro\n | has(self)\n | ....^");
    check(
        "[1, 'a'].size() == 2",
        "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a'].size() == 2\n | ....^",
    );
    check("self.open == 1", "ERROR: <input>:1:5: undefined field 'open'\n | self.open == 1\n | ....^");
    check(
        "1 +",
        "ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | 1 +\n | ...^",
    );
}

#[test]
fn names_are_escaped() {
    let rows = [
        ("a", Some("a")),
        ("a.b", Some("a__dot__b")),
        ("a-b", Some("a__dash__b")),
        ("a/b", Some("a__slash__b")),
        ("a__b", Some("a__underscores__b")),
        ("in", Some("__in__")),
        ("namespace", Some("__namespace__")),
        ("1a", None),
        ("a b", None),
        ("ä", None),
    ];
    for (name, escaped) in rows {
        assert_eq!(escape(name).as_deref(), escaped, "{name}");
    }
}

#[test]
fn estimates_follow_the_bounds_of_the_schema() {
    #[track_caller]
    fn check(source: &str, least: u64, most: u64) {
        let estimate = Environment::default().with("self", &decl()).compile(source).unwrap().estimate();
        assert!((least..=most).contains(&estimate), "{source}: {estimate}");
    }
    check("true", 0, 0);
    check("self.count == 3", 3, 3);
    // 63 characters of four bytes.
    check("self.name == self.text", 27, 32);
    check("self.list.all(x, x > 0)", 1_000_000, 20_000_000);
    check("self.list.all(x, self.list.all(y, x > y))", 1_000_000_000, u64::MAX);
    check("[1, 2, 3].all(x, x > 0)", 10, 40);
}

#[test]
fn an_endless_evaluation_ends() {
    let (decl, object) = (decl(), json!({"list": (0..1000).collect::<Vec<_>>()}));
    let source = "self.list.all(a, self.list.all(b, self.list.all(c, a + b + c >= 0)))";
    let program = Environment::default().with("self", &decl).compile(source).unwrap();
    let mut variables = Variables::new();
    variables.insert("self", Value::read(&object, &decl));
    let (found, cost) = program.evaluate(&variables);
    assert_eq!(found.unwrap_err().to_string(), "operation cancelled: actual cost limit exceeded");
    assert!(cost < super::PER_CALL_LIMIT * 2);
}

#[test]
fn any_text_is_read_or_refused() {
    for source in [
        "",
        " ",
        "(",
        "((((",
        "a.b.",
        "'",
        "\u{0}",
        "self.list.all(x)",
        "😀",
        "a[",
        "{",
        "--1 == 1",
        "has()",
        "self.list.map(1, 2)",
    ] {
        let _ = evaluate(source);
    }
    // Deep ones are refused, whichever way they are deep; long ones are not deep.
    let too_deep = "ERROR: <input>:-1:0: expression recursion limit exceeded: 250";
    let deep = [
        format!("{}1{}", "(".repeat(5000), ")".repeat(5000)),
        format!("{}1{}", "[".repeat(5000), "]".repeat(5000)),
        format!("1{} == 1", ".x".repeat(5000)),
        format!("{}true", "!".repeat(5000)),
        format!("self.list{} == 1", "[0]".repeat(5000)),
        vec!["1"; 20000].join("+"),
        vec!["(1 in [1])"; 2000].join(" in "),
        format!("{}1", "true ? 1 : ".repeat(3000)),
    ];
    for source in deep {
        assert_eq!(evaluate(&source), Err(too_deep.to_owned()));
    }
    assert_eq!(evaluate(&vec!["(1 + 1 == 2)"; 2000].join(" && ")), Ok(true));
    assert_eq!(evaluate(&format!("{}true{}", "(".repeat(200), ")".repeat(200))), Ok(true));
    assert_eq!(evaluate(&format!("[{}].size() == 3000", vec!["'((((,+'"; 3000].join(","))), Ok(true));
}
