//! The v2 document in gnostic's protobuf form, which kubectl asks for.
//!
//! Written by hand from JSON: the schemas, and of the paths what clients look for (parameters and
//! extensions).

use serde_json::{Map, Value};

/// Appends fields of one message.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, message: Message) {
        self.bytes(field, &message.0);
    }

    fn text(&mut self, field: u64, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn flag(&mut self, field: u64, value: bool) {
        if value {
            self.varint(field << 3);
            self.varint(1);
        }
    }

    fn integer(&mut self, field: u64, value: Option<i64>) {
        if let Some(value) = value.filter(|v| *v != 0) {
            self.varint(field << 3);
            self.varint(value.cast_unsigned());
        }
    }

    fn double(&mut self, field: u64, value: Option<f64>) {
        if let Some(value) = value.filter(|v| *v != 0.0) {
            self.varint(field << 3 | 1);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn texts(&mut self, field: u64, list: Option<&Value>) {
        for text in list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            self.bytes(field, text.as_bytes());
        }
    }

    /// Gnostic's `Any`: YAML, of which JSON is a part.
    fn any(&mut self, field: u64, value: &Value) {
        let mut any = Message::default();
        any.text(2, &value.to_string());
        self.message(field, any);
    }

    /// A named entry of a map.
    fn named(&mut self, field: u64, name: &str, value: Message) {
        let mut entry = Message::default();
        entry.text(1, name);
        entry.message(2, value);
        self.message(field, entry);
    }

    fn extensions(&mut self, field: u64, map: &Map<String, Value>) {
        for (key, value) in map.iter().filter(|(key, _)| key.starts_with("x-")) {
            let mut any = Message::default();
            any.text(2, &value.to_string());
            self.named(field, key, any);
        }
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The document.
pub(super) fn document(value: &Value) -> Vec<u8> {
    let mut out = Message::default();
    out.text(1, text(value, "swagger"));
    if let Some(info) = value.get("info") {
        let mut message = Message::default();
        message.text(1, text(info, "title"));
        message.text(2, text(info, "version"));
        out.message(2, message);
    }
    if let Some(Value::Object(paths)) = value.get("paths") {
        let mut message = Message::default();
        for (path, item) in paths {
            message.named(2, path, path_item(item));
        }
        out.message(8, message);
    }
    if let Some(Value::Object(definitions)) = value.get("definitions") {
        out.message(9, schemas(definitions));
    }
    out.0
}

/// `Definitions` and `Properties`: named schemas.
fn schemas(map: &Map<String, Value>) -> Message {
    let mut out = Message::default();
    for (name, value) in map {
        out.named(1, name, schema(value));
    }
    out
}

fn schema(value: &Value) -> Message {
    let mut out = Message::default();
    let Value::Object(map) = value else { return out };
    out.text(1, text(value, "$ref"));
    out.text(2, text(value, "format"));
    out.text(3, text(value, "title"));
    out.text(4, text(value, "description"));
    if let Some(default) = map.get("default") {
        out.any(5, default);
    }
    let number = |key: &str| map.get(key).and_then(Value::as_f64);
    let integer = |key: &str| map.get(key).and_then(Value::as_i64);
    let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
    out.double(6, number("multipleOf"));
    out.double(7, number("maximum"));
    out.flag(8, flag("exclusiveMaximum"));
    out.double(9, number("minimum"));
    out.flag(10, flag("exclusiveMinimum"));
    out.integer(11, integer("maxLength"));
    out.integer(12, integer("minLength"));
    out.text(13, text(value, "pattern"));
    out.integer(14, integer("maxItems"));
    out.integer(15, integer("minItems"));
    out.flag(16, flag("uniqueItems"));
    out.integer(17, integer("maxProperties"));
    out.integer(18, integer("minProperties"));
    out.texts(19, map.get("required"));
    for allowed in map.get("enum").and_then(Value::as_array).into_iter().flatten() {
        out.any(20, allowed);
    }
    match map.get("additionalProperties") {
        Some(of @ Value::Object(_)) => {
            let mut item = Message::default();
            item.message(1, schema(of));
            out.message(21, item);
        }
        Some(Value::Bool(any)) => {
            let mut item = Message::default();
            item.flag(2, *any);
            out.message(21, item);
        }
        _ => {}
    }
    if let Some(Value::String(kind)) = map.get("type") {
        let mut item = Message::default();
        item.text(1, kind);
        out.message(22, item);
    }
    if let Some(items) = map.get("items") {
        let mut item = Message::default();
        item.message(1, schema(items));
        out.message(23, item);
    }
    for part in map.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        out.message(24, schema(part));
    }
    if let Some(Value::Object(properties)) = map.get("properties") {
        out.message(25, schemas(properties));
    }
    out.extensions(31, map);
    out
}

fn path_item(value: &Value) -> Message {
    let mut out = Message::default();
    for (method, field) in [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)] {
        if let Some(value) = value.get(method) {
            out.message(field, operation(value));
        }
    }
    parameters(&mut out, 9, value);
    out
}

fn operation(value: &Value) -> Message {
    let mut out = Message::default();
    let Value::Object(map) = value else { return out };
    out.texts(1, map.get("tags"));
    out.text(3, text(value, "description"));
    out.text(5, text(value, "operationId"));
    out.texts(6, map.get("produces"));
    out.texts(7, map.get("consumes"));
    parameters(&mut out, 8, value);
    out.texts(10, map.get("schemes"));
    out.extensions(13, map);
    out
}

fn parameters(out: &mut Message, field: u64, holder: &Value) {
    for value in holder.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        let required = value.get("required").and_then(Value::as_bool).unwrap_or(false);
        let mut inner = Message::default();
        let mut parameter = Message::default();
        match text(value, "in") {
            "body" => {
                inner.text(2, text(value, "name"));
                inner.text(3, "body");
                inner.flag(4, required);
                if let Some(of) = value.get("schema") {
                    inner.message(5, schema(of));
                }
                parameter.message(1, inner);
            }
            place => {
                inner.flag(1, required);
                inner.text(2, place);
                inner.text(3, text(value, "description"));
                inner.text(4, text(value, "name"));
                let of_path = place == "path";
                inner.text(if of_path { 5 } else { 6 }, text(value, "type"));
                let mut other = Message::default();
                other.message(if of_path { 4 } else { 3 }, inner);
                parameter.message(2, other);
            }
        }
        let mut item = Message::default();
        item.message(1, parameter);
        out.message(field, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bytes_are_as_protobuf_has_them() {
        #[track_caller]
        fn check(value: Value, expected: &[u8]) {
            assert_eq!(document(&value), expected);
        }
        check(json!({"swagger": "2.0"}), b"\x0a\x032.0");
        check(
            json!({"definitions": {"A": {"type": "string", "x-a": 1}}}),
            // definitions(9) { entry(1) { name(1) "A", value(2) { type(22) { "string" }, extension(31) } } }
            b"\x4a\x1f\x0a\x1d\x0a\x01A\x12\x18\xb2\x01\x08\x0a\x06string\xfa\x01\x0a\x0a\x03x-a\x12\x03\x12\x011",
        );
        check(
            json!({"definitions": {"A": {"minLength": 300}}}),
            b"\x4a\x0a\x0a\x08\x0a\x01A\x12\x03\x60\xac\x02",
        );
    }
}
