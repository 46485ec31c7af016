//! Bootstrap tokens: signatures in cluster-info, and the end of tokens.

mod cleaner;
mod signer;

pub(crate) use cleaner::run as clean_tokens;
pub(crate) use signer::run as sign;

use api::object::ObjectExt as _;
use client::Resource;
use pki::token::{NAMESPACE, SECRET_TYPE};
use serde_json::Value;

const SECRETS: Resource = Resource::core("secrets");

fn is_token(secret: &Value) -> bool {
    secret.str_at("/type") == SECRET_TYPE && secret.namespace() == NAMESPACE
}
