//! Bootstrap tokens: signatures in cluster-info, and the end of tokens.

mod cleaner;
mod signer;

pub(crate) use cleaner::run as clean_tokens;
pub(crate) use signer::run as sign;

use client::Resource;
use pki::token::{NAMESPACE, SECRET_TYPE};
use serde_json::Value;

use crate::objects::text;

const SECRETS: Resource = Resource::core("secrets");

fn is_token(secret: &Value) -> bool {
    text(secret, "/type") == SECRET_TYPE && text(secret, "/metadata/namespace") == NAMESPACE
}
