//! v1beta1 (1.13 and 1.14): before uploaded certificates had a key in the file.

use serde_json::Value;

use super::edit::drop_all;
use crate::documents::ConfigError;

/// What v1beta2 added.
const NEWER: &[&str] =
    &["/certificateKey", "/controlPlane/certificateKey", "/nodeRegistration/ignorePreflightErrors"];

/// To v1beta2, which says all that v1beta1 says.
pub(super) fn up(documents: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    Ok(documents)
}

/// From v1beta2.
pub(super) fn down(mut documents: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    for doc in &mut documents {
        drop_all(doc, NEWER);
    }
    Ok(documents)
}
