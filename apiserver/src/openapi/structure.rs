//! The types of built-in kinds as field ownership sees them: the table of names and types, and what
//! upstream's schemas say of lists, maps and fields that are always written (`structure.txt`).

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use api::fields::{Field, Key, List, ListType, Map, Ref, Root, Schema, Simple, Type};
use serde_json::Value;

use super::{
    definition_name,
    fields::{Definition, Table, table},
};

static FACTS: &str = include_str!("structure.txt");

/// What is said of one definition.
#[derive(Default)]
pub(super) struct Facts {
    /// It is owned as a whole.
    pub(super) atomic: bool,
    /// What is said of its fields.
    pub(super) fields: BTreeMap<&'static str, FieldFacts>,
}

/// What is said of one field.
#[derive(Clone, Default)]
pub(super) struct FieldFacts {
    /// The map is owned as a whole.
    pub(super) atomic: bool,
    /// Typed clients write the field even if it is empty.
    always: bool,
    /// The list is a set.
    pub(super) set: bool,
    /// What tells the elements of the list apart.
    pub(super) keys: Vec<&'static str>,
}

/// What is said of a definition, if anything.
pub(super) fn facts_of(definition: &str) -> Option<&'static Facts> {
    facts().get(definition)
}

fn facts() -> &'static BTreeMap<&'static str, Facts> {
    static READ: OnceLock<BTreeMap<&'static str, Facts>> = OnceLock::new();
    READ.get_or_init(read)
}

fn read() -> BTreeMap<&'static str, Facts> {
    let mut all = BTreeMap::new();
    for line in FACTS.lines() {
        let mut columns = line.split('\t');
        let name = columns.next().unwrap_or_default();
        let facts: &mut Facts = all.entry(name).or_default();
        for column in columns {
            let Some((field, fact)) = column.split_once(':') else {
                facts.atomic |= column == "atomic";
                continue;
            };
            let field = facts.fields.entry(field).or_default();
            match fact.split_once('=') {
                Some((_, keys)) => field.keys = keys.split(',').collect(),
                None => match fact {
                    "atomic" => field.atomic = true,
                    "always" => field.always = true,
                    "set" => field.set = true,
                    _ => {}
                },
            }
        }
    }
    all
}

struct BuiltIn {
    schema: Arc<Schema>,
    roots: BTreeMap<&'static str, Ref>,
}

/// The types of a built-in kind; made for all of them at the first question.
pub fn field_types(group: &str, version: &str, kind: &str) -> Option<Root> {
    static BUILT_IN: OnceLock<BuiltIn> = OnceLock::new();
    let all = BUILT_IN.get_or_init(|| Build::new(table()).run());
    let root = *all.roots.get(definition_name(group, version, kind).as_str())?;
    Some(Root { schema: all.schema.clone(), root })
}

struct Build {
    table: &'static Table,
    schema: Schema,
    refs: Vec<Ref>,
}

impl Build {
    fn new(table: &'static Table) -> Self {
        let mut schema = Schema::default();
        let refs = table.definitions.iter().map(|_| schema.add(Type::Deduced)).collect();
        Self { table, schema, refs }
    }

    fn run(mut self) -> BuiltIn {
        let facts = facts();
        let none = Facts::default();
        let mut roots = BTreeMap::new();
        for (name, place) in &self.table.names {
            let Some(at) = self.refs.get(*place).copied() else { continue };
            roots.insert(*name, at);
            let facts = facts.get(name).unwrap_or(&none);
            let of = match self.table.definitions.get(*place) {
                Some(Definition::Struct { fields, .. }) => {
                    let mut map = Map { atomic: facts.atomic, ..Map::default() };
                    for (field, of) in fields {
                        let facts = facts.fields.get(field).cloned().unwrap_or_default();
                        let always = facts.always;
                        map.fields.insert((*field).into(), Field { of: self.add(of, &facts), always });
                    }
                    Type::Map(map)
                }
                Some(Definition::Alias(of)) => self.plain(of).map_or(Type::Deduced, Type::Simple),
                None => continue,
            };
            self.schema.set(at, of);
        }
        BuiltIn { schema: Arc::new(self.schema), roots }
    }

    fn plain(&self, of: &str) -> Option<Simple> {
        Some(match of.as_bytes().first()? {
            b's' => Simple::Text,
            b'i' | b'l' | b'n' => Simple::Numeric,
            b'b' => Simple::Boolean,
            b'q' | b'x' => Simple::Any,
            _ => return None,
        })
    }

    fn add(&mut self, of: &'static str, facts: &FieldFacts) -> Ref {
        let inner = of.get(1..).unwrap_or_default();
        let of = match of.as_bytes().first() {
            Some(b'@') => {
                let place = inner.parse::<usize>().ok();
                return place.and_then(|p| self.refs.get(p).copied()).unwrap_or(Schema::DEDUCED);
            }
            Some(b'[') => {
                let element = self.add(inner, &FieldFacts::default());
                let of = if facts.set {
                    ListType::Set
                } else if facts.keys.is_empty() {
                    ListType::Atomic
                } else {
                    ListType::Map(facts.keys.iter().map(|key| self.key(key, inner)).collect())
                };
                Type::List(List { element, of })
            }
            Some(b'{') => {
                let element = Some(self.add(inner, &FieldFacts::default()));
                Type::Map(Map { element, atomic: facts.atomic, ..Map::default() })
            }
            _ => match self.plain(of) {
                Some(simple) => Type::Simple(simple),
                None => return Schema::DEDUCED,
            },
        };
        self.schema.add(of)
    }

    /// A key that is left out has the empty value of its type, as Go has it; a protocol is TCP.
    fn key(&self, name: &'static str, element: &str) -> Key {
        let definition = element.strip_prefix('@').and_then(|place| self.table.at(place));
        let of = match definition {
            Some(Definition::Struct { fields, .. }) => {
                fields.iter().find(|(field, _)| *field == name).map(|(_, of)| *of)
            }
            _ => None,
        };
        let default = match (name, of.and_then(|of| self.plain(of))) {
            ("protocol", _) => Some("TCP".into()),
            // A pointer: absent is a value of its own.
            ("shareID", _) => None,
            (_, Some(Simple::Text)) => Some("".into()),
            (_, Some(Simple::Numeric)) => Some(Value::from(0)),
            _ => None,
        };
        Key { name: name.into(), default }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::fields::field_set;
    use serde_json::json;

    #[test]
    fn facts_name_what_there_is() {
        for (name, facts) in facts() {
            let place = table().names.get(name).unwrap_or_else(|| panic!("{name}"));
            let Some(Definition::Struct { fields, .. }) = table().definitions.get(*place) else {
                panic!("{name} has fields");
            };
            for field in facts.fields.keys() {
                assert!(fields.iter().any(|(known, _)| known == field), "{name}.{field}");
            }
        }
    }

    /// Strategic merge and apply tell elements apart by the same keys, but for two lists that appliers
    /// own as a whole.
    #[test]
    fn merge_keys_are_map_keys() {
        use api::patch::facts::{Strategy, of_definition};
        let mut whole = Vec::new();
        for name in table().names.keys() {
            for field in of_definition(name).into_iter().flat_map(|of| of.fields) {
                let facts = facts_of(name).and_then(|facts| facts.fields.get(field.name));
                match field.strategy {
                    Strategy::MergeBy(key) if facts.is_some_and(|f| f.keys.contains(&key)) => {}
                    Strategy::MergeSet if facts.is_some_and(|f| f.set) => {}
                    Strategy::MergeBy(_) | Strategy::MergeSet => whole.push(format!("{name}.{}", field.name)),
                    Strategy::Default | Strategy::Replace => {}
                }
            }
        }
        assert_eq!(
            whole,
            ["io.k8s.api.batch.v1.JobStatus.conditions", "io.k8s.api.core.v1.PodStatus.hostIPs"]
        );
    }

    /// What somebody owns who applies an object.
    #[test]
    fn rows() {
        #[track_caller]
        fn check(kind: (&str, &str, &str), object: Value, expected: &[&str]) {
            let of = field_types(kind.0, kind.1, kind.2).unwrap();
            let set = field_set(&of, &object).to_string();
            assert_eq!(set.split('\n').collect::<Vec<_>>(), expected);
        }
        check(
            ("", "v1", "Service"),
            json!({"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}, "externalIPs": ["1.2.3.4"]}}),
            &[
                ".spec.externalIPs",
                ".spec.selector",
                ".spec.ports[port=80,protocol=\"TCP\"]",
                ".spec.ports[port=80,protocol=\"TCP\"].port",
            ],
        );
        check(
            ("apps", "v1", "Deployment"),
            json!({"metadata": {"labels": {"a": "b"}, "finalizers": ["x/y"]},
                   "spec": {"selector": {"matchLabels": {"a": "b"}},
                            "template": {"spec": {"containers": [{"name": "c", "args": ["x"], "env": [{"name": "E", "value": "1"}]}]}}}}),
            &[
                ".metadata.finalizers[=\"x/y\"]",
                ".metadata.labels.a",
                ".spec.selector",
                ".spec.template.spec.containers[name=\"c\"]",
                ".spec.template.spec.containers[name=\"c\"].args",
                ".spec.template.spec.containers[name=\"c\"].name",
                ".spec.template.spec.containers[name=\"c\"].env[name=\"E\"]",
                ".spec.template.spec.containers[name=\"c\"].env[name=\"E\"].name",
                ".spec.template.spec.containers[name=\"c\"].env[name=\"E\"].value",
            ],
        );
        check(("", "v1", "ConfigMap"), json!({"data": {"k": "v"}}), &[".data.k"]);
        check(
            ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"),
            json!({"roleRef": {"name": "x"}, "subjects": [{"kind": "User"}]}),
            &[".roleRef", ".subjects"],
        );
    }
}
