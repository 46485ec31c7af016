//! What a name, a label or an annotation key may be, in upstream's words.
//!
//! Every check returns the list of complaints; an empty list means valid.

/// Longest DNS label.
pub const LABEL_MAX: usize = 63;
/// Longest DNS subdomain.
pub const SUBDOMAIN_MAX: usize = 253;
/// Longest base that [`generate_name`] keeps.
pub const GENERATED_BASE_MAX: usize = LABEL_MAX - SUFFIX_LEN;
/// Length of a generated suffix.
pub const SUFFIX_LEN: usize = 5;
/// The characters of a generated suffix: no vowels and nothing that looks like another, so that no
/// words come out.
pub const SUFFIX_ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";

/// Words that expressions keep for themselves.
const EXPRESSION_WORDS: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// Whether expressions keep a word for themselves.
pub fn is_expression_word(word: &str) -> bool {
    EXPRESSION_WORDS.contains(&word)
}

/// Which rule the name of a kind's objects follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// DNS-1123 subdomain, most kinds.
    Subdomain,
    /// DNS-1123 label (namespaces).
    Label,
    /// DNS-1035 label (services).
    Label1035,
    /// Anything that fits between two slashes of a path (RBAC kinds, CSRs).
    PathSegment,
    /// An IP address in its canonical spelling (ipaddresses).
    IpAddress,
}

impl NameRule {
    /// The complaints about `name`. `prefix` says that it is a `generateName`: a trailing dash is fine.
    pub fn check(self, name: &str, prefix: bool) -> Vec<String> {
        let name = if prefix && self != NameRule::PathSegment {
            name.strip_suffix('-').unwrap_or(name)
        } else {
            name
        };
        match self {
            NameRule::Subdomain => dns1123_subdomain(name),
            NameRule::Label => dns1123_label(name),
            NameRule::Label1035 => dns1035_label(name),
            NameRule::PathSegment => path_segment(name, prefix),
            NameRule::IpAddress => ip_address(name),
        }
    }
}

/// The name that `generateName` leads to: the base, cut to 58 characters, and the suffix, which the
/// caller drew with [`suffix`].
pub fn generate_name(base: &str, suffix: &str) -> String {
    let mut end = base.len().min(GENERATED_BASE_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &base[..end])
}

/// Five characters of [`SUFFIX_ALPHABET`], chosen by five bytes of the caller's chance. The bias of
/// the remainder (256 is no multiple of 27) is of no consequence for names.
pub fn suffix(chance: [u8; SUFFIX_LEN]) -> String {
    let alphabet = SUFFIX_ALPHABET.as_bytes();
    chance.iter().map(|byte| alphabet[usize::from(*byte) % alphabet.len()] as char).collect()
}

/// Whether a text is a lower-case RFC 1123 label.
pub fn is_dns1123_label(value: &str) -> bool {
    value.len() <= LABEL_MAX && is_label(value)
}

/// Whether a text is a lower-case RFC 1123 subdomain.
pub fn is_dns1123_subdomain(value: &str) -> bool {
    value.len() <= SUBDOMAIN_MAX && is_subdomain(value)
}

/// A lower-case RFC 1123 label.
pub fn dns1123_label(value: &str) -> Vec<String> {
    let mut complaints = too_long(value, LABEL_MAX);
    if !is_label(value) {
        complaints.push(if is_subdomain(value) {
            "must not contain dots".into()
        } else {
            regex(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                LABEL,
                &["my-name", "123-abc"],
            )
        });
    }
    complaints
}

/// A lower-case RFC 1123 subdomain.
pub fn dns1123_subdomain(value: &str) -> Vec<String> {
    let mut complaints = too_long(value, SUBDOMAIN_MAX);
    if !is_subdomain(value) {
        complaints.push(regex(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            SUBDOMAIN,
            &["example.com"],
        ));
    }
    complaints
}

/// A subdomain with a star for its first label.
pub fn wildcard_subdomain(value: &str) -> Vec<String> {
    let mut complaints = too_long(value, SUBDOMAIN_MAX);
    if !value.strip_prefix("*.").is_some_and(is_subdomain) {
        complaints.push(regex(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{SUBDOMAIN}"),
            &["*.example.com"],
        ));
    }
    complaints
}

/// An RFC 1035 label: as RFC 1123, but the first character is a letter.
pub fn dns1035_label(value: &str) -> Vec<String> {
    let mut complaints = too_long(value, LABEL_MAX);
    if !(is_label(value) && value.starts_with(|c: char| c.is_ascii_lowercase())) {
        complaints.push(regex(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            LABEL_1035,
            &["my-name", "abc-123"],
        ));
    }
    complaints
}

/// `[prefix/]name`: the keys of labels, annotations, taints and resources; finalizers.
pub fn qualified_name(value: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let name = match value.split_once('/') {
        None => value,
        Some((_, name)) if name.contains('/') => {
            let words = regex(QUALIFIED_WORDS, QUALIFIED, &["MyName", "my.name", "123-abc"]);
            return vec![format!(
                "a valid label key {words} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                complaints.push("prefix part must be non-empty".into());
            } else {
                complaints.extend(dns1123_subdomain(prefix).into_iter().map(|c| format!("prefix part {c}")));
            }
            name
        }
    };
    if name.is_empty() {
        complaints.push("name part must be non-empty".into());
    } else if name.len() > LABEL_MAX {
        complaints.push(format!("name part {}", too_many_bytes(LABEL_MAX)));
    }
    if !is_qualified_part(name) {
        complaints.push(format!(
            "name part {}",
            regex(QUALIFIED_WORDS, QUALIFIED, &["MyName", "my.name", "123-abc"])
        ));
    }
    complaints
}

/// The value of a label: empty, or like the name part of a key.
pub fn label_value(value: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if value.len() > LABEL_MAX {
        complaints.push(too_many_bytes(LABEL_MAX));
    }
    if !value.is_empty() && !is_qualified_part(value) {
        complaints.push(regex(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
            &["MyValue", "my_value", "12345"],
        ));
    }
    complaints
}

/// A name that fits between two slashes of a URL. As a prefix, `.` and `..` may still grow.
pub fn path_segment(value: &str, prefix: bool) -> Vec<String> {
    if !prefix && (value == "." || value == "..") {
        return vec![format!("may not be '{value}'")];
    }
    ["/", "%"].iter().filter(|c| value.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// An IP address in the one spelling that is canonical.
pub fn ip_address(value: &str) -> Vec<String> {
    match value.parse::<std::net::IpAddr>() {
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()],
        Ok(ip) if ip.to_string() != value => vec![format!("must be in canonical form (\"{ip}\")")],
        Ok(_) => Vec::new(),
    }
}

/// The key of an entry in a ConfigMap or Secret.
pub fn config_key(value: &str) -> Vec<String> {
    let mut complaints = too_long(value, SUBDOMAIN_MAX);
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if value.is_empty() || !value.chars().all(known) {
        complaints.push(regex(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    if value == "." || value == ".." {
        complaints.push(format!("must not be '{value}'"));
    } else if value.starts_with("..") {
        complaints.push("must not start with '..'".into());
    }
    complaints
}

/// A port number.
pub fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) { Vec::new() } else { vec![in_range(1, 65535)] }
}

/// The name of a port: IANA service name.
pub fn port_name(value: &str) -> Vec<String> {
    let mut complaints = too_long(value, 15);
    if value.is_empty() || !value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        complaints.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !value.contains(|c: char| c.is_ascii_lowercase()) {
        complaints.push("must contain at least one letter (a-z)".into());
    }
    if value.contains("--") {
        complaints.push("must not contain consecutive hyphens".into());
    }
    if value.starts_with('-') || value.ends_with('-') {
        complaints.push("must not begin or end with a hyphen".into());
    }
    complaints
}

/// The complaint about a number outside its bounds.
pub fn in_range(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

/// The complaint about a name that is too long. Upstream counts bytes and says characters.
pub fn max_length(limit: usize) -> String {
    format!("must be no more than {limit} characters")
}

fn too_long(value: &str, limit: usize) -> Vec<String> {
    if value.len() > limit { vec![max_length(limit)] } else { Vec::new() }
}

/// For the keys and values of labels upstream does say bytes.
fn too_many_bytes(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

fn is_label(value: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = value.as_bytes();
    bytes.first().copied().is_some_and(inner)
        && bytes.last().copied().is_some_and(inner)
        && bytes.iter().all(|c| inner(*c) || *c == b'-')
}

fn is_subdomain(value: &str) -> bool {
    value.split('.').all(is_label)
}

fn is_qualified_part(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

fn regex(words: &str, pattern: &str, examples: &[&str]) -> String {
    let mut out = format!("{words} (e.g. ");
    for (i, example) in examples.iter().enumerate() {
        let or = if i > 0 { " or " } else { "" };
        out.push_str(&format!("{or}'{example}', "));
    }
    out.push_str(&format!("regex used for validation is '{pattern}')"));
    out
}

#[cfg(test)]
mod tests;
