//! Columns of custom resources, as `additionalPrinterColumns` of their definition name them.

use jiff::Timestamp;
use serde_json::Value;

use super::{Column, NAME, ago, jsonpath::JsonPath, text};
use crate::object::ObjectExt;

/// Prints the objects of one version of a custom resource definition.
#[derive(Debug, Clone)]
pub struct CustomPrinter {
    columns: Vec<Column>,
    paths: Vec<Option<JsonPath>>,
}

impl CustomPrinter {
    /// From the `additionalPrinterColumns` of a version. Without any, objects show their age.
    /// A column whose path cannot be read stays empty: the definition was validated when it was
    /// written, and one bad column must not hide the others.
    pub fn new(additional: &[Value]) -> CustomPrinter {
        let mut printer = CustomPrinter { columns: vec![NAME], paths: Vec::new() };
        if additional.is_empty() {
            printer.push(
                "Age",
                "date",
                "",
                "Time since the object was created.",
                0,
                ".metadata.creationTimestamp",
            );
        }
        for column in additional {
            let priority = column.i64_at("/priority").and_then(|p| i32::try_from(p).ok()).unwrap_or(0);
            printer.push(
                column.str_at("/name"),
                column.str_at("/type"),
                column.str_at("/format"),
                column.str_at("/description"),
                priority,
                column.str_at("/jsonPath"),
            );
        }
        printer
    }

    fn push(&mut self, name: &str, kind: &str, format: &str, description: &str, priority: i32, path: &str) {
        self.columns.push(Column {
            name: name.to_owned().into(),
            kind: kind.to_owned().into(),
            format: format.to_owned().into(),
            description: description.to_owned().into(),
            priority,
        });
        self.paths.push(JsonPath::parse(path).ok());
    }

    /// The heads.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The cells of an object, one per column; null where the path leads nowhere.
    pub fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let mut cells = vec![object.name().into()];
        let kinds = self.columns.iter().skip(1).map(|column| column.kind.as_ref());
        for (kind, path) in kinds.zip(&self.paths) {
            let found = path.as_ref().and_then(|path| path.first(object));
            cells.push(found.map_or(Value::Null, |value| cell(kind, value, now)));
        }
        cells
    }
}

fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match (kind, value) {
        ("string", Value::Null) => Value::Null,
        ("string", value) => text::scalar(Some(value)).unwrap_or_else(|| value.to_string()).into(),
        ("integer", Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            // A float is cut off, as Go's conversion does.
            #[expect(clippy::cast_possible_truncation, reason = "saturates, which is what is wanted here")]
            (None, Some(float)) => (float as i64).into(),
            _ => Value::Null,
        },
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(time)) => {
            time.parse::<Timestamp>().map_or_else(|_| "<invalid>".into(), |then| ago(then, now)).into()
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-02T00:05:03Z".parse().unwrap()
    }

    #[test]
    fn cells_follow_the_type_of_the_column() {
        #[track_caller]
        fn check(kind: &str, value: Value, expected: Value) {
            let printer = CustomPrinter::new(&[json!({"name": "X", "type": kind, "jsonPath": ".spec.x"})]);
            let object = json!({"metadata": {"name": "a"}, "spec": {"x": value}});
            assert_eq!(printer.row(&object, now()), [json!("a"), expected], "{kind} {object}");
        }
        check("string", json!("x"), json!("x"));
        check("string", json!(3), json!("3"));
        check("string", json!(true), json!("true"));
        check("string", json!({"a": [1]}), json!(r#"{"a":[1]}"#));
        check("integer", json!(3), json!(3));
        check("integer", json!(3.7), json!(3));
        check("integer", json!("3"), Value::Null);
        check("number", json!(3.5), json!(3.5));
        check("boolean", json!(false), json!(false));
        check("boolean", json!("false"), Value::Null);
        check("date", json!("2026-01-02T00:00:00Z"), json!("5m3s"));
        check("date", json!("yesterday"), json!("<invalid>"));
    }

    #[test]
    fn without_columns_the_age_is_shown() {
        let printer = CustomPrinter::new(&[]);
        let names: Vec<_> = printer.columns().iter().map(|column| column.name.as_ref()).collect();
        assert_eq!(names, ["Name", "Age"]);
        let object = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(printer.row(&object, now()), [json!("a"), json!("24h")]);
    }

    #[test]
    fn a_path_that_leads_nowhere_or_cannot_be_read_leaves_the_cell_empty() {
        let printer = CustomPrinter::new(&[
            json!({"name": "Gone", "type": "string", "jsonPath": ".spec.gone"}),
            json!({"name": "Bad", "type": "string", "jsonPath": "..bad", "priority": 1}),
            json!({"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}),
        ]);
        let object = json!({"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(printer.row(&object, now()), [json!("a"), Value::Null, Value::Null, json!("True")]);
        assert_eq!(printer.columns().iter().map(|column| column.priority).collect::<Vec<_>>(), [0, 0, 1, 0]);
    }
}
