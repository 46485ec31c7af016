//! Field selectors: what matches, what is printed, what is refused.

use super::*;
use crate::kinds;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn matching() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a"},
        "spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"unschedulable": true}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "status": {"succeeded": 2}});
    let event = json!({"apiVersion": "v1", "kind": "Event", "involvedObject": {"kind": "Pod"}, "reportingComponent": "k"});
    let custom = json!({"apiVersion": "x.io/v1", "kind": "Node", "spec": {"size": 3, "on": false}});
    for (object, selector, expected) in [
        (&pod, "", true),
        (&pod, "metadata.name=p", true),
        (&pod, "metadata.namespace==a,metadata.name!=q", true),
        (&pod, "spec.nodeName=", false),
        (&pod, "spec.nodeName!=", true),
        (&pod, "status.phase!=Running", false),
        (&pod, "spec.hostNetwork=false", true),
        (&pod, "status.podIP=", true),
        (&node, "spec.unschedulable=true", true),
        (&job, "status.successful=2", true),
        (&event, "involvedObject.kind=Pod,source=k", true),
        (&custom, "spec.size=3,spec.on=false,spec.unschedulable=", true),
    ] {
        assert_eq!(FieldSelector::parse(selector).unwrap().matches(object), expected, "{selector}");
    }
}

#[test]
fn complaints() {
    for (text, sentence) in [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("b=1,a", "invalid selector: 'b=1,a'; can't understand 'a'"),
        ("a!b", "invalid selector: 'a!b'; can't understand 'a!b'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=b\\c", "invalid field selector: invalid escape sequence: \\c"),
        ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
    ] {
        assert_eq!(FieldSelector::parse(text).unwrap_err().to_string(), sentence, "{text}");
    }
}

#[test]
fn fields_of_kinds() {
    let check = |group, plural, selector: &str| {
        let kind = kinds::preferred(group, plural).unwrap();
        FieldSelector::parse(selector).unwrap().check(kind).err().map(|e| e.0)
    };
    assert_eq!(check("", "pods", "spec.nodeName=a,metadata.namespace=b"), None);
    assert_eq!(check("", "pods", "spec.color=a").unwrap(), "field label not supported: spec.color");
    assert_eq!(
        check("", "nodes", "metadata.namespace=a").unwrap(),
        "field label not supported: metadata.namespace"
    );
    assert_eq!(check("", "configmaps", "metadata.namespace=a"), None);
    assert_eq!(
        check("", "configmaps", "data=a").unwrap(),
        r#""data" is not a known field selector: only "metadata.name", "metadata.namespace""#
    );
    assert_eq!(
        check("batch", "jobs", "spec.x=a").unwrap(),
        r#"field label "spec.x" not supported for batchv1.Job"#
    );
    let selector = FieldSelector::parse("spec.color=red").unwrap();
    assert_eq!(selector.check_custom(&["spec.color"], true), Ok(()));
    assert_eq!(
        selector.check_custom::<&str>(&[], true).unwrap_err().0,
        "field label not supported: spec.color"
    );
}

#[test]
fn requirement() {
    let selector = FieldSelector::parse("metadata.name=a,status.phase!=b").unwrap();
    assert_eq!(
        (selector.requirement("metadata.name"), selector.requirement("status.phase")),
        (Some("a"), None)
    );
    assert_eq!(FieldSelector::name("a,b").to_string(), "metadata.name=a\\,b");
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(
        parts in proptest::collection::vec(("[a-z]{1,4}(\\.[a-z]{1,4}){0,2}", any::<bool>(), "[a-c,=\\\\!é]{0,5}"), 0..4),
    ) {
        let selector = FieldSelector {
            requirements: parts
                .into_iter()
                .map(|(field, equal, value)| FieldRequirement { field, value, equal })
                .collect(),
        };
        let mut back = FieldSelector::parse(&selector.to_string()).unwrap();
        let mut sent = selector.clone();
        for s in [&mut back, &mut sent] {
            s.requirements.sort_by(|a, b| (&a.field, &a.value, a.equal).cmp(&(&b.field, &b.value, b.equal)));
        }
        prop_assert_eq!(back, sent);
    }

    #[test]
    fn no_text_brings_the_parser_down(text in "[a-c=!,.\\\\é]{0,12}|.{0,20}") {
        let _ = FieldSelector::parse(&text);
    }
}
