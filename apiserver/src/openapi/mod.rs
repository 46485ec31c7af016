//! What the API looks like, for clients that ask: OpenAPI v3 per group and version, v2 in one piece.
//!
//! Schemas of built-in kinds lie beside this file, compressed: `schemas.txt.gz` with descriptions for
//! the documents, `fields.txt.gz` with names and types alone for `normalise`, which every write
//! passes. Nothing is unpacked before it is asked for. What the schemas lack (verbs, merge keys, group
//! and version of a kind) is added from `api` when a document is rendered; `structure.txt` says what
//! is owned as one value. `tests/schemas.rs`
//! holds both files to what k8s-openapi says.

mod documents;
mod fields;
mod inlined;
mod paths;
mod proto;
mod render;
mod schemas;
mod structure;
mod swagger;

pub use documents::OpenApi;
pub(crate) use documents::PROTOBUF;
pub use fields::{normalise, unknown_fields};
pub use inlined::Inlined;
pub use schemas::definition_name;
pub use structure::field_types;
pub(crate) use swagger::Swagger;
