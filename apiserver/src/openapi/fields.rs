//! Whether an object has the fields and types of its kind: upstream finds out by decoding into a Go
//! type, this server by a walk along a table of names.

use std::{collections::BTreeMap, io::Read, sync::OnceLock};

use api::kinds::Kind;
use serde_json::{Number, Value};

use super::definition_name;

static PACKED: &[u8] = include_bytes!("fields.txt.gz");

/// A definition: its fields in order of their names, or the type that it stands for.
pub(super) enum Definition {
    Struct { name: &'static str, fields: Vec<(&'static str, &'static str)> },
    Alias(&'static str),
}

pub(super) struct Table {
    pub(super) definitions: Vec<Definition>,
    pub(super) names: BTreeMap<&'static str, usize>,
}

pub(super) fn table() -> &'static Table {
    static TEXT: OnceLock<String> = OnceLock::new();
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let text: &'static str = TEXT.get_or_init(|| {
            let mut text = String::new();
            let _ = flate2::read::GzDecoder::new(PACKED).read_to_string(&mut text);
            text
        });
        let mut table = Table { definitions: Vec::new(), names: BTreeMap::new() };
        for line in text.lines() {
            let mut columns = line.split('\t');
            let full = columns.next().unwrap_or_default();
            table.names.insert(full, table.definitions.len());
            let columns: Vec<&'static str> = columns.collect();
            table.definitions.push(match columns.first().and_then(|c| c.strip_prefix('=')) {
                Some(alias) => Definition::Alias(alias),
                None => Definition::Struct {
                    name: full.rsplit('.').next().unwrap_or_default(),
                    fields: columns.iter().filter_map(|c| c.rsplit_once(':')).collect(),
                },
            });
        }
        table
    })
}

impl Table {
    pub(super) fn at(&self, reference: &str) -> Option<&Definition> {
        self.definitions.get(reference.parse::<usize>().ok()?)
    }
}

/// Drops what an object has beyond the fields of its kind and says what it was, as paths
/// (`spec.template.spec.containers[0].foo`).
///
/// # Errors
/// A value of a wrong type, in the words of Go's decoder.
pub fn normalise(kind: &Kind, object: &mut Value) -> Result<Vec<String>, String> {
    let table = table();
    let mut walk = Walk { table, unknown: Vec::new(), path: Vec::new(), prune: true };
    let name = definition_name(kind.group, kind.version, kind.kind);
    if let Some(definition) = table.names.get(name.as_str()).and_then(|i| table.definitions.get(*i)) {
        walk.definition(definition, object, "")?;
    }
    Ok(walk.unknown)
}

/// The paths of what an object has beyond the fields of its kind.
pub fn unknown_fields(kind: &Kind, object: &Value) -> Vec<String> {
    normalise(kind, &mut object.clone()).unwrap_or_default()
}

enum Step {
    Field(String),
    /// A key of a map, which Go does not name in its errors.
    Key(String),
    Index(usize),
}

struct Walk<'t> {
    table: &'t Table,
    unknown: Vec<String>,
    path: Vec<Step>,
    prune: bool,
}

impl<'t> Walk<'t> {
    /// `holder`: the Go type whose field this is.
    fn definition(
        &mut self,
        definition: &'t Definition,
        value: &mut Value,
        holder: &str,
    ) -> Result<(), String> {
        let (name, fields) = match definition {
            Definition::Alias(of) => return self.value(of, value, holder),
            Definition::Struct { name, fields } => (*name, fields),
        };
        let Value::Object(map) = value else { return self.mismatch(value, holder, &format!("v1.{name}")) };
        let mut surplus = Vec::new();
        for (key, inner) in map.iter_mut() {
            self.path.push(Step::Field(key.clone()));
            match fields.binary_search_by(|(field, _)| (*field).cmp(key.as_str())) {
                Ok(at) => {
                    if let Some((_, of)) = fields.get(at) {
                        self.value(of, inner, name)?;
                    }
                }
                Err(_) => {
                    let path = self.shown();
                    self.unknown.push(path);
                    surplus.push(key.clone());
                }
            }
            self.path.pop();
        }
        if self.prune {
            for key in surplus {
                map.shift_remove(&key);
            }
        }
        Ok(())
    }

    fn value(&mut self, of: &'t str, value: &mut Value, holder: &str) -> Result<(), String> {
        // Go leaves a field as it is for null.
        if value.is_null() {
            return Ok(());
        }
        let fits = match of.as_bytes().first() {
            Some(b'@') => {
                return match self.table.at(of.get(1..).unwrap_or_default()) {
                    Some(definition) => self.definition(definition, value, holder),
                    None => Ok(()),
                };
            }
            Some(b'[') => {
                let Value::Array(list) = value else {
                    return self.mismatch(value, holder, &self.go_type(of));
                };
                for (index, item) in list.iter_mut().enumerate() {
                    self.path.push(Step::Index(index));
                    self.value(of.get(1..).unwrap_or_default(), item, holder)?;
                    self.path.pop();
                }
                true
            }
            Some(b'{') => {
                let Value::Object(map) = value else {
                    return self.mismatch(value, holder, &self.go_type(of));
                };
                for (key, item) in map.iter_mut() {
                    self.path.push(Step::Key(key.clone()));
                    self.value(of.get(1..).unwrap_or_default(), item, holder)?;
                    self.path.pop();
                }
                true
            }
            Some(b's') => value.is_string(),
            Some(b'i') => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            Some(b'l') => value.is_i64(),
            Some(b'n') => value.is_number(),
            Some(b'b') => value.is_boolean(),
            Some(b'q') => value.is_string() || value.is_number(),
            Some(b'x') => value.is_string() || value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            _ => true,
        };
        if fits { Ok(()) } else { self.mismatch(value, holder, &self.go_type(of)) }
    }

    fn go_type(&self, of: &str) -> String {
        let inner = || self.go_type(of.get(1..).unwrap_or_default());
        match of.as_bytes().first() {
            Some(b'@') => match self.table.at(of.get(1..).unwrap_or_default()) {
                Some(Definition::Struct { name, .. }) => format!("v1.{name}"),
                Some(Definition::Alias(of)) => self.go_type(of),
                None => "interface {}".to_owned(),
            },
            Some(b'[') => format!("[]{}", inner()),
            Some(b'{') => format!("map[string]{}", inner()),
            Some(b's') => "string".to_owned(),
            Some(b'i') => "int32".to_owned(),
            Some(b'l') => "int64".to_owned(),
            Some(b'n') => "float64".to_owned(),
            Some(b'b') => "bool".to_owned(),
            Some(b'q') => "resource.Quantity".to_owned(),
            // What is no string is read as a number.
            Some(b'x') => "int32".to_owned(),
            _ => "interface {}".to_owned(),
        }
    }

    fn mismatch(&self, value: &Value, holder: &str, wanted: &str) -> Result<(), String> {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            // One that does not fit is shown.
            Value::Number(number) if wanted.starts_with("int") => &format!("number {}", shown(number)),
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let fields: Vec<&str> = self
            .path
            .iter()
            .filter_map(|step| match step {
                Step::Field(name) => Some(name.as_str()),
                Step::Key(_) | Step::Index(_) => None,
            })
            .collect();
        if fields.is_empty() {
            return Err(format!("json: cannot unmarshal {found} into Go value of type {wanted}"));
        }
        let path = fields.join(".");
        Err(format!("json: cannot unmarshal {found} into Go struct field {holder}.{path} of type {wanted}"))
    }

    fn shown(&self) -> String {
        let mut out = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) | Step::Key(name) => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(name);
                }
                Step::Index(index) => out.push_str(&format!("[{index}]")),
            }
        }
        out
    }
}

/// A number as it was written, or nearly so: of those beyond 64 bits only the first digits are left.
fn shown(number: &Number) -> String {
    match number.as_f64() {
        Some(large) if number.is_f64() && large.abs() >= 2_f64.powi(63) => format!("{large:.0}"),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(kind: (&str, &str, &str), mut object: Value, expected: Result<&[&str], &str>) {
        let kind = api::kinds::by_kind(kind.0, kind.1, kind.2).unwrap();
        let found = normalise(kind, &mut object);
        let found =
            found.as_ref().map(|v| v.iter().map(String::as_str).collect::<Vec<_>>()).map_err(String::as_str);
        assert_eq!(found, expected.map(<[&str]>::to_vec));
        // What was named is gone: a second walk finds nothing.
        if found.is_ok() {
            assert_eq!(normalise(kind, &mut object), Ok(Vec::new()));
        }
    }

    const DEPLOYMENT: (&str, &str, &str) = ("apps", "v1", "Deployment");
    const POD: (&str, &str, &str) = ("", "v1", "Pod");

    #[test]
    fn unknown_fields_are_named_by_path_and_dropped() {
        check(
            DEPLOYMENT,
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1}}),
            Ok(&[]),
        );
        check(DEPLOYMENT, json!({"spec": {"foo": 1}}), Ok(&["spec.foo"]));
        check(DEPLOYMENT, json!({"sepc": {}, "spec": {"replica": 1}}), Ok(&["sepc", "spec.replica"]));
        check(
            DEPLOYMENT,
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}, {"nam": "b"}]}}}}),
            Ok(&["spec.template.spec.containers[1].nam"]),
        );
        check(POD, json!({"metadata": {"labels": {"any": "thing"}, "label": {}}}), Ok(&["metadata.label"]));
        check(
            POD,
            json!({"spec": {"containers": [{"resources": {"limits": {"cpu": 1, "x/y": "2"}}}]}}),
            Ok(&[]),
        );
        check(
            POD,
            json!({"spec": {"containers": [{"livenessProbe": {"httpGet": {"port": "web"}}}]}}),
            Ok(&[]),
        );
        check(POD, json!({"spec": null}), Ok(&[]));
    }

    /// No kind is without its table of fields: what no field has is found in each.
    #[test]
    fn every_kind_is_decoded_strictly() {
        for kind in api::kinds::all() {
            let mut object = json!({"apiVersion": kind.api_version(), "kind": kind.kind,
                "metadata": {"name": "a", "nickname": "b"}, "nonsense": {"name": "a"}});
            let found = normalise(kind, &mut object);
            assert_eq!(
                found,
                Ok(vec!["metadata.nickname".to_owned(), "nonsense".to_owned()]),
                "{} {}",
                kind.api_version(),
                kind.kind
            );
            let wrong = normalise(kind, &mut json!({"metadata": {"name": 1}}));
            let words =
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string";
            assert_eq!(wrong, Err(words.to_owned()), "{}", kind.kind);
        }
    }

    #[test]
    fn wrong_types_are_refused_in_go_s_words() {
        check(
            DEPLOYMENT,
            json!({"spec": {"replicas": "3"}}),
            Err(
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
        );
        for (replicas, shown) in [
            (json!(2_147_483_648_u64), "2147483648"),
            (json!(-2_147_483_649_i64), "-2147483649"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(1e20), "100000000000000000000"),
            (json!(1.5), "1.5"),
            (json!(3.0), "3.0"),
        ] {
            let words = format!(
                "json: cannot unmarshal number {shown} into Go struct field DeploymentSpec.spec.replicas of type int32"
            );
            check(DEPLOYMENT, json!({"spec": {"replicas": replicas}}), Err(&words));
        }
        check(DEPLOYMENT, json!({"spec": {"replicas": i32::MAX}}), Ok(&[]));
        check(DEPLOYMENT, json!({"spec": {"replicas": i32::MIN}}), Ok(&[]));
        check(POD, json!({"spec": {"activeDeadlineSeconds": i64::MAX}}), Ok(&[]));
        check(
            POD,
            json!({"spec": {"activeDeadlineSeconds": 9_223_372_036_854_775_808_u64}}),
            Err(
                "json: cannot unmarshal number 9223372036854775808 into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64",
            ),
        );
        let port =
            |port: Value| json!({"spec": {"containers": [{"livenessProbe": {"httpGet": {"port": port}}}]}});
        check(POD, port(json!(80)), Ok(&[]));
        let field = "Go struct field HTTPGetAction.spec.containers.livenessProbe.httpGet.port of type int32";
        for (wrong, found) in [
            (json!(3_000_000_000_u64), "number 3000000000"),
            (json!(true), "bool"),
            (json!(80.5), "number 80.5"),
        ] {
            check(POD, port(wrong), Err(&format!("json: cannot unmarshal {found} into {field}")));
        }
        check(
            POD,
            json!({"metadata": {"labels": {"a": 1}}}),
            Err(
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
            ),
        );
        check(
            POD,
            json!({"spec": {"containers": {}}}),
            Err(
                "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
            ),
        );
    }
}
