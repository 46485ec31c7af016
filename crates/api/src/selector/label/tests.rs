//! Label selectors: what matches, what is printed, what is refused.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn object(labels: &Value) -> Value {
    json!({"metadata": {"labels": labels}})
}

#[test]
fn matching() {
    let labels = object(&json!({"app": "web", "tier": "front", "n": "7", "empty": ""}));
    for (selector, expected) in [
        ("", true),
        ("app=web", true),
        ("app==web", true),
        ("app=db", false),
        ("app!=db", true),
        ("app!=web", false),
        ("absent!=x", true),
        ("absent=x", false),
        ("app in (web,db)", true),
        ("app in (db)", false),
        ("app notin (db)", true),
        ("absent notin (db)", true),
        ("app notin (web)", false),
        ("app", true),
        ("absent", false),
        ("!absent", true),
        ("!app", false),
        ("n>6", true),
        ("n>7", false),
        ("n<8", true),
        ("app>1", false),
        ("absent<1", false),
        ("empty=", true),
        ("empty in ()", true),
        ("empty in (,x)", true),
        ("app=web,tier=front", true),
        ("app=web,tier=back", false),
        (" app = web , tier in ( front ) ", true),
    ] {
        assert_eq!(LabelSelector::parse(selector).unwrap().matches(&labels), expected, "{selector}");
    }
}

#[test]
fn canonical_form() {
    for (text, canonical) in [
        ("x in (foo,,baz),y,z notin ()", "x in (,baz,foo),y,z notin ()"),
        ("b = 1, a==2", "a==2,b=1"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("!a,b!=c", "!a,b!=c"),
        ("a>1,b<-2", "a>1,b<-2"),
        ("a in (b,b)", "a in (b)"),
    ] {
        match LabelSelector::parse(text) {
            Ok(selector) => assert_eq!(selector.to_string(), canonical, "{text}"),
            // A negative number is no label value, as upstream finds too.
            Err(error) => assert!(text.contains("<-"), "{text}: {error}"),
        }
    }
}

#[test]
fn complaints() {
    let part = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    for (text, sentence) in [
        ("a,", "found '', expected: identifier after ','".to_owned()),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt".into()),
        ("=a", "found '=', expected: !, identifier, or 'end of string'".into()),
        ("!=a", "found '!=', expected: !, identifier, or 'end of string'".into()),
        ("!(a)", "unable to parse requirement: found '(', expected: identifier".into()),
        ("a=(", "unable to parse requirement: found '(', expected: identifier".into()),
        ("!a=b", "found '=', expected: ',' or 'end of string'".into()),
        ("a in b", "unable to parse requirement: found 'b' expected: '('".into()),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'".into()),
        ("a in (b,", "unable to parse requirement: found '', expected: ',', or identifier".into()),
        ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier".into()),
        ("a in (b!", "unable to parse requirement: found '!', expected: ',' or ')'".into()),
        ("-a=b", format!(r#"unable to parse requirement: <nil>: Invalid value: "-a": name part {part}"#)),
        (
            "a>b",
            r#"unable to parse requirement: values[0]: Invalid value: "b": for 'Gt', 'Lt' operators, the value must be an integer"#
                .into(),
        ),
        (
            "a=-b",
            r#"unable to parse requirement: values[0][a]: Invalid value: "-b": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#
                .into(),
        ),
    ] {
        assert_eq!(LabelSelector::parse(text).unwrap_err().to_string(), sentence, "{text}");
    }
}

#[test]
fn from_objects() {
    let selector = json!({"matchLabels": {"b": "1"}, "matchExpressions": [
        {"key": "a", "operator": "In", "values": ["y", "x"]},
        {"key": "c", "operator": "DoesNotExist"},
    ]});
    assert_eq!(LabelSelector::from_object(&selector).unwrap().to_string(), "a in (x,y),b=1,!c");
    assert!(LabelSelector::from_object(&json!({})).unwrap().matches(&object(&json!({}))));
    assert!(!LabelSelector::from_object(&json!(null)).unwrap().matches(&object(&json!({}))));
    assert!(!LabelSelector::from_map(&json!(null)).unwrap().matches(&object(&json!({}))));
    assert_eq!(LabelSelector::from_map(&json!({"b": "1", "a": "2"})).unwrap().to_string(), "a=2,b=1");
    let bad = json!({"matchExpressions": [{"key": "a", "operator": "Near"}]});
    let error = LabelSelector::from_object(&bad).unwrap_err();
    assert_eq!(error.to_string(), r#""Near" is not a valid label selector operator"#);
    let empty = json!({"matchExpressions": [{"key": "a", "operator": "In", "values": []}]});
    let error = LabelSelector::from_object(&empty).unwrap_err();
    assert_eq!(
        error.to_string(),
        "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
    );
}

#[test]
fn required_value() {
    let selector = LabelSelector::parse("a=1,b in (2),c in (3,4),!d").unwrap();
    let values = ["a", "b", "c", "d", "e"].map(|key| selector.required_value(key));
    assert_eq!(values, [Some("1"), Some("2"), None, None, None]);
}

fn requirement() -> impl Strategy<Value = String> {
    let key = "([a-z]{1,3}/)?[A-Za-z0-9]([a-z_.-]{0,3}[a-z0-9])?";
    let value = "([a-z0-9]([a-z_.-]{0,2}[a-z0-9])?)?";
    prop_oneof![
        (key, "=|==|!=", value).prop_map(|(k, op, v)| format!("{k}{op}{v}")),
        // Upstream cannot read an empty value behind another comma.
        (key, "in|notin", proptest::collection::vec("[a-z0-9]{1,3}", 0..4))
            .prop_map(|(k, op, v)| format!("{k} {op} ({})", v.join(","))),
        (key, "[<>]", 0..99i64).prop_map(|(k, op, v)| format!("{k}{op}{v}")),
        ("!?", key).prop_map(|(not, k)| format!("{not}{k}")),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(parts in proptest::collection::vec(requirement(), 0..4)) {
        let selector = LabelSelector::parse(&parts.join(",")).unwrap();
        prop_assert_eq!(&LabelSelector::parse(&selector.to_string()).unwrap(), &selector);
    }

    #[test]
    fn no_text_brings_the_parser_down(text in "[a-c=!(), <>\\\\/.é]{0,20}|.{0,20}|([ab!]|in|notin|[(),=]| ){0,12}") {
        let _ = LabelSelector::parse(&text);
    }
}
