//! Kubernetes' protobuf bodies, read into the JSON form of the same object: typed Go clients, kubectl's
//! `create` among them, send nothing else.
//!
//! `fields.txt.gz` is a table of facts about the messages of 1.36's groups: one message per line with
//! `tag:field:type`, fields by their JSON names; `*` marks a message whose fields stand in its parent's
//! JSON, `-` a list that is a message in protobuf only. Go writes plain fields of a struct even when they are
//! zero, and its JSON leaves them out; a `!` marks what its JSON keeps: a pointer, which is written only if it
//! was set, and a field that is never left out. Answers are never protobuf: clients that send
//! it accept JSON too.

mod table;
mod wire;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use table::{Field, Shape, Type, table};
use wire::{Piece, Reader};

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Deeper than any object of Kubernetes.
const DEPTH: usize = 64;

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtobufError {
    /// Another format.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Magic,
    /// Cut off, or not what its lengths say.
    #[error("unexpected EOF")]
    Truncated,
    /// A field of another wire type than it has.
    #[error("proto: wrong wireType")]
    WireType,
    /// Bytes where text should be.
    #[error("proto: invalid UTF-8")]
    Text,
    /// No such message.
    #[error("no kind of that name is registered")]
    Unknown,
    /// Messages within messages without end.
    #[error("proto: nested too deeply")]
    Depth,
}

type Result<T> = std::result::Result<T, ProtobufError>;

/// Reads a body: the envelope that says which kind it is, and the object in it.
///
/// # Errors
/// It is not what it claims to be.
pub(super) fn decode(bytes: &[u8]) -> Result<Value> {
    let body = bytes.strip_prefix(MAGIC).ok_or(ProtobufError::Magic)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut envelope = Reader::new(body);
    while let Some((tag, piece)) = envelope.next()? {
        match (tag, piece) {
            (1, Piece::Bytes(meta)) => {
                let mut meta = Reader::new(meta);
                while let Some((tag, piece)) = meta.next()? {
                    match tag {
                        1 => api_version = piece.text()?.to_owned(),
                        2 => kind = piece.text()?.to_owned(),
                        _ => {}
                    }
                }
            }
            (2, Piece::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let message = table().by_kind(&api_version, &kind).ok_or(ProtobufError::Unknown)?;
    let mut object = Map::new();
    object.insert("kind".to_owned(), kind.into());
    object.insert("apiVersion".to_owned(), api_version.into());
    read_message(raw, message, &mut object, DEPTH)?;
    Ok(Value::Object(object))
}

fn read_message(bytes: &[u8], message: usize, into: &mut Map<String, Value>, depth: usize) -> Result<()> {
    let depth = depth.checked_sub(1).ok_or(ProtobufError::Depth)?;
    let mut reader = Reader::new(bytes);
    while let Some((tag, piece)) = reader.next()? {
        // A field of a newer version than ours: dropped, as Go's decoder drops it.
        let Some(field) = table().field(message, tag) else { continue };
        if field.name == "*" {
            if let Type::Message(inner) = field.kind {
                read_message(piece.bytes()?, inner, into, depth)?;
            }
            continue;
        }
        read_field(field, piece, into, depth)?;
    }
    Ok(())
}

fn read_field(field: &Field, piece: Piece<'_>, into: &mut Map<String, Value>, depth: usize) -> Result<()> {
    match field.shape {
        Shape::One => {
            let value = read_value(field.kind, piece, depth)?;
            let says_nothing = match &value {
                Value::Null => true,
                _ if field.zero_counts => false,
                Value::String(text) => text.is_empty(),
                Value::Bool(on) => !on,
                Value::Number(number) => field.kind != Type::IntOrString && number.as_f64() == Some(0.0),
                _ => false,
            };
            if !says_nothing {
                into.insert(field.name.to_owned(), value);
            }
        }
        Shape::List => {
            let list = into.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            let Value::Array(list) = list else { return Ok(()) };
            match (field.kind, piece) {
                // Numbers may come packed.
                (Type::Integer, Piece::Bytes(packed)) => {
                    let mut packed = Reader::new(packed);
                    while let Some(number) = packed.number()? {
                        list.push(number.into());
                    }
                }
                (kind, piece) => list.push(read_value(kind, piece, depth)?),
            }
        }
        Shape::Map => {
            let (mut key, mut value) = (String::new(), None);
            let mut entry = Reader::new(piece.bytes()?);
            while let Some((tag, piece)) = entry.next()? {
                match tag {
                    1 => key = piece.text()?.to_owned(),
                    2 => value = Some(read_value(field.kind, piece, depth)?),
                    _ => {}
                }
            }
            let value = value.unwrap_or_else(|| Value::String(String::new()));
            let map = into.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = map {
                map.insert(key, value);
            }
        }
    }
    Ok(())
}

fn read_value(kind: Type, piece: Piece<'_>, depth: usize) -> Result<Value> {
    Ok(match kind {
        Type::Text => piece.text()?.into(),
        Type::Bool => (piece.integer()? != 0).into(),
        Type::Integer => piece.integer()?.into(),
        Type::Double => match piece {
            Piece::Fixed64(bits) => f64::from_bits(bits).into(),
            _ => return Err(ProtobufError::WireType),
        },
        Type::Bytes => STANDARD.encode(piece.bytes()?).into(),
        Type::Time { micro } => time(piece.bytes()?, micro)?,
        Type::Quantity => first_text(piece.bytes()?)?.into(),
        Type::IntOrString => int_or_string(piece.bytes()?)?,
        Type::Raw => raw(piece.bytes()?)?,
        Type::Message(message) => {
            if let Some(items) = table().items(message) {
                let mut holder = Map::new();
                let mut reader = Reader::new(piece.bytes()?);
                while let Some((tag, piece)) = reader.next()? {
                    if tag == items.tag {
                        read_field(items, piece, &mut holder, depth)?;
                    }
                }
                return Ok(holder.remove(items.name).unwrap_or_else(|| Value::Array(Vec::new())));
            }
            let mut object = Map::new();
            read_message(piece.bytes()?, message, &mut object, depth)?;
            Value::Object(object)
        }
    })
}

/// Seconds and nanoseconds; the zero time is none.
fn time(bytes: &[u8], micro: bool) -> Result<Value> {
    let (mut seconds, mut nanos, mut given) = (0, 0, false);
    let mut reader = Reader::new(bytes);
    while let Some((tag, piece)) = reader.next()? {
        given = true;
        match tag {
            1 => seconds = piece.integer()?,
            2 => nanos = piece.integer()?,
            _ => {}
        }
    }
    let nanos = i32::try_from(nanos).unwrap_or(0);
    let Some(at) = given.then(|| jiff::Timestamp::new(seconds, nanos).ok()).flatten() else {
        return Ok(Value::Null);
    };
    Ok(if micro {
        at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string().into()
    } else {
        world::rfc3339(at).into()
    })
}

fn first_text(bytes: &[u8]) -> Result<String> {
    let mut reader = Reader::new(bytes);
    while let Some((tag, piece)) = reader.next()? {
        if tag == 1 {
            return Ok(piece.text()?.to_owned());
        }
    }
    Ok("0".to_owned())
}

fn int_or_string(bytes: &[u8]) -> Result<Value> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some((tag, piece)) = reader.next()? {
        match tag {
            1 => is_text = piece.integer()? == 1,
            2 => number = piece.integer()?,
            3 => text = piece.text()?.to_owned(),
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// JSON within protobuf.
fn raw(bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader::new(bytes);
    while let Some((tag, piece)) = reader.next()? {
        if tag == 1 {
            return Ok(serde_json::from_slice(piece.bytes()?).unwrap_or(Value::Null));
        }
    }
    Ok(Value::Null)
}

#[cfg(test)]
mod tests;
