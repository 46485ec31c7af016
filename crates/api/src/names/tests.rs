//! Names at the edges of their rules, and what upstream says of those beyond.

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_valid() {
    let long = |n: usize| "a".repeat(n);
    let host = format!("{0}.{0}.{0}.{1}", long(63), long(61));
    for (rule, name, valid) in [
        (NameRule::Subdomain, "a", true),
        (NameRule::Subdomain, "a.b-c.0", true),
        (NameRule::Subdomain, &host, true),
        (NameRule::Subdomain, &format!("{host}a"), false),
        (NameRule::Subdomain, "", false),
        (NameRule::Subdomain, "a..b", false),
        (NameRule::Subdomain, "-a", false),
        (NameRule::Subdomain, "a-", false),
        (NameRule::Subdomain, "a.-b", false),
        (NameRule::Subdomain, "a_b", false),
        (NameRule::Subdomain, "ä", false),
        (NameRule::Label, &long(63), true),
        (NameRule::Label, &long(64), false),
        (NameRule::Label, "0-a", true),
        (NameRule::Label, "a.b", false),
        (NameRule::Label1035, "a-0", true),
        (NameRule::Label1035, "0-a", false),
        (NameRule::PathSegment, "system:node:a_B", true),
        (NameRule::PathSegment, "..", false),
        (NameRule::PathSegment, "a/b", false),
        (NameRule::IpAddress, "10.0.0.1", true),
        (NameRule::IpAddress, "2001:db8::1", true),
        (NameRule::IpAddress, "010.0.0.1", false),
        (NameRule::IpAddress, "2001:db8:0::1", false),
        (NameRule::IpAddress, "host", false),
    ] {
        let complaints = rule.check(name, false);
        assert_eq!(complaints.is_empty(), valid, "{rule:?} {name:?}: {complaints:?}");
    }
}

#[test]
fn a_prefix_may_end_where_a_name_may_not() {
    for (rule, prefix) in [
        (NameRule::Subdomain, "web-"),
        (NameRule::Label, "web-"),
        (NameRule::Label1035, "web-"),
        (NameRule::PathSegment, ".."),
    ] {
        assert_eq!(rule.check(prefix, true), [""; 0], "{rule:?} {prefix}");
        assert_ne!(rule.check(prefix, false), [""; 0], "{rule:?} {prefix}");
    }
}

#[test]
fn keys_and_values() {
    let part = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    for (key, complaints) in [
        ("a", vec![]),
        ("example.com/A_b.c", vec![]),
        ("", vec!["name part must be non-empty".into(), format!("name part {part}")]),
        ("/a", vec!["prefix part must be non-empty".into()]),
        (
            "a/b/c",
            vec![format!(
                "a valid label key {part} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )],
        ),
        ("a b", vec![format!("name part {part}")]),
    ] {
        assert_eq!(qualified_name(key), complaints, "{key:?}");
    }
    assert_eq!(qualified_name(&"a".repeat(64)), ["name part must be no more than 63 bytes"]);
    assert_eq!(label_value(&"a".repeat(64)), ["must be no more than 63 bytes"]);
    assert_eq!(label_value(""), [""; 0]);
    assert_eq!(config_key("..a"), ["must not start with '..'"]);
    assert_eq!(config_key(".."), ["must not be '..'"]);
    assert_eq!(port_name("http-1"), [""; 0]);
    assert_eq!(
        port_name("1--2-"),
        [
            "must contain at least one letter (a-z)",
            "must not contain consecutive hyphens",
            "must not begin or end with a hyphen",
        ]
    );
    assert_eq!(port_number(0), ["must be between 1 and 65535, inclusive"]);
}

#[test]
fn generated_names_are_cut_to_fit() {
    assert_eq!(generate_name("web-", "bcdfg"), "web-bcdfg");
    let name = generate_name(&"a".repeat(80), "bcdfg");
    assert_eq!((name.len(), name.ends_with("abcdfg")), (63, true));
    assert_eq!(suffix([0, 26, 27, 255, 1]), "b9bqc");
}

proptest! {
    #[test]
    fn a_valid_base_makes_a_valid_name(base in "[a-z0-9]([-a-z0-9]{0,80}[a-z0-9])?-?", chance in any::<[u8; SUFFIX_LEN]>()) {
        let name = generate_name(&base, &suffix(chance));
        prop_assert!(is_dns1123_label(&name), "{}", name);
    }

    #[test]
    fn checks_and_complaints_agree(text in "[a-b0.A_-]{0,6}|.{0,4}") {
        prop_assert_eq!(is_dns1123_label(&text), dns1123_label(&text).is_empty());
        prop_assert_eq!(is_dns1123_subdomain(&text), dns1123_subdomain(&text).is_empty());
        prop_assert_eq!(is_dns1123_label(&text), is_dns1123_subdomain(&text) && !text.contains('.'));
        if !dns1035_label(&text).is_empty() && is_dns1123_label(&text) {
            prop_assert!(text.starts_with(|c: char| c.is_ascii_digit()));
        }
    }

    #[test]
    fn multibyte_bases_are_cut_between_characters(base in "[aé€😀]{0,40}") {
        prop_assert!(generate_name(&base, "bcdfg").ends_with("bcdfg"));
    }
}
