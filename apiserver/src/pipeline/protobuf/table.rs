//! The table of messages, unpacked when the first protobuf body comes.

use std::{io::Read, sync::OnceLock};

static PACKED: &[u8] = include_bytes!("fields.txt.gz");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Bool,
    Integer,
    Double,
    Bytes,
    Time {
        micro: bool,
    },
    Quantity,
    IntOrString,
    /// JSON in a wrapper.
    Raw,
    Message(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    List,
    /// Keys are text.
    Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub tag: u32,
    pub name: &'static str,
    pub shape: Shape,
    pub kind: Type,
    /// Whether zero says something.
    pub zero_counts: bool,
}

pub(super) struct Table(Vec<(&'static str, Vec<Field>)>);

pub(super) fn table() -> &'static Table {
    static TEXT: OnceLock<String> = OnceLock::new();
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let text: &'static str = TEXT.get_or_init(|| {
            let mut text = String::new();
            let _ = flate2::read::GzDecoder::new(PACKED).read_to_string(&mut text);
            text
        });
        let message = |line: &'static str| {
            let mut columns = line.split('\t');
            (columns.next().unwrap_or_default(), columns.filter_map(field).collect())
        };
        Table(text.lines().map(message).collect())
    })
}

/// `8:creationTimestamp:T`, `11:labels:{s`, `2:items:[@5`, `1:replicas:i!`.
fn field(column: &'static str) -> Option<Field> {
    let mut parts = column.splitn(3, ':');
    let (tag, name, kind) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    let (shape, kind) = match kind.as_bytes().first()? {
        b'[' => (Shape::List, kind.get(1..)?),
        b'{' => (Shape::Map, kind.get(1..)?),
        _ => (Shape::One, kind),
    };
    let (kind, zero_counts) = kind.strip_suffix('!').map_or((kind, false), |kind| (kind, true));
    let kind = match kind {
        "s" | "D" => Type::Text,
        "b" => Type::Bool,
        "i" => Type::Integer,
        "d" => Type::Double,
        "y" => Type::Bytes,
        "T" => Type::Time { micro: false },
        "M" => Type::Time { micro: true },
        "Q" => Type::Quantity,
        "I" => Type::IntOrString,
        "R" => Type::Raw,
        other => Type::Message(other.strip_prefix('@')?.parse().ok()?),
    };
    Some(Field { tag, name, shape, kind, zero_counts })
}

impl Table {
    /// The message of a kind. Names are compared without case: `IPAddress` is `IpAddress` here.
    pub(super) fn by_kind(&self, api_version: &str, kind: &str) -> Option<usize> {
        let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
        let group = group.split('.').next().unwrap_or_default();
        let find = |name: String| self.0.iter().position(|(n, _)| n.eq_ignore_ascii_case(&name));
        find(format!("{group}.{version}.{kind}")).or_else(|| {
            // Options are in the version of the group that they are sent to.
            (kind == "DeleteOptions").then(|| find("meta.v1.DeleteOptions".to_owned())).flatten()
        })
    }

    pub(super) fn field(&self, message: usize, tag: u32) -> Option<&Field> {
        self.0.get(message)?.1.iter().find(|f| f.tag == tag)
    }

    /// The one field of a message that is a list in JSON.
    pub(super) fn items(&self, message: usize) -> Option<&Field> {
        self.0.get(message)?.1.first().filter(|f| f.name == "-")
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> &[(&'static str, Vec<Field>)] {
        &self.0
    }
}
